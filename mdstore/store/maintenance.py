"""Looking after a store: its packs, its copies, its soundness, its figures."""

# What a plain read does not need is imported by the method that does.
# ruff: noqa: PLC0415

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mdstore.candles.repository import CandleRepository
from mdstore.core.arguments import file_path, positive_seconds, symbol_list
from mdstore.core.periods import period_ms
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment, to_ms

if TYPE_CHECKING:
    from mdstore.candles.upkeep.freezing import Frozen
    from mdstore.optimization.freezing import Freezer
    from mdstore.optimization.maintainer import Maintainer
    from mdstore.optimization.optimizing import Optimized

__all__ = ["Maintenance"]


class Maintenance:
    """The upkeep of a store, as `store.maintenance`. Nothing here has to be called: a store keeps itself.

    But its SQLite file, whose pages a live feed puts in disorder: for that there is `optimize`, and `start`.
    """

    def __init__(self, candles: CandleRepository) -> None:
        self._candles = candles
        self._maintainer: Maintainer | None = None

    def optimize(
        self,
        *,
        dry_run: bool = False,
        freeze_after: str | timedelta | None = None,
        progress: Callable[[str], object] | None = None,
    ) -> Optimized:
        """Give free pages back, put candles in order and SQLite's statistics up to date, as far as needed.

        Returns what was found, each condition of the decision, what was done, and the file before and
        after; with `dry_run` nothing is done. Others read and write meanwhile: the file is written anew
        (VACUUM) only where that keeps them waiting for less than five seconds, else the table is rebuilt
        beside itself, which leaves its old pages free for new candles. With `freeze_after`, such as "90d",
        bars that are older are frozen first, see `freeze`. `progress` is called with what is being done.

        Raises `InvalidInputError`, `StoreBusyError` where another is at it, `ReadOnlyError`,
        `MaintenanceStoppedError`.
        """
        from mdstore.optimization.optimizing import optimize

        freezer = self._freezer(freeze_after)
        return optimize(self._candles, dry_run=dry_run, freezer=freezer, progress=progress)

    def start(
        self,
        *,
        quiet_hours: str | None = "02:00-04:00",
        tz: str = "UTC",
        every: float = 60.0,
        freeze_after: str | timedelta | None = None,
    ) -> None:
        """Do by itself what `optimize` does, in a thread of this process, until `stop` or the store's end.

        Free pages are given back as they come; what takes longer is for the quiet hours, by the clocks of
        `tz`. None takes the two hours of a day in which least arrived in the last week. It looks `every` so
        many seconds. Of all that have the file open one at a time does so. Called again, it begins anew.
        With `freeze_after`, such as "90d" or a timedelta, bars that are older are frozen once a day, where a
        series has a thousand of them or more, see `freeze`.

        Raises `InvalidInputError`, `ReadOnlyError`.
        """
        from mdstore.optimization.maintainer import Maintainer
        from mdstore.optimization.quiet_window import QuietWindow
        from mdstore.optimization.vacuum import SmartVacuumScheduler

        window = None if quiet_hours is None else QuietWindow.parse(quiet_hours, tz)
        seconds, freezer = positive_seconds(every, "every", or_none=False), self._freezer(freeze_after)
        self.stop()
        scheduler = SmartVacuumScheduler(self._candles, window=window)
        self._maintainer = Maintainer(self._candles, scheduler, every=seconds, freezer=freezer)
        self._maintainer.start()

    def stop(self) -> None:
        """End what `start` began, also in the middle of its work; within a second."""
        if self._maintainer is not None:
            self._maintainer.stop()

    @property
    def is_running(self) -> bool:
        """Whether what `start` began goes on."""
        return self._maintainer is not None and self._maintainer.is_running

    def _stats(self) -> dict[str, bool | str]:
        """Return whether `start` goes on, and what its last round came to nothing by."""
        trouble = self._maintainer.trouble if self._maintainer is not None else ""
        return {"is_running": self.is_running, "trouble": trouble}

    def __repr__(self) -> str:
        return f"<maintenance of {self._candles.path.name}>"

    def backup(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        packs: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Copy the store to `path` while it is in use, whole or not at all; return the path.

        The copy holds the digest of every row, so it is checked like the store. Without `packs` the first
        read of a series makes them anew, from rows that have their digests; with them the copy is half as
        large again, and as quick as the store from the start.

        `progress` is called with pages done and pages in all. Raises `StoreFileError` where there is a file
        already, unless `overwrite`, or where none can be written.
        """
        target = file_path(path)
        self._candles.backup(target, overwrite=overwrite, packs=packs, progress=progress)
        return target

    def check(self) -> list[str]:
        """Return what is wrong with the file, in words; an empty list when it is sound.

        Reads the whole file: SQLite's integrity check, then every row against the digest that it is under
        since it was written, and the packs. Of candles that are not what was written it names the series and
        the range, 128 bars or a few times as many. Candles of a file that is older than digests are put under
        them here.
        """
        return self._candles.check()

    def warm(self, *, rebuild: bool = False, progress: Callable[[int, int], None] | None = None) -> int:
        """Put every candle that is in no pack yet into one, and return how many; forming bars stay out.

        Reads do so by themselves for what they read. This is for a file that was written by another program,
        or whose packs were deleted; others read meanwhile. It may be interrupted, and goes on where it was.
        `progress` is called with rows done and rows in all.

        `rebuild` takes what the file holds now for right, whatever was written: all packs are thrown away,
        and every row gets a new digest. It is how a change by another program is taken over, and the one call
        that does so: look at `check()` before, since damage is taken over as well. (`maintenance.repair`,
        which mends what can be mended, is to come.) Frozen bars that cannot be unpacked are taken from the
        packs before these go.

        Raises `DamagedDataError` where candles are not what was written, or are frozen and cannot be
        unpacked, once all others are in packs: it names a range, and `check` all. Where packs hold a part of
        such frozen bars, `rebuild` raises it before anything is changed: its hint says how to keep them.
        `StoreFileError`.
        """
        return self._candles.warm(progress, rebuild=rebuild)

    def compact(self, *, progress: Callable[[int, int], None] | None = None) -> int:
        """Lay the packs out anew, sorted and without what is no longer used; return the bytes that saved.

        Small packs are merged by themselves as they come; this makes one piece of what is scanned together.
        """
        return self._candles.compact(progress)

    def freeze(
        self,
        before: Moment,
        *,
        symbols: str | Sequence[str] | None = None,
        timeframe: str | Timeframe | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Frozen:
        """Compress bars that start before a time, in the one file; return how many of how many series.

        They take 5 to 15 bytes a bar in place of 75, and are read like any other, by every method and every
        command. A write or delete among them puts those around it back, some 16,000 at a time, in its own
        transaction. Other programs see them no longer in the table `candles`: the view `frozen_stretches`
        says what is where, and each row of the table `frozen` holds a Parquet file.

        Without `symbols` and `timeframe` that is done to every series. Bars that have not ended stay, and so
        do stretches of less than 64. The pages that get free are for new candles; `optimize` gives them back
        to the system, and a VACUUM leaves none. Others read and write meanwhile. It may be interrupted, and
        goes on where it was. `progress` is called with rows done and rows in all.

        Raises `NoSuchSeriesError`, `TimestampError`, `ReadOnlyError`, `StoreBusyError` where another is at
        the upkeep of the file; `DamagedDataError` where bars are not what was written, once the others are
        frozen.
        """
        moment = to_ms(before, "before")
        keys = self._keys(symbols, timeframe)
        return self._noted("freeze", self._candles.upkeep.freeze(keys, moment, progress=progress))

    def thaw(
        self,
        *,
        symbols: str | Sequence[str] | None = None,
        timeframe: str | Timeframe | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Frozen:
        """Put frozen bars back into the table `candles`; return how many of how many series.

        Those that cannot be unpacked are taken from the packs, where these hold all around them.
        Everything else is as with `freeze`.
        """
        found = self._candles.upkeep.thaw(self._keys(symbols, timeframe), progress=progress)
        return self._noted("thaw", found)

    def _noted(self, kind: str, found: Frozen) -> Frozen:
        from mdstore.optimization.freezing import note

        if found.rows:
            note(self._candles.upkeep, kind, found, by_hand=True)
        return found

    def _freezer(self, age: str | timedelta | None) -> Freezer | None:
        from mdstore.optimization.freezing import Freezer

        return None if age is None else Freezer(self._candles, period_ms(age, "freeze_after"))

    def _keys(
        self, symbols: str | Sequence[str] | None, timeframe: str | Timeframe | None
    ) -> list[tuple[str, str]]:
        self._candles.refuse_to_write()
        bar = None if timeframe is None else Timeframe.parse(timeframe)
        return self._candles.keys(symbol_list(symbols), bar)

    def trim(self, keep: str | timedelta) -> int:
        """Let go what bars were longer ago than `keep` ("90d", "1y"); return of how many bars, each time.

        Reads `as_of` a time before that raise `HistoryTrimmedError` where bars have changed since; where
        bars are from is known all the same. The pages are free for what comes, and given back by
        `optimize`. Others read and write meanwhile. `mdstore.open(keep_revisions=)` does so by itself.

        Raises `InvalidInputError`, `ReadOnlyError`, `StoreFileError`; `DamagedDataError` for a series with
        damage in it, which keeps all, once the others are done.
        """
        return self._candles.trim(period_ms(keep, "keep"))

    def stats(self) -> dict[str, int | float | str]:
        """Return rows, bytes and counts of the file, its packs and the memory tier, with its hit rate.

        `wal_bytes` is the size of the log; `wal_pinned_since` is since when (UTC) this store found readers in
        the way of beginning it anew, `pack_trouble` why upkeep was put off the last time, and
        `packs_set_aside` the folders of packs whose file is gone. `revisions` are the values kept of bars
        that have changed since, `revisions_since` a time (UTC) from which on all are. Texts are empty where
        there is nothing.
        """
        return self._candles.stats()
