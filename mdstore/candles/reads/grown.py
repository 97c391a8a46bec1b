"""Answers of many series that are kept in memory, and the bars that were written behind them since.

A feed adds a bar to each of 10,000 series, and the next screen differs by these bars alone. To ask the file
what has changed takes a row of the catalogue, of the cells and of the digests for each series, and its new
bar: half a second, where the bars are in hand in the process that has written them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import add, sub
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa

from mdstore.candles.file.bar_columns import batch_of
from mdstore.candles.file.wide_rows import times_of
from mdstore.candles.packs.columns import Panel, is_few, is_short
from mdstore.candles.packs.gathered import Gathered, Runs, runs_of
from mdstore.candles.packs.pack_files import Pack
from mdstore.candles.writes.written import Appended, NewBars
from mdstore.core.long_table import Long
from mdstore.core.once import once
from mdstore.core.schema import CANDLE
from mdstore.core.time_bounds import FOREVER

__all__ = ["Grown", "GrownPanels", "grown", "light_of"]

CANDLE_BYTES = 8 * len(CANDLE)
ROW_BYTES = CANDLE_BYTES + 8
SERIES_BYTES = 300
_Run = tuple[int, int, int]
"""The number of a series, and its rows `[low, high)`."""


class _New(NamedTuple):
    """Rows that came, and which of them are each series' own, `[low, high)`; those may be none."""

    rows: pa.RecordBatch
    lows: Sequence[int]
    highs: Sequence[int]


@dataclass(frozen=True)
class Grown:
    """Series under each other at one revision of the store, without a look at the file since `made`.

    `lasts` are the times (ms) of each symbol's last candle, in the range or behind it; `changed` is the
    revision that last changed one of the series. Its rows are verified.
    """

    long: Long
    lasts: Sequence[int]
    revision: int
    changed: int
    made: float
    packs: tuple[Pack, ...] = ()
    """The packs that rows of it, or of `before`, lie in."""
    before: Long | None = None
    """What it grows from, where that is not itself: `new` were put behind it since."""
    new: _New | None = None
    is_light: bool = False
    """Whether it holds none of its rows in memory: those of an answer are put together for that one."""

    @property
    def bytes(self) -> int:
        """The bytes of memory that it can come to hold, those of the symbols of rows among them.

        Of rows that are put together by the column, what is so far, and what is expected to be.
        """
        held = self.long.held if isinstance(self.long, Gathered) else ROW_BYTES * self.rows
        return self.light_bytes + (0 if self.is_light else held)

    @property
    def light_bytes(self) -> int:
        """The bytes of what its columns are put together of, where packs do not hold it, and of its places.

        Of a panel that grows from its rows in memory these are there besides the columns that are made anew.
        """
        new = () if self.new is None else (self.new.rows,)
        in_memory = isinstance(self.long, Gathered) and not self.packs
        batches = runs_of(self.long).batches if in_memory else new
        rows = sum(int(batch.num_rows) for batch in batches)
        return CANDLE_BYTES * rows + SERIES_BYTES * len(self.long.symbols)

    @property
    def rows(self) -> int:
        """The number of candles."""
        return self.long.ends[-1] if self.long.ends else 0

    def expect(self, columns: Sequence[str]) -> bool:
        """Take note that columns will be asked for; tell whether it comes to hold more by that."""
        return isinstance(self.long, Gathered) and self.long.expect(columns)

    def intact(self) -> bool:
        """Tell whether every pack it lies in is still the file that was mapped."""
        return all(pack.intact() for pack in self.packs)

    @once
    def places(self) -> dict[str, int]:
        """The place of each symbol."""
        return {symbol: place for place, symbol in enumerate(self.long.symbols)}

    def after(self, **changes: Any) -> Grown:
        """Return what has become of it; the place of each symbol stays known."""
        other = replace(self, **changes)
        if "places" in vars(self):
            vars(other)["places"] = self.places
        return other

    def answer(self) -> Long:
        """Return its rows for an answer."""
        return self.long.bare() if self.is_light else self.long

    def light(self) -> Grown:
        """Return the same without its rows: they take more than what may be kept."""
        before = None if self.before is None else self.before.bare()
        return replace(self, long=self.long.bare(), before=before, is_light=True)

    @property
    def is_own(self) -> bool:
        """Whether it grows from its rows in memory: few are put together whole each time."""
        return is_few(self.rows) and not self.is_light

    def source(self) -> tuple[Long, _New | None]:
        """Return what grows, and what is to be put behind it already.

        Where many rows lie in packs, these go on to be what grows: of a large panel the rows are in memory
        once, and a column that no reader asks for is not put together.
        """
        if self.is_own:
            return Long(self.long.values, self.long.symbols, self.long.ends), None
        return (self.long.bare(), None) if self.before is None else (self.before, self.new)

    @classmethod
    def of(cls, panel: Panel, made: float) -> Grown | None:
        """Return a panel as such, once its rows are verified; None where it is not of short plain series.

        Raises `PackLostError`.
        """
        if panel.extras or not is_short(panel.rows, len(panel.stretches)):
            return None
        panel.verify()
        views = [stretch.view for stretch in panel.stretches]
        changed = max((view.revision for view in views), default=panel.revision)
        return cls(panel.long, [view.last for view in views], panel.revision, changed, made, panel.packs)


