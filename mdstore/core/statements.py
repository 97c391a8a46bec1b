"""What rows say of themselves, held against what the call says of them: neither is quietly overruled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from mdstore.core.column_names import key
from mdstore.core.excerpts import excerpt
from mdstore.core.timeframe import meant
from mdstore.errors import Hint, InvalidInputError

__all__ = ["Statements", "made_bars", "marks_in", "refuse_made", "texts_in"]

# Columns that say of bars that they are none to be stored, where they say so, and what these bars do.
ENDED = (False, "have not ended")
MARKS = {
    "closed": ENDED,
    "confirm": ENDED,  # OKX
    "complete": ENDED,  # OANDA
    **dict.fromkeys(("ended", "final", "is_closed", "is_final", "is_complete"), ENDED),
    "filled": (True, "fill holes"),
    "partial": (True, "were not seen from start to end"),
}
BY_KEY = {key(name): mark for name, mark in MARKS.items()}
WORDS = {False: ("false", "f", "no", "n", "0", "0.0"), True: ("true", "t", "yes", "y", "1", "1.0")}
MOST_NAMES = 3


def texts_in(column: pl.Series) -> set[str]:
    """Return the different texts of a column; of one that holds anything else, those among it."""
    if column.dtype == pl.Object:
        return {value for value in column if isinstance(value, str)}
    texts = column.dtype in (pl.String, pl.Categorical, pl.Enum)
    return set(column.cast(pl.String).drop_nulls().unique()) if texts else set()


class Statements:
    """The symbol and timeframe that a call names, None where the rows name them.

    `rename` is whether one other symbol in the rows is meant to become the call's.
    """

    def __init__(self, symbol: str | None, timeframe: str | None, *, rename: bool) -> None:
        self._symbol = symbol
        self._timeframe = timeframe
        self._rename = rename
        self._symbols: set[str] = set()

    def hold(self, frame: pl.DataFrame, names: Mapping[str, str]) -> None:
        """Raise `InvalidInputError` where rows under canonical names say otherwise; `names` are their own."""
        if self._timeframe is not None and "timeframe" in frame.columns:
            self._hold_timeframe(frame["timeframe"], names["timeframe"])
        if self._symbol is not None and "symbol" in frame.columns:
            self._hold_symbol(frame["symbol"], names["symbol"], self._symbol)

    def _hold_timeframe(self, column: pl.Series, name: str) -> None:
        there = column.drop_nulls().unique()
        # What is no timeframe to us, such as 60, means what the call says.
        others = [text for text in there if meant(text) not in (self._timeframe, None)]
        if others:
            several = f" and {len(there) - 1} more" if len(there) > 1 else ""
            raise InvalidInputError(
                f"the data says {excerpt(others[0], 40)}{several} in its column {name}, and "
                f"timeframe={self._timeframe!r}",
                hint=Hint(
                    "give the timeframe of the data; write_many(data) takes each row's own",
                    "leave --timeframe out: the column says it",
                ),
            )

    def _hold_symbol(self, column: pl.Series, name: str, symbol: str) -> None:
        self._symbols |= texts_in(column)
        if len(self._symbols) > 1:
            some = excerpt(", ".join(sorted(self._symbols)[:MOST_NAMES]))
            raise InvalidInputError(
                f"the data is of {len(self._symbols)} symbols ({some}, ...) in its column {name}, and would "
                "land in one series",
                hint=Hint("write_many(data) keeps them apart", "leave --symbol out, which keeps them apart"),
            )
        other = next(iter(self._symbols), symbol)
        if other != symbol and not self._rename:
            other = excerpt(other)
            raise InvalidInputError(
                f"the data says {other!r} in its column {name}, and symbol={symbol!r}",
                hint=Hint(
                    f"write it as {other!r}, or say rename=True where {symbol!r} is another name of the same",
                    f"leave --symbol out, or say --rename where {symbol!r} is another name of the same",
                ),
            )


def marks_in(names: Iterable[str]) -> list[str]:
    """Return which columns say of bars whether they are to be stored."""
    return [name for name in names if key(name) in BY_KEY]


def refuse_made(frame: pl.DataFrame) -> None:
    """Raise `InvalidInputError` for bars that say of themselves that they are none to be stored."""
    made = made_bars(frame)
    if made is not None:
        raise InvalidInputError(made[0], hint=Hint(f"write frame.filter({made[1]})", "leave these rows out"))


def made_bars(frame: pl.DataFrame) -> tuple[str, str] | None:
    """Return what rows say of themselves, and the Polars expression of those without; None if all are whole.

    Files and other tools write such columns as texts or as 0 and 1.
    """
    for name in marks_in(frame.columns):
        made, which = BY_KEY[key(name)]
        there = _said(frame[name], made)
        if there.any():
            values = frame[name].filter(there).unique().to_list() if frame[name].dtype != pl.Object else []
            rest = f"{'~' if made else ''}pl.col({name!r})"
            if frame[name].dtype != pl.Boolean:
                rest = f"~pl.col({name!r}).is_in({values})"
            return f"{there.sum()} of the rows are bars that {which} ({name} is {made})", rest
    return None


def _said(column: pl.Series, made: bool) -> pl.Series:
    """Tell where a column says so; numbers say something only where all are 0 or 1."""
    if column.dtype == pl.Boolean:
        return (column == made).fill_null(value=False)
    if column.dtype.is_numeric():
        numbers = column.cast(pl.Float64)
        known = numbers.drop_nulls().drop_nans().is_in([0.0, 1.0]).all()
        return (numbers == float(made)).fill_null(value=False) & known
    texts = [None if value is None else str(value).strip().lower() for value in column]
    return pl.Series(texts, dtype=pl.String).is_in(WORDS[made]).fill_null(value=False)
