"""The table itself, past memory and packs: stretches of series by the two roads that sealing has."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

import mdstore
from bench import candles
from bench.measure import verify
from mdstore.candles.file import catalogue
from mdstore.candles.file import table_reads as reader
from mdstore.candles.file.table_reads import Request
from mdstore.candles.packs.seal_policy import Loose
from mdstore.core.schema import CANDLE, CANDLE_COLUMNS
from mdstore.core.timeframe import Timeframe

__all__ = ["by_apsw", "by_scanner", "latest", "same", "stretches"]


def stretches(names: Sequence[str], rows: int, end: int) -> list[Loose]:
    """Return the `rows` minutes before `end` (ms) of each series, as they would be if they were loose."""
    start = end - rows * candles.MINUTE
    return [Loose(name, "1m", start, end, rows) for name in names]


def by_apsw(store: mdstore.MarketDataStore, pieces: Sequence[Loose]) -> pa.Table:
    """Read stretches one after another, in one transaction, as `Upkeep` does where they are few rows."""
    with store._candles._database.reading() as con:
        return pa.Table.from_batches(
            [reader.read_range(con, one.symbol, one.timeframe, one.start, one.end) for one in pieces]
        )


def by_scanner(store: mdstore.MarketDataStore, pieces: Sequence[Loose]) -> pa.Table:
    """Read stretches by the scanner process, as `Upkeep` does where they are many rows: proven, then cut."""
    upkeep = store._candles._upkeep
    answer = upkeep._scanned(pieces)
    verify(answer is not None, f"the scanner answers {upkeep.scanner_trouble}")
    with store._candles._database.reading() as con:
        known = {(one.symbol, one.timeframe): one.revision for one in catalogue.all_series(con)}
    return pa.Table.from_batches([rows for _, rows in upkeep._proven_of(answer, pieces, known)])


def latest(store: mdstore.MarketDataStore, name: str, count: int) -> pa.Table:
    """Read the latest rows of a series by APSW, as a read does that goes straight to the table."""
    request = Request((name,), Timeframe.parse("1m"), CANDLE_COLUMNS, limit=count)
    with store._candles._database.reading() as con:
        return reader.read_rows(con, request, [name]).values


def same(store: mdstore.MarketDataStore, pieces: Sequence[Loose]) -> bool:
    """Tell whether both roads give the same rows, and as many as the stretches say."""
    ours = by_scanner(store, pieces).select(CANDLE_COLUMNS).cast(CANDLE)
    return ours.num_rows == sum(one.rows for one in pieces) and ours.equals(by_apsw(store, pieces))
