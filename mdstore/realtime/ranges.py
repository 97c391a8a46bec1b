"""Ranges of time that are put together, and taken apart."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

__all__ = ["Range", "Ranges"]

Range = tuple[int, int]
"""`[start, end)`, in milliseconds."""


class Ranges:
    """Ranges that neither overlap nor touch, ascending.

    >>> ranges = Ranges()
    >>> for one in (0, 10), (20, 30), (10, 12), (25, 40):
    ...     ranges.add(*one)
    >>> ranges.remove(5, 25)
    >>> list(ranges)
    [(0, 5), (25, 40)]
    """

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __iter__(self) -> Iterator[Range]:
        return iter(list(zip(self._starts, self._ends, strict=True)))

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __contains__(self, moment: int) -> bool:
        at = bisect_right(self._starts, moment) - 1
        return at >= 0 and moment < self._ends[at]

    def add(self, start: int, end: int) -> None:
        """Add a range; nothing where it is empty."""
        if start >= end:
            return
        if self._ends and self._starts[-1] <= start <= self._ends[-1]:  # behind the last, as most are
            self._ends[-1] = max(self._ends[-1], end)
            return
        low, high = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if low < high:
            start, end = min(start, self._starts[low]), max(end, self._ends[high - 1])
        self._starts[low:high], self._ends[low:high] = [start], [end]

    def remove(self, start: int, end: int) -> None:
        """Take a range out."""
        if start >= end:
            return
        low, high = bisect_right(self._ends, start), bisect_left(self._starts, end)
        left = [
            one
            for first, last in zip(self._starts[low:high], self._ends[low:high], strict=True)
            for one in ((first, min(last, start)), (max(first, end), last))
            if one[0] < one[1]
        ]
        self._starts[low:high], self._ends[low:high] = [one[0] for one in left], [one[1] for one in left]

    def pop(self) -> list[Range]:
        """Return all ranges, and forget them."""
        found = list(self)
        self._starts, self._ends = [], []
        return found
