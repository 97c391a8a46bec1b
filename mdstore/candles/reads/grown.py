"""Answers of many series that are kept in memory, and the bars that were written behind them since.

A feed adds a bar to each of 10,000 series, and the next screen differs by these bars alone. To ask the file
what has changed takes a row of the catalogue, of the cells and of the digests for each series, and its new
bar: half a second, where the bars are in hand in the process that has written them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from mdstore.candles.file.wide_rows import times_of
from mdstore.candles.packs.columns import Panel, taken
from mdstore.candles.writes.written import Appended, NewBars, batch_of
from mdstore.core.long_table import Long
from mdstore.core.schema import CANDLE
from mdstore.core.time_bounds import FOREVER

__all__ = ["Grown", "GrownPanels", "grown"]

_Rows = tuple[int, int]
"""Rows `[low, high)`."""
_Run = tuple[int, int, int]
"""The number of a series, and its rows."""
ROW_BYTES = 8 * (len(CANDLE) + 1)
SERIES_BYTES = 300
NOTHING = 0, 0


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

    @property
    def bytes(self) -> int:
        """The bytes of memory that it can come to hold, those of the symbols of rows among them."""
        return ROW_BYTES * self.rows + SERIES_BYTES * len(self.long.symbols)

    @property
    def rows(self) -> int:
        """The number of candles."""
        return int(self.long.values.num_rows)

    def intact(self) -> bool:
        """Tell whether it is as it was made: it lies in memory of its own."""
        return True

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each symbol."""
        return {symbol: place for place, symbol in enumerate(self.long.symbols)}

    def after(self, long: Long, lasts: Sequence[int], revision: int, changed: int) -> Grown:
        """Return what has become of it; where each symbol is stays known."""
        other = Grown(long, lasts, revision, changed, self.made)
        if "places" in vars(self):
            vars(other)["places"] = self.places
        return other

    @classmethod
    def of(cls, panel: Panel, made: float) -> Grown | None:
        """Return a panel as such, once its rows are verified; None where it is no one piece of plain candles.

        Raises `PackLostError`.
        """
        if panel.extras or not panel.is_gathered:
            return None
        panel.verify()
        views = [stretch.view for stretch in panel.stretches]
        changed = max((view.revision for view in views), default=panel.revision)
        return cls(panel.long, [view.last for view in views], panel.revision, changed, made)


class GrownPanels(NamedTuple):
    """Panels by timeframe, and the timeframes of all that was written since they were put together."""

    panels: dict[str, Grown]
    timeframes: set[str]


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
        return kept.after(kept.long, kept.lasts, revision, changed)
    return kept.after(_put_behind(kept.long, *_by_series(parts), window), lasts, revision, changed)


def _runs_of(kept: Grown, bars: NewBars) -> list[_Run]:
    """Return the rows of each kept series by its number; what there are fewer of is looked up."""
    starts, ends = (0, *bars.ends), bars.ends
    if len(bars.symbols) < len(kept.long.symbols):
        numbers = map(kept.places.get, bars.symbols)
        runs = zip(numbers, starts, ends, strict=False)
        return [(number, low, high) for number, low, high in runs if number is not None]
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


def _by_series(parts: Sequence[tuple[NewBars, list[_Run]]]) -> tuple[pa.RecordBatch, dict[int, _Rows]]:
    """Return new rows of one or several writes, and which of them are of which series, by its number."""
    if len(parts) == 1:
        bars, runs = parts[0]
        return bars.batch, {number: (low, high) for number, low, high in runs}
    starts = accumulate((len(bars.rows) for bars, _ in parts), initial=0)
    moved = [
        (number, at + low, at + high)
        for at, (_, runs) in zip(starts, parts, strict=False)
        for number, low, high in runs
    ]
    moved.sort()
    batch = batch_of(pl.concat([bars.rows for bars, _ in parts]))
    rows = taken([batch], [low for _, low, _ in moved], [high for _, _, high in moved])
    own, at = dict[int, _Rows](), 0
    for number, low, high in moved:
        start, at = at, at + high - low
        own[number] = own.get(number, (start,))[0], at
    return rows.to_batches()[0], own


def _put_behind(
    long: Long, rows: pa.RecordBatch, own: Mapping[int, _Rows], window: tuple[int, int, int | None]
) -> Long:
    """Return the rows of each series in a window, new ones behind the others.

    A loop: of 200 series it takes 0.1 ms, where each step by Polars takes that, and of 10,000 as long as
    those do.
    """
    start, end, limit = window
    is_bounded, times, first = start > -FOREVER or end < FOREVER, times_of(rows), long.values.num_rows
    lows, highs, ends, old, count = list[int](), list[int](), list[int](), 0, 0
    for number, old_end in enumerate(long.ends):
        new, new_end = own.get(number, NOTHING)
        if is_bounded:
            new, new_end = (bisect_left(times, bound, new, new_end) for bound in (start, end))
        if limit is not None:
            new = max(new, new_end - limit)
            old = max(old, old_end - (limit - (new_end - new)))
        if old < old_end:
            lows.append(old)
            highs.append(old_end)
        if new < new_end:
            lows.append(first + new)
            highs.append(first + new_end)
        count += old_end - old + new_end - new
        ends.append(count)
        old = old_end
    both = [*long.values.combine_chunks().to_batches(), rows]
    return long.replaced(taken(both, lows, highs), ends)
