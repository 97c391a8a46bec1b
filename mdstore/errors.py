"""The errors mdstore raises.

Every one is a `MarketDataError` and also the builtin that fits, so both `except MarketDataError` and
`except ValueError` do what a reader expects::

    MarketDataError
    ├── InvalidInputError (ValueError)       an argument cannot be used
    │   ├── TimeframeError                   "7x" is no timeframe
    │   ├── TimestampError                   a time that cannot be read
    │   ├── MessageError                     an exchange's message that cannot be read; carries kind
    │   ├── ValidationError                  a row breaks a rule; carries row, column, value, rule
    │   └── ConflictError                    a bar comes twice with different values; carries both
    ├── NoSuchSeriesError (LookupError)      nothing stored under that symbol and timeframe
    ├── HistoryTrimmedError (LookupError)    as_of a time before which the past was let go; carries since
    ├── StaleDataError (LookupError)         no ticker, order book or trade within its TTL
    ├── QueryError (ValueError)              SQL that is wrong, or would write
    │   └── QueryTimeoutError (TimeoutError) SQL that took longer than it was given
    ├── StoreClosedError (RuntimeError)      used after close
    ├── ForkedError (RuntimeError)           Polars would hang in this forked process
    ├── StoreFileError (OSError)             the file cannot be opened, is damaged or is no store
    │   ├── DamagedDataError                 what is stored is not what was written; nothing is served
    │   ├── NewerSchemaError                 written by a newer mdstore; left untouched
    │   ├── ReadOnlyError (PermissionError)  it is open for reading only; says why
    │   └── StoreBusyError (TimeoutError)    another thread or process kept the write lock
    ├── LiveFileError (PermissionError)      a second opener of a live store file, refused
    ├── FeedError (ConnectionError)          an exchange refused something, or fell silent
    ├── SourceError (ConnectionError)        an exchange that was asked for candles did not give them
    │   ├── BannedError (PermissionError)    it answers nothing for a while; carries until
    │   ├── ClockError                       its clock and this machine's are far apart
    │   └── NoSuchMarketError (LookupError)  it has no such symbol
    ├── MaintenanceStoppedError (InterruptedError) upkeep was told to stop; nothing is lost
    ├── ScannerError (RuntimeError)          the scanner process failed twice; reads go on without it
    └── FileFormatError (ValueError)         a data file that cannot be read as candles
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple, Self

__all__ = [
    "BannedError",
    "ClockError",
    "ConflictError",
    "DamagedDataError",
    "FeedError",
    "FileFormatError",
    "ForkedError",
    "Hint",
    "HistoryTrimmedError",
    "InvalidInputError",
    "LiveFileError",
    "MaintenanceStoppedError",
    "MarketDataError",
    "MessageError",
    "NewerSchemaError",
    "NoSuchMarketError",
    "NoSuchSeriesError",
    "QueryError",
    "QueryTimeoutError",
    "ReadOnlyError",
    "ScannerError",
    "SourceError",
    "StaleDataError",
    "StoreBusyError",
    "StoreClosedError",
    "StoreFileError",
    "TimeframeError",
    "TimestampError",
    "ValidationError",
]


class Hint(NamedTuple):
    """What to do about an error, in the two tongues of mdstore: as Python code, and as the command line."""

    python: str
    cli: str


class MarketDataError(Exception):
    """The root of everything mdstore raises on purpose.

    The message says what is wrong and where, in words that fit both tongues; `hint` says what to do.

    >>> print(MarketDataError("no candles of X", hint=Hint("store.series() lists them", "mdstore series")))
    no candles of X. Hint: store.series() lists them
    """

    def __init__(self, message: str = "", *, hint: str | Hint | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = Hint(hint, hint) if isinstance(hint, str) else hint

    def __str__(self) -> str:
        return self.said("python")

    def said(self, tongue: Literal["python", "cli"]) -> str:
        """Return message and hint as somebody who uses Python, or the command line, would say them."""
        if self.hint is None:
            return self.message
        return f"{self.message}{_gap_after(self.message)}Hint: {getattr(self.hint, tongue)}"


def _gap_after(message: str) -> str:
    """Return what stands between a message and its hint."""
    if "\n" in message:  # as DuckDB's have, with a picture of the query at the end
        return "\n"
    return " " if message.endswith((".", "?", "!")) else ". "


class InvalidInputError(MarketDataError, ValueError):
    """An argument cannot be used; the message names it and says what would be."""


class TimeframeError(InvalidInputError):
    """A text that is no timeframe, or a timeframe that does not fit the call."""


class TimestampError(InvalidInputError):
    """A time that cannot be read, or whose unit cannot be told."""


class MessageError(InvalidInputError):
    """A message of an exchange that cannot be read; `kind` is what it calls itself, None for no JSON."""

    def __init__(self, message: str, *, kind: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind


class ValidationError(InvalidInputError):
    """A row that breaks a rule; nothing of its batch was written.

    `row` counts from 0 in the data as it was given. `bad_rows` counts the rows that break a rule in the
    part of the data that was looked at when the error was raised.
    """

    def __init__(
        self,
        message: str,
        *,
        row: int,
        column: str,
        value: object,
        rule: str,
        bad_rows: int = 1,
        hint: str | Hint | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.row = row
        self.column = column
        self.value = value
        self.rule = rule
        self.bad_rows = bad_rows


class ConflictError(InvalidInputError):
    """A bar that comes twice with different values, in one call or in two files of one import.

    `symbol`, `timeframe` and `timestamp` (ms since 1970, UTC) name one such bar, `earlier` and `later` are
    its values, of the columns `names`: the five of a candle, and declared ones where the data has such.
    `columns` are the other columns in which the two rows differ, as far as they are known.
    `stored` is whether the earlier values were stored before the call, which was told to keep them.
    """

    def __init__(
        self,
        message: str,
        *,
        symbol: str,
        timeframe: str,
        timestamp: int,
        earlier: tuple[float | None, ...],
        later: tuple[float | None, ...],
        names: tuple[str, ...] = ("open", "high", "low", "close", "volume"),
        columns: tuple[str, ...] = (),
        stored: bool = False,
        hint: str | Hint | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.symbol = symbol
        self.timeframe = timeframe
        self.timestamp = timestamp
        self.earlier = earlier
        self.later = later
        self.names = names
        self.columns = columns
        self.stored = stored


class NoSuchSeriesError(MarketDataError, LookupError):
    """Nothing is stored under that symbol and timeframe; the message offers the nearest names.

    `made_of` is a stored timeframe from which such bars can be put together, where the hint says so.
    """

    def __init__(
        self, message: str = "", *, hint: str | Hint | None = None, made_of: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.made_of = made_of

    def of_stored(self) -> Self:
        """Take the hint to put bars together back, for calls that only tell of what is stored."""
        if self.made_of is not None:
            self.made_of = self.hint = None
        return self


class HistoryTrimmedError(MarketDataError, LookupError):
    """What bars were at that time is not known any more: it was let go. It is from `since` on (UTC)."""

    def __init__(
        self, message: str = "", *, hint: str | Hint | None = None, since: datetime | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.since = since


class StaleDataError(MarketDataError, LookupError):
    """The latest ticker, order book or trade of a symbol is older than its TTL, or there is none."""


class QueryError(MarketDataError, ValueError):
    """SQL that DuckDB refuses, or that would change something."""


class QueryTimeoutError(QueryError, TimeoutError):
    """SQL that took longer than its `timeout`."""


class StoreClosedError(MarketDataError, RuntimeError):
    """The store was used after `close()`."""


class ForkedError(MarketDataError, RuntimeError):
    """Polars was running when this process was forked, and would hang in it."""


class StoreFileError(MarketDataError, OSError):
    """The store's file cannot be opened, is damaged, or is no store."""


