"""Packs: immutable Arrow IPC files of candles, uncompressed and memory-mapped.

A pack holds record batches of `schema.CANDLE`, each the rows of many cells under each other; `cells` says
where in which pack a cell lies. Series with values of declared columns lie in packs of their own, whose names
say how many columns more they have: those that come first in the series. A pack is written under a temporary
name and renamed, and never changed again. Whoever writes it publishes it in the SQLite file afterwards, so a
crash leaves at worst a file that nothing points to. Nobody waits for the disk: what a power cut takes of a
pack is noticed as any damage is, and made again from the table. (To sync it and its folder was a quarter of a
cold read of frozen pieces, and most of it beside others who write.)

Nothing in a pack is believed: of Arrow's metadata only the places of the data are taken, and each block of
rows is compared with its digest before it is first served. An integrity check of SQLite noticed 36 of 200
flipped bits; a digest notices all, and xxHash reads 35 GB/s.
"""

from __future__ import annotations

import errno
import mmap
import os
import secrets
import shutil
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import xxhash

from mdstore.core.schema import wide_candle

__all__ = ["BLOCK", "Pack", "PackLostError", "PackWriter", "Packs", "digests_of", "extras_in", "row_bytes"]

SUFFIX = ".arrow"
PARTIAL = ".partial"
ASIDE = ".orphaned-"
BLOCK = 4_096
"""Rows under one digest: what a read of a few rows has to verify; 48 bytes a row, 8 bytes a digest."""
WIDTH = 8  # bytes of a value; every column has such
EXTRAS = "-"  # in the name of a pack, before the number of its declared columns
# A file that changes again within a tick of the kernel's clock (100 Hz at least) keeps its time of change.
TICK = 0.05
ORPHAN_SECONDS = 60.0
FOR_NOW = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
# What Arrow makes of metadata with a flipped bit.
UNREADABLE = (OSError, ValueError, LookupError, TypeError, OverflowError, MemoryError, pa.ArrowException)


class PackLostError(Exception):
    """A pack is gone, cut short, changed or not readable; what it held is in SQLite, too.

    `place` is the batch and offset of the cell that is damaged, None where it is the whole pack.
    """

    def __init__(self, name: str, place: tuple[int, int] | None = None) -> None:
        super().__init__(name, place)
        self.name = name
        self.place = place

    @property
    def may_come_back(self) -> bool:
        """Whether it only cannot be read just now: not permitted, or too many files are open."""
        return isinstance(self.__cause__, OSError) and self.__cause__.errno in FOR_NOW


class Stamp(NamedTuple):
    """What tells one state of a file from another, short of reading it; a deleted one has no links."""

    links: int
    size: int
    changed: int


