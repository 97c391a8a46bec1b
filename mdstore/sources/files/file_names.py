"""What a file's name says: symbol, timeframe, and the date of a Lean file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from mdstore.core.timeframe import Timeframe, as_timeframe
from mdstore.errors import InvalidInputError

__all__ = ["Lean", "Named", "from_pattern", "guess", "lean", "lean_symbol"]

TIMEFRAME = r"[1-9][0-9]{0,3}[smhdwM]"
PLACEHOLDERS = {
    r"\{symbol\}": r"(?P<symbol>.+?)",
    r"\{timeframe\}": rf"(?P<timeframe>{TIMEFRAME})",
    r"\*": ".*",
}
SEPARATORS = re.compile(r"([-_ .]+)")
# Parts of a name that say nothing of a symbol.
FILLERS = re.compile(
    "data|candles?|export|ohlcv?|bars|prices?|history|historical|klines?|trades?|minute|hour|hourly|daily"
    "|stocks?|crypto|market|test|sample|full|[0-9]+",
    re.IGNORECASE,
)
# A name of more parts is rather a sentence than a symbol.
MOST_PARTS = 2
LEAN_NAME = re.compile(r"(?P<date>\d{8})_(?P<symbol>[^_]+)_(?P<resolution>second|minute)_trade")
LEAN_ZIP = re.compile(r"(?:.*_)?(?P<symbol>[^_]+)_trade")
LEAN_TIMEFRAMES = {"second": "1s", "minute": "1m"}


@dataclass(frozen=True, slots=True)
class Named:
    """What a name says; None where it says nothing."""

    symbol: str | None = None
    timeframe: str | None = None


@dataclass(frozen=True, slots=True)
class Lean:
    """The name of a file of QuantConnect's Lean: one day, its times in milliseconds since midnight."""

    symbol: str
    timeframe: str
    midnight: int


def from_pattern(pattern: str, stem: str) -> Named | None:
    """Match a name without suffixes against a pattern such as `{symbol}-{timeframe}`; None if it differs.

    `*` stands for anything. Raises `InvalidInputError` for a pattern without `{symbol}`.

    >>> from_pattern("{symbol}_{timeframe}", "BTC_KRW_1m")
    Named(symbol='BTC_KRW', timeframe='1m')
    """
    match = _compiled(pattern).fullmatch(stem)
    if match is None:
        return None
    groups = match.groupdict()
    timeframe = groups.get("timeframe")
    return Named(groups["symbol"], str(Timeframe.parse(timeframe)) if timeframe else None)


def guess(stem: str) -> Named:
    """Read symbol and timeframe from a name as exchanges and tools write them.

    >>> guess("ADABTC-1m-2021-11-28")
    Named(symbol='ADABTC', timeframe='1m')
    >>> guess("AAPL_data")
    Named(symbol='AAPL', timeframe=None)
    >>> guess("my_prices")
    Named(symbol=None, timeframe=None)
    """
    parts = SEPARATORS.split(stem)
    words = parts[::2]
    times = [number for number, word in enumerate(words) if as_timeframe(word)]
    timeframe = as_timeframe(words[times[0]]) if times else None
    head = words[: times[0]] if times else words
    bare = head
    while bare and FILLERS.fullmatch(bare[-1]):
        bare = bare[:-1]
    return Named(
        "".join(parts[: 2 * len(bare) - 1]) if _is_symbol(bare, alone=bare == head) else None, timeframe
    )


def lean(stem: str) -> Lean | None:
    """Read the name of a Lean minute or second file, such as `20161007_btcusd_minute_trade`."""
    match = LEAN_NAME.fullmatch(stem)
    if match is None:
        return None
    try:
        midnight = datetime.strptime(match["date"], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    timeframe = LEAN_TIMEFRAMES[match["resolution"]]
    return Lean(match["symbol"].upper(), timeframe, int(midnight.timestamp()) * 1000)


def lean_symbol(stems: tuple[str, ...]) -> str | None:
    """Return the symbol of a Lean hour or day file: in capitals, as in its minute files.

    >>> lean_symbol(("btcusd", "daily_btcusd_trade"))
    'BTCUSD'
    """
    if len(stems) == 1:
        return None
    match = LEAN_ZIP.fullmatch(stems[1])
    return stems[0].upper() if match is not None and match["symbol"] == stems[0] else None


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    if pattern.count("{symbol}") != 1 or pattern.count("{timeframe}") > 1:
        raise InvalidInputError(
            f"the pattern {pattern!r} needs {{symbol}} once and may hold {{timeframe}} once, "
            "such as '{symbol}_data' or '{symbol}-{timeframe}'; * stands for anything"
        )
    expression = re.escape(pattern)
    for escaped, group in PLACEHOLDERS.items():
        expression = expression.replace(escaped, group)
    return re.compile(expression)


def _is_symbol(words: list[str], *, alone: bool) -> bool:
    """Tell whether words look like a symbol: few and in capitals, or a single one with no other beside it."""
    if not 0 < len(words) <= MOST_PARTS or not all(word.isalnum() for word in words):
        return False
    return all(word == word.upper() for word in words) or (alone and len(words) == 1)
