"""What bars of a series were before a call changed them, as columns.

As tuples, 100,000 bars took longer to be kept, sorted and turned into the bytes of their blocks than SQLite
took to read and to write them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any, cast

import pyarrow as pa

from mdstore.candles.file.wide_rows import values_of
from mdstore.candles.ledger.revisions import Values
from mdstore.core.schema import VALUES

__all__ = ["Columns", "OldBars", "only"]

Columns = list["array[Any]"]
"""Times (ms), then the values, each in 8 bytes."""


class OldBars:
    """Bars as they were; of one that changes again in the same call, what it was first counts."""

    __slots__ = ("_ascend", "_columns")

    def __init__(self) -> None:
        self._columns: Columns = [array("q"), *(array("d") for _ in VALUES)]
        self._ascend = True

    def __len__(self) -> int:
        return len(self._columns[0])

    def __iter__(self) -> Iterator[Values]:
        """Yield the bars, ascending."""
        return cast("Iterator[Values]", zip(*self.columns, strict=True))

    @property
    def last(self) -> Values:
        """The bar that was added last."""
        return cast("Values", tuple(column[-1] for column in self._columns))

    def add(self, bars: Sequence[Values]) -> None:
        """Add some bars, ascending, one at least."""
        self._expect(bars[0][0])
        for column, values in zip(self._columns, zip(*bars, strict=True), strict=True):
            column.extend(array(column.typecode, values))

    def add_columns(self, columns: Sequence[pa.Array]) -> None:
        """Add bars that are given as columns, ascending, one at least."""
        self._expect(values_of(columns[0])[0])
        for column, values in zip(self._columns, columns, strict=True):
            width = column.itemsize
            held = memoryview(values.buffers()[1])
            column.frombytes(held[values.offset * width : (values.offset + len(values)) * width])

    @property
    def columns(self) -> Columns:
        """The bars, ascending, each once."""
        if not self._ascend:
            times = self._columns[0]
            first: dict[int, int] = {}
            for place, time in enumerate(times):
                first.setdefault(time, place)
            places = [first[time] for time in sorted(first)]
            self._columns = [array(one.typecode, map(one.__getitem__, places)) for one in self._columns]
            self._ascend = True
        return self._columns

    def _expect(self, time: int) -> None:
        """Take note of where bars begin that are to be added."""
        times = self._columns[0]
        self._ascend = self._ascend and (not times or times[-1] < time)


def only(columns: Columns, wanted: Sequence[bool]) -> Columns:
    """Return some of the bars."""
    return [array(one.typecode, compress(one, wanted)) for one in columns]
