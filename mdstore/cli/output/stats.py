"""What `mdstore stats` prints: how much the file and its packs take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from mdstore.cli.shared.json_text import json_text
from mdstore.cli.shared.texts import count, size_text

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["print_stats"]


def print_stats(store: MarketDataStore, out: Console, *, json: bool) -> None:
    """Print what the file and its packs take."""
    stats = store.maintenance.stats()
    if json:
        print(json_text(stats))
        return
    rows = int(stats["rows"])
    for name, size in (("SQLite file", stats["sqlite_bytes"]), ("packs", stats["pack_bytes"])):
        each = f"  {int(size) / rows:.1f} B a candle" if rows else ""
        out.print(f"{name:<12}{size_text(float(size)):>10}{each}", highlight=False)
    places = f"{count(int(stats['cells']), 'cell')} and {count(int(stats['packs']), 'pack')}"
    sealed = f"{stats['sealed_rows']:,} in {places}"
    out.print(
        f"{'candles':<12}{stats['rows']:>10,}  {sealed}, {stats['loose_rows']:,} loose", highlight=False
    )
    if stats["frozen_rows"]:
        each = f"{int(stats['frozen_bytes']) / int(stats['frozen_rows']):.1f} B each"
        out.print(f"{'frozen':<12}{stats['frozen_rows']:>10,}  {each} in the SQLite file", highlight=False)
    if stats["revisions"] or stats["revisions_since"]:
        kept = f"since {stats['revisions_since']}" if stats["revisions_since"] else "all of them"
        size = size_text(float(stats["revision_bytes"]))
        out.print(
            f"{'earlier':<12}{stats['revisions']:>10,}  values of bars in {size}, {kept}", highlight=False
        )
    since = stats["wal_pinned_since"]
    pinned = f"  a long read has kept it from being shortened since {since}" if since else ""
    out.print(f"{'log':<12}{size_text(float(stats['wal_bytes'])):>10}{pinned}", highlight=False)
    if stats["packs_set_aside"]:
        out.print(f"set aside   {stats['packs_set_aside']}", highlight=False, markup=False)
    if stats["pack_trouble"]:
        out.print(str(stats["pack_trouble"]), highlight=False, markup=False)