class GrownPanels(NamedTuple):
    """Panels by timeframe, and the timeframes of all that was written since they were put together."""

    panels: dict[str, Grown]
    timeframes: set[str]


def light_of(kept: Panel | Grown, made: float) -> Grown | None:
    """Return what is kept without its rows in memory; None where it cannot be. Raises `PackLostError`.

    Of rows that lie in no pack all are in memory whatever is let go of, and were not counted.
    """
    found = Grown.of(kept, made) if isinstance(kept, Panel) else kept
    return None if found is None or not found.packs else found.light()


def grown(
    kept: Grown,
    timeframe: str,
    window: tuple[int, int, int | None],
    since: Iterable[Appended[NewBars]],
    *,
    every: bool,
) -> Grown | None:
    """Return what is kept with the bars that were written since, in a window: start, end, how many of each.

    None where a bar came that is not behind the last of its series, or with `every` one of a new series.
    """
    parts: list[tuple[NewBars, list[_Run]]] = []
    lasts, revision, changed = list(kept.lasts), kept.revision, kept.changed
    for one in since:
        revision = one.after
        for bars in one.groups:
            if bars.timeframe != timeframe:
                continue
            runs = _runs_of(kept, bars)
            if (every and len(runs) < len(bars.symbols)) or not _move(lasts, runs, bars.times):
                return None
            if runs:
                parts.append((bars, runs))
                changed = one.after
    if not parts:
        return kept.after(revision=revision)
    now = kept.after(lasts=lasts, revision=revision, changed=changed)
    new = _in_window(_new_of(parts, len(lasts)), window)
    if new.lows == new.highs:
        return now
    before, behind = kept.source()
    new = _latest(new if behind is None else _then(behind, new), window[2])
    long = _behind(before, new, window[2])
    if long.ends == kept.long.ends:
        long.share_names(kept.long)
    if kept.is_own:
        # Rows that were not put together are as mapped, and those of `long` are yet to be taken out of them.
        packs = () if isinstance(kept.long, Gathered) else kept.packs
        return now.after(long=long, packs=packs, before=None, new=None)
    return now.after(long=long, before=before, new=new, is_light=False)


def _runs_of(kept: Grown, bars: NewBars) -> list[_Run]:
    """Return the rows of each kept series by its number; what there are fewer of is looked up."""
    starts, ends = (0, *bars.ends), bars.ends
    if len(bars.symbols) < len(kept.long.symbols):
        numbers = map(kept.places.get, bars.symbols)
        runs = zip(numbers, starts, ends, strict=False)
        return [(number, low, high) for number, low, high in runs if number is not None]
    if bars.symbols == kept.long.symbols:
        return list(zip(range(len(ends)), starts, ends, strict=False))
    found = enumerate(_places(kept.long.symbols, bars.symbols))
    return [(number, starts[place], ends[place]) for number, place in found if place is not None]


def _places(wanted: Iterable[str], symbols: Sequence[str]) -> Iterator[int | None]:
    """Yield the place of each symbol among those that are there, if it is; both are sorted.

    A dict of 10,000 new texts takes a millisecond to make.
    """
    place, count = 0, len(symbols)
    for symbol in wanted:
        if place < count and symbols[place] != symbol:
            place = bisect_left(symbols, symbol, place)
        is_there = place < count and symbols[place] == symbol
        yield place if is_there else None
        place += is_there


