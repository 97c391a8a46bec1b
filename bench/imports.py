"""`mdstore import` of many small CSV files and of a large one, beside the least that could land their rows.

Raw is Polars' `read_csv` and the bare upsert by APSW, a transaction for each file: it is told all columns,
checks nothing, and keeps neither catalogue, coverage, digests nor packs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import polars as pl
from rich.console import Console

import mdstore
from bench import candles, raw
from bench.make import remove
from bench.measure import Line, Report, Times, Turn, interleave, verify
from bench.scale import Scale, scratch
from mdstore.cli.output.import_ import Options, import_files
from mdstore.cli.shared.progress import ImportProgress

__all__ = ["run"]

FILES, DAYS, MINUTES = 500, 1_250, 1_000_000
DAY = 86_400_000
FIRST = 1_356_998_400_000  # 2013-01-01
LEAST_RATE = 1_000_000


def run(scale: Scale) -> Report:
    """Measure the import of daily files, and of one file of minutes."""
    report = Report("imports", "Import of CSV files, each whole or not at all")
    with scratch() as folder:
        days = _daily(folder, max(10, scale.rows(FILES)))
        minutes = [folder / "KRW-BTC-1m.csv"]
        bars = candles.frame(scale.rows(MINUTES), seed=1)
        bars.with_columns(pl.col("timestamp").dt.epoch("ms")).write_csv(minutes[0])
        several = _measure(folder, days, scale.rounds(5))
        report.lines.append(Line.of_times(f"{len(days)} files of {DAYS:,} days", several))
        one = _measure(folder, minutes, scale.rounds(5))
        report.lines.append(Line.of_rates(f"one file of {len(bars):,} minutes", one, len(bars)))
        rate = len(bars) / one.median("mdstore")
        met = rate >= LEAST_RATE
        report.lines.append(Line("the same", rate, "rows/s", target=f">= {LEAST_RATE:,} rows/s", met=met))
    return report


def _daily(folder: Path, count: int) -> list[Path]:
    """Write files of daily bars that bear dates, of a symbol each."""
    number = pl.int_range(pl.len())
    dates = (FIRST + number * DAY).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d").alias("date")
    files = [folder / f"S{at:03}_data.csv" for at in range(count)]
    for at, file in enumerate(files):
        values = candles.frame(DAYS, seed=at).select(dates, pl.exclude("timestamp"))
        values.with_columns(Name=pl.lit(f"S{at:03}")).write_csv(file)
    return files


def _measure(folder: Path, files: list[Path], rounds: int) -> Times:
    wanted = _rows_of(folder, files)
    verify(wanted == sum(pl.read_csv(file).height for file in files), "an import stores every row")
    return interleave({"mdstore": _ours(folder, files), "raw": _raw(folder, files)}, rounds)


def _rows_of(folder: Path, files: list[Path]) -> int:
    with _ours(folder, files)() as call:
        return int(call())  # type: ignore[call-overload]  # it returns how many


def _ours(folder: Path, files: list[Path]) -> Turn:
    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        path = folder / "import.sqlite3"
        with mdstore.open(path) as store:

            def call() -> int:
                progress = ImportProgress(Console(file=StringIO()), files)
                return import_files(store, files, Options(), progress).total("inserted")

            yield call
        remove(path)

    return turn


def _raw(folder: Path, files: list[Path]) -> Turn:
    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        path = folder / "raw.sqlite3"
        mdstore.open(path).close()
        with raw.connected(path) as con:
            yield lambda: [raw.upsert(con, _read(file), size=100) for file in files]
        remove(path)

    return turn


def _read(file: Path) -> list[tuple[object, ...]]:
    rows = pl.read_csv(file)
    if "date" in rows.columns:
        times = pl.col("date").str.to_datetime("%Y-%m-%d", time_unit="ms").dt.epoch("ms")
        rows = rows.select(pl.col("Name"), pl.lit("1d"), times, *rows.columns[1:6])
    else:
        rows = rows.select(pl.lit("KRW-BTC").alias("symbol"), pl.lit("1m"), *rows.columns)
    return rows.rows()
