"""Which column of a file is what: by its header, or by its place where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import polars as pl

from mdstore.core.canonical import Canonical
from mdstore.core.column_names import clean, unused
from mdstore.core.column_orders import ordered
from mdstore.core.columns_found import Found, find, missing
from mdstore.core.excerpts import LONGEST_NAME, MOST, excerpt
from mdstore.core.extra_columns import extras_among
from mdstore.core.statements import made_bars, marks_in
from mdstore.errors import FileFormatError, Hint, InvalidInputError
from mdstore.sources.files.formats import FORMATS
from mdstore.sources.files.opening import Source

__all__ = ["MOST_TITLE_LINES", "Columns", "by_place", "found_in", "headed", "levels", "of_file", "placed"]

# Titles, links and what was asked for may stand above the header, as in CryptoDataDownload's and Bloomberg's.
MOST_TITLE_LINES = 20
MARKING = ("csv", "excel")  # formats in which a symbol may bear a spreadsheet's mark
LEAVE_OUT = "leave these rows out of the file"
CLOSED = Hint(
    f"keep those whose column closed is true, or {LEAVE_OUT}", f"export with --closed, or {LEAVE_OUT}"
)
UNFILLED = Hint(f"read without fill=, or {LEAVE_OUT}", f"export without --fill, or {LEAVE_OUT}")
BY_WORDS: dict[str, str | Hint] = {"fill holes": UNFILLED, "have not ended": CLOSED}
# The fields of pandas' headers of several lines: in one line these, in another the tickers.
FIELDS = {"open", "high", "low", "close", "adj close", "volume", "dividends", "stock splits", "capital gains"}
LEVELS = 2
# What stands above the index in the second of them.
ABOVE_AN_INDEX = ("", "ticker", "tickers", "symbol", "symbols", "price", "attributes")


def _end_of_table(names: Sequence[str], place: int) -> int:
    """Return where the table of a column ends: a blank column sets another beside it, as in sheets."""
    return next((at for at in range(place + 1, len(names)) if not names[at].strip()), len(names))


class Columns:
    """How the columns of one file become a candle's, the same in all its chunks.

    `wanted` are the places of those that a reader reads, in the order in which `frame` takes them.
    """

    def __init__(self, names: Sequence[str], found: Found, source: Source) -> None:
        self._names = names
        self._found = found
        self._canonical = Canonical(names, source.style, marked=FORMATS.get(source.suffix) in MARKING)
        self._notes = source.notes
        self._file = source.name
        marks = marks_in(names)
        kept = found.names
        left = unused(names, [*kept, *marks])
        extras = [] if found.tickers else list(extras_among(left, source.asked.extras).values())
        source.ignored |= dict.fromkeys(name for name in left if name not in extras)
        others = [
            place
            for place, name in enumerate(names)
            if source.asked.whole and name in source.ignored and clean(name) not in found.there
        ]
        others += [names.index(name) for name in extras]
        first = [names.index(name) for name in kept]
        twins = [
            (at, place)
            for at, name in enumerate(kept)
            for place in range(first[at] + 1, _end_of_table(names, first[at]))
            if names[place] == name != ""
        ]
        self._twins = [at for at, _ in twins]
        self._others = len(others)
        self._kept = len(kept)
        self._marks = len(marks)
        self.wanted = [
            *first, *(names.index(name) for name in marks), *(place for _, place in twins), *others
        ]  # fmt: skip

    def at(self, name: str) -> int:
        """Return where among those wanted a canonical column is, that of the first of several instruments."""
        columns = next(iter(self._found.tickers.values()), {})
        return self._found.names.index((dict(columns) | dict(self._found.columns))[name])

    def frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the columns that were wanted as a candle's, others behind them under their own names.

        Raises `FileFormatError` for bars that say of themselves that they are none to be stored.
        """
        own = [
            column.alias(self._names[at])
            for at, column in zip(self.wanted, frame.iter_columns(), strict=True)
        ]
        behind = len(own) - self._others
        marked = self._kept + self._marks
        self._refuse_made(own[self._kept : marked])
        self._refuse_twins([own[at] for at in self._twins], own[marked:behind])
        with of_file(self._file):
            made = self._found.frame({column.name: column for column in own[: self._kept]}, self._canonical)
        self._notes |= self._canonical.notes
        return made.hstack(own[behind:]) if len(own) > behind and not self._found.tickers else made

    def _refuse_made(self, marks: Sequence[pl.Series]) -> None:
        made = made_bars(pl.DataFrame(marks)) if marks else None
        if made is not None:
            hint = next((hint for words, hint in BY_WORDS.items() if words in made[0]), LEAVE_OUT)
            raise FileFormatError(f"{self._file}: {made[0]}", hint=hint)

    def _refuse_twins(self, columns: Sequence[pl.Series], twins: Sequence[pl.Series]) -> None:
        """Raise where another column has the name of one that is kept, and other values: as closes do."""
        for one, other in zip(columns, twins, strict=True):
            differ = one.ne_missing(other).arg_true()
            if len(differ):
                pair = " and ".join(excerpt(str(column[differ[0]]), 40) for column in (one, other))
                raise FileFormatError(
                    f"{self._file}: two columns are named {excerpt(one.name, 40)!r} and differ, as {pair}",
                    hint="give each a name of its own in the header, such as Close and Adj Close",
                )


