"""Where bars are missing between those that are stored, told by as few rows as can be.

A cell that has as many rows as bars fit into it has no hole: the catalogue alone says so. The times of other
cells are looked at where they lie, in the mapped packs, once their digests agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from mdstore.candles.packs.columns import Panel, Piece, SeriesView, Stretch
from mdstore.candles.reads.answer import Answer
from mdstore.core.timeframe import Timeframe

__all__ = ["Held", "holes_of"]

NONE = pl.Series([], dtype=pl.Int64)


@dataclass(frozen=True, slots=True)
class Held:
    """The bars of one series in a range: how many, from the first to `end` (ms), and the holes between.

    `end` is the start of the bar after the last; both are None without a bar in the range. The holes are
    `[starts, ends)`, starts of bars, ascending.
    """

    symbol: str
    rows: int
    first: int | None
    end: int | None
    starts: pl.Series
    ends: pl.Series


def holes_of(answer: Answer, bar: Timeframe) -> Iterator[Held]:
    """Yield for each symbol of an answer what it holds. Raises `PackLostError`."""
    source = answer.source
    if isinstance(source, SeriesView):
        yield _of_stretch(Stretch(source, answer.low, answer.high), bar)
    elif isinstance(source, Panel):
        for stretch in source.stretches:
            yield _of_stretch(stretch, bar)
    else:
        times = source.value_frame["timestamp"].to_physical()
        start = 0
        for symbol, end in zip(source.symbols, source.ends, strict=True):
            yield _held(symbol, [_Run.of(times.slice(start, end - start), bar)] if end > start else [], bar)
            start = end


@dataclass(frozen=True, slots=True)
class _Run:
    """Rows behind each other, and the holes between them."""

    rows: int
    first: int
    last: int
    starts: pl.Series
    ends: pl.Series

    @classmethod
    def of(cls, times: pl.Series, bar: Timeframe) -> _Run:
        starts, ends = _between(times, bar)
        return cls(len(times), times[0], times[-1], starts, ends)


def _of_stretch(stretch: Stretch, bar: Timeframe) -> Held:
    runs: list[_Run] = []
    looked_at: list[pl.Series] = []
    for piece, offset in zip(stretch.view.pieces, stretch.view.offsets, strict=False):
        low, high = max(0, stretch.low - offset), min(piece.rows.num_rows, stretch.high - offset)
        if low >= high:
            continue
        if _is_full(piece, bar):
            runs += _looked_at(looked_at, bar)
            looked_at = []
            runs.append(_of_full(piece, low, high, bar))
        else:
            looked_at.append(_times(piece, low, high))
    runs += _looked_at(looked_at, bar)
    return _held(stretch.view.symbol, runs, bar)


def _is_full(piece: Piece, bar: Timeframe) -> bool:
    """Tell whether a cell has as many rows as bars fit into it."""
    cell = piece.cell
    return cell is not None and bar.ms is not None and cell.rows == bar.span(cell.start, cell.end)


def _of_full(piece: Piece, low: int, high: int, bar: Timeframe) -> _Run:
    assert piece.cell is not None  # noqa: S101 - for mypy
    assert bar.ms is not None  # noqa: S101
    first = bar.next(piece.cell.start - 1)
    return _Run(high - low, first + low * bar.ms, first + (high - 1) * bar.ms, NONE, NONE)


def _times(piece: Piece, low: int, high: int) -> pl.Series:
    """Return the times of rows, verified and where they lie."""
    piece.verify(low, high)
    times = pl.from_arrow(piece.rows.column(0).slice(low, high - low).view(pa.int64()))
    assert isinstance(times, pl.Series)  # noqa: S101 - an array never becomes a frame; for mypy
    return times


def _looked_at(parts: list[pl.Series], bar: Timeframe) -> list[_Run]:
    """Return the rows of adjacent pieces as one run, or none."""
    if not parts:
        return []
    return [_Run.of(parts[0] if len(parts) == 1 else pl.concat(parts, rechunk=False), bar)]


def _between(times: pl.Series, bar: Timeframe) -> tuple[pl.Series, pl.Series]:
    """Return the holes between times, which ascend."""
    if bar.ms is None:
        nexts = pl.Series([bar.next(time) for time in times], dtype=pl.Int64)
        after = (times > nexts.shift(1)).arg_true()
        return nexts.gather(after - 1), times.gather(after)
    time = pl.col("time")
    after = times.to_frame("time").select((time.diff() > bar.ms).arg_true()).to_series()
    found = pl.DataFrame({"start": times.gather(after - 1), "end": times.gather(after)}).lazy()
    # Floored, since another program's bars may lie off the grid.
    start, end = bar.floor_expr(pl.col("start")) + bar.ms, bar.floor_expr(pl.col("end"))
    kept = found.select(start, end).filter(pl.col("start") < pl.col("end")).collect(engine="in-memory")
    return kept["start"], kept["end"]


def _held(symbol: str, runs: list[_Run], bar: Timeframe) -> Held:
    """Put runs of one series together, with the holes between them."""
    if not runs:
        return Held(symbol, 0, None, None, NONE, NONE)
    starts, ends = [], []
    for before, run in zip([None, *runs], runs, strict=False):
        if before is not None and bar.next(before.last) < run.first:
            starts.append(pl.Series([bar.next(before.last)], dtype=pl.Int64))
            ends.append(pl.Series([run.first], dtype=pl.Int64))
        if len(run.starts):
            starts.append(run.starts)
            ends.append(run.ends)
    rows = sum(run.rows for run in runs)
    joined = [pl.concat(parts, rechunk=True) if parts else NONE for parts in (starts, ends)]
    return Held(symbol, rows, runs[0].first, bar.next(runs[-1].last), joined[0], joined[1])