class DamagedDataError(StoreFileError):
    """What is stored is not what was written: the digests do not fit, or a page cannot be read.

    Nothing of it was served or written over. `series` is the symbol and timeframe it is of, and `start` and
    `end` the range in ms, each None where it is not known.
    """

    def __init__(
        self,
        message: str = "",
        *,
        series: tuple[str, str] | None = None,
        start: int | None = None,
        end: int | None = None,
        hint: str | Hint | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.series = series
        self.start = start
        self.end = end


class NewerSchemaError(StoreFileError):
    """The file was written by a newer mdstore; it was left untouched."""


class ReadOnlyError(StoreFileError, PermissionError):
    """The store is open for reading only, and this would write to it; or needs a write before it is read."""


class StoreBusyError(StoreFileError, TimeoutError):
    """Another process or thread kept the write lock longer than the busy timeout."""


class LiveFileError(MarketDataError, PermissionError):
    """Something else in this process tried to open the file of an open store.

    POSIX locks belong to the process: closing any descriptor of the file drops the locks that SQLite holds
    on it, and committed candles are lost. See "How to corrupt an SQLite database file", section 2.2,
    https://www.sqlite.org/howtocorrupt.html
    """


class MaintenanceStoppedError(MarketDataError, InterruptedError):
    """Upkeep was told to stop, or a guard stopped it: the file is as sound as before, nothing is lost."""


class ScannerError(MarketDataError, RuntimeError):
    """The DuckDB scanner process could not be started, or died twice on the same read."""


class FeedError(MarketDataError, ConnectionError):
    """An exchange refused something by a message of its own, or a connection fell silent."""


class SourceError(MarketDataError, ConnectionError):
    """An exchange that was asked for candles gave none, or gave what is not proven to be an answer.

    `of_host` tells whether it would have failed whatever was asked for; otherwise it is of that series alone.
    """

    def __init__(self, message: str = "", *, hint: str | Hint | None = None, of_host: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.of_host = of_host


class BannedError(SourceError, PermissionError):
    """An exchange answers nothing for longer than is waited; `until` is when it does again, ms since 1970."""

    def __init__(self, message: str = "", *, until: int = 0, hint: str | Hint | None = None) -> None:
        super().__init__(message, hint=hint)
        self.until = until


class ClockError(SourceError):
    """The clocks of an exchange and of this machine are far apart: what has ended cannot be told."""


class NoSuchMarketError(SourceError, LookupError):
    """An exchange has no market of that symbol, or has it no more."""

    def __init__(self, message: str = "", *, hint: str | Hint | None = None) -> None:
        super().__init__(message, hint=hint, of_host=False)


class FileFormatError(MarketDataError, ValueError):
    """A data file that cannot be read as candles; the message names the file and what was missing.

    `found` are the columns of a candle that a table has, where it lacks others; None for any other trouble.
    """

    def __init__(
        self, message: str = "", *, hint: str | Hint | None = None, found: frozenset[str] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.found = found
