"""Tickers in the names of columns: `AAPL.Open`, `Open_AAPL`, `('Open', 'AAPL')`, `VIX Open`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from mdstore.core.schema import PRICES

__all__ = ["by_ticker"]

FIELD = r"(?P<field>open|high|low|close|volume)"
TICKER = r"(?P<ticker>\^?[A-Z0-9][A-Z0-9.^=\-/&]*)"
# pandas writes names of two levels as tuples. A ticker is in capitals: `bid_open` is none.
PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\('(?i:{FIELD})', '{TICKER}'\)",
        rf"\('{TICKER}', '(?i:{FIELD})'\)",
        rf"{TICKER}[ ._:|](?i:{FIELD})",
        rf"(?i:{FIELD})[ ._:|]\(?{TICKER}\)?",
    )
)
# Words in capitals that say which price it is, and not of what.
NO_TICKERS = {
    "ADJ", "ADJUSTED", "PRICE", "BID", "ASK", "MID", "MARK", "INDEX", "RAW", "PREV", "PREVIOUS", "DAY",
    "DAILY", "AVG", "AVERAGE", "UNADJUSTED", "PRE", "POST", "SESSION", "MARKET", "HA", "USD", "EUR", "KRW",
    "JPY", "USDT", "TIME", "INTEREST", "MA", "EMA", "SMA", "CHANGE", "PCT", "RATIO",
}  # fmt: skip


def by_ticker(columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Map tickers in the names of columns to their columns, canonical name to own.

    A ticker counts that has all four prices.

    >>> by_ticker(["Date", "AAPL.Open", "AAPL.High", "AAPL.Low", "AAPL.Close", "AAPL.Adjusted"])
    {'AAPL': {'open': 'AAPL.Open', 'high': 'AAPL.High', 'low': 'AAPL.Low', 'close': 'AAPL.Close'}}
    """
    return {ticker: dict(found) for ticker, found in _by_ticker(tuple(columns)).items()}


@lru_cache(maxsize=256)
def _by_ticker(columns: tuple[str, ...]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name in columns:
        match = next(filter(None, (pattern.fullmatch(name.strip()) for pattern in PATTERNS)), None)
        if match is not None and match["ticker"] not in NO_TICKERS:
            found.setdefault(match["ticker"], {}).setdefault(match["field"].lower(), name)
    return {ticker: columns for ticker, columns in found.items() if columns.keys() >= set(PRICES)}
