"""What a transaction adds to the digests, and takes away: gathered as rows change, entered at its end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import apsw

from mdstore.candles.file.bar_digests import Sums, sums_of
from mdstore.candles.file.declared_columns import names_of
from mdstore.candles.file.digests import KINDS, Key, ceiling, floor, key_of, span_of
from mdstore.candles.file.row_hashes import MASK, hash_of_row
from mdstore.candles.file.table_reads import read_range

__all__ = ["Carried", "Writer"]

PLACES: Final = {kind: place for place, kind in enumerate(KINDS)}
NOTHING: Final = (0,) * len(KINDS)
States = dict[Key, tuple[int, int]]
"""Whether series are wholly under digests, and the buckets that they wrote last."""
# The bucket that was written last has its sum in the row of its series; this moves it to the others.
SPILL = f"""
INSERT INTO bucket_digests (symbol, timeframe, bucket, candles)
SELECT symbol, timeframe, bucket, candles FROM digests WHERE timeframe = ?1 AND symbol = ?2 AND candles != 0
ON CONFLICT DO UPDATE SET candles = (coalesce(candles, 0) + excluded.candles) & {MASK}
"""  # noqa: S608 - of constants
STATE = "SELECT whole, bucket FROM digests WHERE timeframe = ? AND symbol = ?"
STATES = """
SELECT symbol, whole, bucket FROM carray(?2) AS wanted CROSS JOIN digests
WHERE timeframe = ?1 AND symbol = wanted.value
"""
GO_ON = f"""
INSERT INTO digests (symbol, timeframe, {", ".join(KINDS)}) VALUES (?, ?{", ?" * len(KINDS)})
ON CONFLICT DO UPDATE SET {", ".join(f"{kind} = ({kind} + excluded.{kind}) & {MASK}" for kind in KINDS)}
"""  # noqa: S608
GO_ON_WITH_BARS = f"""
INSERT INTO digests (symbol, timeframe, bucket, candles, {", ".join(KINDS)})
VALUES (?, ?, ?, ?{", ?" * len(KINDS)})
ON CONFLICT DO UPDATE SET bucket = excluded.bucket,
  candles = (CASE WHEN bucket = excluded.bucket THEN candles ELSE 0 END + excluded.candles) & {MASK},
  {", ".join(f"{kind} = ({kind} + excluded.{kind}) & {MASK}" for kind in KINDS)}
