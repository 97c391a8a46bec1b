"""What `mdstore series` prints: the catalogue of what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from mdstore.cli.shared.json_text import json_text, records
from mdstore.cli.shared.table import print_frame
from mdstore.cli.shared.texts import count, is_intraday, moment, size_text

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["print_series"]


def print_series(store: MarketDataStore, out: Console, remarks: Console, *, json: bool) -> None:
    """Print the catalogue as a table or as JSON."""
    series = store.series()
    if json:
        print(json_text(records(series)))
        return
    texts = {"size": [size_text(size) for size in series["bytes"]]}
    for end in ("first", "last"):
        pairs = zip(series[end], series["timeframe"], strict=True)
        texts[end] = [moment(time, intraday=is_intraday(bar)) for time, bar in pairs]
    shown = series.with_columns(pl.Series(name, cells, pl.String) for name, cells in texts.items())
    print_frame(out, shown.drop("bytes", "revision"), spare=("size", "first", "last"))
    remarks.print(
        f"{count(int(series['rows'].sum()), 'row')} in {store.path.name}", highlight=False, markup=False
    )
