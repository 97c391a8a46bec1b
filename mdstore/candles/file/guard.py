"""One opener per process: refuse a second one of a live store file.

POSIX advisory locks belong to the process, not to the descriptor. When anything in the process closes any
descriptor of the database file, every lock SQLite holds on it is gone; another process may then remove the
write-ahead log while this one still writes to it, and commits that returned are lost. A plain `open(path)`
is enough (SQLite notices since 3.51, but not every tool that opens the file brings that). https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_

Python announces `open` and `sqlite3.connect` through its audit hooks; ours refuses them for the files in
`_live`, told by inode, under whatever name.
It sees what goes through Python, not what a C or Rust library opens by itself; what such a library opened
earlier is found by `open_elsewhere`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import unquote

from mdstore.errors import Hint, LiveFileError

__all__ = ["SIDE_FILES", "guard", "is_guarded", "open_elsewhere", "open_stores", "unguard"]

Inode = tuple[int, int]

SIDE_FILES = ("-wal", "-shm", "-journal")
DESCRIPTORS = ("/proc/self/fd", "/dev/fd")
ADVICE = (
    "{path} is open in this process as an mdstore store, and a second opener would drop SQLite's locks on it "
    "and lose committed data ({event} was refused)"
)
INSTEAD = Hint(
    "store.maintenance.backup('copy.sqlite3') and open the copy, read it from another process, query it "
    "with store.sql(...), or close the store first",
    "`mdstore backup COPY` makes a copy to open; `mdstore sql QUERY` reads",
)

_live: dict[Inode, int] = {}
_paths: dict[Inode, Path] = {}
_hooked = False


def guard(path: Path) -> Inode:
    """Refuse other openers of `path` in this process until `unguard` of what is returned.

    Stores may share a file.
    """
    global _hooked  # noqa: PLW0603 - an audit hook is one per process and cannot be taken back
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked = True
    status = path.stat()
    inode = (status.st_dev, status.st_ino)
    _live[inode] = _live.get(inode, 0) + 1
    _paths[inode] = path
    return inode


def unguard(inode: Inode) -> None:
    """Let the file be opened by others again, once per `guard`."""
    _live[inode] -= 1
    if not _live[inode]:
        del _live[inode], _paths[inode]


def open_elsewhere(path: Path) -> bool:
    """Tell whether this process holds a descriptor of `path` that is no store's.

    Such a descriptor drops the store's locks when it is closed, so it must go first. Always False where
    the system does not list a process's descriptors.
    """
    inode = _inode(os.fspath(path))
    folder = next((name for name in DESCRIPTORS if os.path.isdir(name)), None)
    if inode is None or inode in _live or folder is None:
        return False
    return any(_inode(f"{folder}/{name}") == inode for name in os.listdir(folder))


def _audit(event: str, args: tuple[object, ...]) -> None:
    # Called for every audited event of the process: the name is looked at first, and nothing else is done
    # while no store is open.
    if event not in ("open", "sqlite3.connect") or not _live or not args:
        return
    path = args[0]
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str):
        return
    if path.startswith("file:"):
        path = _uri_path(path)
    if _is_live(path):
        refused = "open()" if event == "open" else event
        raise LiveFileError(ADVICE.format(path=path, event=refused), hint=INSTEAD)


def _is_live(path: str) -> bool:
    if _inode(path) in _live:
        return True
    return any(path.endswith(side) and _inode(path.removesuffix(side)) in _live for side in SIDE_FILES)


def open_stores() -> list[Path]:
    """Return the files of the stores that are open in this process."""
    return list(_paths.values())


def is_guarded(inode: Inode) -> bool:
    """Tell whether a file, by device and inode, is an open store of this process."""
    return inode in _live


def _uri_path(uri: str) -> str:
    path = unquote(uri[len("file:") :].partition("?")[0].partition("#")[0])
    return path[path.index("/", 2) :] if path.startswith("//") and "/" in path[2:] else path


def _inode(path: str) -> Inode | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
