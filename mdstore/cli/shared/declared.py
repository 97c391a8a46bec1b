"""The columns that a store keeps beside those of candles, for commands that read or write all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdstore.core.extra_columns import Extra
from mdstore.core.schema import CANDLE_COLUMNS

if TYPE_CHECKING:
    import polars as pl

    from mdstore.store.store import MarketDataStore

__all__ = ["all_columns", "declared_in", "without_empty"]

DERIVED = ("closed", "bars", "of")


def declared_in(store: MarketDataStore) -> list[Extra]:
    """Return what is declared."""
    rows = store.declared().iter_rows()
    return [Extra(name, rule, *(tuple(texts) for texts in lists)) for name, rule, *lists in rows]


def all_columns(store: MarketDataStore, *, derived: bool, filled: bool) -> tuple[str, ...] | None:
    """Return the columns of a read that has the declared ones, too; None where none are declared."""
    names = [one.name for one in declared_in(store)]
    made = (*(DERIVED if derived else ()), *(("filled",) if filled else ()))
    return (*CANDLE_COLUMNS, *names, *made) if names else None


def without_empty(store: MarketDataStore, frame: pl.DataFrame) -> pl.DataFrame:
    """Leave out declared columns of which no bar in a frame has a value."""
    names = [one.name for one in declared_in(store) if one.name in frame.columns]
    return frame.drop(name for name in names if frame[name].null_count() == len(frame))
