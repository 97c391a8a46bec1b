"""Several instruments in one table never merge into one: columns tell them apart, or the call is refused."""

import pandas as pd
import polars as pl

from tests.cases.case import Import, Write, csv, flat

DAYS = ["2024-01-02", "2024-01-02", "2024-01-03", "2024-01-03"]
CLOSES = [1, 2, 3, 4]
X, Y = [("2024-01-02", 1), ("2024-01-03", 3)], [("2024-01-02", 2), ("2024-01-03", 4)]
TEXTS = ["X", "Y", "X", "Y"]
NUMBERS = [5930, 660, 5930, 660]
NAMES = (
    "token_id", "coin", "asset", "Currency", "Company", "Stockid", "Name", "code", "ts_code", "Currency Pair", "ISIN",
    "Symbol", "ticker",
)  # fmt: skip
BY_TEXT = {("X", "1d"): X, ("Y", "1d"): Y}
BY_NUMBER = {("5930", "1d"): X, ("660", "1d"): Y}
APART = flat(DAYS, CLOSES, venue=TEXTS)
TWICE = flat(DAYS[:2], [1, 2])
LAST = {("A", "1d"): [("2024-01-02", 2)]}


def long(name, values, **options):
    return Write(
        f"{name} is a symbol, {type(values[0]).__name__}",
        flat(DAYS, CLOSES, **{name: values}),
        symbol=None,
        timeframe="1d",
        **options,
    )


def named(columns, name):
    return {("symbol" if key == name else key): values for key, values in columns.items()}


def refused(name, columns, **options):
    return Write(
        name,
        columns,
        timeframe="1d",
        refused="2 symbols",
        hint="write_many",
        then={"symbol": None},
        **options,
    )


