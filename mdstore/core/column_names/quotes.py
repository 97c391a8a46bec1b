"""Currencies in names of columns: which volume is that of what is traded, and what prices are in."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["FIAT", "base_volume", "without_currency"]

# What prices are in: a `currency` that is one of these in all rows says nothing of what is traded.
FIAT = {
    "USD", "EUR", "GBP", "JPY", "KRW", "CNY", "HKD", "TWD", "INR", "CAD", "AUD", "NZD", "CHF", "SEK", "NOK",
    "DKK", "PLN", "BRL", "MXN", "ZAR", "TRY", "RUB", "SGD", "THB", "IDR", "ILS", "GBp", "USDT", "USDC",
}  # fmt: skip
# In a pair of coins the one that is nearer the end of this list is what the price is in: ETH/BTC, BNB/ETH.
COIN_QUOTES = ("BNB", "ETH", "XBT", "BTC")
DOLLARS = {"BUSD", "FDUSD", "TUSD", "DAI", "USDP"}
# A word alone is a currency where it is a known one: `Volume SMA` is an average.
KNOWN = (
    FIAT
    | DOLLARS
    | set(COIN_QUOTES)
    | {"LTC", "XRP", "ADA", "SOL", "DOGE", "DOT", "BCH", "EOS", "TRX", "LINK"}
)
# `Volume BTC`, `Volume_BTC`, `Volume (BTC)`, `Volume_(BTC)`
VOLUME_OF = re.compile(
    r"vol(?:ume)?\.?[ _]*(?:\((?P<bracketed>[A-Z0-9]{2,10})\)|[ _](?P<bare>[A-Z0-9]{2,10}))", re.IGNORECASE
)
# `open (USD)`, `Close_(KRW)`
IN_CURRENCY = re.compile(r"(?P<name>.*?)[\s_]*\((?P<currency>[A-Za-z]{3,4})\)")


def base_volume(names: Mapping[str, str]) -> str | None:
    """Return which of some names (by cleaned name) is the volume in what is traded; None if nothing tells.

    >>> base_volume({"volume btc": "Volume BTC", "volume usd": "Volume USD"})
    'Volume BTC'
    >>> base_volume({"volume usd": "Volume USD"}) is None
    True
    """
    found = {code: name for name in names.values() if (code := _code(name))}
    if not any(code in KNOWN or f"({code})" in name for code, name in found.items()):
        return None
    traded = [code for code in found if code not in FIAT | DOLLARS]
    for quote in reversed(COIN_QUOTES):
        if len(traded) > 1 and quote in traded:
            traded.remove(quote)
    return found[traded[0]] if len(traded) == 1 else None


def _code(name: str) -> str | None:
    match = VOLUME_OF.fullmatch(name.strip())
    if match is None:
        return None
    code = match["bracketed"] or match["bare"]
    return code if code == code.upper() and not code.isdigit() else None


def without_currency(name: str) -> str | None:
    """Return a column's name without the currency in its brackets; None where there is none.

    >>> without_currency("4a. close (USD)")
    '4a. close'
    """
    match = IN_CURRENCY.fullmatch(name.strip())
    return match["name"] if match and match["currency"].upper() in FIAT | DOLLARS else None
