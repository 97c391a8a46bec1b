"""The parts of a ticker, each seen at a time of its own: the price, the day, and the best bid and ask."""

from __future__ import annotations

from typing import Any

from mdstore.realtime.rows import Ticker

__all__ = ["fresh_part"]

DAY = ("open", "high", "low", "change", "change_rate", "volume_24h", "value_24h")
BEST = ("bid", "bid_size", "ask", "ask_size")


def fresh_part(row: Ticker, cut: int) -> Ticker | None:
    """Return a ticker without what was seen at a time (ms) or before; None where its price was."""
    age = (row.timestamp - cut) / 1000
    if (row.price_age or 0.0) >= age:
        return None
    old: dict[str, Any] = {}
    if (row.day_age or 0.0) >= age:
        old |= dict.fromkeys(DAY)
    if (row.best_age or 0.0) >= age:
        old |= dict.fromkeys(BEST)
    return row._replace(**old) if old else row
