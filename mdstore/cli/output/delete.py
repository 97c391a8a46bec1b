"""What `mdstore delete` asks before it deletes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdstore.cli.shared.texts import count
from mdstore.cli.shared.which_series import refuse_unknown

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["what_goes"]


def what_goes(
    store: MarketDataStore, symbol: str, timeframe: str | None, start: str | None, end: str | None
) -> str:
    """Return what a deletion would take away, in words for the question that is asked before it."""
    series = refuse_unknown(store, symbol, timeframe)
    bars = ", ".join(series["timeframe"])
    if start is None and end is None:
        return f"{symbol} {bars}, {count(int(series['rows'].sum()), 'row')}"
    ranges = (
        store.arrow(symbol, bar, start=start, end=end, columns=["close"]) for bar in series["timeframe"]
    )
    rows = count(sum(table.num_rows for table in ranges), "row")
    return f"what lies in [{start or 'the beginning'}, {end or 'the end'}) of {symbol} {bars} ({rows})"
