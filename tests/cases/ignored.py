"""What is not kept is said: columns beside those of a candle are named in the answer and in the summary."""

import pandas as pd
import polars as pl

from tests.cases.case import Import, Write, csv, flat

DAYS = ["2024-01-02", "2024-01-03"]
BARS = {("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}
EXTRA = {
    "vwap": [1, 2],
    "trades": [3, 4],
    "quote volume": [5, 6],
    "Adj Close": [7, 8],
    "open interest": [9, 10],
}
NAMES = tuple(EXTRA)
WIDE = flat(DAYS, **EXTRA)
FORMS = {
    "a dict of columns": WIDE, "Polars": pl.DataFrame(WIDE), "a LazyFrame": pl.LazyFrame(WIDE), "pandas": pd.DataFrame(WIDE),
    "Arrow": pl.DataFrame(WIDE).to_arrow(), "dicts": pl.DataFrame(WIDE).to_dicts(),
}  # fmt: skip


def told(name, data, ignored=NAMES, **options):
    return Write(name, data, timeframe="1d", bars=BARS, result={"ignored": ignored}, **options)


CASES = [
    *(told(form, data) for form, data in FORMS.items()),
    told("several tables", lambda: iter([pl.DataFrame(flat(DAYS[:1], vwap=[1])), pl.DataFrame(flat(DAYS[1:], [2], trades=[1]))]), ("vwap", "trades")),
    told("nothing", flat(DAYS), ()),
    told("an unnamed index is nothing", {"Unnamed: 0": [0, 1], **flat(DAYS)}, ()),
    told("what is held against the call is not ignored", flat(DAYS, symbol=["A", "A"], timeframe=["1d", "1d"], closed=[True, True], filled=[False, False]), ()),
    told("tuples have no names", list(zip(*flat(DAYS).values(), strict=True)), ()),
    Write("in many series", pl.DataFrame(flat(DAYS, **EXTRA, symbol=["A", "A"])), symbol=None, timeframe="1d", bars=BARS, result={"ignored": NAMES}),
    Import("CSV", {"A-1d.csv": csv(WIDE)}, bars=BARS, said=["note: columns not kept: vwap, trades, quote volume, Adj Close, open interest"]),
    Import("JSON", {"A-1d.json": pl.DataFrame(WIDE).write_json()}, bars=BARS, said=["note: columns not kept: vwap, trades"]),
    Import("NDJSON", {"A-1d.ndjson": pl.DataFrame(WIDE).write_ndjson()}, bars=BARS, said=["note: columns not kept: vwap, trades"]),
    Import("several files", {"A-1d.csv": csv(WIDE), "B-1d.csv": csv(WIDE), "C-1d.csv": csv(flat(DAYS))}, bars={(symbol, "1d"): BARS["A", "1d"] for symbol in "ABC"}, said=["note: columns not kept in 2 files: vwap, trades"]),
    Import("in JSON for programs", {"A-1d.csv": csv(WIDE)}, ["--json"], bars=BARS, said=[r'"ignored":\s*\[\s*"vwap",\s*"trades"']),
    Import("many columns", {"A-1d.csv": csv(flat(DAYS, **{f"x{number}": [1, 1] for number in range(40)}))}, bars=BARS, said=["columns not kept: x0, x1, .* and 28 more"]),
    Import("nothing, in a file", {"A-1d.csv": csv(flat(DAYS))}, bars=BARS, not_said=["not kept"]),
]  # fmt: skip
