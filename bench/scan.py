"""Bulk reads through the scanner process, with everything that a user gets: one Arrow table in his process.

Raw is DuckDB's `sqlite_scan` of a view that is there already, timed inside its own process, so that the
ratio holds what mdstore adds: making and dropping the view, asking, and carrying the rows across.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import mdstore
from bench import raw
from bench.make import Made
from bench.measure import Line, Report, interleave, ready, verify
from bench.raw_scan import RawScan
from bench.scale import Scale, scratch
from mdstore.candles import reader, repository
from mdstore.candles.reader import Request
from mdstore.schema import CANDLE_COLUMNS
from mdstore.timeframe import Timeframe

__all__ = ["run"]

PLAIN = """
SELECT timestamp, open, high, low, close, volume FROM candles WHERE symbol = '{symbol}' AND timeframe = '1m'
"""
MOST = 1.3


def run(scale: Scale) -> Report:
    """Measure one whole series, 20 of them, and the latest 1,000 candles of all."""
    report = Report("scan", "Bulk reads through the scanner process, as an Arrow table")
    made = scale.large()
    one, some = made.names[made.symbols // 2], made.names[:20]
    with scratch() as folder, ExitStack() as stack:
        stack.enter_context(patch.multiple(repository, SCAN_ROWS=0, SCAN_ROWS_COLD=0))
        bench = _Bench(made, folder, stack)
        plain = PLAIN.format(symbol=one)
        rows = f"{made.bars:,} rows of one series"
        rounds = scale.rounds(25)
        report.lines.append(bench.line(rows, one, None, plain, rounds, most_ratio=MOST))
        rows = f"{rows}, as a Polars frame"
        report.lines.append(bench.line(rows, one, None, plain, rounds, frame=True))
        what = f"{len(some) * made.bars:,} rows of {len(some)} series"
        report.lines.append(bench.line(what, some, None, _joined(some, None), scale.rounds(5)))
        limit = made.bars // 50
        what = f"latest {limit:,} rows of {made.symbols} series"
        report.lines.append(bench.line(what, made.names, limit, _joined(made.names, limit), scale.rounds(9)))
    return report


class _Bench:
    """The large file, open on both sides."""

    def __init__(self, made: Made, folder: Path, stack: ExitStack) -> None:
        self._path, self._folder = made.path, folder
        self._store = stack.enter_context(mdstore.open(made.path))
        self._raw = stack.enter_context(RawScan(made.path))

    def line(
        self,
        what: str,
        symbols: str | list[str],
        limit: int | None,
        sql: str,
        rounds: int,
        *,
        frame: bool = False,
        most_ratio: float | None = None,
    ) -> Line:
        """Verify that both sides give the same rows, then time them."""
        read = self._store.candles if frame else self._store.arrow
        with raw.view(self._path, "bench_raw", sql) as view:
            ours = self._store.candles(symbols, "1m", limit=limit)
            theirs = self._raw.rows(view, self._folder)
            values = list(CANDLE_COLUMNS[1:])
            verify(ours.select(values).equals(theirs.select(values)), f"both sides give the same: {what}")
            turns = {
                "mdstore": ready(lambda: read(symbols, "1m", limit=limit)),
                "raw": ready(lambda: self._raw.seconds(view)),
            }
            times = interleave(turns, rounds)
        return Line.of_times(what, times, most_ratio=most_ratio)


def _joined(symbols: list[str], limit: int | None) -> str:
    columns = ("symbol", *CANDLE_COLUMNS)
    return reader.candles_view(Request(tuple(symbols), Timeframe.parse("1m"), columns, limit=limit))
