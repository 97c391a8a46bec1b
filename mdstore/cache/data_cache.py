"""What every cache is asked, and by what key: `DataCache` and `Key`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, datetime
from datetime import time as time_of_day
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, runtime_checkable

from mdstore.core.timeframe import Timeframe
from mdstore.errors import InvalidInputError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    Frame: TypeAlias = pl.DataFrame | pa.Table

__all__ = ["DataCache", "Key", "Part", "check_bytes", "check_ttl"]

# Values whose text tells them apart from every other: 1, True and 1.0 are equal in Python, and yet three
# answers of SELECT ?. Others may print an address, under which something else lies later.
PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
CALENDAR = frozenset({date, datetime, time_of_day})


@dataclass(frozen=True, slots=True)
class Key:
    """What an answer is an answer to. `query` is all of it but the revision, as a text; `version` is that.

    `symbols` and `timeframe` are None where it is of all of them; `start` and `end` (ms, the end left out)
    where it is open. `detail` and `revision` are texts, numbers, bytes, None, dates and tuples of them. A
    cache keeps one answer for each query: that of the version which was put last. Raises `InvalidInputError`.

    >>> Key("candles", ("KRW-BTC",), "60m", detail=("limit", 200)).query
    "('candles', ('KRW-BTC'), '1h', None, None, ('limit', 200))"
    >>> Key("sql", detail=1) == Key("sql", detail=True)
    False
    """

    kind: str = field(compare=False)
    symbols: tuple[str, ...] | None = field(default=None, compare=False)
    timeframe: str | None = field(default=None, compare=False)
    start: int | None = field(default=None, compare=False)
    end: int | None = field(default=None, compare=False)
    detail: object = field(default=None, compare=False)
    revision: object = field(default=None, compare=False)
    query: str = field(init=False, repr=False)
    version: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.symbols is not None and type(self.symbols) is not tuple:
            raise InvalidInputError(f"a key's symbols are a tuple of names, or None, not {self.symbols!r}")
        if self.timeframe is not None:
            object.__setattr__(self, "timeframe", str(Timeframe.parse(self.timeframe)))
        check_moments(self.start, self.end)
        fields = (self.kind, self.symbols, self.timeframe, self.start, self.end, self.detail)
        object.__setattr__(self, "query", _text(fields))
        object.__setattr__(self, "version", _text(self.revision))

    def touches(self, part: Part) -> bool:
        """Tell whether the answer may hold something of a part of the data."""
        return (
            (part.symbol is None or self.symbols is None or part.symbol in self.symbols)
            and (part.timeframe is None or self.timeframe is None or part.timeframe == self.timeframe)
            and (part.start is None or self.end is None or part.start < self.end)
            and (part.end is None or self.start is None or self.start < part.end)
        )


class Part(NamedTuple):
    """A series and a range of it, the end (ms) left out; None is any, or open."""

    symbol: str | None
    timeframe: str | None
    start: int | None
    end: int | None

    @classmethod
    def of(cls, symbol: str | None, timeframe: str | None, start: int | None, end: int | None) -> Part:
        """Read the arguments of `invalidate`. Raises `InvalidInputError`."""
        if symbol is not None and not isinstance(symbol, str):
            raise InvalidInputError(f"symbol={symbol!r}: give one name, or None for any")
        check_moments(start, end)
        return cls(symbol, None if timeframe is None else str(Timeframe.parse(timeframe)), start, end)


def _text(value: object) -> str:
    """Return a text that only this value has."""
    if type(value) in PLAIN:
        return repr(value)
    if type(value) is tuple:
        return f"({', '.join(map(_text, value))})"
    if type(value) in CALENDAR:
        return f"{type(value).__name__} {value.isoformat()}"  # type: ignore[attr-defined]  # each has it
    raise InvalidInputError(
        f"a key of a cache cannot hold {value!r} ({type(value).__name__}): only texts, numbers, bytes, None, "
        "dates, and tuples of them have a text that nothing else has"
    )


@runtime_checkable
class DataCache(Protocol):
    """Answers by key, for as long as the policy of their kind says, within a number of bytes.

    A cache may forget whatever it wants at any time, and never gives anything but what was put last under
    that key. What it gives out is the caller's own: whatever is done to it, others do not see. Threads may
    share it. In a forked child what was in memory is forgotten, and `ForkedError` raised where Polars would
    hang. After `close` it keeps nothing more.
    """

    def get(self, key: Key) -> Frame | None:
        """Return what was put, or None."""

    def put(self, key: Key, value: Frame, ttl: float | None = None) -> None:
        """Keep a copy for `ttl` seconds, or as long as the policy says, in place of the query's older answer.

        Raises `InvalidInputError` for what is neither a Polars nor an Arrow table. What does not fit, or
        cannot be kept, is forgotten.
        """

    def invalidate(
        self,
        symbol: str | None = None,
        timeframe: str | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> int:
        """Forget the answers that may hold bars of a series in `[start, end)` (ms); return how many.

        An answer under no timeframe is of any; one of 1h bars that were made of 1m is under 1h.
        """

    def clear(self) -> None:
        """Forget all."""

    def stats(self) -> dict[str, int | float]:
        """Return hits, misses, hit_rate, entries, bytes, limit, expired, evicted and failed.

        `failed` are the gets and puts that came to nothing: a full disk, a damaged file, a value that has no
        Arrow form.
        """

    def close(self) -> None:
        """Forget what is in memory, and keep nothing more."""


def check_moments(*moments: object) -> None:
    """Refuse what is no time in milliseconds; None is open."""
    for moment in moments:
        if moment is not None and type(moment) is not int:
            raise InvalidInputError(f"a range of a cache is of milliseconds since 1970, not of {moment!r}")


def check_ttl(ttl: float | None) -> None:
    """Refuse what is no number of seconds."""
    if ttl is None:
        return
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or math.isnan(ttl) or ttl < 0:
        raise InvalidInputError(f"ttl={ttl!r}: give seconds, or None for as long as the policy says")


def check_bytes(limit: object, name: str = "max_bytes") -> int:
    """Return the limit in bytes that an argument gives. Raises `InvalidInputError`."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise InvalidInputError(f"{name}={limit!r}: give a whole number of bytes, 0 to keep nothing")
    return limit
