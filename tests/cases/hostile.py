"""Files that are made or broken to do harm: each is refused by itself, briefly, and the others land."""

import gzip
import io
import json

import polars as pl

from tests.cases.case import Import, Write, csv, flat

GOOD = csv(flat(["2024-01-02", "2024-01-03"]))
BARS = {("GOOD", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}
ROW = '{"date":"2024-01-02","open":1,"high":1,"low":1,"close":1,"volume":1,"symbol":%s}'
NUMBER = '{"date":"2024-01-02","open":%s,"high":1,"low":1,"close":1,"volume":1}'
HEADER = "date,open,high,low,close,volume\n"


def alone(name, file, content, refused, arguments=("-t", "1d"), **options):
    """A file that is refused beside a good one, which lands."""
    return Import(
        name,
        {"GOOD.csv": GOOD, file: content},
        arguments,
        refused=f"error: {file}: .*{refused}",
        bars=BARS,
        then_bars=BARS,
        **options,
    )


def parquet():
    made = io.BytesIO()
    pl.DataFrame(flat(["2024-01-02", "2024-01-03"])).write_parquet(made)
    return made.getvalue()


CASES = [
    alone("half a character for a symbol", "X.json", f"[{ROW % json.dumps(chr(0xD800))}]", "symbol"),
    alone("half a character for a time", "X.json", "[" + NUMBER.replace("2024-01-02", "\\ud800") % 1 + "]", "timestamp"),
    alone("half a character for a price", "X.json", "[" + NUMBER % '"\\ud800"' + "]", "open is a number"),
    alone("half a character for a column", "X.json", '[{"\\ud800":1}]', "no column for timestamp"),
    alone("half a character in a column that is not kept", "X.json", "[" + NUMBER.replace('"open"', '"\\ud800":1,"open"') % '"x"' + "]", "open is a number"),
    alone("half a character in NDJSON", "X.ndjson", ROW % json.dumps(chr(0xDFFF)), "symbol"),
    alone("a number of 5,000 digits", "X.json", "[" + NUMBER % ("9" * 5_000) + "]", "cannot be read"),
    alone("a number of 4,000 digits", "X.json", "[" + NUMBER % ("9" * 4_000) + "]", "open is finite|open is a number"),
    alone("a number of 4,000 digits for a time", "X.json", "[" + (NUMBER % 1).replace('"2024-01-02"', "9" * 4_000) + "]", "timestamp|time"),
    alone("a number of 5,000 digits in NDJSON", "X.ndjson", NUMBER % ("9" * 5_000), "cannot be read"),
    alone("a hundred thousand brackets", "X.json", "[" * 100_000, "cannot be read"),
    alone("a hundred thousand brackets, closed", "X.json", "[" * 100_000 + "]" * 100_000, "cannot be read"),
    alone("nesting in NDJSON", "X.ndjson", '{"a":' * 100_000, "cannot be read"),
    alone("a line of two megabytes in NDJSON", "X.ndjson", '{"a":"' + "x" * 2_000_000 + '"}', "a line of more than 1 MB"),
    alone("a document that is no JSON", "X.json", "\x00" * 1_000, "cannot be read"),
    alone("columns that differ in length", "X.json", json.dumps({**flat(["2024-01-02", "2024-01-03"]), "open": [1]}), "differ in length"),
    alone("a line of six megabytes in CSV", "X.csv", HEADER + "2024-01-02,1,1,1,1," + "9" * 6_000_000, "a line is longer than 4 MB"),
    alone("a header of sixty kilobytes", "X.csv", "x" * 60_000 + "\n" + "y" * 60_000, "no column for"),
    alone("a header of twenty thousand columns", "X.csv", ",".join("abc" for _ in range(15_000)) + "\n", "no column for"),
    alone("a value of a megabyte", "X.csv", HEADER + "2024-01-02,1,1,1,1," + "x" * 1_000_000 + "\n", "volume is a number"),
    alone("a line that lacks values, of a megabyte", "X.csv", HEADER + "2024-01-02," + "x" * 1_000_000 + "\n", "cannot be read: .*Row #1: Expected 6 columns, got 2"),
    alone("a line that lacks values, far behind", "X.csv", HEADER + "2024-01-02,1,1,1,1,1\n" * 300_000 + "1,2\n", "Row #300001: Expected 6 columns, got 2", ("-t", "1d")),
    alone("letters that move the cursor", "X.csv", HEADER + "\x1b[2J\x1b[31m,1,1,1,1,1\n", r"timestamp = \?\[2J\?\[31m"),
    alone("bytes that are no text", "X.csv", HEADER.encode() + b"\xff\xfe\xfd,1,1,1,1,1\n", "cannot be read"),
    alone("a Parquet file that is cut", "X.parquet", parquet()[:-20], "cannot be read"),
    alone("a Parquet file with zeros in it", "X.parquet", parquet()[:4] + bytes(200) + parquet()[204:], "cannot be read"),
    alone("a gzip file that is cut", "X.csv.gz", gzip.compress(GOOD.encode())[:-9], "cannot be read"),
    Import("Parquet, packed", {"GOOD-1d.parquet.gz": gzip.compress(parquet())}, bars=BARS),
    Write("half a character for a symbol, in a call", flat(["2024-01-02"], symbol=[chr(0xD800)]), symbol=None, timeframe="1d", bars={("X", "1d"): [("2024-01-02", 1)]}, refused="symbol is a name", hint="on_invalid", then={"data": flat(["2024-01-02"], symbol=["X"])}),
    Write("a price of 4,000 digits, in a call", flat(["2024-01-02"], open=[10**4_000]), timeframe="1d", bars={("A", "1d"): [("2024-01-02", 1)]}, refused="open = .*a number", hint="on_invalid", then={"data": flat(["2024-01-02"])}),
    Write("a time of 4,000 digits, in a call", flat([10**4_000, 1704153600000]), timeframe="1d", bars={("A", "1d"): [("2024-01-02", 2)]}, refused="row 0 of A 1d: timestamp", hint="on_invalid", then={"on_invalid": "drop"}),
    Write("a name of a megabyte, in a call", flat(["2024-01-02"], symbol=["x" * 1_000_000]), symbol=None, timeframe="1d", bars={("X", "1d"): [("2024-01-02", 1)]}, refused=r"^.{1,1500}$", hint="on_invalid", then={"data": flat(["2024-01-02"], symbol=["X"])}),
    Write("columns by the thousand, in a call", {f"x{number}": [1] for number in range(10_000)}, bars={("A", "1m"): [("2024-01-02", 1)]}, refused=r"^.{1,1500}$", hint="name the columns", then={"data": flat(["2024-01-02"])}),
]  # fmt: skip