"""  # noqa: S608
LIVE = f"""
UPDATE digests SET candles = (candles + ?1) & {MASK}, series = (series + ?2) & {MASK}
WHERE timeframe = ?3 AND symbol = ?4 AND bucket = ?5 AND whole = 1
"""  # noqa: S608
ADD = f"""
INSERT INTO bucket_digests (symbol, timeframe, bucket, candles) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET candles = (coalesce(candles, 0) + excluded.candles) & {MASK}
"""  # noqa: S608
PUT = """
INSERT INTO bucket_digests (symbol, timeframe, bucket, candles) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET candles = excluded.candles
"""
FORGET = """
UPDATE bucket_digests SET candles = NULL WHERE timeframe = ? AND symbol = ? AND bucket >= ? AND bucket < ?
"""
FORGET_LAST = (
    "UPDATE digests SET candles = 0 WHERE timeframe = ? AND symbol = ? AND bucket >= ? AND bucket < ?"
)
MOST_HASHES = 20_000
READ_WRITE = apsw.SQLITE_OPEN_READWRITE


class Carried:
    """The changes of the digests in one transaction."""

    def __init__(self, con: Writer) -> None:
        self._con = con
        self._rows: dict[Key, list[int]] = {}
        self._bars: dict[Key, Sums] = {}

    def note(self, change: apsw.PreUpdate) -> None:
        """Take note of a row of a small table that changes; SQLite calls it."""
        table = change.table_name
        place = PLACES.get(table)
        if place is not None:
            old, new = change.old, change.new
            row = old or new
            assert row is not None  # noqa: S101 - one of the two is there; for mypy
            key = key_of(table, row)  # of both: no key of a row is ever changed
            sums = self._rows.get(key) or self._rows.setdefault(key, list(NOTHING))
            if old is not None:
                sums[place] -= self._con.hash_of_old(old)
            if new is not None:
                sums[place] += self._con.hash_of_new(new)

    def add(self, key: Key, sums: Mapping[int, int]) -> None:
        """Take note of what candles of a series add to its buckets."""
        known = self._bars.get(key)
        if known is None:
            if sums:
                self._bars[key] = dict(sums)
            return
        for bucket, value in sums.items():
            known[bucket] = known.get(bucket, 0) + value

    def remove(self, key: Key, start: int, end: int, extras: tuple[str, ...]) -> None:
        """Take note that the candles of a series in `[start, end)` are about to be deleted.

        `extras` are all the declared columns that it has values of.
        What is deleted of a bucket is subtracted; a bucket that is left empty has no digest, whatever it had.
        """
        span = span_of(key[1])
        low, high = ceiling(start, span), floor(end, span)
        edges = ((start, min(low, end)), (max(high, start), end)) if low <= high else ((start, end),)
        for first, last in edges:
            if first < last:
                taken = sums_of(read_range(self._con, *key, first, last, extras), span)
                self.add(key, {bucket: -value for bucket, value in taken.items()})
        if low < high:
            for sql in (FORGET, FORGET_LAST):
                self._con.execute(sql, (key[1], key[0], low // span, high // span))

    def settle(self) -> None:
        """Enter all of it, in the transaction that it is of."""
        self._con.preupdate_hook(None)
        states = self._states() if len(self._bars) > 1 else None
        done = self._go_on(states)
        left = {key: bars for key, bars in self._bars.items() if key not in done}
        if left:
            self._settle_bars(left, self._states() if states is None else states)
        if self._rows:
            rows = self._rows.items()
            self._con.executemany(GO_ON, ((*key, *(value & MASK for value in sums)) for key, sums in rows))

    def _go_on(self, states: States | None) -> Collection[Key]:
        """Enter what live bars add, one call for all, and return of which series that was all there is.

        They lie in the bucket that was written last, and but for the catalogue nothing else has changed.
        Which these are is asked before, of all at once: to have each UPDATE say so takes 3 us, of 5.
        """
        live = []
        for key, bars in self._bars.items():
            rows = self._rows.get(key, NOTHING)
            if len(bars) == 1 and not any(rows[1:]):
                ((bucket, value),) = bars.items()
                live.append((value & MASK, rows[0] & MASK, key[1], key[0], bucket))
        if states is not None:
            live = [one for one in live if states.get((one[3], one[2])) == (1, one[4])]
            self._con.executemany(LIVE, live)
        elif live:  # 5 us less
            self._con.execute(LIVE, live[0])
            live = live if self._con.changes() else []
        done = {(symbol, timeframe) for _, _, timeframe, symbol, _ in live}
        for key in done:
            self._rows.pop(key, None)
        return done

    def drop(self) -> None:
        """Forget it: everything is summed up anew in this transaction."""
        self._rows, self._bars = {}, {}

    def _settle_bars(self, left: Mapping[Key, Sums], states: States) -> None:
        """Enter what candles add; the sums of the small tables that the series have go with them.

        A call for each step: one for each series takes four times as long, of 10,000 series.
        """
        spilled, entered, closed = [], [], []
        for key, bars in left.items():
            whole, bucket = states.get(key, (1, None))
            if not whole:
                self._sum_up(key, bars)
                continue
            last = max(bars)
            if bucket is not None and last < bucket:
                last = bucket
            elif bucket is not None and last > bucket:
                spilled.append((key[1], key[0]))
            rows = self._rows.pop(key, NOTHING)
            value = bars.pop(last, 0)
            entered.append((*key, last, value & MASK, *(one & MASK for one in rows)))
            closed += [(*key, bucket, value & MASK) for bucket, value in bars.items()]
        for sql, given in ((SPILL, spilled), (GO_ON_WITH_BARS, entered), (ADD, closed)):
            if given:
                self._con.executemany(sql, given)

    def _states(self) -> States:
        """Return of the series with candles that changed what is known of their digests."""
        if len(self._bars) == 1:  # a list of one takes 15 us more
            ((symbol, timeframe),) = self._bars
            state = self._con.execute(STATE, (timeframe, symbol)).fetchone()
            return {} if state is None else {(symbol, timeframe): state}
        symbols: dict[str, list[str]] = {}
        for symbol, timeframe in self._bars:
            symbols.setdefault(timeframe, []).append(symbol)
        return {
            (symbol, timeframe): (whole, bucket)
            for timeframe, some in symbols.items()
            for symbol, whole, bucket in self._con.execute(STATES, (timeframe, apsw.carray(tuple(some))))
        }

    def _sum_up(self, key: Key, buckets: Iterable[int]) -> None:
        """Put buckets under a digest, of a series that was there before there were digests."""
        span, extras = span_of(key[1]), names_of(self._con, key)
        for bucket in buckets:
            rows = read_range(self._con, *key, bucket * span, (bucket + 1) * span, extras)
            self._con.execute(PUT, (*key, bucket, sums_of(rows, span).get(bucket, 0)))


class Writer(apsw.Connection):
    """A connection that carries the digests on, in the transactions that are begun and ended for it."""

    def __init__(self, filename: str, flags: int = READ_WRITE | apsw.SQLITE_OPEN_CREATE) -> None:
        super().__init__(filename, flags)
        # Of rows that were written: most rows that change have been, and are not hashed again.
        self._hashes: dict[tuple[apsw.SQLiteValue, ...], int] = {}

    carried: Carried

    def carry(self) -> None:
        """Begin to take note, at the beginning of a transaction."""
        if len(self._hashes) > MOST_HASHES:
            self._hashes.clear()
        self.carried = Carried(self)
        self.preupdate_hook(self.carried.note)

    def hash_of_old(self, row: tuple[apsw.SQLiteValue, ...]) -> int:
        """Return the hash of a row of a small table that is to be changed or deleted."""
        return self._hashes.pop(row, 0) or hash_of_row(row)

    def hash_of_new(self, row: tuple[apsw.SQLiteValue, ...]) -> int:
        """Return the hash of a row of a small table that is written."""
        value = self._hashes[row] = hash_of_row(row)
        return value

    @contextmanager
    def telling(self, hook: apsw.PreupdateHook | None) -> Iterator[None]:
        """Tell another, or nobody, of rows that change: of candles, whose digests the caller sees to."""
        self.preupdate_hook(hook)
        try:
            yield
        finally:
            self.preupdate_hook(self.carried.note)
