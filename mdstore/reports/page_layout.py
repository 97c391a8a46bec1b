"""The pages of a store's file as a picture: what each belongs to, and where in its table it comes.

A table that lies in order goes evenly from light to dark; one that a live feed has written is all of them at
once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from mdstore.reports.svg import WIDTH, mosaic

if TYPE_CHECKING:
    from mdstore.candles.upkeep.layout import PageMap

__all__ = ["LARGEST", "OTHER", "PagePicture", "page_picture"]

MOST_CELLS: Final = 4_600
CELLS: Final = ((1_000, 16.0), (MOST_CELLS, 8.0))
"""Up to so many pages a cell is so large."""
SHADES: Final = 8
LARGEST, OTHER = "s4", "t-other"
NO_OWNER: Final = -1


class PagePicture(NamedTuple):
    """The picture, what its colours stand for (class, text), and how many pages a cell is."""

    svg: str
    legend: list[tuple[str, str]]
    pages_per_cell: int


def page_picture(pages: PageMap, colours: Mapping[str, str]) -> PagePicture:
    """Draw the pages from the first to the last, line by line; `colours` are classes by table, else all one.

    That of the class `LARGEST` gets lighter and darker by its key.
    """
    count = len(pages.owner)
    each = max(1, -(-count // MOST_CELLS))
    size = next((size for most, size in CELLS if count <= most), CELLS[-1][1])
    kinds = [colours.get(name, OTHER) for name in pages.names]
    cells = [_cell(pages, kinds, at, min(count, at + each)) for at in range(0, count, each)]
    across = int(WIDTH / size)
    rows = [("", cells[at : at + across]) for at in range(0, len(cells), across)]
    return PagePicture(mosaic(rows, (WIDTH / across, size)), _legend(pages, kinds), each)


def _cell(pages: PageMap, kinds: Sequence[str], start: int, end: int) -> tuple[str, str]:
    """Return class and title of a cell: of the owner of most of its pages, and the first of these.

    The mean of them would be the same shade everywhere in a table that is out of order.
    """
    ((owner, _),) = Counter(pages.owner[start:end]).most_common(1)
    if owner == NO_OWNER:
        return "free", "free"
    kind = kinds[owner]
    first = next(page for page in range(start, end) if pages.owner[page] == owner)
    shade = int(pages.rank[first] * SHADES)
    return (f"s{shade}" if kind == LARGEST else kind), pages.names[owner]


def _legend(pages: PageMap, kinds: Sequence[str]) -> list[tuple[str, str]]:
    counts = Counter(pages.owner)
    ranked = sorted(range(len(kinds)), key=lambda owner: -counts[owner])
    legend = [
        (kinds[owner], f"{pages.names[owner]} {counts[owner]:,}") for owner in ranked if kinds[owner] != OTHER
    ]
    others = sum(counts[owner] for owner in ranked if kinds[owner] == OTHER)
    rest = [(OTHER, f"others {others:,}")] if others else []
    return [*legend, *rest, ("free", f"free, or SQLite's own {counts[NO_OWNER]:,}")]
