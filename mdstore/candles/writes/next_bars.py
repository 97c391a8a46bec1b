"""The next bar of each of many series, as a feed brings it: looked up, written and entered all together.

Such a series has one bar more in the bucket that was written last, and in the arrival of those that came one
by one. Its rows in the catalogue and the digests, read at once for all, say whether it is such a one and what
they are to be: no object is made of a series, and nothing is told of its rows as they change. As changes of
each series, 10,000 took five times as long as SQLite did for their candles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat
from operator import itemgetter
from typing import Any, Final

import apsw

from mdstore.candles.file import catalogue
from mdstore.candles.file.bar_digests import Sums
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.digests import Key, span_of
from mdstore.candles.file.row_hashes import MASK
from mdstore.candles.file.table_writes import OF_SEVERAL_ROWS, parts
from mdstore.candles.ledger import arrivals, unfinished
from mdstore.candles.packs import cells
from mdstore.core.checked_rows import Stack
from mdstore.core.once import once
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe

__all__ = ["NextBars", "next_of"]

Row = tuple[Any, ...]
STORED: Final = """
SELECT digests.whole, digests.bucket, digests.series,
  (SELECT "end" FROM cells WHERE timeframe = ?1 AND symbol = wanted.value ORDER BY start DESC LIMIT 1),
  series.*
FROM carray(?2) AS wanted
LEFT JOIN series ON series.timeframe = ?1 AND series.symbol = wanted.value
LEFT JOIN digests ON digests.timeframe = ?1 AND digests.symbol = wanted.value
"""
BESIDE: Final = 4  # columns before those of the catalogue
SERIES: Final = """
INSERT INTO series (symbol, timeframe, first, last, rows, revision, tail_lags) VALUES {rows}
ON CONFLICT DO UPDATE SET last = excluded.last, rows = excluded.rows, revision = excluded.revision,
  tail_lags = excluded.tail_lags
"""
DIGESTS: Final = f"""
INSERT INTO digests (symbol, timeframe, candles, series) VALUES {{rows}}
ON CONFLICT DO UPDATE SET candles = (candles + excluded.candles) & {MASK}, series = excluded.series
"""  # noqa: S608 - of constants


def _statements(sql: str, row: str, shared: int) -> dict[int, str]:
    """Write a statement for each number of rows; the first `shared` values that are bound are of all rows."""
    first = row.replace("?,", f"?{shared + 1},", 1)  # those behind it are numbered from there on
    return {size: sql.format(rows=",".join([first] + [row] * (size - 1))) for size in OF_SEVERAL_ROWS}


SERIES_OF: Final = _statements(SERIES, "(?,?1,?,?,?,?2,?)", 2)
DIGESTS_OF: Final = _statements(DIGESTS, "(?,?1,?,?)", 1)
values_of_series: Final = itemgetter(0, 2, 3, 4, 9)
began: Final = itemgetter(BESIDE + arrivals.TAIL_BEGAN)


@dataclass(frozen=True)
class NextBars:
    """Bars that are written, each the next of its series, but not yet entered anywhere else.

    `stored` is what `next_of` has found of the series, `sums` what the bars add to their buckets.
    """

    timeframe: str
    symbols: Sequence[str]
    times: Sequence[int]
    sums: Sequence[Sums]
    stored: Sequence[Row]

    @once
    def reach(self) -> dict[Key, tuple[int, int]]:
        """The first and the last bar of each series (ms), which are the same."""
        alone = {time: (time, time) for time in set(self.times)}
        keys = zip(self.symbols, repeat(self.timeframe), strict=False)
        return dict(zip(keys, map(alone.__getitem__, self.times), strict=True))

    def behind(self) -> Iterator[tuple[Key, int, int]]:
        """Yield each series, its last bar before, and from when on nothing of it was stored or in a cell."""
        for symbol, (_, _, _, end, *row) in zip(self.symbols, self.stored, strict=True):
            last = row[catalogue.LAST]
            yield (symbol, self.timeframe), last, cells.next_start(last, -FOREVER if end is None else end)

    def are_soon(self, revision: int) -> bool:
        """Tell whether the arrivals of all of them can say that a bar came in a revision."""
        return revision - int(min(map(began, self.stored))) < arrivals.LONGEST

    def enter(self, con: Writer, revision: int, now: int) -> None:
        """Bring the catalogue, the arrivals, the digests and the marks of unfinished bars up to them."""
        grown = [
            arrivals.grown(one[BESIDE:], time, revision)
            for one, time in zip(self.stored, self.times, strict=True)
        ]
        bars = chain.from_iterable(map(dict.values, self.sums))
        with con.telling(None):
            _write(con, SERIES_OF, (self.timeframe, revision), map(values_of_series, grown), len(grown))
            digests = zip(self.symbols, bars, map(con.hash_of_new, grown), strict=True)
            _write(con, DIGESTS_OF, (self.timeframe,), digests, len(grown))
        due = Timeframe.parse(self.timeframe).floor(now)
        if max(self.times) >= due:
            ends = zip(self.symbols, repeat(self.timeframe), self.times, strict=False)
            unfinished.mark_each(con, [one for one in ends if one[2] >= due])


def next_of(con: Writer, stack: Stack, source: str) -> tuple[list[bool], Sequence[Row]]:
    """Tell of which series of a stack of one bar each this is the next, and what is stored of all of them.

    That is a part of their row in the digests, where their last cell ends, and their row in the catalogue.
    If these are not as they were written it is not such a series: whoever looks at the others says so.
    """
    bar, span = Timeframe.parse(stack.timeframe), span_of(stack.timeframe)
    stored = con.execute(STORED, (stack.timeframe, apsw.carray(tuple(stack.symbols)))).fetchall()
    times = stack.rows["timestamp"].to_list()
    before = {time: bar.floor(time - 1) for time in set(times)}
    are = [
        whole == 1
        and bucket == time // span
        and (end is None or end <= time)
        and arrivals.is_next(row, before[time], source)
        and con.hash_of_old(row) == digest
        for time, (whole, bucket, digest, end, *_), row in zip(
            times, stored, (one[BESIDE:] for one in stored), strict=True
        )
    ]
    return are, stored


def _write(con: Writer, statements: dict[int, str], shared: Row, rows: Iterator[Row], count: int) -> None:
    for size, _ in parts(0, count, OF_SEVERAL_ROWS):
        con.execute(statements[size], (*shared, *chain.from_iterable(islice(rows, size))))
