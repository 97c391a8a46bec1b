"""Bars that say of themselves that they have not ended, fill a hole or lack trades are not stored as whole ones."""

import io
import json

import pandas as pd
import polars as pl

from tests.cases.case import Import, Write, csv, flat

DAYS = ["2024-01-02", "2024-01-03"]
FIRST = {("A", "1d"): [("2024-01-02", 1)]}
BOTH = {("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}
WHAT = {"closed": "have not ended", "filled": "fill holes", "partial": "were not seen from start to end"}
# What exchanges and their libraries call the first of them.
ENDED = ("is_closed", "isClosed", "isFinal", "ended", "complete", "confirm")
WAYS = {
    "truths": (False, True),
    "texts": ("false", "true"),
    "pandas' texts": ("False", "True"),
    "numbers": (0, 1),
    "floats": (0.0, 1.0),
}


def marked(name, way, whole=False):
    """Return two bars, of which the second is none to be stored."""
    no, yes = WAYS[way]
    good, bad = (no, yes) if name in ("filled", "partial") else (yes, no)
    return flat(DAYS, **{name: [good, good if whole else bad]})


def left_out(columns):
    return {name: values[:1] for name, values in columns.items()}


def packed(columns, kind):
    made = io.BytesIO()
    frame = pl.DataFrame(columns)
    frame.write_parquet(made) if kind == "parquet" else frame.write_ipc(made)
    return made.getvalue()


WRITERS = {
    "csv": csv, "json": lambda columns: pl.DataFrame(columns).write_json(), "ndjson": lambda columns: pl.DataFrame(columns).write_ndjson(),
    "parquet": lambda columns: packed(columns, "parquet"), "arrow": lambda columns: packed(columns, "arrow"),
}  # fmt: skip
EACH = [(name, way) for name in WHAT for way in WAYS]
OKX = [[1704153600000, 1, 1, 1, 1, 10, 10, 10, "1"], [1704240000000, 2, 2, 2, 2, 20, 20, 40, "0"]]
CASES = [
    *(Write(f"{name} is another name of closed", marked(name, "texts"), timeframe="1d", refused="1 of the rows are bars that have not ended", hint="filter", then={"data": left_out(marked(name, "texts"))}, bars=FIRST) for name in ENDED),
    *(Write(f"{name} of bars that have ended", marked(name, "numbers", whole=True), timeframe="1d", bars=BOTH, result={"ignored": ()}) for name in ENDED),
    Import("OKX's answer", {"A-1d.json": json.dumps(OKX)}, refused="A-1d.json: 1 of the rows are bars that have not ended", hint="leave these rows out of the file", then=[], then_files={"A-1d.json": json.dumps(OKX[:1])}, then_bars=FIRST),
    *(Write(f"{name} as {way}", marked(name, way), timeframe="1d", refused=f"1 of the rows are bars that {WHAT[name]}", hint=r"write frame.filter\(", then={"data": left_out(marked(name, way))}, bars=FIRST) for name, way in EACH),
    *(Write(f"{name} as {way} of whole bars", marked(name, way, whole=True), timeframe="1d", bars=BOTH, result={"ignored": ()}) for name, way in EACH),
    Write("a mark in pandas' objects", pd.DataFrame(flat(DAYS, closed=[True, "False"])), timeframe="1d", refused="have not ended", hint="filter", bars=FIRST, then={"data": left_out(flat(DAYS))}),
    Write("a mark in capitals", flat(DAYS, Closed=[True, False]), timeframe="1d", refused="have not ended", hint=r"filter\(pl.col\('Closed'\)\)", bars=FIRST, then={"data": pl.DataFrame(flat(DAYS, Closed=[True, False])).filter(pl.col("Closed"))}),
    Write("the hint's filter, of texts", pl.DataFrame(marked("closed", "texts")), timeframe="1d", refused="have not ended", hint=r"filter\(~pl.col\('closed'\).is_in\(\['false'\]\)\)", bars=FIRST, then={"data": pl.DataFrame(marked("closed", "texts")).filter(~pl.col("closed").is_in(["false"]))}),
    Write("numbers that are no marks", flat(DAYS, partial=[1, 250]), timeframe="1d", bars=BOTH),
    *(Import(f"{name} in {kind}", {f"A-1d.{kind}": write(marked(name, "truths"))}, refused=f"A-1d.{kind}: 1 of the rows are bars that {WHAT[name]}", hint="leave these rows out of the file", then=[], then_files={f"A-1d.{kind}": write(left_out(marked(name, "truths")))}, then_bars=FIRST) for kind, write in WRITERS.items() for name in WHAT),
    *(Import(f"whole bars in {kind}", {f"A-1d.{kind}": write(marked("filled", "truths", whole=True))}, bars=BOTH, not_said=["not kept"]) for kind, write in WRITERS.items()),
]  # fmt: skip
