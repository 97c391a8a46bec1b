"""What can name a symbol, and which symbols are alike."""

from __future__ import annotations

from collections.abc import Collection
from operator import eq

from mdstore.core.excerpts import excerpt
from mdstore.errors import InvalidInputError

__all__ = ["LONGEST_SYMBOL", "can_name", "check_symbol", "not_names", "symbol_parts"]

LONGEST_SYMBOL = 128


def check_symbol(symbol: object) -> str:
    """Return `symbol` if it can name a series; raise `InvalidInputError` otherwise."""
    if not isinstance(symbol, str):
        raise InvalidInputError(f"a symbol is a text such as 'KRW-BTC', not {symbol!r}")
    if not can_name(symbol):
        raise InvalidInputError(
            f"{excerpt(symbol)!r} cannot be a symbol: 1 to {LONGEST_SYMBOL} printable characters, no space "
            "at the ends"
        )
    return symbol


def can_name(symbol: str) -> bool:
    """Tell whether a text can name a symbol."""
    return symbol == symbol.strip() and symbol.isprintable() and 0 < len(symbol) <= LONGEST_SYMBOL


def not_names(texts: Collection[str]) -> list[str]:
    """Return those of some texts that cannot name a symbol; all are looked at together, as most are names."""
    lengths = set(map(len, texts))
    together = not lengths or (min(lengths) > 0 and max(lengths) <= LONGEST_SYMBOL)
    if together and "".join(texts).isprintable() and all(map(eq, texts, map(str.strip, texts))):
        return []
    return [text for text in texts if not can_name(text)]


def symbol_parts(symbol: str) -> str:
    """Reduce a symbol to what people agree on: BTC/KRW, krw_btc and KRW-BTC have the same parts.

    >>> symbol_parts("krw_btc")
    'BTC KRW'
    """
    parts = "".join(c if c.isalnum() else " " for c in symbol.upper()).split()
    return " ".join(sorted(parts))