def _move(lasts: list[int], runs: Iterable[_Run], times: memoryview) -> bool:
    """Move the last time of each series to that of its new rows; tell whether these are all behind it."""
    for number, low, high in runs:
        if times[low] <= lasts[number]:
            return False
        lasts[number] = times[high - 1]
    return True


def _new_of(parts: Sequence[tuple[NewBars, list[_Run]]], count: int) -> _New:
    """Return the rows of one write, or of several, of so many series."""
    if len(parts) == 1:
        bars, runs = parts[0]
        lows, highs = [0] * count, [0] * count
        for number, low, high in runs:
            lows[number], highs[number] = low, high
        return _New(bars.batch, lows, highs)
    at, moved = 0, list[_Run]()
    for bars, runs in parts:
        moved += [(number, at + low, at + high) for number, low, high in runs]
        at += len(bars.rows)
    moved.sort()
    rows, counts = batch_of(pl.concat([bars.rows for bars, _ in parts])), [0] * count
    for number, low, high in moved:
        counts[number] += high - low
    return _in_order([rows], [low for _, low, _ in moved], [high for _, _, high in moved], counts)


def _then(before: _New, new: _New) -> _New:
    """Return the rows of each series before, and its new ones behind them."""
    first = before.rows.num_rows
    lows = _by_turns(before.lows, [first + low for low in new.lows])
    highs = _by_turns(before.highs, [first + high for high in new.highs])
    sizes = map(sub, before.highs, before.lows), map(sub, new.highs, new.lows)
    return _in_order([before.rows, new.rows], lows, highs, list(map(add, *sizes)))


def _in_order(
    batches: Sequence[pa.RecordBatch], lows: Sequence[int], highs: Sequence[int], counts: Sequence[int]
) -> _New:
    """Return the rows of runs one after the other, of which each series has so many."""
    ends = list(accumulate(counts))
    return _New(Runs(batches, lows, highs).rows(), list(map(sub, ends, counts)), ends)


def _by_turns(first: Sequence[int], second: Sequence[int]) -> list[int]:
    both = [0] * (2 * len(first))
    both[::2], both[1::2] = first, second
    return both


def _in_window(new: _New, window: tuple[int, int, int | None]) -> _New:
    start, end, _ = window
    if start <= -FOREVER and end >= FOREVER:
        return new
    times, lows, highs = times_of(new.rows), list[int](), list[int]()
    for low, high in zip(new.lows, new.highs, strict=True):
        lows.append(bisect_left(times, start, low, high))
        highs.append(bisect_left(times, end, lows[-1], high))
    return _New(new.rows, lows, highs)


def _latest(new: _New, limit: int | None) -> _New:
    """Return the last so many new rows of each series: the others are not copied when more come.

    With them all, a panel of the last 20 minutes held 600 of each series after 600, and each took longer.
    """
    if limit is None:
        return new
    return _New(
        new.rows, [max(low, high - limit) for low, high in zip(new.lows, new.highs, strict=True)], new.highs
    )


def _behind(before: Long, new: _New, limit: int | None) -> Gathered:
    """Return the rows of each series, new ones behind the others, and the last so many of each."""
    lows, highs, ends = _runs(before.ends, new, limit)
    return Gathered(before.symbols, ends, runs_of(before).then(new.rows, lows, highs))


def _runs(before: Sequence[int], new: _New, limit: int | None) -> tuple[list[int], list[int], list[int]]:
    """Return which rows stay and come, as starts and ends; and where those of each series end then.

    New rows have their places behind those that are kept. By lists: of 200 series it takes 40 us, where each
    step by Polars takes 100, and 1.7 ms of 10,000.
    """
    first, come = before[-1] if before else 0, list(map(sub, new.highs, new.lows))
    stay = [0, *before][:-1]
    if limit is not None:
        stay = [max(low, high - limit + count) for low, high, count in zip(stay, before, come, strict=True)]
    lows = _by_turns(stay, [first + low for low in new.lows])
    highs = _by_turns(before, [first + high for high in new.highs])
    return lows, highs, list(accumulate(map(add, map(sub, before, stay), come)))
