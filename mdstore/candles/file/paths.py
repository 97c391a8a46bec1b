"""Which paths are a store's, by whatever name: nothing else is ever written to them.

What mdstore writes where somebody says (a copy, an export, a new store) asks here first: a copy aimed at the
log of its own store once replaced it, and what was committed last was lost.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mdstore.candles.file.guard import SIDE_FILES, is_guarded, open_stores
from mdstore.errors import InvalidInputError, MarketDataError, StoreFileError

__all__ = ["os_errors", "packs_folder", "refuse_folder", "refuse_part", "refuse_target", "resolved"]

PACKS = "-packs"
OTHER_NAME = "give another name, outside of the store's own files"
Inode = tuple[int, int]


def packs_folder(file: Path) -> Path:
    """Return the folder of a store's packs."""
    return file.with_name(f"{file.name}{PACKS}")


def resolved(path: Path) -> Path:
    """Return the absolute path that a name leads to. Raises `StoreFileError`."""
    with os_errors(path):
        try:
            return path.resolve()
        except RuntimeError as error:
            raise StoreFileError(f"{path} is a link that leads to itself") from error


@contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """Say what the system refuses as a `StoreFileError` of the file."""
    try:
        yield
    except OSError as error:
        if isinstance(error, MarketDataError):
            raise
        raise StoreFileError(f"{path} cannot be opened: {error.strerror or error}") from error


def refuse_target(path: Path) -> None:
    """Refuse to write to a path that is a store's: its file, its log or its packs, by whatever name.

    Raises `InvalidInputError`.
    """
    inode = _inode(path)
    if inode is not None and is_guarded(inode):
        raise InvalidInputError(f"{path} is the store itself", hint=OTHER_NAME)
    refuse_part(path)


def refuse_folder(path: Path) -> None:
    """Refuse a folder where a file is to be written. Raises `StoreFileError`."""
    if path.is_dir():
        raise StoreFileError(f"{path} is a folder; give the name of a file in it")


def refuse_part(path: Path) -> None:
    """Refuse a path that is a part of a store besides its file: of one that is open here, or of any by name.

    A name is followed through links, and compared without regard to case, as some file systems do; what is
    there is compared by inode.
    """
    found = resolved(path)
    for owner, part in (*_named_parts(found), *_linked_parts(found)):
        raise InvalidInputError(f"{path} is {part} of the store {owner}", hint=OTHER_NAME)


def _named_parts(path: Path) -> Iterator[tuple[Path, str]]:
    places = [(path, side, "the log") for side in SIDE_FILES]
    places += [(folder, PACKS, "among the packs") for folder in (path, *path.parents)]
    for place, suffix, part in places:
        name = place.name[: -len(suffix)]
        if name and place.name.lower().endswith(suffix):
            owner = place.with_name(name)
            if owner.is_file() or owner in open_stores():
                yield owner, part


def _linked_parts(path: Path) -> Iterator[tuple[Path, str]]:
    inode = _inode(path)
    folders = {_inode(folder) for folder in (path, *path.parents)} - {None}
    for owner in open_stores():
        packs = packs_folder(owner)
        if inode is not None and inode in {_inode(f"{owner}{side}") for side in SIDE_FILES}:
            yield owner, "the log"
        if _inode(packs) in folders or inode in _inodes(packs):
            yield owner, "among the packs"


def _inodes(folder: Path) -> set[Inode]:
    try:
        with os.scandir(folder) as entries:
            return {(status.st_dev, status.st_ino) for status in (entry.stat() for entry in entries)}
    except OSError:
        return set()


def _inode(path: Path | str) -> Inode | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
