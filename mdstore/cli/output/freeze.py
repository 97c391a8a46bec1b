"""What `mdstore freeze` and `mdstore thaw` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from mdstore.cli.shared.json_text import json_text
from mdstore.cli.shared.texts import count, size_text

if TYPE_CHECKING:
    from mdstore.candles.upkeep.freezing import Frozen
    from mdstore.store.store import MarketDataStore

__all__ = ["print_frozen"]


def print_frozen(found: Frozen, store: MarketDataStore, out: Console, *, done: str, json: bool) -> None:
    """Print how many rows were frozen or thawed, and how many are frozen now."""
    stats = store.maintenance.stats()
    rows, size = int(stats["frozen_rows"]), int(stats["frozen_bytes"])
    if json:
        print(json_text({"rows": found.rows, "series": found.series, "frozen": rows, "frozen_bytes": size}))
        return
    what = f"{count(found.rows, 'row')} of {found.series:,} series {done}"
    each = f", {size / rows:.1f} B each" if rows else ""
    out.print(f"{what}; {rows:,} are frozen now, {size_text(float(size))}{each}", highlight=False)
    if found.rows and done == "frozen":
        out.print("`mdstore optimize` gives the pages that are free now back to the system", highlight=False)
