"""What a case is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Bars = Mapping[tuple[str, str], Sequence[tuple]]
"""By symbol and timeframe: rows of time (ISO 8601, UTC) and as many of close, volume, open, high, low as matter."""
VALUES = ("close", "volume", "open", "high", "low")
NAMES = ("timestamp", "open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Write:
    """A call of `store.write`, or of `write_many` where `symbol` is None.

    `bars` must be stored and `result` hold of the answer; or the call is refused with a text that matches
    `refused`, its hint matches `hint`, and `then` (arguments of the call, changed as the hint says) stores
    the bars. `data` may be a function that makes it, where it can be used up.
    """

    name: str
    data: Any
    symbol: str | None = "A"
    timeframe: str | None = "1m"
    options: Mapping[str, Any] = field(default_factory=dict)
    bars: Bars = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    refused: str | None = None
    hint: str | None = None
    then: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Import:
    """A run of `mdstore import`.

    `files` are texts or bytes by path. `said` are patterns that must be found in what it prints. A refusal
    (`refused`, a pattern in the output) may have left other files' `bars`; `then` are arguments, and
    `then_files` files, changed as `hint` says, after which `then_bars` (or `bars`) are stored.
    """

    name: str
    files: Mapping[str, Any]
    arguments: Sequence[str] = ()
    bars: Bars = field(default_factory=dict)
    said: Sequence[str] = ()
    not_said: Sequence[str] = ()
    refused: str | None = None
    hint: str | None = None
    then: Sequence[str] | None = None
    then_files: Mapping[str, Any] | None = None
    then_bars: Bars | None = None


def flat(times, closes=None, **others):
    """Return columns of bars that stand at one price each: 1, 2, 3, ..., or `closes`; volume is ten times that."""
    closes = [float(number) for number in (closes or range(1, len(times) + 1))]
    prices = dict.fromkeys(("open", "high", "low", "close"), closes)
    return {"timestamp": times, **prices, "volume": [10 * close for close in closes], **others}


def dated(times=None, closes=None, /, *, dates=None, **others):
    """Return columns as `flat`, with a date for the timestamp and whatever other columns."""
    rows = len(next(values for values in (times, dates, *others.values()) if values is not None))
    columns = flat([None] * rows, closes)
    del columns["timestamp"]
    return {
        "date": ["2024-01-02"] * rows if dates is None else dates,
        **({"time": times} if times else {}),
        **columns,
        **others,
    }


def csv(columns, header=True, separator=","):
    """Return columns as the text of a CSV file."""
    rows = [columns.keys()] if header else []
    rows += zip(*columns.values(), strict=True)
    return "".join(
        separator.join("" if value is None else str(value) for value in row) + "\n" for row in rows
    )


Maker = Callable[[], Any]
