"""Bulk upsert from a Polars frame: rows checked and sealed, one durable transaction, the catalogue kept.

Raw is APSW alone with statements of 500 `VALUES`, from Python tuples that are ready before the clock starts:
no validation, no conversion, no catalogue, no counting, no pack, so the ratio tells what all of the rest
costs. Raw with 100 rows in a statement is there as well. All write a new file each
time, with the same schema, page size and pragmas (`synchronous=FULL`), and all end with the commit.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import polars as pl

import mdstore
from bench import candles, raw
from bench.chart import Curve, chart
from bench.make import remove
from bench.measure import Grid, Line, Report, Turn, interleave, verify
from bench.scale import Scale, scratch
from mdstore.candles.file import table_writes

__all__ = ["run"]

ROWS = 100_000
SIZES = (10, 25, 50, 100, 200, 300, 500, 700)
ROOT = Path(__file__).resolve().parents[1]
MOST_MB = 200
SEVERAL = 20


def run(scale: Scale) -> Report:
    """Measure inserts of 100,000 and 1,000,000 rows, upserts of stored rows, memory, statement sizes."""
    report = Report("upsert", "Bulk upsert of a Polars frame, durable")
    with scratch() as folder:
        rows = candles.frame(scale.rows(ROWS), seed=1)
        _verify(folder, rows)
        report.lines += _inserts(folder, scale, rows)
        report.lines += _stored_already(folder, scale, rows)
        report.lines += _memory(folder, scale)
        _statement_sizes(folder, scale, rows, report)
    return report


def _inserts(folder: Path, scale: Scale, rows: pl.DataFrame) -> list[Line]:
    many = candles.frame(10 * len(rows), seed=2)
    best = {"raw of 100": _raw(folder, rows, size=100)}
    times = interleave(_ways(folder, rows) | best, scale.rounds(9))
    large = interleave({"many": _ours(folder, many), "few": _ours(folder, rows)}, scale.rounds(7))
    kept = large.ratio("few", "many") * len(many) / len(rows)
    rates = [rows_ / large.median(way) for way, rows_ in (("many", len(many)), ("few", len(rows)))]
    return [
        Line.of_rates(f"insert {len(rows):,} rows", times, len(rows), least_ratio=0.8),
        Line.of_rates("the same, raw with 100 rows in a statement", times, len(rows), raw="raw of 100"),
        Line.of_times("the same, in ms", times, most_ms=400, most_ratio=1.1),
        _of_several(folder, scale),
        Line(f"insert {len(many):,} rows (raw: {len(rows):,})", rates[0], "rows/s", rates[1], kept,
             ">= 80% of that", kept >= 0.8),
    ]  # fmt: skip


def _of_several(folder: Path, scale: Scale) -> Line:
    """Write a frame of a million rows of 20 series, of which each next chunk is made ready meanwhile."""
    bars = scale.rows(1_000_000) // SEVERAL
    rows = pl.concat(
        candles.frame(bars, seed=10 + number).with_columns(symbol=pl.lit(candles.symbol(number)))
        for number in range(SEVERAL)
    )
    ready = rows.select("symbol", pl.lit("1m").alias("timeframe"), *raw.COLUMNS).rows()
    ways = {"mdstore": _ours(folder, rows), "raw": _raw(folder, ready)}
    times = interleave(ways, scale.rounds(7))
    return Line.of_times(f"{len(rows):,} rows of {SEVERAL} series in one frame", times, most_ratio=1.05)


def _stored_already(folder: Path, scale: Scale, rows: pl.DataFrame) -> list[Line]:
    """Upsert rows that are there: as they are, and with every close changed."""
    moved = rows.with_columns(pl.col("close") + (pl.col("high") - pl.col("close")) / 2, pl.col("volume") + 1)
    lines = []
    for what, again in (("all unchanged", rows), ("all updated", moved)):
        times = interleave(_ways(folder, again, before=rows), scale.rounds(7))
        lines.append(Line.of_rates(f"upsert {len(rows):,} rows, {what}", times, len(rows)))
    return lines


def _memory(folder: Path, scale: Scale) -> list[Line]:
    rows = candles.frame(scale.rows(1_000_000), seed=3)
    source = folder / "rows.arrow"
    rows.write_ipc(source, record_batch_size=50_000)
    lines = []
    for way, what in (("frame", "a frame, with the frame"), ("batches", "batches from a file")):
        command = [sys.executable, "-m", "bench.memory", str(folder / f"{way}.sqlite3"), str(source), way]
        answer = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
        verify(answer["inserted"] == len(rows), "the measured process wrote every row")
        above = answer["peak_mb"] - answer["base_mb"]
        text = f"memory above {answer['base_mb']:.0f} MB, {len(rows):,} rows from {what}"
        lines.append(Line(text, above, "MB", target=f"< {MOST_MB} MB", met=above < MOST_MB))
    return lines


def _statement_sizes(folder: Path, scale: Scale, rows: pl.DataFrame, report: Report) -> None:
    turns = {str(size): _ours(folder, rows, size=size) for size in SIZES}
    times = interleave(turns, scale.rounds(5))
    report.grid = Grid(["rows in a statement", *map(str, SIZES)])
    ratios = [f"{1 / times.ratio(str(size), '100'):.2f}" for size in SIZES]
    report.grid.rows.append(["rate against 100 in a statement", *ratios])
    rates = [(float(size), len(rows) / times.median(str(size)) / 1000) for size in SIZES]
    report.pictures["statement_size.svg"] = chart(
        "Insert rate by rows in a statement",
        "rows in a statement",
        "thousand rows/s",
        [Curve("mdstore", rates)],
    )


def _ways(folder: Path, rows: pl.DataFrame, before: pl.DataFrame | None = None) -> dict[str, Turn]:
    return {"mdstore": _ours(folder, rows, before), "raw": _raw(folder, rows, before)}


def _ours(folder: Path, rows: pl.DataFrame, before: pl.DataFrame | None = None, size: int = 0) -> Turn:
    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        path = folder / "ours.sqlite3"
        with ExitStack() as stack:
            if size:
                stack.enter_context(patch.object(table_writes, "ROWS_PER_STATEMENT", (size, 1)))
                made = {size: table_writes._statement(size)}
                stack.enter_context(patch.dict(table_writes.STATEMENTS, made))
            store = stack.enter_context(mdstore.open(path))
            if before is not None:
                store.write("A", "1m", before)
            several = "symbol" in rows.columns
            yield lambda: store.write_many(rows, timeframe="1m") if several else store.write("A", "1m", rows)
        remove(path)

    return turn


def _raw(
    folder: Path,
    rows: pl.DataFrame | list[tuple[object, ...]],
    before: pl.DataFrame | None = None,
    size: int = raw.ROWS,
) -> Turn:
    ready = candles.tuples("A", rows) if isinstance(rows, pl.DataFrame) else rows

    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        path = folder / "raw.sqlite3"
        with mdstore.open(path) as store:
            if before is not None:
                store.write("A", "1m", before)
        with raw.connected(path) as con:
            yield lambda: raw.upsert(con, ready, size)
        remove(path)

    return turn


def _verify(folder: Path, rows: pl.DataFrame) -> None:
    """Check that both ways leave the same table, and that a second write counts as unchanged."""
    ours, theirs = folder / "v1.sqlite3", folder / "v2.sqlite3"
    with mdstore.open(ours) as store:
        verify(store.write("A", "1m", rows).inserted == len(rows), "every row is inserted")
        verify(store.write("A", "1m", rows).unchanged == len(rows), "the same rows again are unchanged")
    mdstore.open(theirs).close()
    with raw.connected(theirs) as con:
        raw.upsert(con, candles.tuples("A", rows))
    tables = []
    for path in (ours, theirs):
        with raw.connected(path, reader=True) as con:
            tables.append(con.execute("SELECT * FROM candles").fetchall())
    verify(tables[0] == tables[1] == candles.tuples("A", rows), "both ways store the rows that were given")
