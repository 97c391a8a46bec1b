"""What `mdstore declare` prints: the columns that are declared, and of which series they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from mdstore.cli.shared.json_text import json_text, records
from mdstore.cli.shared.table import print_frame

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["print_declared", "print_one", "undeclare"]

NONE = "no column is declared: a candle's alone are kept"


def print_declared(store: MarketDataStore, out: Console, *, json: bool) -> None:
    """Print what is declared."""
    declared = store.declared()
    if json:
        print(json_text(records(declared)))
    elif declared.is_empty():
        out.print(NONE, highlight=False)
    else:
        print_frame(out, _shown(declared))


def print_one(store: MarketDataStore, out: Console, name: str, *, json: bool) -> None:
    """Say what was declared just now."""
    one = store.declared().filter(pl.col("name") == name)
    if json:
        print(json_text(records(one)[0]))
        return
    row = _shown(one).row(0, named=True)
    out.print(
        f"{name} is kept of {row['symbols']}, {row['timeframes']}; longer bars have it by {row['resample']}",
        highlight=False,
        markup=False,
    )


def undeclare(store: MarketDataStore, out: Console, name: str, *, json: bool) -> None:
    """Take a declaration back."""
    store.undeclare(name)
    if json:
        print(json_text({"removed": name}))
    else:
        out.print(f"{name} is no longer kept", highlight=False, markup=False)


def _shown(declared: pl.DataFrame) -> pl.DataFrame:
    """Return it with texts in place of lists."""
    none = {"source": "", "symbols": "all symbols", "timeframes": "all timeframes"}
    return declared.with_columns(
        pl.when(pl.col(name).list.len() > 0).then(pl.col(name).list.join(", ")).otherwise(text).alias(name)
        for name, text in ((name, pl.lit(text)) for name, text in none.items())
    )
