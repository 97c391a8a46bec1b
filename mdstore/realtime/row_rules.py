"""The rules that every realtime row keeps, checked before it is taken.

A row may be a tuple, a dict or one of `rows`; what comes out is one of `rows`, its numbers plain floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from math import inf, isfinite
from numbers import Integral, Real
from operator import gt, lt
from typing import Any

from mdstore.core.schema import MAX_LEVELS
from mdstore.core.symbols import check_symbol
from mdstore.core.time_bounds import FIRST_LIVE
from mdstore.core.timestamps import to_ms
from mdstore.errors import InvalidInputError, ValidationError
from mdstore.realtime.packing import SIDE_CODES
from mdstore.realtime.rows import Depth, Ticker, Trade

__all__ = ["FUTURE_MS", "MS_NS", "Row", "broken", "check_row", "unknown_field"]

Row = Ticker | Depth | Trade

FUTURE_MS = 60_000
"""How far clocks may disagree. A row from further ahead would outlive its TTL and hold back later rows."""
MS_NS = 1_000_000
INT64 = 2**63
THIRTEEN_DIGITS = 10**12
# What other tools call a field.
NAMES = {
    "amount": "size", "volume": "size", "qty": "size", "quantity": "size", "last": "price", "close": "price",
    "time": "timestamp", "datetime": "timestamp", "date": "timestamp", "ts": "timestamp", "market": "symbol",
    "code": "symbol", "ticker": "symbol", "trade_id": "id", "taker_side": "side", "bids": "bid_prices",
    "asks": "ask_prices", "basevolume": "volume_24h", "quotevolume": "value_24h",
}  # fmt: skip
SIDE_HINTS = {"bid": "'buy'", "b": "'buy'", "ask": "'sell'", "a": "'sell'", "s": "'sell'"}


class _BrokenRuleError(Exception):
    """A value breaks a rule; `check_row` adds which row and field."""


def check_row(kind: type[Row], data: object, now: int, index: int = 0) -> Any:
    """Return a row of a kind, checked; it was received `now` (ns) if it does not say otherwise.

    Raises `ValidationError`, which names the field and `index` as the row; `InvalidInputError` for no row.
    """
    given = _row(kind, data, index)
    try:
        values = [check(value) for check, value in zip(CHECKS_OF[kind], given, strict=True)]
    except Exception:  # whatever it is, it comes again, with the name of its field
        values = [_checked(kind, name, value, index) for name, value in zip(kind._fields, given, strict=True)]
    if values[-1] is None:
        values[-1] = now
    row = kind._make(values)
    for name, rule in _broken_together(row, now):
        raise broken(kind, index, name, getattr(given, name), rule)
    return row


def broken(kind: type[Row], index: int, field: str, value: object, rule: str) -> ValidationError:
    """Return the error for a row that breaks a rule."""
    text = repr(value)
    shown = text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - a line
    return ValidationError(
        f"row {index} of the {kind.__name__.lower()} data: {field} = {shown} breaks the rule '{rule}'. "
        "Nothing was taken",
        row=index,
        column=field,
        value=value,
        rule=rule,
    )


def unknown_field(kind: type[Row], name: object) -> str:
    """Return the rule that an unknown field breaks, and which field may have been meant."""
    meant = NAMES.get(str(name).lower())
    hint = f"; is it {meant}?" if meant in kind._fields else ""
    return f"the fields are {', '.join(kind._fields)}{hint}"


def _row(kind: type[Row], data: object, index: int) -> Row:
    """Return data as a row of a kind, its values as they are."""
    if isinstance(data, kind):
        return data
    if isinstance(data, Mapping):
        unknown = next((name for name in data if name not in kind._fields), None)
        if unknown is not None:
            raise broken(kind, index, str(unknown), data[unknown], unknown_field(kind, unknown))
        return kind._make(_value(kind, data, name, index) for name in kind._fields)
    if isinstance(data, Sequence) and not isinstance(data, str | bytes | Ticker | Depth | Trade):
        if len(data) > len(kind._fields):
            rule = f"a row has at most {len(kind._fields)} fields: {', '.join(kind._fields)}"
            raise broken(kind, index, f"field {len(kind._fields)}", data[len(kind._fields)], rule)
        named = dict(zip(kind._fields, data, strict=False))
        return kind._make(_value(kind, named, name, index) for name in kind._fields)
    raise InvalidInputError(
        f"row {index}: {data!r} is no {kind.__name__.lower()}",
        hint=f"a row is a tuple or a dict of {', '.join(kind._fields)}; a list is a batch of rows",
    )


def _value(kind: type[Row], data: Mapping[Any, Any], name: str, index: int) -> Any:
    if name in data:
        return data[name]
    if name in kind._field_defaults:
        return kind._field_defaults[name]
    raise broken(kind, index, name, None, f"{name} is given")


def _checked(kind: type[Row], name: str, value: object, index: int) -> object:
    try:
        return CHECKS.get(name, _number_or_none)(value)
    except _BrokenRuleError as rule:
        raise broken(kind, index, name, value, str(rule).format(name=name)) from None
    except InvalidInputError as error:
        raise broken(kind, index, name, value, error.message) from error
    except (ArithmeticError, TypeError, ValueError) as error:
        raise broken(kind, index, name, value, str(error)) from error


def _timestamp(value: Any) -> int:
    # Thirteen digits are milliseconds, as all are that exchanges send by now.
    is_usual = value.__class__ is int and THIRTEEN_DIGITS <= value < 10 * THIRTEEN_DIGITS
    moment = value if is_usual else to_ms(value, "timestamp")
    if moment < FIRST_LIVE:
        raise _BrokenRuleError("timestamp is in 2000 or later")
    return moment


def _number(value: Any) -> float:
    if value.__class__ is float and -inf < value < inf:
        return value  # a look at the abstract classes takes a microsecond
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise _BrokenRuleError("{name} is a number")
    number = float(value)
    if not isfinite(number):
        raise _BrokenRuleError("{name} is finite")
    return number


def _number_or_none(value: object) -> float | None:
    # NaN is how pandas says that there is nothing.
    return None if value is None or value != value else _number(value)  # noqa: PLR0124


def _size(value: object) -> float:
    number = _number(value)
    if number < 0:
        raise _BrokenRuleError("{name} >= 0")
    return number


def _size_or_none(value: object) -> float | None:
    number = _number_or_none(value)
    return None if number is None else _size(number)


def _side(value: object) -> object:
    name = value.lower() if isinstance(value, str) else value
    if isinstance(name, str | None) and name in SIDE_CODES:
        return name
    hint = SIDE_HINTS.get(str(value).lower())
    more = f"; {value} is {hint}, the taker's side" if hint else ""
    raise _BrokenRuleError(f"side is 'buy', 'sell' or None{more}")


def _id(value: Any) -> int | None:
    if value.__class__ is int and -INT64 < value < INT64:
        return value
    number: object = int(value) if isinstance(value, str) and value.isdecimal() else value
    if number is None or (isinstance(number, float) and number != number):  # noqa: PLR0124
        return None
    if isinstance(number, bool) or not isinstance(number, Integral) or not -INT64 < int(number) < INT64:
        raise _BrokenRuleError("id is a whole number of 64 bits, or None")
    return int(number)


def _truth(value: object) -> bool:
    if value is None or value is False:
        return False
    if type(value).__name__ not in ("bool", "bool_"):  # numpy's, too
        raise _BrokenRuleError("snapshot is True or False")
    return bool(value)


def _received(value: Any) -> int | None:
    """Return a time of receipt in nanoseconds."""
    if value is None:
        return None
    if value.__class__ is int or isinstance(value, Integral):
        if not FIRST_LIVE * MS_NS <= int(value) < INT64:
            raise _BrokenRuleError("received is in nanoseconds since 1970, in 2000 or later")
        return int(value)
    if isinstance(value, date):  # a datetime is one
        return _received(to_ms(value, "received") * MS_NS)
    raise _BrokenRuleError("received is in nanoseconds since 1970, or a datetime")


def _levels(check: Callable[[object], float]) -> Callable[[Any], tuple[float, ...]]:
    def checked(values: Any) -> tuple[float, ...]:
        if not hasattr(values, "__len__") or isinstance(values, str | bytes | Mapping):
            raise _BrokenRuleError("{name} is a list of numbers, the best level first")
        if len(values) > MAX_LEVELS:
            raise _BrokenRuleError(f"{{name}} has at most {MAX_LEVELS} levels, not {len(values):,}")
        return tuple(map(check, values))

    return checked


CHECKS: dict[str, Callable[[Any], object]] = {
    "symbol": check_symbol,
    "timestamp": _timestamp,
    "price": _number,
    "size": _size,
    "side": _side,
    "id": _id,
    "snapshot": _truth,
    "received": _received,
    **dict.fromkeys(("bid_prices", "ask_prices"), _levels(_number)),
    **dict.fromkeys(("bid_sizes", "ask_sizes"), _levels(_size)),
    **dict.fromkeys(
        ("volume_24h", "value_24h", "bid_size", "ask_size", "total_bid_size", "total_ask_size"), _size_or_none
    ),
}
"""By field; every other is a number or None."""
CHECKS_OF = {
    kind: tuple(CHECKS.get(name, _number_or_none) for name in kind._fields) for kind in (Ticker, Depth, Trade)
}
"""Those of each kind of row, in the order of its fields."""


def _broken_together(row: Row, now: int) -> Iterator[tuple[str, str]]:
    """Yield the fields and rules that values break together, each being right by itself."""
    if row.timestamp > now // MS_NS + FUTURE_MS:
        ahead = (row.timestamp - now // MS_NS) // 1000
        yield "timestamp", f"timestamp is not in the future: it is {ahead:,} s ahead of the clock"
    if isinstance(row, Depth):
        for side, after, word in (("bid", lt, "lower"), ("ask", gt, "higher")):
            prices = getattr(row, f"{side}_prices")
            if len(getattr(row, f"{side}_sizes")) != len(prices):
                yield f"{side}_sizes", f"{side}_sizes is as long as {side}_prices ({len(prices)})"
            if not all(map(after, prices[1:], prices)):
                yield f"{side}_prices", f"{side}_prices has the best first, each after it {word}"
