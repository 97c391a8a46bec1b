"""New rows of many series behind their ends: looked up, written, hashed and sealed together.

One by one it was paid by the series: 10,000 series of 250 rows took 12 queries of Polars and 25 statements
each, four times as long as SQLite takes for their rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate, compress

import polars as pl

from mdstore.candles.file import catalogue
from mdstore.candles.file.bar_columns import of_columns
from mdstore.candles.file.bar_digests import Sums
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.digests import Key
from mdstore.candles.file.table_writes import upsert_stack
from mdstore.candles.file.wide_rows import values_of
from mdstore.candles.packs import cells
from mdstore.candles.writes.bar_changes import Changes
from mdstore.candles.writes.batch_sealer import SEAL_LEAST, BatchSealer
from mdstore.candles.writes.next_bars import NextBars, next_of
from mdstore.candles.writes.preparing import Prepared, prepare
from mdstore.candles.writes.seen import Seen
from mdstore.core.checked_rows import Group, Stack
from mdstore.core.time_bounds import FOREVER

__all__ = ["Appends"]


class Appends:
    """Writes stacks in one transaction; `seen` and `counts` are those of its `Landing`.

    Next bars that come from `source` are entered together; where it is None, series by series.
    """

    def __init__(
        self,
        con: Writer,
        sealer: BatchSealer,
        seen: dict[Key, Seen],
        counts: Counter[str],
        source: str | None,
    ) -> None:
        self._con = con
        self._sealer = sealer
        self._seen = seen
        self._counts = counts
        self._source = source
        self.next: dict[str, NextBars] = {}
        """Next bars that are written and yet to be entered, by timeframe; they are of no series in `seen`."""

    def land(self, stack: Stack) -> Iterator[Group]:
        """Write the series whose rows are all new and behind their ends; return the groups of the others."""
        left = self._without_next(stack)
        return iter(()) if left is None else self._land(left)

    def see(self, timeframe: str) -> None:
        """Take note of next bars series by series, before more of these series is written."""
        bars = self.next.pop(timeframe, None)
        if bars is not None:
            seen = []
            for key, end, behind in bars.behind():
                seen.append(self._seen.setdefault(key, Seen(Changes(*key), end=end, behind=behind)))
            self._note(seen, pl.Series(bars.times), range(1, len(seen) + 1), bars.sums)

    def _without_next(self, stack: Stack) -> Stack | None:
        """Write the bars that are the next of their series, and return the others; None where all are."""
        is_first = all(timeframe != stack.timeframe for _, timeframe in self._seen)
        if self._source is None or len(stack.rows) > len(stack.ends) or not is_first:
            return stack
        are, stored = next_of(self._con, stack, self._source)
        if not any(are):
            return stack
        chosen = prepare(stack if all(are) else _only(stack, are))
        self._upsert(chosen)
        self.next[stack.timeframe] = NextBars(
            stack.timeframe, chosen.symbols, chosen.rows["timestamp"].to_list(), chosen.sums,
            list(compress(stored, are)),
        )  # fmt: skip
        return None if all(are) else _only(stack, [not one for one in are])

    def _land(self, stack: Stack) -> Iterator[Group]:
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
        ready = prepare(stack)
        self._upsert(ready)
        batch = of_columns(ready.columns)
        for one, at, end in zip(seen, (0, *stack.ends), stack.ends, strict=False):
            if end - at >= SEAL_LEAST:
                self._sealer.take(one.changes.key, one.next_cell, batch.slice(at, end - at))
        self._note(seen, stack.rows["timestamp"], stack.ends, ready.sums)

    def _upsert(self, ready: Prepared) -> None:
        with self._con.telling(None):
            upsert_stack(self._con, ready.timeframe, ready.symbols, ready.ends, ready.packed)
        self._counts["inserted"] += len(ready.rows)

    def _note(
        self, seen: Sequence[Seen], times: pl.Series, ends: Sequence[int], sums: Sequence[Sums]
    ) -> None:
        """Take note of new rows of series that are written, those of the i-th up to `ends[i]` of a column."""
        moments, at = values_of(times.to_arrow()), 0
        for one, end, added in zip(seen, ends, sums, strict=True):
            own = moments[at:end]
            one.changes.arrive(self._con, own, added)
            one.note(times, at, end, own[0], own[-1])
            one.inserted += end - at
            one.changed = True
            at = end


def _only(stack: Stack, wanted: Sequence[bool]) -> Stack:
    """Return the series that are wanted, one at least."""
    if len(stack.rows) == len(stack.ends):
        rows = stack.rows.filter(pl.Series(wanted))
        return Stack(stack.timeframe, list(compress(stack.symbols, wanted)), range(1, len(rows) + 1), rows)
    chosen = [group for group, is_wanted in zip(stack.groups(), wanted, strict=True) if is_wanted]
    rows = pl.concat([group.rows for group in chosen])
    ends = list(accumulate(len(group.rows) for group in chosen))
    return Stack(stack.timeframe, [group.symbol for group in chosen], ends, rows)
