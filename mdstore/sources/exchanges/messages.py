"""Exchange messages: JSON in, and fields whose errors say which exchange, what kind and which field."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from mdstore.errors import MessageError
from mdstore.realtime.rows import Depth, Kline, Notice, Ticker, Trade

__all__ = ["Event", "Fields", "Raw", "decode", "refusal"]

Event = Ticker | Depth | Trade | Kline | Notice
Raw = str | bytes | dict[str, Any] | list[Any]

try:
    # A ticker of Upbit in 1.5 us, where `json` takes 5.9; it comes with the extra `exchanges`.
    from msgspec.json import decode as quick
except ImportError:
    QUICK: Callable[[str | bytes | bytearray], Any] | None = None
else:
    QUICK = quick
INT64 = 2**63
# What a time in milliseconds cannot be (the year 5138): exchanges give microseconds to whoever asks for them.
MICROSECONDS, NANOSECONDS = 10**14, 10**17


def decode(message: Raw, venue: str) -> Any:
    """Return a message parsed, if it is not yet; raise `MessageError` for what is no JSON."""
    if not isinstance(message, str | bytes | bytearray):
        return message
    if QUICK is not None:
        with suppress(ValueError, RecursionError):  # what it refuses, such as NaN, the other reads or refuses
            return QUICK(message)
    try:
        return json.loads(message)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise MessageError(f"{venue}: a message is no JSON ({error}): {message!r:.80}") from error


class Fields:
    """The fields of one message.

    `names` gives the other names that a field goes by, `within` where in the message the fields lie. Numbers
    may be texts. Every method raises `MessageError` for a field that is absent, null or wrong; those
    that end in `_or_none` return None for one that is absent or null.
    """

    __slots__ = ("data", "kind", "names", "venue", "within")

    def __init__(
        self,
        data: Mapping[str, Any],
        venue: str,
        kind: str,
        *,
        names: Mapping[str, Sequence[str]] | None = None,
        within: str = "",
    ) -> None:
        self.data = data
        self.venue = venue
        self.kind = kind
        self.names = names or {}
        self.within = within

    def get(self, field: str) -> Any:
        """Return a field's value, whatever it is called; None where it is absent or null."""
        value = self.data.get(field)
        if value is None and field in self.names:
            for name in self.names[field]:  # a generator takes a microsecond more, of each field
                value = self.data.get(name)
                if value is not None:
                    break
        return value

    def number(self, field: str) -> float:
        """Return a finite number."""
        return self._number(field, self._required(field))

    def _number(self, field: str, value: Any) -> float:
        if value.__class__ is float and -math.inf < value < math.inf:
            return value  # as nearly all are
        try:
            # float() would take True for 1.
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise self.wrong(field, value, "no number")
        return number

    def number_or_none(self, field: str) -> float | None:
        """Return a finite number, or None."""
        value = self.get(field)
        return None if value is None else self._number(field, value)

    def amount(self, field: str) -> float:
        """Return a price or a size: a finite number, not below 0."""
        return self._amount(field, self._required(field))

    def _amount(self, field: str, value: Any) -> float:
        number = self._number(field, value)
        if number < 0:
            raise self.wrong(field, number, "below 0")
        return number

    def amount_or_none(self, field: str) -> float | None:
        """Return a price or a size, or None."""
        value = self.get(field)
        return None if value is None else self._amount(field, value)

    def whole(self, field: str) -> int:
        """Return a whole number from 0 that fits 64 bits: an id, or a time."""
        value = self._required(field)
        # The length first: Python refuses to read very long ones.
        if isinstance(value, str) and value.isdecimal() and len(value) <= len(str(INT64)):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < INT64:
            raise self.wrong(field, value, "no whole number from 0 that fits 64 bits")
        return value

    def time(self, field: str) -> int:
        """Return a time in milliseconds, also of one in micro- or nanoseconds."""
        value = self.whole(field)
        if value < MICROSECONDS:
            return value
        return value // 1_000 if value < NANOSECONDS else value // 1_000_000

    def text(self, field: str) -> str:
        """Return a text that is not empty."""
        value = self._required(field)
        if not isinstance(value, str) or not value:
            raise self.wrong(field, value, "no text")
        return value

    def flag(self, field: str) -> bool:
        """Return true or false."""
        value = self._required(field)
        if not isinstance(value, bool):
            raise self.wrong(field, value, "neither true nor false")
        return value

    def items(self, field: str) -> list[Any]:
        """Return a list."""
        value = self._required(field)
        if not isinstance(value, list | tuple):
            raise self.wrong(field, value, "no list")
        return list(value)

    def inner(self, field: str) -> Fields:
        """Return the fields of an object within the message."""
        return self.of(self._required(field), field)

    def of(self, value: Any, place: str) -> Fields:
        """Return the fields of `value`, an object found at `place`."""
        if not isinstance(value, Mapping):
            raise self.wrong(place, value, "no object")
        within = f"{self.within}{place}."
        return Fields(value, self.venue, self.kind, names=self.names, within=within)

    def wrong(self, field: str, value: object, why: str) -> MessageError:
        """Return the error for a value that cannot be used."""
        text = f"{self.venue} {self.kind}: {self.within}{field} = {value!r:.80} is {why}"
        return MessageError(text, kind=self.kind)

    def _required(self, field: str) -> Any:
        value = self.get(field)
        if value is None:
            others = "".join(f" or {name}" for name in self.names.get(field, ()))
            text = f"{self.venue} {self.kind}: {self.within}{field}{others} is missing"
            raise MessageError(text, kind=self.kind)
        return value


def refusal(venue: str, data: Mapping[str, Any]) -> list[Event]:
    """Return what an exchange refuses, where a message says so: by `error`, or a `code` and a `msg`."""
    error = data.get("error")
    if error is None and {"code", "msg"} <= data.keys():
        error = data
    if isinstance(error, Mapping):
        code = error.get("name", error.get("code"))
        said = error.get("message", error.get("msg", code))
        return [Notice(venue, str(said), None if code is None else str(code))]
    return [] if error is None else [Notice(venue, str(error))]
