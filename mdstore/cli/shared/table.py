"""Tables for the terminal that never cut a number: columns of texts, and frames.

Rich's own table crops whatever is wider than the terminal, without a mark: 173,223,000 became `173,223,00`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from mdstore.cli.shared.console import WIDTH_OF_NO_TERMINAL
from mdstore.cli.shared.texts import moments, number_text
from mdstore.core.schema import PRICES
from mdstore.reports.text_chart import MOST_DIGITS, digits

__all__ = ["Column", "print_frame", "print_grid", "room", "room_beside"]

GAP = "  "
# No double has more digits in the shortest text that is it, with the zeros before them.
MOST_EXACT = 340
ELLIPSIS = "…"
LEAST = {"end": 12, "middle": 20}
# A text that is a number or a time is not shortened either.
NUMBER = re.compile(r"[-+]?[\d.,:TZe+ -]+")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its cells as texts.

    `cut` says at which place texts may be shortened; None means that they may not. Where a terminal is too
    narrow, the columns with a `spare` rank are left out, the lowest first. `footer` is shown under the cells
    if any column has one. `paint` colours a cell as it is shown.
    """

    name: str
    cells: Sequence[str]
    right: bool = False
    cut: Literal["end", "middle"] | None = None
    footer: str = ""
    spare: int | None = None
    paint: Callable[[str], Text] = Text

    @property
    def width(self) -> int:
        """The cells that the longest text takes."""
        return max(map(cell_len, (self.name, self.footer, *self.cells)))

    @property
    def least(self) -> int:
        """The fewest cells that it can be shown in."""
        if self.cut is None:
            return self.width
        whole = (text for text in (self.footer, *self.cells) if NUMBER.fullmatch(text))
        return min(self.width, max(LEAST[self.cut], cell_len(self.name), *map(cell_len, whole)))


def print_frame(
    out: Console,
    frame: pl.DataFrame,
    *,
    spare: Sequence[str] = (),
    grouped: bool = True,
    intraday: bool = False,
    exact: bool = False,
) -> None:
    """Print a frame as a table; numbers to the right, prices with the digits they need.

    Beyond 15 digits numbers are rounded, unless they are to be `exact`.

    Columns in `spare` are left out, in this order, where the terminal is too narrow. `grouped` puts commas
    between thousands. `intraday` shows the time of day also where all are midnights.
    """
    decimals = _decimals(frame, MOST_EXACT if exact else MOST_DIGITS)
    columns = [
        Column(
            name,
            _cells(frame[name], decimals.get(name, 0), grouped=grouped, intraday=intraday),
            right=dtype.is_numeric(),
            cut=None if dtype.is_numeric() or dtype.is_temporal() else "end",
            spare=spare.index(name) if name in spare else None,
        )
        for name, dtype in frame.schema.items()
    ]
    print_grid(out, columns, room(out))


def print_grid(
    out: Console, columns: Sequence[Column], width: int | None, without: Sequence[str] = ()
) -> None:
    """Print columns in `width` cells (None is no limit): shorten texts, leave columns out and say which.

    What is still too wide then is printed in its full width. `without` names what the caller has left out.
    """
    shown = _kept(columns, width)
    widths = _widths(shown, width)
    lines = [Text(_line([column.name for column in shown], shown, widths).plain, "bold")]
    lines += [_line(cells, shown, widths) for cells in zip(*(c.cells for c in shown), strict=True)]
    if any(column.footer for column in shown):
        lines.append(Text(_line([column.footer for column in shown], shown, widths).plain, "bold"))
    for line in lines:
        out.print(line, soft_wrap=True, highlight=False)
    left_out = [*(column.name for column in columns if column not in shown), *without]
    if left_out:
        remark = f"no room here for {', '.join(left_out)}; a wider window or --json shows all"
        out.print(remark, style="dim", highlight=False)


def room(out: Console) -> int | None:
    """Return how many cells a line has; None where there is no terminal."""
    return None if out.width >= WIDTH_OF_NO_TERMINAL else out.width


def room_beside(columns: Sequence[Column], width: int, least: int, spare: int) -> int:
    """Return how many cells are left for one more column that needs `least`, once what is spare has gone.

    0 if that column itself has to be left out.
    """
    more = Column(" " * least, (), spare=spare)
    kept = _kept([*columns, more], width)
    if not any(column is more for column in kept):
        return 0
    return max(least, width - _total([c.width for c in kept if c is not more]) - len(GAP))


# ---- a frame's cells as texts


def _decimals(frame: pl.DataFrame, most: int) -> dict[str, int]:
    """Choose how many decimals each column has; the prices of a candle have the same number."""
    found = {name: _needed(frame[name], most) for name, dtype in frame.schema.items() if dtype.is_float()}
    prices = [name for name in PRICES if name in found]
    shared = max((found[name] for name in prices), default=0)
    return {**found, **dict.fromkeys(prices, shared)}


def _needed(column: pl.Series, most: int) -> int:
    return digits(column.drop_nulls().cast(pl.Float64).to_list(), most)


def _cells(column: pl.Series, decimals: int, *, grouped: bool, intraday: bool) -> list[str]:
    values = column.to_list()
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return moments(values, intraday=intraday)
    comma = "," if grouped else ""
    return [number_text(value, decimals, comma) for value in values]


# ---- how wide the columns are


def _kept(columns: Sequence[Column], width: int | None) -> list[Column]:
    kept = list(columns)
    spare = sorted((c for c in columns if c.spare is not None), key=lambda c: c.spare or 0)
    while width is not None and spare and _total([c.least for c in kept]) > width:
        kept.remove(spare.pop(0))
    return kept


def _widths(columns: Sequence[Column], width: int | None) -> list[int]:
    """Narrow the widest column that may be narrower, cell by cell, until all fit or none may."""
    if width is None:
        return [column.width for column in columns]
    least = [column.least for column in columns]
    widths = [max(low, min(column.width, width)) for column, low in zip(columns, least, strict=True)]
    while _total(widths) > width:
        giving = [place for place, low in enumerate(least) if widths[place] > low]
        if not giving:
            break
        widths[max(giving, key=lambda place: widths[place])] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


# ---- one line


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> Text:
    painted = [
        column.paint(_fitted(text, column, width))
        for text, column, width in zip(cells, columns, widths, strict=True)
    ]
    line = Text(GAP).join(painted)
    line.rstrip()
    return line


def _fitted(text: str, column: Column, width: int) -> str:
    if cell_len(text) > width:
        text = _shortened(text, width, in_middle=column.cut == "middle")
    blank = " " * (width - cell_len(text))
    return blank + text if column.right else text + blank


def _shortened(text: str, width: int, *, in_middle: bool) -> str:
    """Shorten a text at its end, or in its middle if the end tells as much, as in the name of a file."""
    tail = _first_cells(text[::-1], (width - 1) // 2)[::-1] if in_middle else ""
    return _first_cells(text, width - 1 - cell_len(tail)) + ELLIPSIS + tail


def _first_cells(text: str, width: int) -> str:
    """Return as much of a text as fits; a Korean letter takes two cells."""
    text = text[:width]
    while cell_len(text) > width:
        text = text[:-1]
    return text