CASES = [
    *(long(name, TEXTS, bars=BY_TEXT) for name in NAMES),
    *(long(name, NUMBERS, bars=BY_NUMBER) for name in ("code", "token_id", "Stockid", "Name")),
    Write("a code that pandas made a float is its whole number", pd.DataFrame(flat(DAYS, CLOSES, code=[5930.0, 660.0, 5930.0, 660.0])), symbol=None, timeframe="1d", bars=BY_NUMBER),
    *(refused(f"{name} keeps several apart from one name", flat(DAYS, CLOSES, **{name: TEXTS}), bars=BY_TEXT) for name in NAMES),
    refused("codes keep several apart from one name", flat(DAYS, CLOSES, code=NUMBERS), bars=BY_NUMBER),
    *(Import(f"a file with {name}", {"prices.csv": csv(flat(DAYS, CLOSES, **{name: TEXTS}))}, ["-t", "1d"], bars=BY_TEXT) for name in NAMES),
    Import("a file of codes", {"prices.csv": csv(flat(DAYS, CLOSES, code=NUMBERS))}, ["-t", "1d"], bars=BY_NUMBER),
    Import("codes keep their zeros", {"prices.csv": csv(flat(DAYS, CLOSES, code=["005930", "000660"] * 2))}, ["-t", "1d"], bars={("005930", "1d"): X, ("000660", "1d"): Y}),
    Import("several under one name are refused", {"prices.csv": csv(flat(DAYS, CLOSES, Company=TEXTS))}, ["-t", "1d", "-s", "X"], refused="symbol column holds several", hint="leave --symbol out", then=["-t", "1d"], then_bars=BY_TEXT),
    Import("several under one name are refused, one after another", {"prices.json": pl.DataFrame(flat(DAYS, CLOSES, Company=TEXTS)).sort("Company").write_json()}, ["-t", "1d", "-s", "X"], refused="symbol column holds several", hint="leave --symbol out", then=["-t", "1d"], then_bars=BY_TEXT),
    Write("CoinMarketCap's name is the number of a currency", {"timeOpen": DAYS[::2], "timeHigh": DAYS[::2], "timeLow": DAYS[::2], **{k: v for k, v in flat(DAYS[::2], [1, 3], name=[2781, 2781]).items() if k != "timestamp"}}, timeframe="1d", bars={("A", "1d"): X}, result={"ignored": ("timeHigh", "timeLow", "name")}),
    Write("a currency of prices is no symbol", flat(DAYS[::2], [1, 3], Currency=["USD", "USD"]), timeframe="1d", bars={("A", "1d"): X}),
    Write("a currency of prices that lacks a cell is no symbol", flat(DAYS[::2], [1, 3], Currency=["USD", None]), timeframe="1d", bars={("A", "1d"): X}),
    Write("a currency of prices does not name a series", flat(DAYS[::2], [1, 3], Currency=["USD", "USD"]), symbol=None, timeframe="1d", bars={("X", "1d"): X}, refused="no column for symbol", hint="name the columns symbol", then={"data": flat(DAYS[::2], [1, 3], symbol=["X", "X"])}),
    Import("a currency of prices is no symbol, in a file", {"X.csv": csv(flat(DAYS[::2], [1, 3], Currency=["USD", "USD"]))}, ["-t", "1d"], bars={("X", "1d"): X}),
    # The mechanism: whatever the column is called.
    Write("rows that another column tells apart", APART, timeframe="1d", bars=BY_TEXT, refused=r"A 1d at 2024-01-02T00:00:00Z comes twice with different values \(rows 0 and 1\): open = 1.0 and 2.0; so do 1 more rows; the rows differ in venue. Nothing was written", hint="if venue says which instrument a row is of, name it symbol and call write_many", then={"symbol": None, "data": named(APART, "venue")}),
    Write("rows that another column tells apart, in Polars", pl.DataFrame(APART), timeframe="1d", bars=BY_TEXT, refused="the rows differ in venue", hint="name it symbol", then={"symbol": None, "data": named(APART, "venue")}),
    Write("rows that another column tells apart, in pandas", pd.DataFrame(APART), timeframe="1d", bars=BY_TEXT, refused="the rows differ in venue", hint="name it symbol", then={"symbol": None, "data": named(APART, "venue")}),
    Write("rows that another column tells apart, in Arrow", pl.DataFrame(APART).to_arrow(), timeframe="1d", bars=BY_TEXT, refused="the rows differ in venue", hint="name it symbol", then={"symbol": None, "data": named(APART, "venue")}),
    Write("rows that another key tells apart, in dicts", pl.DataFrame(APART).to_dicts(), timeframe="1d", bars=BY_TEXT, refused="the rows differ in venue", hint="name it symbol", then={"symbol": None, "data": named(APART, "venue")}),
    Import("rows that another column tells apart, in a file", {"A.csv": csv(APART)}, ["-t", "1d"], refused="A 1d at 2024-01-02T00:00:00Z comes twice .* the rows differ in venue", hint="if venue says which instrument a row is of, name it symbol and leave --symbol out", then=["-t", "1d"], then_files={"A.csv": csv(named(APART, "venue"))}, then_bars=BY_TEXT),
    Import("rows that another column tells apart, in Parquet", {"A.json": pl.DataFrame(APART).write_json()}, ["-t", "1d"], refused="the rows differ in venue", hint="name it symbol", then=["-t", "1d"], then_files={"A.json": pl.DataFrame(named(APART, "venue")).write_json()}, then_bars=BY_TEXT),
    Write("nothing tells them apart", TWICE, timeframe="1d", bars=LAST, refused=r"comes twice with different values \(rows 0 and 1\): open = 1.0 and 2.0. Nothing", hint="^on_conflict='last' takes the last row of each bar$", then={"on_conflict": "last"}),
    Write("the last is taken where that is said, and told", TWICE, timeframe="1d", options={"on_conflict": "last"}, bars=LAST, result={"inserted": 1, "conflicts": 1, "duplicates": 0, "rows": 2}),
    Write("an equal repeat is a duplicate", flat([DAYS[0]] * 3, [2, 2, 2]), timeframe="1d", bars=LAST, result={"inserted": 1, "conflicts": 0, "duplicates": 2}),
    Write("an equal repeat and a different one", flat([DAYS[0]] * 3, [2, 1, 2]), timeframe="1d", options={"on_conflict": "last"}, bars=LAST, result={"inserted": 1, "conflicts": 1, "duplicates": 1}),
    Write("a different repeat is no bad row", TWICE, timeframe="1d", options={"on_invalid": "quarantine"}, bars=LAST, refused="comes twice", hint="on_conflict", then={"on_conflict": "last"}),
    Write("nor one to be dropped", TWICE, timeframe="1d", options={"on_invalid": "drop"}, bars=LAST, refused="comes twice", hint="on_conflict", then={"on_conflict": "last"}),
    Write("in a later chunk", lambda: iter([pl.DataFrame(flat([DAYS[0]], [1], venue=["X"])), pl.DataFrame(flat([DAYS[0]], [2], venue=["Y"]))]), timeframe="1d", bars=LAST, refused="A 1d at 2024-01-02T00:00:00Z comes twice with different values: open = 1.0 and 2.0; columns that are not kept are venue", hint="on_conflict='last'", then={"on_conflict": "last"}),
    Write("in a later chunk, as it was", lambda: iter([pl.DataFrame(flat([DAYS[0]], [2])), pl.DataFrame(flat([DAYS[0]], [2]))]), timeframe="1d", bars=LAST, result={"duplicates": 1, "conflicts": 0}),
    Write("of two names of one timeframe", [("A", "1h", "2024-01-02", 1, 1, 1, 1, 1), ("A", "60m", "2024-01-02", 2, 2, 2, 2, 2)], symbol=None, timeframe=None, bars={("A", "1h"): [("2024-01-02", 2)]}, refused="A 1h at 2024-01-02T00:00:00Z comes twice", hint="on_conflict='last'", then={"on_conflict": "last"}),
    Write("in one of several series", pl.DataFrame({**flat(DAYS, CLOSES), "symbol": ["X", "X", "X", "Y"]}), symbol=None, timeframe="1d", bars={("X", "1d"): [("2024-01-02", 2), ("2024-01-03", 3)], ("Y", "1d"): [("2024-01-03", 4)]}, refused=r"X 1d at 2024-01-02T00:00:00Z comes twice with different values \(rows 0 and 1\)", hint="on_conflict='last'", then={"on_conflict": "last"}),
    Import("the last is taken where that is said, and counted", {"A.csv": csv(TWICE)}, ["-t", "1d", "--on-conflict", "last"], bars=LAST, said=["conflicts"]),
    # Files of one import.
    Import("files that disagree do not overwrite each other", {"spot/A-1d.csv": csv(flat(DAYS[::2], [1, 3])), "um/A-1d.csv": csv(flat(DAYS[::2], [1, 4]))}, refused="in/um/A-1d.csv: A 1d at 2024-01-03T00:00:00Z: open = 4.0 here and 3.0 in in/spot/A-1d.csv, which was imported before it", hint="--on-conflict last takes the later file's", bars={("A", "1d"): X}, then=["--on-conflict", "last"], then_bars={("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 4)]}),
    Import("files that agree do not", {"one/A-1d.csv": csv(flat(DAYS[::2], [1, 3])), "two/A-1d.csv": csv(flat(["2024-01-03", "2024-01-04"], [3, 5]))}, bars={("A", "1d"): [*X, ("2024-01-04", 5)]}),
    Import("of several series in one file", {"a.csv": csv(flat(DAYS, CLOSES, symbol=TEXTS)), "b.csv": csv(flat(DAYS, [1, 9, 3, 4], symbol=TEXTS))}, ["-t", "1d"], refused="in/b.csv: Y 1d at 2024-01-02T00:00:00Z: open = 9.0 here and 2.0 in in/a.csv", hint="--on-conflict last", bars=BY_TEXT, then=["-t", "1d", "--on-conflict", "last"], then_bars={("X", "1d"): X, ("Y", "1d"): [("2024-01-02", 9), ("2024-01-03", 4)]}),
]  # fmt: skip
