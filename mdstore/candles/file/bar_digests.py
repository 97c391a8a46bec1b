"""Candles and their digests, bucket by bucket: what is read from the table is proven before it is used.

A read of a range takes the whole of each bucket that it reaches into, `BUCKET_BARS` bars at most, and all of
many series are hashed at once: to call the functions takes as long as to hash 20,000 rows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import apsw
import polars as pl
import pyarrow as pa

from mdstore.candles.file.bar_columns import ZERO, columns_of_bars, columns_of_frame
from mdstore.candles.file.bar_places import next_bar, nth_bar
from mdstore.candles.file.catalogue import Series
from mdstore.candles.file.digests import BUCKET_BARS, Key, ceiling, damaged, floor, span_of
from mdstore.candles.file.row_hashes import MASK, hash_of_bar, hash_of_wide_bar, hashes_of_bars, sums_between
from mdstore.candles.file.table_reads import Request, read_of_each, read_range
from mdstore.candles.file.wide_rows import WIDTH, between, table_of, times_of, values_of
from mdstore.core.long_table import Long
from mdstore.core.time_bounds import FOREVER
from mdstore.errors import DamagedDataError

__all__ = [
    "FEW", "Proof", "Sums", "bars_of", "expected", "in_order", "piece_end", "ranges_of", "read_proven",
    "read_proven_rows", "readable_parts", "sum_of_bars", "sums_of", "sums_of_bars", "sums_of_batches",
    "sums_of_changes", "sums_of_frame", "sums_of_replaced", "sums_of_stack", "wrong_buckets",
]  # fmt: skip

FEW: Final = 64  # so few are hashed one by one
TOGETHER: Final = 1_000  # series that are read before they are proven: 128 bars of each, 6 MB
PIECE_BUCKETS: Final = 512  # 65,536 bars: 3 MB, and 30 ms in which others cannot write
FEW_BUCKETS: Final = 10  # so few are summed one by one
Sums = dict[int, int]
"""The sum over each bucket, by its number: the time of its bars (ms) over the span of a bucket."""
Opens = Mapping[Key, Any]
"""The row of `digests` of each series: whether all of it is under digests, its last bucket, and its sum."""

OPEN = "SELECT whole, bucket, candles FROM digests WHERE timeframe = ? AND symbol = ?"
OPENS = "SELECT symbol, whole, bucket, candles FROM digests WHERE timeframe = ?"
FEW_SERIES: Final = 100  # so few are asked for one by one
CLOSED = """
SELECT bucket, candles FROM bucket_digests
WHERE timeframe = ? AND symbol = ? AND bucket >= ? AND bucket < ? AND candles IS NOT NULL
"""


def read_proven(
    con: apsw.Connection, key: Key, start: int, end: int, extras: tuple[str, ...] = ()
) -> pa.RecordBatch:
    """Return the candles of a series in `[start, end)` from the table, inside the caller's transaction.

    Raises `DamagedDataError` where they are not those that were written.
    """
    proof = Proof(con)
    rows = proof.read(key, start, end, extras=extras)
    proof.settle()
    return rows


def read_proven_rows(con: apsw.Connection, request: Request, listed: Sequence[Series]) -> Long:
    """Return what a request wants of series from the table, inside the caller's transaction.

    Raises `DamagedDataError` where they are not those that were written.
    """
    parts = list[pa.RecordBatch]()
    for at in range(0, len(listed), TOGETHER):
        parts += _proven_parts(con, request, listed[at : at + TOGETHER])
    table = table_of(parts, [one.names for one in listed], request.extras)
    ends = list(accumulate(part.num_rows for part in parts))
    chosen = table.select(list(request.stored or ("timestamp",)))
    return Long(chosen, [one.symbol for one in listed], ends)


def _proven_parts(
    con: apsw.Connection, request: Request, listed: Sequence[Series]
) -> Iterator[pa.RecordBatch]:
    """Yield what a request wants of each of some series, once all of these are proven."""
    proof, name, parts = Proof(con), str(request.timeframe), []
    for series in listed:
        symbol = series.symbol
        start = request.start
        if request.limit is not None:
            before = max(0, request.limit - 1)
            found = nth_bar(con, (symbol, name), start, request.end, before, latest=True)
            start = start if found is None else found
        rows = proof.read((symbol, name), start, request.end, extras=series.names)
        if start != request.start and rows.num_rows != request.limit:
            raise damaged(con, "candles", (symbol, name))
        parts.append(rows if request.limit is None else rows.slice(max(0, rows.num_rows - request.limit)))
    proof.settle()
    for rows in parts:
        # Of a few bars a copy: as they are they hold all of the buckets that they were proven by.
        is_copied = rows.num_rows <= FEW and len(listed) > 1
        yield pa.concat_batches([rows, rows.slice(0, 0)]) if is_copied else rows


def readable_parts(
    con: apsw.Connection, key: Key, start: int, end: int, extras: tuple[str, ...] = ()
) -> tuple[list[tuple[int, int, pa.RecordBatch]], list[DamagedDataError]]:
    """Return the candles of a range of whole buckets as `(start, end, rows)`, but what cannot be unpacked.

    A frozen piece that is damaged leaves out the buckets that it reaches into; an error says so of each. Its
    neighbours are not lost with it. Raises `DamagedDataError` where more than a piece cannot be read.
    """
    parts, errors, at = [], list[DamagedDataError](), start
    while at < end:
        high = end
        try:
            parts.append((at, end, read_range(con, *key, at, end, extras)))
        except DamagedDataError as error:
            if error.start is None or error.end is None:
                raise
            errors.append(error)
            if at < error.start:
                parts.append((at, error.start, read_range(con, *key, at, error.start, extras)))
            high = error.end
        at = high
    return parts, errors


@dataclass(frozen=True, slots=True)
class _Claim:
    """Rows that are all of a series in some buckets, `[first, last)` by number, but for sums told apart."""

    key: Key
    rows: pa.RecordBatch
    first: int
    last: int
    beside: Mapping[int, int]


class Proof:
    """Rows of the table that are yet to be compared with their digests, all of one moment."""

    def __init__(self, con: apsw.Connection) -> None:
        self._con = con
        self._claims: list[_Claim] = []
        self._together: list[tuple[pa.RecordBatch, list[_Claim]]] = []

    def read(
        self,
        key: Key,
        start: int,
        end: int,
        before: Callable[[int], int | None] | None = None,
        extras: tuple[str, ...] = (),
    ) -> pa.RecordBatch:
        """Return the candles of a series in `[start, end)`; `settle` proves them.

        `before` gives the sum over the bars from a time up to `start` where that is known without the table.
        `extras` are all the declared columns that the series has values of.
        """
        span = span_of(key[1])
        low, high = floor(start, span), ceiling(end, span)
        known = before(low) if before is not None and low < start else None
        if known is not None:
            low = start
        rows = read_range(self._con, *key, low, high, extras)
        self.claim(key, rows, start, end, {} if known is None else {start // span: known})
        return between(rows, start, end) if low < start or high > end else rows

    def read_tails(
        self, wanted: Sequence[tuple[Key, int, int | None]]
    ) -> tuple[pa.RecordBatch, list[tuple[int, int]]] | None:
        """Return the candles of many series from a time of each on, which `settle` proves.

        Each is given as its key, the time and the sum over the bars of its bucket before that, if it is
        known. None of them has declared columns, nor anything frozen in that bucket or behind it. All are in
        one batch, each with the row numbers where its own begin and end. None of all where a value is no
        number.
        """
        starts = [
            start if before is not None else floor(start, span_of(key[1])) for key, start, before in wanted
        ]
        found = read_of_each(self._con, [(*one[0], start) for one, start in zip(wanted, starts, strict=True)])
        if found is None:
            return None
        rows, ends = found
        claims, ranges = [], []
        for (key, start, before), low, high in zip(wanted, (0, *ends), ends, strict=False):
            part, span = rows.slice(low, high - low), span_of(key[1])
            beside = {} if before is None else {start // span: before}
            claims.append(_Claim(key, part, start // span, -(-FOREVER // span), beside))
            ranges.append((low if before is not None else low + bisect_left(times_of(part), start), high))
        self._together.append((rows, claims))
        return rows, ranges

    def claim(
        self, key: Key, rows: pa.RecordBatch, start: int, end: int, beside: Mapping[int, int] | None = None
    ) -> None:
        """Take note that rows are all of a series in the buckets that `[start, end)` reaches into.

        What is not among them of a bucket has its sum `beside`.
        """
        span = span_of(key[1])
        self._claims.append(_Claim(key, rows, start // span, -(-end // span), beside or {}))

    def settle(self) -> None:
        """Compare. Raises `DamagedDataError`, which names the first range."""
        for error in self.findings():
            if error is not None:
                raise error

    def findings(self) -> list[DamagedDataError | None]:
        """Compare; return what is wrong with each of the rows that were claimed, in their order."""
        claims, self._claims = self._claims, []
        found = list(zip(claims, sums_of_each(claims), strict=True))
        for rows, those in self._together:
            found += zip(those, _sums_in(rows, those), strict=True)
        self._together = []
        opens = _opens(self._con, [claim.key for claim, _ in found])
        return [self._wrong(claim, sums, opens) for claim, sums in found]

    def _wrong(self, claim: _Claim, sums: Sums, opens: Opens | None) -> DamagedDataError | None:
        for bucket, value in claim.beside.items():
            sums[bucket] = sums.get(bucket, 0) + value & MASK
        try:
            wrong = wrong_buckets(sums, *expected(self._con, claim.key, claim.first, claim.last, opens))
        except DamagedDataError as error:
            return error
        if not wrong and in_order(claim.rows):
            return None
        ranges = ranges_of(wrong or sums, span_of(claim.key[1]))
        return damaged(self._con, "candles", claim.key, *ranges[0])


def expected(
    con: apsw.Connection, key: Key, first: int, last: int, opens: Opens | None = None
) -> tuple[Sums, bool]:
    """Return the digests of the buckets `[first, last)` of a series, and whether all of it is under some.

    `opens` are the digests of last buckets where they are known already. Raises `DamagedDataError`.
    """
    try:
        return _expected(con, key, first, last, opens)
    except TypeError as error:  # a number that is a text or a null
        raise damaged(con, "candles", key) from error


def _opens(con: apsw.Connection, keys: Sequence[Key]) -> Opens | None:
    """Return the digests of the last buckets of all series of some timeframes; None for few series."""
    if len(keys) <= FEW_SERIES:
        return None
    timeframes = {timeframe for _, timeframe in keys}
    return {
        (symbol, timeframe): tuple(row)
        for timeframe in timeframes
        for symbol, *row in con.execute(OPENS, (timeframe,))
    }


def _expected(
    con: apsw.Connection, key: Key, first: int, last: int, opens: Opens | None
) -> tuple[Sums, bool]:
    found = con.execute(OPEN, (key[1], key[0])).fetchone() if opens is None else opens.get(key)
    if found is None:
        return {}, False
    whole, bucket, candles = found
    closed = con.execute(CLOSED, (key[1], key[0], first, last)) if first < bucket or not whole else ()
    sums = dict(closed)
    if first <= bucket < last and whole:
        sums[bucket] = sums.get(bucket, 0) + candles & MASK
    return sums, bool(whole)


def wrong_buckets(found: Sums, digests: Sums, whole: bool) -> list[int]:
    """Return the buckets whose rows have not their digest; one without is empty, unless it has none yet."""
    wrong = [bucket for bucket, value in digests.items() if found.get(bucket, 0) != value]
    if whole:
        wrong += [bucket for bucket, value in found.items() if bucket not in digests and value]
    return sorted(wrong)


def ranges_of(buckets: Iterable[int], span: int) -> list[tuple[int, int]]:
    """Return the times `[start, end)` of buckets, those side by side as one."""
    ranges: list[tuple[int, int]] = []
    for bucket in sorted(buckets):
        if ranges and ranges[-1][1] == bucket * span:
            ranges[-1] = (ranges[-1][0], (bucket + 1) * span)
        else:
            ranges.append((bucket * span, (bucket + 1) * span))
    return ranges


def sums_of(bars: pa.RecordBatch, span: int, seed: int = 0) -> Sums:
    """Return the sum over each bucket of one series' candles, each hashed with a number."""
    if bars.num_rows <= FEW:
        return sums_of_bars(bars_of(bars), span, seed, extras=bars.num_columns > WIDTH)
    many = bars.num_rows > FEW_BUCKETS * BUCKET_BARS
    return _cut(sums_between(hashes_of_bars(bars.columns, seed), many=many), times_of(bars), span, 0)


