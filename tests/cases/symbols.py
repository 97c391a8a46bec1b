"""Words for missing values are for numbers: as symbols they are names."""

import json

import pandas as pd
import polars as pl
import pyarrow as pa

from tests.cases.case import Import, Write, csv, flat

NAMES = ("NA", "NULL", "None", "NaN", "nan", "-", "N/A", "null", "na", "n/a", "NAN", "inf", "TRUE", "005930")
BARS = {(name, "1d"): [("2024-01-02", number)] for number, name in enumerate(NAMES, 1)}
TABLE = {"symbol": list(NAMES), **flat(["2024-01-02"] * len(NAMES))}
ROWS = [dict(zip(TABLE, values, strict=True)) for values in zip(*TABLE.values(), strict=True)]


def written(name, data):
    return Write(f"{name} keep their symbols", data, symbol=None, timeframe="1d", bars=BARS)


def imported(suffix, text):
    return Import(f"a {suffix} file keeps its symbols", {f"all.{suffix}": text}, ["-t", "1d"], bars=BARS)


CASES = [
    written("columns", TABLE),
    written("rows", ROWS),
    written("Polars", pl.DataFrame(TABLE)),
    written("Polars, categories", pl.DataFrame(TABLE).with_columns(pl.col("symbol").cast(pl.Categorical))),
    written("pandas", pd.DataFrame(TABLE)),
    written("Arrow", pa.table(TABLE)),
    imported("csv", csv(TABLE)),
    imported("tsv", csv(TABLE, separator="\t")),
    imported("json", json.dumps(ROWS)),
    imported("ndjson", "".join(json.dumps(row) + "\n" for row in ROWS)),
    *(Write(f"{name!r} is named by the call", flat(["2024-01-02"]), symbol=name, timeframe="1d", bars={(name, "1d"): [("2024-01-02", 1)]}) for name in NAMES),
    *(Import(f"{name!r} is named by --symbol", {"x.csv": csv(flat(["2024-01-02", "2024-01-03"]))}, [f"--symbol={name}"], bars={(name, "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}) for name in NAMES),
    Write("a symbol that is absent is none", {**TABLE, "symbol": [*NAMES[:-1], None]}, symbol=None, timeframe="1d", options={"on_invalid": "quarantine"}, bars={key: rows for key, rows in BARS.items() if key[0] != NAMES[-1]}, result={"quarantined": 1}),
]  # fmt: skip
