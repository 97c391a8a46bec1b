"""Looking after a store: its packs, its copies, its soundness, its figures."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mdstore.candles.repository import CandleRepository
from mdstore.core.arguments import file_path

__all__ = ["Maintenance"]


class Maintenance:
    """The upkeep of a store, as `store.maintenance`. Nothing here has to be called: a store keeps itself."""

    def __init__(self, candles: CandleRepository) -> None:
        self._candles = candles

    def backup(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Copy the store to `path` while it is in use, whole or not at all; return the path.

        `progress` is called with pages done and pages in all. Raises `StoreFileError` where there is a file
        already, unless `overwrite`, or where none can be written.
        """
        target = file_path(path)
        self._candles.backup(target, overwrite=overwrite, progress=progress)
        return target

    def check(self) -> list[str]:
        """Return what is wrong with the file, in words; an empty list when it is sound.

        Reads the whole file: SQLite's integrity check, then the catalogue and every cell against the candles.
        """
        return self._candles.check()

    def warm(self, *, rebuild: bool = False, progress: Callable[[int, int], None] | None = None) -> int:
        """Put every candle that is in no pack yet into one, and return how many; forming bars stay out.

        Reads do so by themselves for what they read. This is for a file that was written by another program,
        or whose packs were deleted; others read meanwhile. It may be interrupted, and goes on where it was.
        `rebuild` throws all packs away first, as after a change by another program. `progress` is called with
        rows done and rows in all.

        Raises `StoreFileError`.
        """
        return self._candles.warm(progress, rebuild=rebuild)

    def compact(self, *, progress: Callable[[int, int], None] | None = None) -> int:
        """Lay the packs out anew, sorted and without what is no longer used; return the bytes that saved.

        Small packs are merged by themselves as they come; this makes one piece of what is scanned together.
        """
        return self._candles.compact(progress)

    def stats(self) -> dict[str, int | float | str]:
        """Return rows, bytes and counts of the file, its packs and the memory tier, with its hit rate.

        `wal_bytes` is the size of the log; `wal_pinned_since` is since when (UTC) this store found readers in
        the way of beginning it anew, `pack_trouble` why upkeep was put off the last time, and
        `packs_set_aside` the folders of packs whose file is gone. Texts are empty where there is nothing.
        """
        return self._candles.stats()