@contextmanager
def of_file(name: str) -> Iterator[None]:
    """Name the file in what is said of its columns."""
    try:
        yield
    except InvalidInputError as error:
        raise FileFormatError(f"{name}: {error.message}", hint=error.hint) from error


def found_in(names: Sequence[str], source: Source) -> Found | None:
    """Return the columns of a candle in a header; None where one is missing."""
    try:
        found = find(names, source.asked.choice)
    except InvalidInputError:  # it lacks a column that the call names: a title, or no header at all
        return None
    return found if found.is_whole() else None


def headed(names: Sequence[str], source: Source) -> Columns:
    """Return the columns of a file with a header; raise `FileFormatError` where one is missing."""
    with of_file(source.name):
        found = find(names, source.asked.choice)
    if not found.is_whole():
        raise _missing(found, names, source)
    return Columns(names, found, source)


def _missing(found: Found, names: Sequence[str], source: Source) -> FileFormatError:
    shown = ", ".join(repr(excerpt(name.strip(), LONGEST_NAME)) for name in names[:MOST]) or "nothing"
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    error = missing(found, names)
    lacking = error.message.partition(":")[0]
    return FileFormatError(
        f"{source.name}: {lacking}; found {shown}{more}", hint=error.hint, found=frozenset(found.there)
    )


def by_place(rows: Sequence[Sequence[str]], source: Source) -> list[str] | None:
    """Return the names of columns without a header, by the first rows; None where they are no candles."""
    with of_file(source.name):
        names = ordered(rows, source.asked.choice)
    return None if names is None else list(names)


def placed(names: list[str], source: Source) -> Columns:
    """Return the columns of a file without a header, with a note of what they were taken for."""
    source.notes.add(f"no header: the columns were taken by their place as {', '.join(names)}")
    with of_file(source.name):
        found = find(names)
    found = Found(found.columns, source.asked.choice, notes=found.notes)
    if not found.is_whole():
        raise _missing(found, names, source)
    return Columns(names, found, source)


def levels(rows: Sequence[Sequence[str]]) -> tuple[list[str], int] | None:
    """Return the names in a header of two levels, as pandas writes them, and of how many lines it is.

    One line has the fields, one the tickers; a third may have the name of the index. None is any other.

    >>> levels([["Price", "Close", "Open"], ["Ticker", "A", "A"], ["Date", "", ""], ["2024-01-02", "5", "4"]])
    (['Date', "('Close', 'A')", "('Open', 'A')"], 3)
    """
    if len(rows) <= LEVELS or len(rows[0]) < LEVELS or len(rows[0]) != len(rows[1]):
        return None
    if not rows[LEVELS]:
        return None
    third = bool(rows[LEVELS][0]) and not any(rows[LEVELS][1:])
    if not third and clean(rows[1][0]) not in ABOVE_AN_INDEX:
        return None
    fields = next((row[1:] for row in rows[:LEVELS] if {clean(cell) for cell in row[1:]} <= FIELDS), None)
    if fields is None:
        return None
    others = rows[1][1:] if fields == rows[0][1:] else rows[0][1:]
    time = rows[LEVELS][0] if third else "date"
    names = [time, *(f"({field!r}, {ticker!r})" for field, ticker in zip(fields, others, strict=True))]
    return names, LEVELS + third
