"""A copy of the store while it is in use."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apsw

from mdstore.candles.file import catalogue
from mdstore.candles.file.database import Database
from mdstore.candles.file.paths import os_errors, packs_folder, refuse_folder, refuse_target, resolved
from mdstore.candles.packs import cells
from mdstore.candles.packs.pack_files import Packs
from mdstore.candles.recovery.workplace import sweep, workplace
from mdstore.errors import Hint, MarketDataError, StoreFileError

__all__ = ["backup"]

PAGES_PER_STEP = 4_096
COPY, PACKS = "copy.sqlite3", "packs"
REPLACE = Hint("overwrite=True replaces it", "--force replaces it")
CHECK = Hint(
    "store.maintenance.check() says whether the store is sound",
    "`mdstore check` says whether the store is sound",
)


def backup(
    database: Database,
    target: Path,
    *,
    overwrite: bool,
    progress: Callable[[int, int], None] | None,
    packs: Packs | None = None,
) -> None:
    """Copy the store to `target`, all of one moment, while others read and write.

    The digests are in the file. Of `packs` those that the copy points to go with it, once it has its name.
    Made in a hidden folder beside it, checked, synced, then renamed: `target` is whole or absent. `progress`
    is called with pages done and pages in all.
    """
    refuse_target(target)
    target = resolved(target)
    with os_errors(target):
        _refuse_unusable(target, overwrite)
    sweep(target.parent)
    try:
        with workplace(target.parent) as place:
            _copy(database, place / COPY, target, progress)
            if packs is not None:
                _copy_packs(place / COPY, packs, Packs(place / PACKS))
            _refuse_in_use(target)
            (place / COPY).replace(target)
            _sync_folder(target.parent)
            _publish_packs(place / PACKS, target)
    except OSError as error:
        if isinstance(error, MarketDataError):
            raise
        raise StoreFileError(f"{target}: cannot be written: {error.strerror or error}") from error


def _refuse_unusable(target: Path, overwrite: bool) -> None:
    refuse_folder(target)
    if target.exists() and not target.is_file():
        raise StoreFileError(f"{target} is no file but a device or the like; give the name of a file")
    if target.exists() and not overwrite:
        raise StoreFileError(f"{target} exists and was left as it is", hint=REPLACE)
    if not target.parent.is_dir():
        raise StoreFileError(f"{target}: the folder {target.parent} does not exist; make it first")
    _refuse_in_use(target)


def _refuse_in_use(target: Path) -> None:
    """Refuse a target beside which a log lies: SQLite would take it for the copy's, and spoil it."""
    logs = [name for name in (f"{target}-wal", f"{target}-journal") if Path(name).exists()]
    if logs:
        raise StoreFileError(
            f"{target}: {logs[0]} lies beside it, so a store of that name is in use or was not closed",
            hint="close it (or open and close it once), or give another name",
        )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # the new name, too, is to outlive a power cut
    finally:
        os.close(descriptor)


def _copy(
    database: Database, partial: Path, target: Path, progress: Callable[[int, int], None] | None
) -> None:
    # Inside a read transaction the pages cannot change between steps, so a busy writer never restarts it.
    with database.reading() as source:
        catalogue.revision(source)  # the snapshot begins with the first read
        copy = _create(partial, target)
        try:
            _copy_pages(source, copy, progress)
            copy.pragma("journal_mode", "DELETE")
            if copy.pragma("quick_check") != "ok":
                raise StoreFileError(f"{target}: the copy came out damaged and was not kept", hint=CHECK)
        except apsw.FullError as error:
            raise StoreFileError(f"{target}: the disk is full; no copy was made") from error
        except apsw.IOError as error:
            if getattr(error, "extendedresult", None) != apsw.SQLITE_IOERR_WRITE:
                raise  # it may be of the store's file
            why = "it cannot be written, or grow so large (a limit of the system?)"
            raise StoreFileError(f"{target}: {why}; no copy was made") from error
        finally:
            copy.close(True)  # all is on disk, or has failed already


def _copy_pages(
    source: apsw.Connection, copy: apsw.Connection, progress: Callable[[int, int], None] | None
) -> None:
    steps = copy.backup("main", source, "main")
    try:
        while not steps.done:
            steps.step(PAGES_PER_STEP)
            if progress is not None:
                progress(steps.page_count - steps.remaining, steps.page_count)
        steps.finish()
    finally:
        steps.close(True)  # what fails here hides no error before it


def _copy_packs(partial: Path, ours: Packs, theirs: Packs) -> None:
    """Copy the packs that the copy of the file points to; one that is merged away meanwhile is not missed."""
    con = apsw.Connection(os.fspath(partial), apsw.SQLITE_OPEN_READONLY)
    try:
        names = cells.pack_rows(con)
    finally:
        con.close()
    for name in names:
        with suppress(FileNotFoundError):
            ours.copy(name, theirs)


def _publish_packs(made: Path, target: Path) -> None:
    """Put packs where the copy looks for them; packs of the store that it has replaced may lie there."""
    folder = packs_folder(target)
    try:
        for pack in list(made.iterdir()) if made.exists() else ():
            folder.mkdir(exist_ok=True)
            pack.replace(folder / pack.name)
    except OSError as error:
        raise StoreFileError(
            f"{target} is written and whole, but its packs could not be put into {folder}: "
            f"{error.strerror or error}; what is read of it is put into packs anew"
        ) from error


def _create(partial: Path, target: Path) -> apsw.Connection:
    try:
        return apsw.Connection(os.fspath(partial))
    except apsw.CantOpenError as error:
        raise StoreFileError(f"{target.parent}: no file can be written there") from error
