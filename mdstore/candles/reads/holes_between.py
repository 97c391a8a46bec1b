"""Where bars are missing between those that are stored, told by as few rows as can be.

A cell that has as many rows as bars fit into it has no hole: the catalogue alone says so. The times of other
cells are looked at where they lie, in the mapped packs, once their digests agree; those of many series are
looked at together, since to ask Polars of one costs as much as of 10,000 bars.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from mdstore.candles.packs.columns import Panel, Piece, SeriesView, Stretch
from mdstore.candles.packs.sealing import by_rows
from mdstore.candles.reads.answer import Answer
from mdstore.core.timeframe import Timeframe

__all__ = ["HOLES", "Held", "holes_of", "holes_of_times"]

HOLES = {"series": pl.UInt32, "start": pl.Int64, "end": pl.Int64}
# Rows that are looked at together, 8 MB of times; a series with more is looked at where it lies.
TOGETHER = 1_000_000


@dataclass(frozen=True, slots=True)
class Held:
    """The bars of series in a range: for each the first and the `end` (ms), and all holes between.

    An end is the start of the bar after the last; both are None of a series without a bar in the range. The
    holes are `[start, end)`, starts of bars, ascending, by the number of their series (`HOLES`).
    """

    symbols: Sequence[str]
    firsts: Sequence[int | None]
    ends: Sequence[int | None]
    holes: pl.DataFrame


def holes_of(answer: Answer, bar: Timeframe) -> Held:
    """Return what the symbols of an answer hold. Raises `PackLostError`."""
    source = answer.source
    if isinstance(source, SeriesView):
        stretches: Sequence[Stretch] = [Stretch(source, answer.low, answer.high)]
    elif isinstance(source, Panel):
        stretches = source.stretches
    else:
        times = source.frame_of(("timestamp",))["timestamp"].to_physical()
        return holes_of_times(times, source.symbols, source.ends, bar)
    groups = (_Times.of_stretches(group, bar) for group in by_rows(stretches, TOGETHER))
    return _together(groups, answer.symbols, bar)


def holes_of_times(times: pl.Series, symbols: Sequence[str], row_ends: Sequence[int], bar: Timeframe) -> Held:
    """Return what symbols hold whose times (ms) are under each other, those of each up to its row end."""
    return _together([_Times(times, (0, *row_ends))], symbols, bar)


@dataclass(slots=True)
class _Times:
    """Times of series under each other: those of each end where those of the next one begin.

    No hole is looked for before the rows `whole`: they end a run of bars that has none.
    """

    times: pl.Series
    offsets: Sequence[int]
    whole: list[int] = field(default_factory=list)

    @classmethod
    def of_stretches(cls, stretches: Sequence[Stretch], bar: Timeframe) -> _Times:
        """Return the times of stretches, of a full cell the first and the last alone."""
        parts, counts, whole, rows = list[memoryview](), [0], list[int](), 0
        for stretch in stretches:
            for piece, low, high in stretch.parts():
                if _is_full(piece, bar):
                    part = _ends_of(piece, low, high, bar)
                    whole += [rows + 1] if len(part) > 1 else []
                else:
                    piece.verify(low, high)
                    part = piece.times[low:high]
                parts.append(part)
                rows += len(part)
            counts.append(rows)
        return cls(_series(parts, rows), counts, whole)

    def holes(self, bar: Timeframe) -> pl.DataFrame:
        """Return the holes between the times of each series."""
        after = _after_holes(self.times, bar)
        if self.whole or len(self.offsets) > 2:  # noqa: PLR2004 - several series
            known = pl.Series([*self.offsets[1:-1], *self.whole], dtype=after.dtype)
            after = after.filter(~after.is_in(known.implode()))
        start, end = _hole_ends(self.times.gather(after - 1), self.times.gather(after), bar)
        number = pl.Series(self.offsets[1:], dtype=pl.Int64).search_sorted(after.cast(pl.Int64), side="right")
        found = pl.DataFrame({"series": number.cast(pl.UInt32), "start": start, "end": end})
        return found.filter(found["start"] < found["end"])


def _together(groups: Iterable[_Times], symbols: Sequence[str], bar: Timeframe) -> Held:
    firsts, ends, holes = list[int | None](), list[int | None](), [pl.DataFrame(schema=HOLES)]
    for group in groups:
        found = group.holes(bar)
        holes.append(found.with_columns(pl.col("series") + len(firsts)))
        low, high = pl.Series(group.offsets[:-1]), pl.Series(group.offsets[1:])
        firsts += _at(group.times, low, low < high)
        lasts = _at(group.times, high - 1, low < high)
        ends += [None if last is None else bar.next(last) for last in lasts]
    return Held(symbols, firsts, ends, pl.concat(holes))


def _at(times: pl.Series, rows: pl.Series, there: pl.Series) -> list[int | None]:
    """Return the times in some rows, None where there is no such row."""
    if times.is_empty():
        return [None] * len(rows)
    return times.gather(pl.select(pl.when(there).then(rows)).to_series()).to_list()


def _is_full(piece: Piece, bar: Timeframe) -> bool:
    """Tell whether a cell has as many rows as bars fit into it."""
    cell = piece.cell
    return cell is not None and bar.ms is not None and cell.rows == bar.span(cell.start, cell.end)


def _ends_of(piece: Piece, low: int, high: int, bar: Timeframe) -> memoryview:
    """Return the first and the last time of rows of a full cell, which need not be looked at."""
    assert piece.cell is not None  # noqa: S101 - for mypy
    assert bar.ms is not None  # noqa: S101
    first = bar.next(piece.cell.start - 1)
    places = (low, high - 1) if low < high - 1 else (low,)
    return memoryview(array("q", [first + place * bar.ms for place in places]))


def _series(parts: Sequence[memoryview], rows: int) -> pl.Series:
    """Return times under each other, where they lie if they are of one piece."""
    held = parts[0] if len(parts) == 1 else b"".join(parts)
    times = pl.from_arrow(pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(held)]))
    assert isinstance(times, pl.Series)  # noqa: S101 - an array never becomes a frame; for mypy
    return times


def _after_holes(times: pl.Series, bar: Timeframe) -> pl.Series:
    """Return the rows that are further from the row before than the next bar; others may be among them."""
    return (times.diff() > (bar.ms or bar.shortest_ms)).arg_true()


def _hole_ends(before: pl.Series, after: pl.Series, bar: Timeframe) -> tuple[pl.Series, pl.Series]:
    """Return where holes between two times each begin and end."""
    if bar.ms is None:
        return pl.Series([bar.next(time) for time in before], dtype=pl.Int64), after
    # Floored, since another program's bars may lie off the grid.
    floored = pl.DataFrame({"start": before, "end": after}).select(
        bar.floor_expr(pl.col("start")) + bar.ms, bar.floor_expr(pl.col("end"))
    )
    return floored["start"], floored["end"]
