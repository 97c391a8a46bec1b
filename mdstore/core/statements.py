"""What rows say of themselves, held against what the call says of them: neither is quietly overruled."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from mdstore.core.excerpts import excerpt
from mdstore.core.timeframe import meant
from mdstore.errors import Hint, InvalidInputError

__all__ = ["CLOSED", "FILLED", "MARKS", "Statements", "refuse_made"]

CLOSED, FILLED = "closed", "filled"
MARKS = (CLOSED, FILLED)
"""Columns that say of bars that they are none to be stored."""
MOST_NAMES = 3


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
        others = [text for text in there if meant(text) != self._timeframe]
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
        if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
            return
        self._symbols.update(column.cast(pl.String).drop_nulls().unique())
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
                    "leave --symbol out: the column says it",
                ),
            )


def refuse_made(frame: pl.DataFrame) -> None:
    """Refuse bars that say of themselves that they have not ended, or that they fill a hole."""
    for name, made, which in ((CLOSED, False, "have not ended"), (FILLED, True, "fill holes")):
        if name in frame.columns and frame[name].dtype == pl.Boolean and (frame[name] == made).any():
            raise InvalidInputError(
                f"{(frame[name] == made).sum()} of the rows are bars that {which} ({name} is {made})",
                hint=Hint(
                    f"write frame.filter({'~' if made else ''}pl.col('{name}'))", "leave these rows out"
                ),
            )
