"""What is stored: `store.series()`, which must not take longer for more candles.

Raw is APSW's rows of the catalogue table given to `pl.DataFrame`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw
import polars as pl

import mdstore
from bench import candles, raw
from bench.measure import Line, Report, Turn, interleave, ready, verify
from bench.scale import Scale, scratch

__all__ = ["run"]

MANY = 10_000
COLUMNS = ("symbol", "timeframe", "first", "last", "rows", "revision")


def run(scale: Scale) -> Report:
    """Measure the catalogue of the large file, the small one, and one of 10,000 short series."""
    report = Report("series", "store.series()")
    many = scale.rows(MANY)
    with scratch() as folder:
        files = [(made.path, made.symbols, made.rows) for made in (scale.large(), scale.small())]
        files.append((_of_many(folder / "many.sqlite3", many), many, 2 * many))
        for path, series, rows in files:
            report.lines.append(_measure(path, series, rows, scale.rounds(100)))
        report.lines.append(_after_a_write(folder / "many.sqlite3", many, scale.rounds(50)))
    return report


def _measure(path: Path, series: int, rows: int, rounds: int) -> Line:
    with ExitStack() as stack:
        store = stack.enter_context(mdstore.open(path))
        con = stack.enter_context(raw.connected(path, reader=True))
        answer = store.series()
        verify((len(answer), answer["rows"].sum()) == (series, rows), "every series and candle is counted")
        times = interleave({"mdstore": ready(store.series), "raw": ready(_raw(con))}, rounds)
    return Line.of_times(f"{series:,} series, {rows:,} candles", times, most_ms=5)


def _after_a_write(path: Path, series: int, rounds: int) -> Line:
    """Time the first call after a write, which nothing kept from the call before can answer."""
    minutes = itertools.count(candles.START + 2 * candles.MINUTE, candles.MINUTE)

    def after(read: Callable[[], object]) -> Turn:
        @contextmanager
        def turn() -> Iterator[Callable[[], object]]:
            store.write(candles.symbol(0), "1m", [(next(minutes), 1.5, 2.5, 0.5, 2.25, 3.125)])
            yield read

        return turn

    with mdstore.open(path) as store, raw.connected(path, reader=True) as con:
        times = interleave({"mdstore": after(store.series), "raw": after(_raw(con))}, rounds)
    return Line.of_times(f"{series:,} series, one just written to", times, most_ms=5)


def _raw(con: apsw.Connection) -> Callable[[], pl.DataFrame]:
    def read() -> pl.DataFrame:
        rows = con.execute("SELECT symbol, timeframe, first, last, rows, revision FROM series").fetchall()
        return pl.DataFrame(rows, schema=COLUMNS, orient="row")

    return read


def _of_many(path: Path, series: int) -> Path:
    """Make a file of many series with two candles each."""
    two = candles.frame(2, seed=1)
    names = pl.DataFrame({"symbol": [candles.symbol(number) for number in range(series)]})
    with mdstore.open(path) as store:
        store.write_many(names.join(two, how="cross"), timeframe="1m")
    return path
