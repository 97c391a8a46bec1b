"""How much to measure: the full size, or a small one that shows in seconds that every bench still runs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.make import Made, folder, make

__all__ = ["FULL", "QUICK", "Scale"]


@dataclass(frozen=True, slots=True)
class Scale:
    """`symbols` series of `bars` each in the large file, 2 in the small one; `effort` scales the rounds.

    `huge` is whether a file ten times as large may be made.
    """

    symbols: int
    bars: int
    effort: float
    say: Callable[[str], None] = print
    huge: bool = False

    def large(self) -> Made:
        """Return the large file."""
        return make(self.symbols, self.bars, self.say)

    def small(self) -> Made:
        """Return the small file: the same series, only two of them."""
        return make(2, self.bars, self.say)

    def rounds(self, full: int) -> int:
        """Return how many rounds to make of what takes `full` at the full size."""
        return max(2, round(full * self.effort))

    def rows(self, full: int) -> int:
        """Return how many rows to write or read of what takes `full` at the full size."""
        return full if self.effort >= 1 else full // 20


FULL = Scale(200, 50_000, 1.0)
QUICK = Scale(20, 5_000, 0.05)


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a new folder on the disk of the measured files, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=folder()) as name:
        yield Path(name)
