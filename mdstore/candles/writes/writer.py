"""Landing candles: one transaction, rows that differ are written, and every row is counted once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from mdstore.candles.file.database import Database
from mdstore.candles.ledger.claims import Claim
from mdstore.candles.packs.pack_files import Packs
from mdstore.candles.writes.batch import Batch
from mdstore.candles.writes.batch_sealer import SEAL_ROWS, BatchSealer
from mdstore.candles.writes.results import Part, Policy, Progress, WriteResult
from mdstore.candles.writes.written import Written
from mdstore.core.bad_rows import first_error
from mdstore.core.candle_rules import NO_BAD
from mdstore.core.checked_rows import Checked
from mdstore.core.duplicates import conflict_error

__all__ = ["SEAL_ROWS", "write", "write_each"]

SET_ASIDE = Policy("quarantine", "raise")
NOTHING = Checked([], NO_BAD, 0, 0)


def write(
    database: Database,
    packs: Packs,
    chunks: Iterator[Checked],
    *,
    claim: Claim,
    policy: Policy,
    progress: Progress | None,
    clock: Callable[[], float],
    has_room: Callable[[int], bool],
    written: Written,
) -> WriteResult:
    """Write checked chunks in one transaction; any error, also from `chunks`, leaves the file as it was.

    New rows behind the end of their series are sealed from the batch in hand, published with their commit.
    """
    now = int(clock() * 1000)  # the data is of now, however long a lock is waited for
    # The first chunk is taken before the transaction: most data is one chunk, and nobody else need wait
    # while it is checked.
    first = next(chunks, NOTHING if claim.range else None)
    if first is None:
        return WriteResult()
    _refuse(first, policy)
    sealer = BatchSealer(packs, clock, has_room)
    try:
        with database.writing() as con:
            batch = Batch(con, [claim], policy, sealer, now)
            batch.land(first)
            _report(progress, batch)
            for chunk in chunks:
                _refuse(chunk, policy)
                batch.land(chunk)
                _report(progress, batch)
            batch.finish(int(clock() * 1000))
    except BaseException:
        sealer.take_back(database)
        raise
    written.note([batch.appended()])
    return batch.result()


def write_each(
    database: Database,
    packs: Packs,
    parts: Sequence[Part],
    *,
    clock: Callable[[], float],
    has_room: Callable[[int], bool],
    written: Written,
) -> list[WriteResult]:
    """Write several series, each once, in one transaction; return what became of each.

    Each has claims of its own, so that pages of many series wait for one synced commit together.
    """
    now, sealers, batches = int(clock() * 1000), list[BatchSealer](), list[Batch]()
    for part in parts:
        _refuse(part.rows, SET_ASIDE)
    try:
        with database.writing() as con:
            for part in parts:
                sealers.append(BatchSealer(packs, clock, has_room))
                policy = replace(SET_ASIDE, keep=part.keep)
                batch = Batch(con, part.claims, policy, sealers[-1], now)
                batch.land(part.rows)
                batch.finish(int(clock() * 1000))
                batches.append(batch)
    except BaseException:
        for sealer in sealers:
            sealer.take_back(database)
        raise
    written.note([batch.appended() for batch in batches])
    return [batch.result() for batch in batches]


def _refuse(chunk: Checked, policy: Policy) -> None:
    if policy.on_invalid == "raise" and len(chunk.bad):
        raise first_error(chunk.bad, chunk.rows)
    if policy.on_conflict == "raise" and chunk.conflict is not None:
        raise conflict_error(chunk.conflict, chunk.conflicts)


def _report(progress: Progress | None, batch: Batch) -> None:
    if progress is not None:
        progress(batch.result().rows)
