"""Instruments without a volume: said once, stored as 0, and never where there is one."""

import pandas as pd
import polars as pl

from tests.cases.case import Import, Write

NONE = {("A", "1d"): [("2024-01-02", 12, 0, 10, 14, 9), ("2024-01-03", 9, 0, 12, 13, 8)]}
PRICES = {
    "date": ["2024-01-02", "2024-01-03"],
    "open": [10, 12],
    "high": [14, 13],
    "low": [9, 8],
    "close": [12, 9],
}
TEXT = "date,open,high,low,close\n2024-01-02,10,14,9,12\n2024-01-03,12,13,8,9\n"
ROWS = TEXT.partition("\n")[2]
SAID = ["there is no volume: it is stored as 0"]
NOTES = {"notes": ("there is no volume: it is stored as 0",)}
HINT, FLAG = "volume='none' where there is no volume", "--volume none where there is no volume"


def empty(value):
    return {**PRICES, "volume": [value, value]}


FORMS = {
    "a dict": PRICES,
    "pandas": pd.DataFrame(PRICES),
    "Polars": pl.DataFrame(PRICES),
    "Arrow": pl.DataFrame(PRICES).to_arrow(),
    "rows as dicts": pl.DataFrame(PRICES).to_dicts(),
    "rows as tuples": pl.DataFrame(PRICES).rows(),
}
FILES = {
    "A.csv": TEXT,
    "A.json": pl.DataFrame(PRICES).write_json(),
    "A.ndjson": pl.DataFrame(PRICES).write_ndjson(),
    "A.tsv": TEXT.replace(",", "\t"),
}
CASES = [
    *(Write(f"{form} without a volume", data, timeframe="1d", refused="no column for volume" if form != "rows as tuples" else "five columns: there is none for the volume", hint=HINT, then={"volume": "none"}, bars=NONE) for form, data in FORMS.items()),
    *(Write(f"{form} without a volume, as said", data, timeframe="1d", options={"volume": "none"}, bars=NONE, result=NOTES) for form, data in FORMS.items()),
    *(Import(f"{name} without a volume", {name: text}, refused="no column for volume", hint=FLAG, then=["--volume", "none"], then_bars=NONE) for name, text in FILES.items()),
    *(Import(f"{name} without a volume, as said", {name: text}, ["--volume", "none"], bars=NONE, said=SAID) for name, text in FILES.items()),
    Import("no header and no volume", {"A.csv": ROWS}, refused="no header, and five columns: there is none for the volume", hint=FLAG, then=["--volume", "none"], then_bars=NONE),
    Import("arrays without a volume", {"A.json": '[["2024-01-02",10,14,9,12],["2024-01-03",12,13,8,9]]'}, refused="five columns: there is none for the volume", hint=FLAG, then=["--volume", "none"], then_bars=NONE),
    *(Write(f"a column of {value!r} is no volume", empty(value), timeframe="1d", options={"volume": "none"}, bars=NONE) for value in (None, 0, "", "-", "0.00", float("nan"))),
    Write("an empty column", empty(None), timeframe="1d", refused="volume = None breaks the rule 'volume is a number'", hint="volume='none' where there is none", then={"volume": "none"}, bars=NONE),
    Import("an empty column, in a file", {"A.csv": TEXT.replace("close\n", "close,Vol.\n").replace("12\n", "12,\n").replace(",9\n", ",9,\n")}, refused="volume = None breaks the rule", hint="--volume none where there is none", then=["--volume", "none"], then_bars=NONE),
    Write("a column of volumes is not set to 0", {**PRICES, "volume": [5, 6]}, timeframe="1d", options={"volume": "none"}, refused="there is to be no volume, and the column 'volume' has '5'", hint="leave volume= out", then={"volume": None}, bars={("A", "1d"): [("2024-01-02", 12, 5), ("2024-01-03", 9, 6)]}),
    Import("a column of volumes is not set to 0, in a file", {"A.csv": TEXT.replace("close\n", "close,Vol.\n").replace("12\n", "12,0\n").replace(",9\n", ",9,6\n")}, ["--volume", "none"], refused="there is to be no volume, and the column 'Vol.' has '6'", hint="leave --volume out", then=[], then_bars={("A", "1d"): [("2024-01-02", 12, 0), ("2024-01-03", 9, 6)]}),
    Write("a volume that is another word", PRICES, timeframe="1d", options={"volume": "zero"}, refused="volume='zero' is neither None nor 'none'", hint="columns={'volume': 'its name'}", then={"volume": "none"}, bars=NONE),
    Write("many series without a volume", {**PRICES, "symbol": ["A", "A"], "timeframe": ["1d", "1d"]}, symbol=None, timeframe=None, refused="no column for volume", hint=HINT, then={"volume": "none"}, bars=NONE),
    Write("a turnover is not asked to be zeros", {**PRICES, "turnover": [5, 6]}, timeframe="1d", refused="no column for volume", hint="where that is the volume, columns={'volume': 'turnover'}", then={"columns": {"volume": "turnover"}}, bars={("A", "1d"): [("2024-01-02", 12, 5), ("2024-01-03", 9, 6)]}),
    Import("no volume and no symbol are said at once", {"HistoricalPrices.csv": TEXT}, refused="no column for volume", hint="--volume none where there is no volume; and give --symbol KRW-BTC", then=["--volume", "none", "--symbol", "A"], then_bars=NONE),
]  # fmt: skip