class Pack:
    """One mapped pack. Its pages stay valid for as long as any array made of them lives."""

    def __init__(self, path: Path) -> None:
        self.name = path.name.removesuffix(SUFFIX)
        self._schema = wide_candle(extras_in(self.name))
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            weakref.finalize(self, os.close, self._descriptor)
            self._stamp, self._reader = _map(self._descriptor)
        except UNREADABLE as error:
            raise PackLostError(self.name) from error
        self._settled = not 0 <= time.time() - self._stamp.changed / 1e9 <= TICK
        self._batches: dict[int, pa.RecordBatch] = {}
        self._verified: dict[tuple[int, int], bytearray] = {}
        self.sums: dict[tuple[tuple[int, int], int], int] = {}
        """Sums over the last rows of cells, by place and the time from which on; see `Piece.sum_from`."""

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return self._stamp.size

    def intact(self) -> bool:
        """Tell whether the file is still there and as it was when it was mapped (0.6 us)."""
        try:
            now = os.fstat(self._descriptor)
        except OSError:
            return False
        links, size, changed = self._stamp
        is_same = now.st_nlink == links and now.st_size == size and now.st_mtime_ns == changed
        return self._settled and is_same

    def deleted(self) -> bool:
        """Tell whether the file has lost its name."""
        try:
            return os.fstat(self._descriptor).st_nlink == 0
        except OSError:
            return True

    def rows(self, batch: int, offset: int, count: int) -> pa.RecordBatch:
        """Return rows of a batch, sharing memory with the map; they are not verified."""
        whole = self.batch(batch)
        if offset + count > whole.num_rows:
            raise PackLostError(self.name)
        return whole.slice(offset, count)

    def batch(self, number: int) -> pa.RecordBatch:
        """Return a batch, the same object each time."""
        whole = self._batches.get(number)
        if whole is None:
            whole = self._batches[number] = self._load(number)
        return whole

    def verify(self, place: tuple[int, int], digests: bytes, rows: int, start: int, end: int) -> None:
        """Compare the rows `[start, end)` of the cell at `place` with its digests, once for each block.

        Raises `PackLostError`.
        """
        done = self._verified.get(place)
        if done is None:
            done = self._verified[place] = bytearray(len(digests) // WIDTH)
        first, last = start // BLOCK, -(-end // BLOCK)
        if done.count(1, first, last) == last - first:
            return
        batch, offset = place
        if len(digests) != -(-rows // BLOCK) * WIDTH:
            raise PackLostError(self.name, place)
        columns = _columns(self.rows(batch, offset, rows))
        for block in range(first, last):
            if not done[block]:
                low, high = block * BLOCK, min(rows, (block + 1) * BLOCK)
                if _digest(columns, low, high) != digests[block * WIDTH : (block + 1) * WIDTH]:
                    raise PackLostError(self.name, place)
                done[block] = 1

    def _load(self, number: int) -> pa.RecordBatch:
        try:
            batch = self._reader.get_batch(number)
            buffers = [column.buffers()[-1] for column in batch.columns]
        except UNREADABLE as error:
            raise PackLostError(self.name) from error
        if len(buffers) != len(self._schema) or any(buffer is None for buffer in buffers):
            raise PackLostError(self.name)
        # Neither the number of rows nor the validity bits that the file may claim are taken from it.
        rows = min(buffer.size // WIDTH for buffer in buffers)
        arrays = [
            pa.Array.from_buffers(field.type, rows, [None, buffer.slice(0, rows * WIDTH)])
            for field, buffer in zip(self._schema, buffers, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)


class Packs:
    """The packs in one folder, mapped as they are needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, Pack] = {}
        self.released = False
        """Whether packs have been let go of since somebody set this to False."""
        self._of_another = False
        self.given_up: set[tuple[str, tuple[int, int] | None]] = set()
        """Packs that are lost, or cells by their place in them, where the file cannot be told so."""

    def open(self, name: str) -> Pack:
        """Return a pack, mapped. Raises `PackLostError`."""
        pack = self._open.get(name)
        if pack is None:
            self._release()
        if pack is None or not pack.intact():
            pack = self._open[name] = Pack(self.folder / f"{name}{SUFFIX}")
        return pack

    def _release(self) -> None:
        """Let go of packs that others have merged into the one that is opened now: they hold disk space."""
        for name, pack in list(self._open.items()):
            if pack.deleted():
                self.close(name)
                self.released = True

    def close(self, name: str) -> None:
        """Let go of a pack; arrays that are made of it stay valid."""
        self._open.pop(name, None)

    def exists(self, name: str) -> bool:
        """Tell whether there is a file of that name; where that is not to be known, there may be."""
        try:
            return (self.folder / f"{name}{SUFFIX}").exists()
        except OSError:
            return True

    def files(self) -> dict[str, int]:
        """Return the bytes of every pack that is there, by name."""
        return {
            path.name.removesuffix(SUFFIX): status.st_size
            for path, status in self._listed()
            if path.name.endswith(SUFFIX)
        }

    def sweep(self, live: set[str], *, now: float, young: float | None = None) -> int:
        """Delete the files that nothing points to, and return how many.

        One that was written less than `young` seconds ago may be another's who is about to publish it.
        """
        if self._of_another:
            return 0
        young = ORPHAN_SECONDS if young is None else young
        swept = 0
        for path, status in self._listed():
            if path.name.removesuffix(SUFFIX) not in live and now - status.st_mtime >= young:
                with suppress(OSError):  # another's, in a folder that others may write, too
                    path.unlink(missing_ok=True)
                    swept += 1
                self.close(path.name.removesuffix(SUFFIX))
        return swept

    def set_aside(self) -> None:
        """Give the folder another name if there are packs in it: the file that points to them is gone.

        A folder that keeps its name, as a mount point does, has them in a folder of its own inside.
        """
        if not self.files():
            return
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        name = f"{ASIDE}{moment}-{secrets.token_hex(4)}"
        try:
            self.folder.rename(f"{self.folder}{name}")
        except OSError:
            with suppress(OSError):
                self._set_aside_inside(self.folder / f"{self.folder.name}{name}")
            self._of_another = bool(self.files())  # they stay where they are, and are swept by nobody

    def _set_aside_inside(self, folder: Path) -> None:
        folder.mkdir()
        for path, _ in list(self._listed()):
            path.rename(folder / path.name)

    def aside(self) -> list[str]:
        """Return the folders that were set aside, beside the store's file, oldest first."""
        pattern = f"{escape(self.folder.name)}{ASIDE}*"
        with suppress(OSError):
            beside, inside = self.folder.parent.glob(pattern), self.folder.glob(pattern)
            found = sorted((*beside, *inside), key=lambda path: path.name)
            return [str(path.relative_to(self.folder.parent)) for path in found]
        return []

    def copy(self, name: str, to: Packs) -> None:
        """Copy a pack into another folder, under a temporary name until it is whole."""
        to.folder.mkdir(exist_ok=True)
        partial = to.folder / f"{name}{PARTIAL}"
        shutil.copyfile(self.folder / f"{name}{SUFFIX}", partial)
        partial.rename(to.folder / f"{name}{SUFFIX}")

    def remove(self, name: str) -> None:
        """Delete a pack; whoever has mapped it keeps what it has."""
        self.close(name)
        (self.folder / f"{name}{SUFFIX}").unlink(missing_ok=True)

    def _listed(self) -> Iterator[tuple[Path, os.stat_result]]:
        try:
            entries = list(os.scandir(self.folder))
        except OSError:
            return
        for entry in entries:
            if entry.name.endswith((SUFFIX, PARTIAL)):
                try:
                    yield Path(entry.path), entry.stat()
                except OSError:
                    continue  # deleted meanwhile


class PackWriter:
    """One new pack, a batch at a time; a file appears with the first batch, under its name with `finish`.

    Its rows have so many declared columns.
    """

    def __init__(self, folder: Path, extras: int = 0) -> None:
        self.name = f"{secrets.token_hex(8)}{EXTRAS}{extras}" if extras else secrets.token_hex(8)
        self._schema = wide_candle(extras)
        self._folder = folder
        self._partial = folder / f"{self.name}{PARTIAL}"
        self._file: pa.OSFile | None = None
        self._writer: pa.ipc.RecordBatchFileWriter | None = None
        self._batches = 0

    def add(self, batch: pa.RecordBatch) -> int:
        """Write a batch, and return its number."""
        if self._writer is None:
            self._folder.mkdir(exist_ok=True)
            self._file = pa.OSFile(os.fspath(self._partial), "wb")
            self._writer = pa.ipc.new_file(self._file, self._schema)
        self._writer.write_batch(batch)
        self._batches += 1
        return self._batches - 1

    def finish(self) -> None:
        """Give the file its name; without a batch there is none."""
        if self._writer is None:
            return
        self._close()
        self._partial.rename(self._folder / f"{self.name}{SUFFIX}")

    def discard(self) -> None:
        """Take back what was written, finished or not."""
        self._close()
        for path in (self._partial, self._folder / f"{self.name}{SUFFIX}"):
            path.unlink(missing_ok=True)

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        file, self._file = self._file, None
        try:
            if writer is not None:
                writer.close()
        finally:
            if file is not None:
                file.close()


def extras_in(name: str) -> int:
    """Return how many declared columns the rows of a pack have, by its name.

    >>> extras_in("0123456789abcdef"), extras_in("0123456789abcdef-2")
    (0, 2)
    """
    _, _, number = name.partition(EXTRAS)
    return int(number) if number.isdecimal() else 0


def row_bytes(name: str) -> int:
    """Return the bytes of a row of a pack, by its name."""
    return WIDTH * len(wide_candle(extras_in(name)))


def digests_of(batch: pa.RecordBatch) -> bytes:
    """Return the digests of a cell's rows, one for each `BLOCK` of them."""
    columns = _columns(batch)
    starts = range(0, batch.num_rows, BLOCK)
    return b"".join(_digest(columns, at, min(at + BLOCK, batch.num_rows)) for at in starts)


def _digest(columns: Sequence[memoryview], start: int, end: int) -> bytes:
    digest = xxhash.xxh3_64()
    for column in columns:
        digest.update(column[start * WIDTH : end * WIDTH])
    return digest.digest()


def _columns(batch: pa.RecordBatch) -> list[memoryview]:
    """Return the bytes of each column's values."""
    return [
        memoryview(column.buffers()[1])[column.offset * WIDTH : (column.offset + batch.num_rows) * WIDTH]
        for column in batch.columns
    ]


def _map(descriptor: int) -> tuple[Stamp, pa.ipc.RecordBatchFileReader]:
    stamp = _stamp(os.fstat(descriptor))
    mapped = mmap.mmap(descriptor, stamp.size, prot=mmap.PROT_READ)
    return stamp, pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped)))


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_nlink, status.st_size, status.st_mtime_ns)
