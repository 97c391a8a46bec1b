"""What an exchange's own word on a bar must be."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

from mdstore.core.symbols import check_symbol
from mdstore.core.time_bounds import FIRST_LIVE
from mdstore.core.time_numbers import LARGEST
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import to_ms
from mdstore.errors import InvalidInputError
from mdstore.realtime.row_rules import FUTURE_MS
from mdstore.realtime.rows import Kline

__all__ = ["check_kline", "in_milliseconds"]

NS_PER_MS = 1_000_000
FINER_THAN_MS = 10**14  # where microseconds begin
NUMBERS = ("open", "high", "low", "close", "volume")
SHAPE: tuple[tuple[str, Callable[[Kline], bool], str], ...] = (
    ("low", lambda bar: bar.low <= bar.open, "low <= open"),
    ("low", lambda bar: bar.low <= bar.close, "low <= close"),
    ("high", lambda bar: bar.high >= bar.open, "open <= high"),
    ("high", lambda bar: bar.high >= bar.close, "close <= high"),
    ("volume", lambda bar: bar.volume >= 0, "volume >= 0"),
)


def in_milliseconds(kline: Kline) -> Kline:
    """Return a kline with its time in milliseconds, also of one in micro- or nanoseconds, as Binance's."""
    at = kline.timestamp
    if not isinstance(at, int) or not FINER_THAN_MS <= at <= LARGEST:
        return kline
    return kline._replace(timestamp=to_ms(at))


def check_kline(kline: Kline, now: int) -> Timeframe:
    """Return the timeframe of a kline; raise `InvalidInputError` that names the field which is wrong.

    A bar that begins after `now` (ns) is refused: it would close the one that is forming.
    """
    check_symbol(kline.symbol)
    timeframe = Timeframe.parse(kline.timeframe)
    if not isinstance(kline.closed, bool):
        raise _wrong(kline, "closed", "it is True or False")
    if not isinstance(kline.timestamp, int) or kline.timestamp < FIRST_LIVE:
        raise _wrong(kline, "timestamp", "it is in milliseconds, in 2000 or later")
    if kline.timestamp > now // NS_PER_MS + FUTURE_MS:
        raise _wrong(kline, "timestamp", "it is not in the future, by the clock")
    if not _is_start(kline.timestamp, timeframe):
        raise _wrong(kline, "timestamp", f"it starts a {timeframe} bar (milliseconds)")
    for name in NUMBERS:
        if not _is_finite(getattr(kline, name)):
            raise _wrong(kline, name, "it is a finite number")
    for name, holds, rule in SHAPE:
        if not holds(kline):
            raise _wrong(kline, name, rule)
    return timeframe


def _is_start(timestamp: int, timeframe: Timeframe) -> bool:
    try:
        return (
            isinstance(timestamp, int) and timeframe.next(timestamp) > timeframe.floor(timestamp) == timestamp
        )
    except (ValueError, OverflowError, OSError):  # a month of a year that datetime cannot hold
        return False


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:  # a whole number larger than any float
        return False


def _wrong(kline: Kline, field: str, rule: str) -> InvalidInputError:
    return InvalidInputError(
        f"kline of {kline.symbol} {kline.timeframe} at {kline.timestamp!r}: {field} = "
        f"{getattr(kline, field)!r} breaks the rule '{rule}'. Nothing was changed"
    )
