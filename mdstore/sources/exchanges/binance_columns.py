"""The twelve fields of a bar of Binance, in its answers as in the files of its archive."""

from __future__ import annotations

from typing import Final

from mdstore.core.schema import CANDLE_COLUMNS

__all__ = ["COLUMNS", "KEPT"]

COLUMNS: Final = (
    *CANDLE_COLUMNS, "close_time", "quote_asset_volume", "number_of_trades",
    "taker_buy_base_asset_volume", "taker_buy_quote_asset_volume", "ignore",
)  # fmt: skip
KEPT: Final = tuple(name for name in COLUMNS if name not in ("close_time", "ignore"))
"""Those that a page has."""
