"""Answers of many series that are kept in memory, and the bars that were written behind them since.

A feed adds a bar to each of 10,000 series, and the next screen differs by these bars alone. To ask the file
what has changed takes a row of the catalogue, of the cells and of the digests for each series, and its new
bar: half a second, where the bars are in hand in the process that has written them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from mdstore.candles.file.bar_digests import columns_of_frame
from mdstore.candles.packs.columns import Panel, taken
from mdstore.candles.writes.written import Appended
from mdstore.core.checked_rows import Group, Stack
from mdstore.core.long_table import Long, repeated
from mdstore.core.schema import CANDLE

__all__ = ["Grown", "GrownPanels", "grown"]

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
    since: Sequence[Appended],
    *,
    every: bool,
) -> Grown | None:
    """Return what is kept with the bars that were written since, in a window: start, end, how many of each.

    None where a bar came that is not behind the last of its series, or with `every` one of a new series.
    """
    found = _new_rows(kept, timeframe, since, every=every)
    if found is None:
        return None
    new, changed = found
    revision = since[-1].after if since else kept.revision
    if new is None:
        return Grown(kept.long, kept.lasts, revision, kept.changed, kept.made)
    numbers, times = new["number"].to_list(), new["timestamp"].to_physical().to_list()
    lasts = _lasts(kept.lasts, numbers, times)
    if lasts is None:
        return None
    runs, ends = _runs(kept.long, numbers, times, window)
    long = kept.long.replaced(_values(kept.long, new, runs), ends)
    return Grown(long, lasts, revision, max(kept.changed, changed), kept.made)


def _new_rows(
    kept: Grown, timeframe: str, since: Iterable[Appended], *, every: bool
) -> tuple[pl.DataFrame | None, int] | None:
    """Return the new rows of kept series with its `number`, sorted by that, and the last revision of them."""
    frames, changed = list[pl.DataFrame](), 0
    for one in since:
        for group in one.groups:
            if group.timeframe != timeframe:
                continue
            numbers = _numbers(kept, group)
            if every and numbers.has_nulls():
                return None
            if numbers.null_count() < len(numbers):
                frames.append(group.rows.with_columns(numbers).drop_nulls("number"))
                changed = one.after
    if not frames:
        return None, changed
    rows = pl.concat(frames)
    return rows if rows["number"].is_sorted() else rows.sort("number", maintain_order=True), changed


def _numbers(kept: Grown, group: Group | Stack) -> pl.Series:
    """Return for each row of a group the place of its series among those that are kept, if it is there."""
    if isinstance(group, Group):
        symbols, ends = [group.symbol], [len(group.rows)]
    else:
        symbols, ends = list(group.symbols), list(group.ends)
    places = pl.Series("number", list(map(kept.places.get, symbols)), pl.UInt32)
    return repeated(places, ends, [len(group.rows)])


def _lasts(lasts: Sequence[int], numbers: Sequence[int], times: Sequence[int]) -> list[int] | None:
    """Return the last time of each series with the new rows; None where one of these is not behind it."""
    found = list(lasts)
    for number, time in zip(numbers, times, strict=True):
        if time <= found[number]:
            return None
        found[number] = time
    return found


def _runs(
    long: Long, numbers: Sequence[int], times: Sequence[int], window: tuple[int, int, int | None]
) -> tuple[tuple[list[int], list[int]], list[int]]:
    """Return which rows stay and come, as starts and ends, two of each series; and where its rows end then.

    New rows have their places behind those that are kept. A loop: of 200 series it takes 0.1 ms, where each
    step by Polars takes that, and of 10,000 as long as those do.
    """
    start, end, limit = window
    came: dict[int, tuple[int, int]] = {}
    for place, (number, time) in enumerate(zip(numbers, times, strict=True), long.values.num_rows):
        if start <= time < end:
            came[number] = came.get(number, (place,))[0], place + 1
    lows, highs, ends, old, rows = list[int](), list[int](), list[int](), 0, 0
    for number, old_end in enumerate(long.ends):
        new, new_end = came.get(number, NOTHING)
        if limit is not None:
            new = max(new, new_end - limit)
            old = max(old, old_end - (limit - (new_end - new)))
        lows += (old, new)
        highs += (old_end, new_end)
        rows += old_end - old + new_end - new
        ends.append(rows)
        old = old_end
    return (lows, highs), ends


def _values(long: Long, new: pl.DataFrame, runs: tuple[list[int], list[int]]) -> pa.Table:
    """Return the rows of each series, new ones behind the others."""
    columns = columns_of_frame(new.drop("number"))
    arrays = [column.view(field.type) for column, field in zip(columns, CANDLE, strict=True)]
    old = long.values.combine_chunks().to_batches()
    both = [*old, pa.RecordBatch.from_arrays(arrays, schema=CANDLE)]
    return taken(both, *runs)
