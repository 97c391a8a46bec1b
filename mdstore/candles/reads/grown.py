"""Answers of many series that are kept in memory, and the bars that were written behind them since.

A feed adds a bar to each of 10,000 series, and the next screen differs by these bars alone. To ask the file
what has changed takes a row of the catalogue, of the cells and of the digests for each series, and its new
bar: half a second, where the bars are in hand in the process that has written them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from mdstore.candles.file.bar_digests import columns_of_frame
from mdstore.candles.file.wide_rows import times_of
from mdstore.candles.packs.columns import Panel, Run, joined
from mdstore.candles.writes.written import Appended
from mdstore.core.checked_rows import Group, Stack
from mdstore.core.long_table import Long
from mdstore.core.schema import CANDLE
from mdstore.core.time_bounds import FOREVER

__all__ = ["Grown", "GrownPanels", "grown"]

ROW_BYTES = 8 * (len(CANDLE) + 1)
SERIES_BYTES = 300


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
    start, end, limit = window
    found = _new_rows(kept, timeframe, since, every=every)
    if found is None:
        return None
    new, numbers, changed = found
    revision = since[-1].after if since else kept.revision
    if new is None:
        return Grown(kept.long, kept.lasts, revision, kept.changed, kept.made)
    lasts, times = list(kept.lasts), times_of(new)
    for number, time in zip(numbers, times, strict=True):
        if time <= lasts[number]:
            return None
        lasts[number] = time
    runs, ends = _runs(kept.long, new, _ranges(numbers, times, start, end), limit)
    long = Long(joined(runs), kept.long.symbols, ends)
    return Grown(long, lasts, revision, max(kept.changed, changed), kept.made)


def _new_rows(
    kept: Grown, timeframe: str, since: Iterable[Appended], *, every: bool
) -> tuple[pa.RecordBatch | None, list[int], int] | None:
    """Return the new rows of the kept series by their number, the numbers, and the last revision of them."""
    frames, numbers, changed = list[pl.DataFrame](), list[int](), 0
    for one in since:
        for group in one.groups:
            if group.timeframe != timeframe:
                continue
            owners = _owners(kept, group)
            if every and None in owners:
                return None
            if any(owner is not None for owner in owners):
                wanted = pl.Series([owner is not None for owner in owners])
                frames.append(group.rows if wanted.all() else group.rows.filter(wanted))
                numbers += [owner for owner in owners if owner is not None]
                changed = one.after
    if not frames:
        return None, [], changed
    rows = pl.concat(frames).with_columns(pl.Series("number", numbers))
    if not rows["number"].is_sorted():
        rows = rows.sort("number", maintain_order=True)
    columns = columns_of_frame(rows.drop("number"))
    arrays = [column.view(field.type) for column, field in zip(columns, CANDLE, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=CANDLE), rows["number"].to_list(), changed


def _owners(kept: Grown, group: Group | Stack) -> list[int | None]:
    """Return for each row of a group the place of its series among those that are kept, if it is there."""
    if isinstance(group, Group):
        return [kept.places.get(group.symbol)] * len(group.rows)
    counts = (high - low for low, high in pairwise((0, *group.ends)))
    return [
        place
        for symbol, count in zip(group.symbols, counts, strict=True)
        for place in [kept.places.get(symbol)] * count
    ]


def _ranges(
    numbers: Sequence[int], times: Sequence[int] | memoryview, start: int, end: int
) -> dict[int, tuple[int, int]]:
    """Return which of the new rows in a range of time each series has, by its number."""
    ranges: dict[int, tuple[int, int]] = {}
    for at, (number, time) in enumerate(zip(numbers, times, strict=True)):
        if start <= time < end:
            ranges[number] = (ranges[number][0] if number in ranges else at, at + 1)
    return ranges


def _runs(
    long: Long, new: pa.RecordBatch, ranges: dict[int, tuple[int, int]], limit: int | None
) -> tuple[list[Run], list[int]]:
    """Return the rows of each series, new ones behind the others, the last `limit`; and where each ends."""
    old = long.values.combine_chunks().to_batches()
    before, runs, ends, rows = old[0] if old else None, list[Run](), list[int](), 0
    for number, (start, end) in enumerate(pairwise((0, *long.ends))):
        first, last = ranges.get(number, (0, 0))
        most = FOREVER if limit is None else limit
        first = max(first, last - most)
        stays = max(start, end - (most - (last - first)))
        for batch, at, stop in ((before, stays, end), (new, first, last)):
            if batch is None or at >= stop:
                continue
            rows += stop - at
            if runs and runs[-1][0] is batch and runs[-1][2] == at:
                runs[-1] = (batch, runs[-1][1], stop)
            else:
                runs.append((batch, at, stop))
        ends.append(rows)
    return runs, ends
