"""How many bars exchanges give at most: an answer of just so many may have been cut off.

A row an exchange, with the limits of its candle endpoints as their documentation states them. To add one: a
row here, and the test finds it.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BY_EXCHANGE", "is_full_page"]

BY_EXCHANGE: Final[dict[str, tuple[int, ...]]] = {
    "upbit": (200,),
    "bithumb": (200,),
    "binance": (500, 1_000, 1_500),
    "bybit": (200, 1_000),
    "okx": (100, 300),
    "coinbase": (300, 350),
    "kucoin": (1_500,),
    "kraken": (720,),
    "bitget": (200, 1_000),
    "gate": (1_000,),
    "bitfinex": (10_000,),
    "polygon": (5_000, 50_000),
}
SIZES: Final = frozenset(size for sizes in BY_EXCHANGE.values() for size in sizes)


def is_full_page(rows: int) -> bool:
    """Tell whether a number of bars is one at which exchanges cut their answers off.

    >>> is_full_page(200), is_full_page(199)
    (True, False)
    """
    return rows in SIZES
