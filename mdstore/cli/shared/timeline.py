"""Series over time, a line each: where bars are, where they are missing, and whether it is known why.

A timeline is looked at to find holes. So a cell in which one bar of thousands is missing, and nobody knows
why, is drawn as a notch. Closed sessions are drawn only in cells that hold nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

import polars as pl
from rich.text import Text

from mdstore.core.hole_reasons import DRAWN

__all__ = ["Axis", "legend", "paint", "strips"]

BARS, SOME, MOST, FAILED, KNOWN, CLOSED, NOTHING = "█", "▄", "▁", "!", "░", "·", " "
WORDS = {
    BARS: "bars",
    SOME: "some missing, and nobody knows why",
    MOST: "most missing, and nobody knows why",
    FAILED: "a fetch failed",
    KNOWN: "missing, and known why",
    CLOSED: "market closed",
}
COLOURS = {BARS: "green", SOME: "yellow", MOST: "yellow", FAILED: "bold red", KNOWN: "blue", CLOSED: "dim"}
ABSENT = ("closed", "failed", "unknown", "forming", "known")

DAY = 86_400_000
UNITS = ((DAY, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"))
# Formats of labels: dates, or times of day if the axis spans few days; the second where the first is too
# long.
DATES, TIMES = ("%Y-%m-%d", "%Y-%m"), ("%Y-%m-%d %H:%M", "%m-%d %H:%M")
FEW_DAYS = 3
APART, MANY = 3, 1000


@dataclass(frozen=True, slots=True)
class Axis:
    """The time from `start` to `end` (ms), at least one bar, divided into so many cells."""

    start: int
    end: int
    cells: int

    def bound(self, cell: pl.Expr) -> pl.Expr:
        """Return at which times (ms) cells begin."""
        return self.start + cell * (self.end - self.start) // self.cells

    def cell(self, moment: pl.Expr) -> pl.Expr:
        """Return in which cells times (ms) lie."""
        return ((moment - self.start + 1) * self.cells - 1) // (self.end - self.start)

    def labels(self) -> str:
        """Write the times of some cells, each beginning above its cell; the last time stands at the end."""
        patterns = DATES if self.end - self.start >= FEW_DAYS * DAY else TIMES
        for pattern in patterns:
            last = self._label(self.end - 1, pattern)
            step = max(self.cells // 5, len(last) + APART)
            if 2 * len(last) + APART <= self.cells:
                break
        else:
            return last if len(last) <= self.cells else ""
        text = self._label(self.start, pattern)
        for place in range(step, self.cells - 2 * len(last) - APART + 1, step):
            moment = self.start + place * (self.end - self.start) // self.cells
            text = text.ljust(place) + self._label(moment, pattern)
        return text.ljust(self.cells - len(last)) + last

    def _label(self, moment: int, pattern: str) -> str:
        return f"{datetime.fromtimestamp(moment / 1000, UTC):{pattern}}"


def strips(extents: pl.DataFrame, holes: pl.DataFrame, axis: Axis) -> list[str]:
    """Return a line of glyphs for each row of `extents`: `start` and `end` (ms) of what there could be.

    `holes` has the holes of all rows: `row` (the row of `extents`, from 0), `start`, `end` (ms) and `reason`.
    """
    columns = ("row", "start", "end", "kind")
    whole = extents.with_columns(pl.int_range(pl.len()).alias("row"), pl.lit("all").alias("kind"))
    kinds = pl.col("reason").replace_strict(DRAWN, default="known").alias("kind")
    spans = pl.concat([whole.select(columns), holes.with_columns(kinds).select(columns)])
    lines = [[NOTHING] * axis.cells for _ in range(len(extents))]
    for row, cell, glyph in _drawn(_shares(spans, axis)).iter_rows():
        lines[row][cell] = glyph
    return ["".join(line) for line in lines]


def paint(line: str) -> Text:
    """Colour a line of glyphs."""
    text = Text()
    for glyph, run in groupby(line):
        text.append("".join(run), COLOURS.get(glyph))
    return text


def legend(lines: Iterable[str], axis: Axis, width: int | None) -> list[Text]:
    """Say what the glyphs are that occur, and how long a cell is, in lines of at most `width` cells."""
    there = set().union(*lines)
    items = [Text.assemble((glyph, COLOURS[glyph]), f" {WORDS[glyph]}") for glyph in WORDS if glyph in there]
    return _packed([*items, Text(f"(a cell is {_duration((axis.end - axis.start) / axis.cells)})")], width)


def _shares(spans: pl.DataFrame, axis: Axis) -> pl.DataFrame:
    """Return how many milliseconds of each kind each cell holds."""
    start, end = pl.col("start").clip(axis.start), pl.col("end").clip(None, axis.end)
    cut = spans.with_columns(start, end).filter(pl.col("start") < pl.col("end"))
    cells = pl.int_ranges(axis.cell(pl.col("start")), axis.cell(pl.col("end") - 1) + 1)
    each = cut.with_columns(cells.alias("cell")).explode("cell")
    low, high = axis.bound(pl.col("cell")), axis.bound(pl.col("cell") + 1)
    held = (pl.min_horizontal("end", high) - pl.max_horizontal("start", low)).alias("held")
    return each.with_columns(held).group_by("row", "cell").agg(
        pl.col("held").filter(pl.col("kind") == kind).sum().alias(kind) for kind in ("all", *ABSENT)
    )  # fmt: skip


def _drawn(shares: pl.DataFrame) -> pl.DataFrame:
    """Choose the glyph of each cell: unexplained holes first, then whatever fills most of the cell."""
    bars, known, unknown = pl.col("bars"), pl.col("known"), pl.col("unknown")
    glyph = (
        pl.when(pl.col("failed") > 0).then(pl.lit(FAILED))
        .when((unknown > 0) & (unknown > bars + known)).then(pl.lit(MOST))
        .when(unknown > 0).then(pl.lit(SOME))
        .when((bars > 0) & (bars >= known)).then(pl.lit(BARS))
        .when(known > 0).then(pl.lit(KNOWN))
        .when(pl.col("closed") > 0).then(pl.lit(CLOSED))
        .otherwise(pl.lit(NOTHING))
    )  # fmt: skip
    there = (pl.col("all") - pl.sum_horizontal(ABSENT)).alias("bars")
    return shares.with_columns(there).select("row", "cell", glyph.alias("glyph"))


def _duration(length: float) -> str:
    """Write a length of time (ms).

    >>> _duration(5_400_000), _duration(1e12)
    ('1.5 h', '11,574 d')
    """
    size, unit = next((one for one in UNITS if length >= one[0]), UNITS[-1])
    number = length / size
    return f"{number:.3g} {unit}" if number < MANY else f"{number:,.0f} {unit}"


def _packed(items: Sequence[Text], width: int | None) -> list[Text]:
    """Put items beside each other, as many as fit in a line."""
    lines = [items[0]]
    for item in items[1:]:
        longer = Text("  ").join([lines[-1], item])
        if width is None or longer.cell_len <= width:
            lines[-1] = longer
        else:
            lines.append(item)
    return lines
