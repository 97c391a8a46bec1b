"""A line of numbers as a line of blocks."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["spark"]

BLOCKS = "▁▂▃▄▅▆▇█"
CELLS = 24


def spark(values: Sequence[float], cells: int = CELLS) -> str:
    """Draw numbers as a line of blocks, low to high; a cell stands for some and shows the last of them.

    >>> spark([1.0, 2.0, 3.0, 2.0, 1.0])
    '▁▄█▄▁'
    """
    cells = min(cells, len(values))
    shown = [values[(at + 1) * len(values) // cells - 1] for at in range(cells)]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    steps = (high - low) / (len(BLOCKS) - 1) or 1.0
    return "".join(BLOCKS[int((value - low) / steps)] for value in shown)
