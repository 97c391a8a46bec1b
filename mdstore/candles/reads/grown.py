"""Answers of many series that are kept in memory, and the bars that were written behind them since.

A feed adds a bar to each of 10,000 series, and the next screen differs by these bars alone. To ask the file
what has changed takes a row of the catalogue, of the cells and of the digests for each series, and its new
bar: half a second, where the bars are in hand in the process that has written them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from mdstore.candles.file.bar_digests import columns_of_frame
from mdstore.candles.packs.columns import Panel, is_few, is_short
from mdstore.candles.packs.gathered import Gathered, runs_of
from mdstore.candles.packs.pack_files import Pack
from mdstore.candles.writes.written import Appended
from mdstore.core.checked_rows import Group, Stack
from mdstore.core.long_table import Long, repeated
from mdstore.core.schema import CANDLE
from mdstore.core.time_bounds import FOREVER

__all__ = ["Grown", "GrownPanels", "grown", "light_of"]

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
    packs: tuple[Pack, ...] = ()
    """The packs that rows of it, or of `before`, lie in."""
    before: Long | None = None
    """What it grows from, where that is not itself: `new`, rows with a `number`, were put behind it since."""
    new: pl.DataFrame | None = None
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
        """The bytes of what says where its rows lie, new ones among them."""
        new = 0 if self.new is None else int(self.new.estimated_size())
        return new + SERIES_BYTES * len(self.long.symbols)

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

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each symbol."""
        return {symbol: place for place, symbol in enumerate(self.long.symbols)}

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

    def source(self) -> tuple[Long, pl.DataFrame | None]:
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
    """Return what is kept without its rows in memory; None where it cannot be. Raises `PackLostError`."""
    found = Grown.of(kept, made) if isinstance(kept, Panel) else kept
    return None if found is None else found.light()


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
        return replace(kept, revision=revision)
    lasts = _lasts(kept.lasts, new["number"].to_list(), new["timestamp"].to_physical().to_list())
    if lasts is None:
        return None
    now = replace(kept, lasts=lasts, revision=revision, changed=max(kept.changed, changed))
    new = _in_window(new, window)
    if new.is_empty():
        return now
    before, behind = kept.source()
    new = new if behind is None else _sorted([behind, new])
    long = _behind(before, new, window[2])
    if long.ends == kept.long.ends:
        long.share_names(kept.long)
    if kept.is_own:
        return replace(now, long=long, packs=(), before=None, new=None)
    return replace(now, long=long, before=before, new=new, is_light=False)


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
    return _sorted(frames), changed


def _sorted(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return rows by the number of their series; those of one as they came."""
    rows = pl.concat(frames, rechunk=True)
    return rows if rows["number"].is_sorted() else rows.sort("number", maintain_order=True)


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


def _in_window(new: pl.DataFrame, window: tuple[int, int, int | None]) -> pl.DataFrame:
    start, end, _ = window
    if start <= -FOREVER and end >= FOREVER:
        return new
    times = pl.col("timestamp").to_physical()
    return new.filter((times >= start) & (times < end))


def _behind(before: Long, new: pl.DataFrame, limit: int | None) -> Gathered:
    """Return the rows of each series, new ones behind the others, and the last so many of each."""
    lows, highs, ends = _runs(before.ends, new["number"], limit)
    columns = columns_of_frame(new.drop("number"))
    arrays = [column.view(field.type) for column, field in zip(columns, CANDLE, strict=True)]
    batch = pa.RecordBatch.from_arrays(arrays, schema=CANDLE)
    return Gathered(before.symbols, ends, runs_of(before).then(batch, lows, highs))


def _runs(
    before: Sequence[int], numbers: pl.Series, limit: int | None
) -> tuple[list[int], list[int], list[int]]:
    """Return which rows stay and come, as starts and ends, two of each series; and where its rows end then.

    New rows have their places behind those that are kept. A loop: of 200 series it takes 0.1 ms, where each
    step by Polars takes that, and of 10,000 as long as those do.
    """
    came: dict[int, tuple[int, int]] = {}
    for place, number in enumerate(numbers.to_list(), before[-1] if before else 0):
        came[number] = came.get(number, (place,))[0], place + 1
    lows, highs, ends, old, rows = list[int](), list[int](), list[int](), 0, 0
    for number, old_end in enumerate(before):
        new, new_end = came.get(number, NOTHING)
        if limit is not None:
            new = max(new, new_end - limit)
            old = max(old, old_end - (limit - (new_end - new)))
        lows += (old, new)
        highs += (old_end, new_end)
        rows += old_end - old + new_end - new
        ends.append(rows)
        old = old_end
    return lows, highs, ends
