"""Files of an import read in a thread, one file or one frame ahead of what lands.

SQLite writes without the interpreter's lock. Nothing of the store is touched here, and what is wrong with a
file is said in its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import polars as pl

from mdstore.sources.files import Part
from mdstore.store.ahead import ahead

__all__ = ["Opened", "opened_ahead", "read_ahead"]

# A larger file is opened when it lands: of a workbook or JSON the first part is all of it, in memory.
AHEAD_BYTES = 16 << 20
# In a frame from which on the next is read in a thread, which takes 0.1 ms.
AHEAD_ROWS = 10_000

Parts = Generator[Part, None, None]


class Opened:
    """A file that is open, with its first part or what is wrong with it."""

    def __init__(self, file: Path, read: Callable[[], Parts], first: Callable[[Parts], Part]) -> None:
        self.file = file
        self._error: Exception | None = None
        self._parts: Parts | None = None
        try:
            self._parts = read()
            self._first = first(self._parts)
        except Exception as error:
            self._error = error

    @property
    def parts(self) -> Parts:
        """The parts behind the first."""
        assert self._parts is not None  # noqa: S101 - there was a first
        return self._parts

    def first(self) -> Part:
        """Return the first part, or raise what is wrong with the file."""
        if self._error is not None:
            raise self._error
        return self._first

    def close(self) -> None:
        """Close the file."""
        if self._parts is not None:
            self._parts.close()


def opened_ahead(files: Sequence[Path], look: Callable[[Path], Opened]) -> Generator[Opened]:
    """Yield files, each open until the next is asked for, which is opened by `look` meanwhile if it is small.

    When the iterator is closed no file is open, and no thread runs.
    """
    last: list[Opened] = []

    def work(file: Path) -> list[Opened]:
        last[:] = [look(file)]
        return list(last)

    try:
        with closing(ahead(files, work, _is_small, at_hand=True)) as opened:
            for one in opened:
                with closing(one):
                    yield one
    finally:
        for one in last:
            one.close()


def _is_small(file: Path) -> bool:
    try:
        return file.stat().st_size <= AHEAD_BYTES
    except OSError:  # which is told when it is read
        return False


def read_ahead(frames: Iterator[pl.DataFrame]) -> Generator[pl.DataFrame]:
    """Yield frames, the next read in a thread while the last is used, if that was a long one."""
    rows: int | None = AHEAD_ROWS  # of the last frame; None at the end

    def before() -> Iterator[int]:
        while rows is not None:
            yield rows

    def work(_: int) -> list[pl.DataFrame]:
        nonlocal rows
        frame = next(frames, None)
        rows = None if frame is None else len(frame)
        return [] if frame is None else [frame]

    with closing(ahead(before(), work, AHEAD_ROWS.__le__, at_hand=True)) as read:
        yield from read
