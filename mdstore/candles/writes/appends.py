"""New rows of many series behind their ends: looked up, written, hashed and sealed together.

One by one it was paid by the series: 10,000 series of 250 rows took 12 queries of Polars and 25 statements
each, four times as long as SQLite takes for their rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate

import polars as pl

from mdstore.candles.file import catalogue
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.table_writes import upsert_stack
from mdstore.candles.file.wide_rows import values_of
from mdstore.candles.packs import cells
from mdstore.candles.writes.bar_changes import Changes
from mdstore.candles.writes.batch_sealer import SEAL_LEAST, BatchSealer, of_columns
from mdstore.candles.writes.preparing import prepare
from mdstore.candles.writes.seen import Seen
from mdstore.core.checked_rows import Group, Stack
from mdstore.core.time_bounds import FOREVER

__all__ = ["Appends"]


class Appends:
    """Writes stacks in one transaction; `seen` and `counts` are those of its `Landing`."""

    def __init__(
        self, con: Writer, sealer: BatchSealer, seen: dict[tuple[str, str], Seen], counts: Counter[str]
    ) -> None:
        self._con = con
        self._sealer = sealer
        self._seen = seen
        self._counts = counts

    def land(self, stack: Stack) -> Iterator[Group]:
        """Write the series whose rows are all new and behind their ends; return the groups of the others."""
        times = stack.rows["timestamp"]
        firsts = times.gather([0, *stack.ends[:-1]]).to_list()
        seen = self._seen_of(stack)
        behind = [not one.given and one.is_behind(first) for one, first in zip(seen, firsts, strict=True)]
        if all(behind):
            self._write(stack, seen)
            return iter(())
        if any(behind):
            self._write(_only(stack, behind), [one for one, new in zip(seen, behind, strict=True) if new])
        return (group for group, new in zip(stack.groups(), behind, strict=True) if not new)

    def _seen_of(self, stack: Stack) -> list[Seen]:
        """Return what the call knows of each series of a stack, and where what is stored of it ends."""
        keys = [(symbol, stack.timeframe) for symbol in stack.symbols]
        seen = [self._seen.get(key) or self._seen.setdefault(key, Seen(Changes(*key))) for key in keys]
        unknown = [one for one in seen if one.behind is None]
        if unknown:
            symbols = [one.changes.key[0] for one in unknown]
            stored = catalogue.lasts(self._con, stack.timeframe, symbols)
            ends = cells.ends_of(self._con, stack.timeframe, list(stored)) if stored else {}
            for symbol, one in zip(symbols, unknown, strict=True):
                one.end = stored.get(symbol, -FOREVER - 1)
                one.behind = cells.next_start(one.end, ends.get(symbol, -FOREVER))
        return seen

    def _write(self, stack: Stack, seen: Sequence[Seen]) -> None:
        ready, times = prepare(stack), stack.rows["timestamp"]
        with self._con.telling(None):
            upsert_stack(self._con, stack.timeframe, stack.symbols, stack.ends, ready.packed)
        batch, moments, at = of_columns(ready.columns), values_of(ready.columns[0]), 0
        for one, end, added in zip(seen, stack.ends, ready.sums, strict=True):
            if end - at >= SEAL_LEAST:
                self._sealer.take(one.changes.key, one.next_cell, batch.slice(at, end - at))
            own = moments[at:end]
            one.changes.arrive(self._con, own, added)
            one.note(times, at, end, own[0], own[-1])
            one.inserted += end - at
            one.changed = True
            at = end
        self._counts["inserted"] += len(stack.rows)


def _only(stack: Stack, wanted: Sequence[bool]) -> Stack:
    """Return the series that are wanted, one at least."""
    chosen = [group for group, is_wanted in zip(stack.groups(), wanted, strict=True) if is_wanted]
    rows = pl.concat([group.rows for group in chosen])
    ends = list(accumulate(len(group.rows) for group in chosen))
    return Stack(stack.timeframe, [group.symbol for group in chosen], ends, rows)