def sums_of_frame(rows: pl.DataFrame, span: int) -> Sums:
    """Return the sum over each bucket of candles that are about to be written, as SQLite will give them."""
    if len(rows) <= FEW:
        return sums_of_bars(rows.iter_rows(), span, extras=rows.width > WIDTH)
    arrays = columns_of_frame(rows)
    many = len(rows) > FEW_BUCKETS * BUCKET_BARS
    return _cut(sums_between(hashes_of_bars(arrays), many=many), values_of(arrays[0]), span, 0)


def sums_of_stack(
    rows: pl.DataFrame, columns: Sequence[pa.Array], ends: Sequence[int], span: int
) -> list[Sums]:
    """Return the same of each of several series under each other; those of the i-th end at `ends[i]`.

    `columns` are those that `columns_of_frame` makes of the rows.
    """
    starts = (0, *ends)
    if len(rows) <= FEW:
        bars = list(rows.iter_rows())
        return [sums_of_bars(bars[low:high], span) for low, high in zip(starts, ends, strict=False)]
    hashes, times = hashes_of_bars(columns), values_of(columns[0])
    if len(rows) == len(ends):  # a bar of each
        return [{time // span: one & MASK} for time, one in zip(times, hashes.to_list(), strict=True)]
    between = sums_between(hashes, many=True)
    return [_cut(between, times[low:high], span, low) for low, high in zip(starts, ends, strict=False)]


def sums_of_changes(came: Sequence[Sequence[float]], gone: Sequence[Sequence[float]], span: int) -> Sums:
    """Return what is added to each bucket where some candles take the place of others, both by time.

    Those that come are about to be written, those that go are as SQLite gives them. Hashed together: to call
    the functions takes as long as to hash 20,000 rows.
    """
    if len(came) + len(gone) <= FEW:
        return _less(sums_of_bars(came, span), sums_of_bars(gone, span))
    zeros = ZERO.new_from_index(0, len(came))
    time, *values = columns_of_bars(came)
    positive = [(pl.Series(column) + zeros).to_arrow() for column in values]
    return sums_of_replaced([time, *positive], columns_of_bars(gone), span)


def sums_of_replaced(came: Sequence[pa.Array], gone: Sequence[pa.Array], span: int) -> Sums:
    """Return the same of columns; those that come are as `columns_of_frame` makes them."""
    both = [pa.concat_arrays(pair) for pair in zip(came, gone, strict=True)]
    between, times, rows = sums_between(hashes_of_bars(both), many=False), values_of(both[0]), len(came[0])
    return _less(_cut(between, times[:rows], span, 0), _cut(between, times[rows:], span, rows))


def _less(sums: Sums, taken: Sums) -> Sums:
    """Take sums away from others, in place."""
    for bucket, value in taken.items():
        sums[bucket] = sums.get(bucket, 0) - value
    return sums


def sums_of_bars(bars: Iterable[Sequence[float]], span: int, seed: int = 0, *, extras: bool = False) -> Sums:
    """Return the sum over each bucket of a few candles, given as rows, which may have `extras`."""
    found: Sums = {}
    hash_of = hash_of_wide_bar if extras else hash_of_bar
    for bar in bars:
        bucket = int(bar[0]) // span
        found[bucket] = found.get(bucket, 0) + hash_of(bar, seed) & MASK
    return found


def sum_of_bars(bars: pa.RecordBatch) -> int:
    """Return the sum over all of some candles."""
    return sums_between(hashes_of_bars(bars.columns), many=False)(0, bars.num_rows)


def sums_of_batches(batches: Sequence[pa.RecordBatch]) -> list[int]:
    """Return the sum over the candles of each batch; they are hashed together, and have the same columns."""
    whole = pa.concat_batches(batches)
    ends = list(accumulate(batch.num_rows for batch in batches))
    between = sums_between(hashes_of_bars(whole.columns), many=True)
    return [between(low, high) for low, high in zip((0, *ends), ends, strict=False)]


def sums_of_each(claims: Sequence[_Claim]) -> list[Sums]:
    """Return the sums of many claims, which are hashed together."""
    batches = [claim.rows for claim in claims]
    few = sum(batch.num_rows for batch in batches) <= FEW
    if few or len({batch.num_columns for batch in batches}) > 1:
        return [sums_of(one.rows, span_of(one.key[1])) for one in claims]
    whole = batches[0] if len(batches) == 1 else pa.concat_batches(batches)
    many = len(claims) > FEW_BUCKETS or whole.num_rows > FEW_BUCKETS * BUCKET_BARS
    return _sums_in(whole, claims, many=many)


def _sums_in(whole: pa.RecordBatch, claims: Sequence[_Claim], *, many: bool = True) -> list[Sums]:
    """Return the sums of claims whose rows are these, one behind the other."""
    between, made, at = sums_between(hashes_of_bars(whole.columns), many=many), [], 0
    for one in claims:
        made.append(_cut(between, times_of(one.rows), span_of(one.key[1]), at))
        at += one.rows.num_rows
    return made


def in_order(bars: pa.RecordBatch) -> bool:
    """Tell whether candles ascend: rows that a page in the wrong place gives have the right sum, too."""
    return bars.num_rows <= 1 or bool(pl.Series(bars.column(0).view(pa.int64())).is_sorted())


def _cut(between: Callable[[int, int], int], times: memoryview, span: int, offset: int) -> Sums:
    """Return the sum over each bucket of rows whose hashes begin at `offset`."""
    found: Sums = {}
    at, rows = 0, len(times)
    while at < rows:
        bucket = times[at] // span
        bound = (bucket + 1) * span
        # Not behind so many rows: there is a bar for each time at most, of bars whose length is known.
        near = min(rows, at + BUCKET_BARS)
        if times[near - 1] < bound:  # most are full: a look instead of a search, half of all this
            after = near if near == rows or times[near] >= bound else bisect_left(times, bound, near, rows)
        else:
            after = bisect_left(times, bound, at + 1, near)
        found[bucket] = found.get(bucket, 0) + between(offset + at, offset + after) & MASK
        at = after
    return found


def bars_of(bars: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    """Yield candles as rows: their time (ms) and values."""
    return zip(times_of(bars), *(column.to_pylist() for column in bars.columns[1:]), strict=True)


def piece_end(con: apsw.Connection, key: Key, at: int) -> int:
    """Return where the piece of a series from `at` on ends: with a bucket, or at `FOREVER` behind all."""
    first, span = next_bar(con, key, at), span_of(key[1])
    return FOREVER if first is None else floor(first, span) + PIECE_BUCKETS * span
