"""Which column of a table is what: by its header, or by its place where there is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from mdstore.core.canonical import Canonical
from mdstore.core.column_names import INDEX_NAMES, clean, recognise, unused
from mdstore.core.excerpts import LONGEST_NAME, MOST, excerpt
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.statements import made_bars, marks_in
from mdstore.errors import FileFormatError, Hint
from mdstore.sources.files.opening import Source

__all__ = ["Columns", "Told", "by_header", "by_place", "header_notes", "missing_columns"]

# What tables without a header hold, by their number of columns.
PLAIN = list(CANDLE_COLUMNS)
WIDTHS = {
    6: PLAIN,
    7: [*PLAIN, "trades"],  # Kraken's
    12: [  # Binance's klines
        *PLAIN, "close_time", "quote_volume", "trades", "taker_volume", "taker_quote_volume", "ignore",
    ],
}  # fmt: skip
METATRADER = ["date", "time", *CANDLE_COLUMNS[1:]]
ADJUSTED = [*CANDLE_COLUMNS[:5], "adjusted close", "volume"]  # Yahoo's
CLOCK = re.compile(r"\s*\d{1,2}:\d\d(:\d\d)?\s*")
# An adjusted close follows the close: their ratio changes slowly, and no volume does that.
FOLLOWS = 1.5
LEAST_ROWS = 3
LEAST_ADJUSTED, MOST_ADJUSTED = 0.1, 1.05
LEAVE_OUT = "leave these rows out of the file"
UNFILLED = Hint(f"read without fill=, or {LEAVE_OUT}", f"export without --fill, or {LEAVE_OUT}")


@dataclass(frozen=True, slots=True)
class Told:
    """What the columns of a table without a header are."""

    names: list[str]
    places: dict[str, int]

    @property
    def note(self) -> str:
        """What must be said of it."""
        return f"no header: the columns were taken by their place as {', '.join(self.names)}"


class Columns:
    """How the columns of one file become a candle's, the same in all its chunks.

    `wanted` are the places of those that a reader reads, in the order in which `frame` takes them.
    """

    def __init__(self, names: Sequence[str], places: dict[str, int], source: Source) -> None:
        self._names = names
        self._places = places
        self._canonical = Canonical(names, source.style)
        self._notes = source.notes
        self._file = source.name
        marks = marks_in(names)
        kept = [names[place] for place in places.values()]
        source.ignored |= dict.fromkeys(unused(names, [*kept, *marks]))
        others = [
            place
            for place, name in enumerate(names)
            if source.whole and name in source.ignored and clean(name) not in places
        ]
        self._others = len(others)
        self.wanted = [*places.values(), *(names.index(name) for name in marks), *others]

    def at(self, name: str) -> int:
        """Return where among those wanted a canonical column is."""
        return list(self._places).index(name)

    def frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the columns that were wanted as a candle's, others behind them under their own names.

        Raises `FileFormatError` for bars that say of themselves that they are none to be stored.
        """
        own = [
            column.alias(self._names[at])
            for at, column in zip(self.wanted, frame.iter_columns(), strict=True)
        ]
        behind = len(own) - self._others
        self._refuse_made(own[len(self._places) : behind])
        made = self._canonical.frame(dict(zip(self._places, own, strict=False)))
        self._notes |= self._canonical.notes
        return made.hstack(own[behind:]) if len(own) > behind else made

    def _refuse_made(self, marks: Sequence[pl.Series]) -> None:
        made = made_bars(pl.DataFrame(marks)) if marks else None
        if made is not None:
            hint = UNFILLED if "fill holes" in made[0] else LEAVE_OUT
            raise FileFormatError(f"{self._file}: {made[0]}", hint=hint)


def by_header(names: Sequence[str]) -> dict[str, int]:
    """Map the canonical columns found in a header to their places.

    `time of day` is the place of a second column that completes a date.
    """
    cleaned = list(map(clean, names))
    found = {canonical: cleaned.index(clean(name)) for canonical, name in recognise(names).items()}
    if "timestamp" not in found and cleaned and cleaned[0] in INDEX_NAMES:
        found["timestamp"] = 0
    return found


def header_notes(names: Sequence[str]) -> set[str]:
    """Return what must be said of a header that names the time unusually or not at all."""
    if names and "timestamp" not in recognise(names) and clean(names[0]) in INDEX_NAMES:
        return {"the first column has no name and was taken as the time"}
    return set()


def by_place(rows: Sequence[Sequence[str]]) -> Told | None:
    """Tell the columns of the first rows of a table without a header; None if they are no candles.

    Of seven columns the sixth may be an adjusted close, which is no volume.
    """
    first = rows[0]
    names = WIDTHS.get(len(first))
    if names is None or not first[0].strip()[:1].isdigit():
        return None
    if len(first) == len(METATRADER) and CLOCK.fullmatch(first[1]):
        names = METATRADER
    elif len(first) == len(ADJUSTED):
        names = _of_seven(rows)
        if names is None:
            raise FileFormatError(
                f"no header, and seven columns: {excerpt(first[5])} may be an adjusted close or a volume",
                hint="put a line above that names the columns, as date,open,high,low,close,volume,trades",
            )
    found = recognise(names)
    if not all(_is_number(first[names.index(found[name])]) for name in CANDLE_COLUMNS[1:]):
        return None
    return Told(names, {canonical: names.index(name) for canonical, name in found.items()})


def missing_columns(name: str, found: Sequence[str], there: Sequence[str]) -> FileFormatError:
    """Return the error for a table that lacks columns of a candle."""
    missing = [column for column in CANDLE_COLUMNS if column not in found]
    volume = "; where there is no volume, add a column of zeros" if missing == ["volume"] else ""
    listed = ", ".join(repr(excerpt(column.strip(), LONGEST_NAME)) for column in there[:MOST]) or "nothing"
    more = f" and {len(there) - MOST:,} more" if len(there) > MOST else ""
    return FileFormatError(
        f"{name}: no column for {', '.join(missing)}; found {listed}{more}",
        hint=f"name the columns {', '.join(CANDLE_COLUMNS)}{volume}",
    )


def _of_seven(rows: Sequence[Sequence[str]]) -> list[str] | None:
    """Tell an adjusted close in the sixth place from a volume; None where the rows are too few to tell."""
    numbers = [(float(row[4]), float(row[5])) for row in rows if all(map(_is_number, row[4:6])) and row[5:]]
    ratios = [sixth / close for close, sixth in numbers if close > 0]
    if not ratios or min(ratios) <= 0 or max(ratios) / min(ratios) >= FOLLOWS:
        return WIDTHS[7]
    if len(ratios) >= LEAST_ROWS and max(ratios) <= MOST_ADJUSTED:
        return ADJUSTED
    return None if LEAST_ADJUSTED <= max(ratios) <= MOST_ADJUSTED else WIDTHS[7]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
