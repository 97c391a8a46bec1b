"""A disk that fails: SQLite's files and the packs, at the operation that a test names."""
# SQLite gives the methods of files their names.
# ruff: noqa: N802

from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import apsw

from mdstore.candles.packs import pack_files

ERRORS = {
    "io": (apsw.IOError, 5, "Input/output error"),
    "full": (apsw.FullError, 28, "No space left on device"),
}


class Disk:
    """Counts what is done to files; fails at operation `at` and, if it is `dead`, at all that come after.

    `kind` is "io" or "full": what is full fails where something is written, and is whole where it is read.
    """

    def __init__(self):
        self.at, self.kind, self.dead, self.done = None, "io", False, 0
        self.first = []
        """The first operation that failed, if one did."""

    def fail(self, at, kind="io", *, dead=False):
        """Fail from now on at operation `at`, counted from 0."""
        self.at, self.kind, self.dead, self.done = at, kind, dead, 0

    def rest(self):
        """Fail no more."""
        self.at = None

    def fails(self, what):
        """Tell whether this operation is to fail."""
        number, self.done = self.done, self.done + 1
        if self.at is None or number < self.at or (number > self.at and not self.dead):
            return False
        if self.kind == "full" and what in ("read", "delete", "map a pack"):
            return False
        self.first = self.first or [what]
        return True

    def sqlite(self, what):
        """Do an operation of SQLite's, or raise its error."""
        if self.fails(what):
            raise ERRORS[self.kind][0](what)

    def system(self, what):
        """Do an operation of the system's, or raise its error."""
        if self.fails(what):
            raise OSError(*ERRORS[self.kind][1:])


class _File(apsw.VFSFile):
    def __init__(self, disk, base, name, flags):
        super().__init__(base, name, flags)
        self._disk = disk

    def xRead(self, amount, offset):
        self._disk.sqlite("read")
        return super().xRead(amount, offset)

    def xWrite(self, data, offset):
        self._disk.sqlite("write")
        super().xWrite(data, offset)

    def xSync(self, flags):
        self._disk.sqlite("sync")
        super().xSync(flags)

    def xTruncate(self, size):
        self._disk.sqlite("truncate")
        super().xTruncate(size)


class _Files(apsw.VFS):
    def __init__(self, disk, base):
        super().__init__("faulty", base)
        self._disk, self._base = disk, base

    def xOpen(self, name, flags):
        if self._disk.fails("open"):
            raise apsw.CantOpenError("open")
        return _File(self._disk, self._base, name, flags)

    def xDelete(self, name, sync):
        self._disk.sqlite("delete")
        super().xDelete(name, sync)


def _before(disk, what, original):
    def wrapped(*args, **options):
        disk.system(what)
        return original(*args, **options)

    return wrapped


@contextmanager
def failing_disk():
    """Yield a `Disk` under all that is opened meanwhile: the default file system of SQLite, and the packs."""
    disk, default = Disk(), apsw.vfs_names()[0]
    files = _Files(disk, default)
    packs = (
        (pack_files.PackWriter, "add", "write a pack"), (pack_files, "_map", "map a pack"),
        (Path, "rename", "rename"), (Path, "replace", "rename"), (Path, "unlink", "delete"),
    )  # fmt: skip
    with ExitStack() as stack:
        apsw.set_default_vfs("faulty")
        stack.callback(files.unregister)
        stack.callback(apsw.set_default_vfs, default)
        for owner, name, what in packs:
            stack.enter_context(patch.object(owner, name, _before(disk, what, getattr(owner, name))))
        yield disk
