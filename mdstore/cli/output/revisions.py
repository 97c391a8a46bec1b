"""What `mdstore revisions` prints: how bars that had ended changed, when, and from whom the change came."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console

from mdstore.cli.shared.json_text import json_text, records
from mdstore.cli.shared.table import Column, print_grid, room
from mdstore.cli.shared.texts import count, is_intraday, moment, number_texts
from mdstore.cli.shared.which_series import refuse_unknown
from mdstore.core.extra_columns import AFTER

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["print_revisions"]

MOST = 20
NAMES = ("symbol", "timeframe", "bar", "changed_at", "value", "before", "after", "source")
SPARE = ("source", "timeframe", "changed_at", "symbol")


def print_revisions(
    store: MarketDataStore,
    out: Console,
    remarks: Console,
    symbol: str | None,
    timeframe: str | None,
    *,
    start: str | None,
    end: str | None,
    rows: int | None,
    json: bool,
) -> None:
    """Print the latest changes of bars, a line for each value that differs, or all as JSON."""
    changes = store.revisions(symbol, timeframe, start=start, end=end)
    if changes.is_empty() and (symbol, timeframe) != (None, None):
        refuse_unknown(store, symbol, timeframe)
    if json:
        print(json_text(records(changes.tail(rows) if rows else changes)))
        return
    rows = rows or MOST
    if changes.is_empty():
        ranged = "" if start is None and end is None else " in this range"
        out.print(f"no bar{ranged} has changed after it had ended", highlight=False)
        return
    said = {"symbol": symbol, "timeframe": timeframe}
    _print(out, changes.tail(rows), [name for name in NAMES if said.get(name) is None])
    which = f"the latest {rows:,} of " if len(changes) > rows else ""
    more = "; --rows shows more, --json all" if len(changes) > rows else ""
    remarks.print(f"{which}{count(len(changes), 'change')}{more}", highlight=False)


def _print(out: Console, changes: pl.DataFrame, names: list[str]) -> None:
    lines = [line for row in changes.iter_rows(named=True) for line in _lines(row)]
    columns = [
        Column(
            name,
            [line.get(name, "") for line in lines],
            right=name in ("before", "after"),
            cut="end" if name in ("symbol", "source") else None,
            spare=SPARE.index(name) if name in SPARE else None,
        )
        for name in names
    ]
    print_grid(out, columns, room(out))


def _lines(row: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield a line for each value that changed. What the lines of a bar share stands in the first only."""
    shared = {
        "symbol": str(row["symbol"]),
        "timeframe": row["timeframe"],
        "bar": moment(row["timestamp"], intraday=is_intraday(row["timeframe"])),
        "changed_at": f"{row['changed_at']:%Y-%m-%d %H:%M:%S}",
        "source": row["source"] or "not said",
    }
    for name in (name.removeprefix(AFTER) for name in row if name.startswith(AFTER)):
        before, after = row[name], row[f"{AFTER}{name}"]
        if before != after:
            texts = _texts(before, after)
            yield {**shared, "value": name, "before": texts[0], "after": texts[1]}
            shared = {}


def _texts(before: float | None, after: float | None) -> list[str]:
    """Write two values; one of a declared column may not be there."""
    if before is None or after is None:
        return ["none" if one is None else number_texts([one])[0] for one in (before, after)]
    texts = number_texts([before, after])
    # They differ only in digits that tables round away: written in full.
    return [repr(before), repr(after)] if texts[0] == texts[1] else texts
