"""Pieces of a write checked one after the other, those first whose times can be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mdstore.core.candle_rules import FLOOR, Align, Checked, Terms, check
from mdstore.core.inputs import Piece
from mdstore.core.numbers import Decimal, Numbers
from mdstore.core.rounding import Tolerance
from mdstore.core.time_style import TimeStyle
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import column_to_ms
from mdstore.core.zones import check_zone
from mdstore.errors import Hint, InvalidInputError, TimestampError

__all__ = ["checked_pieces", "terms_of"]


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


def checked_pieces(
    pieces: Iterable[Piece], key: tuple[str, Timeframe] | None, terms: Terms
) -> Iterator[Checked]:
    """Yield pieces as they were checked.

    Pieces wait while nothing tells in which order their day and month are: a later one may. In bars of a
    second that is a million rows, from the first of a month to its thirteenth.
    """
    told, waiting, offset = terms.style.told, list[Piece](), 0
    for piece in pieces:
        waiting.append(piece)
        if len(waiting) > 1 and not _tells(piece, terms.style):
            continue
        try:
            while waiting:
                yield check(waiting[0].frame, key, terms, offset, waiting[0].row)
                offset += len(waiting.pop(0).frame)
        except TimestampError:
            if not told.undecided:
                raise
    if waiting:  # which says so
        check(waiting[0].frame, key, terms, offset, waiting[0].row)


def _tells(piece: Piece, style: TimeStyle) -> bool:
    """Tell whether a piece shows the order of day and month."""
    try:
        column_to_ms(piece.frame["timestamp"], style)
    except TimestampError:
        return not style.told.undecided
    return bool(style.told.orders)
