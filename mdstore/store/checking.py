"""Pieces of a write checked one after the other; those wait whose times cannot be read yet."""

from __future__ import annotations

from mdstore.core.candle_rules import FLOOR, Align, Terms, check
from mdstore.core.checked_rows import Checked
from mdstore.core.inputs import Piece
from mdstore.core.numbers import Decimal, Numbers
from mdstore.core.rounding import Tolerance
from mdstore.core.time_style import TimeStyle
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import column_to_ms
from mdstore.core.zones import check_zone
from mdstore.errors import Hint, InvalidInputError, TimestampError

__all__ = ["Checking", "terms_of"]


def terms_of(
    style: TimeStyle, align: Align | None, tolerance: Tolerance | None, decimal: Decimal | None, now: int
) -> Terms:
    """Return what a call asks of its rows; raise `InvalidInputError` for what it cannot ask."""
    if align is not None and align != FLOOR:
        align = _zone(align)
    if tolerance not in (None, "ulp"):
        raise InvalidInputError(
            f"tolerance={tolerance!r} is neither None nor 'ulp'",
            hint=Hint("tolerance='ulp' widens high or low by rounding", "--tolerance ulp widens high or low"),
        )
    return Terms(style, align, now, tolerance, Numbers(decimal))


def _zone(align: object) -> str:
    """Return the zone whose dates are asked for."""
    try:
        return check_zone(align)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"align={align!r} is neither 'floor' nor a time zone, such as 'Asia/Seoul'", hint=error.hint
        ) from error


class Checking:
    """Checks the pieces of one call, one after the other; of the series `key`, or of several."""

    def __init__(self, key: tuple[str, Timeframe] | None, terms: Terms) -> None:
        self._key = key
        self._terms = terms
        self._waiting: list[Piece] = []
        self._offset = 0

    def take(self, piece: Piece) -> list[Checked]:
        """Return the pieces that were checked, this one and those before it that have waited.

        Pieces wait while nothing tells in which order their day and month are: a later one may. In bars of a
        second that is a million rows, from the first of a month to its thirteenth.
        """
        waiting, made = self._waiting, list[Checked]()
        waiting.append(piece)
        if len(waiting) > 1 and not _tells(piece, self._terms.style):
            return made
        try:
            while waiting:
                first = waiting[0]
                made.append(check(first.frame, self._key, self._terms, self._offset, first.row))
                self._offset += len(waiting.pop(0).frame)
        except TimestampError:
            if not self._terms.style.told.undecided:
                raise
        return made

    def end(self) -> None:
        """Raise what is wrong with pieces that wait still."""
        if self._waiting:
            check(self._waiting[0].frame, self._key, self._terms, self._offset, self._waiting[0].row)


def _tells(piece: Piece, style: TimeStyle) -> bool:
    """Tell whether a piece shows the order of day and month."""
    try:
        column_to_ms(piece.frame["timestamp"], style)
    except TimestampError:
        return not style.told.undecided
    return bool(style.told.orders)
