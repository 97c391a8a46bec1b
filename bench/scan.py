"""What the scanner process gives to sealing: stretches of series as one Arrow table, in the user's process.

Raw is DuckDB's `sqlite_scan` of a view that is there already, timed inside its own process, so that the
ratio holds what mdstore adds: making and dropping the view, asking, and carrying the rows across.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import polars as pl

import mdstore
from bench import raw, table
from bench.make import Made
from bench.measure import Line, Report, interleave, ready, verify
from bench.raw_scan import RawScan
from bench.scale import Scale, scratch
from mdstore.candles.file import table_reads as reader
from mdstore.candles.packs.seal_policy import Loose
from mdstore.core.schema import CANDLE_COLUMNS

__all__ = ["run"]

PLAIN = """
SELECT timestamp, open, high, low, close, volume FROM candles WHERE symbol = '{symbol}' AND timeframe = '1m'
"""
MOST = 1.3


def run(scale: Scale) -> Report:
    """Measure one whole series, 20 of them, and the latest 1,000 candles of all."""
    report = Report("scan", "What the scanner process gives to sealing, as an Arrow table")
    made = scale.large()
    one, some, limit = made.names[made.symbols // 2], made.names[:20], made.bars // 50
    with scratch() as folder, ExitStack() as stack:
        bench = _Bench(made, folder, stack)
        what = f"{made.bars:,} rows of one series"
        pieces = table.stretches([one], made.bars, made.end)
        plain = PLAIN.format(symbol=one)
        report.lines.append(bench.line(what, pieces, plain, scale.rounds(25), most_ratio=MOST))
        what = f"{len(some) * made.bars:,} rows of {len(some)} series"
        pieces = table.stretches(some, made.bars, made.end)
        report.lines.append(bench.line(what, pieces, _joined(pieces), scale.rounds(5)))
        what = f"latest {limit:,} rows of {made.symbols} series"
        pieces = table.stretches(made.names, limit, made.end)
        report.lines.append(bench.line(what, pieces, _joined(pieces), scale.rounds(9)))
    return report


class _Bench:
    """The large file, open on both sides."""

    def __init__(self, made: Made, folder: Path, stack: ExitStack) -> None:
        self._path, self._folder = made.path, folder
        self._store = stack.enter_context(mdstore.open(made.path))
        self._raw = stack.enter_context(RawScan(made.path))

    def line(
        self, what: str, pieces: list[Loose], sql: str, rounds: int, *, most_ratio: float | None = None
    ) -> Line:
        """Verify that both sides give the same rows, then time them."""
        with raw.view(self._path, "bench_raw", sql) as view:
            ours = pl.from_arrow(table.by_scanner(self._store, pieces)).select(CANDLE_COLUMNS)
            theirs = self._raw.rows(view, self._folder).select(CANDLE_COLUMNS)
            verify(len(ours) == sum(piece.rows for piece in pieces), f"every row is there: {what}")
            verify(ours.equals(theirs), f"both sides give the same: {what}")
            turns = {
                "mdstore": ready(lambda: table.by_scanner(self._store, pieces)),
                "raw": ready(lambda: self._raw.seconds(view)),
            }
            times = interleave(turns, rounds)
        return Line.of_times(what, times, most_ratio=most_ratio)


def _joined(pieces: Sequence[Loose]) -> str:
    return reader.stretches_view([(one.symbol, one.timeframe, one.start, one.end) for one in pieces])
