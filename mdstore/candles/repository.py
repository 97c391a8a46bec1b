"""Candles by symbol, timeframe and time: what the store can do with them."""

# What a plain read does not need is imported by the method that does.
# ruff: noqa: PLC0415

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pyarrow as pa

from mdstore.cache.memory_tier import MemoryTier
from mdstore.candles import writes
from mdstore.candles.file import catalogue, frozen, usage
from mdstore.candles.file.database import Database
from mdstore.candles.file.leases import Leases
from mdstore.candles.file.paths import packs_folder
from mdstore.candles.file.scan_views import Views
from mdstore.candles.file.scanner import Scanner
from mdstore.candles.file.table_reads import Request
from mdstore.candles.ledger import trimming
from mdstore.candles.ledger.claims import Claim
from mdstore.candles.ledger.ledger import Ledger
from mdstore.candles.ledger.trimming import Trimming
from mdstore.candles.packs import cells, first_digests
from mdstore.candles.packs.merging import Compaction, Progress
from mdstore.candles.packs.pack_files import PackLostError, Packs, row_bytes
from mdstore.candles.packs.seal_policy import Upkeep
from mdstore.candles.reads import as_of
from mdstore.candles.reads.answer import Answer
from mdstore.candles.reads.explanation import Explanation, Reader, Traced
from mdstore.candles.reads.reads import Columnar
from mdstore.candles.recovery import workplace
from mdstore.candles.upkeep.leftovers import is_left
from mdstore.candles.writes.written import Written
from mdstore.core.latencies import LatencyTable
from mdstore.core.once import once
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.timeframe import Timeframe
from mdstore.errors import NoSuchSeriesError

if TYPE_CHECKING:
    from mdstore.candles.reads.holes_between import Held
    from mdstore.candles.reads.sql import Queries
    from mdstore.candles.reads.sql_given import Params
    from mdstore.candles.upkeep.file_upkeep import FileUpkeep
    from mdstore.candles.writes.results import Part, Policy, WriteResult
    from mdstore.core.checked_rows import Checked

__all__ = ["CandleRepository"]

LONG = ("symbol", *CANDLE_COLUMNS)
ATTEMPTS = 4
SQLITE = ("sqlite",)


class CandleRepository:
    """The candles of one file, and the packs beside it."""

    def __init__(
        self,
        path: Path,
        *,
        create: bool,
        busy_timeout: float,
        memory_bytes: int,
        read_only: bool = False,
        pack_bytes: int | None = None,
        sql_memory_bytes: int | None = None,
        keep_revisions_ms: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = Database(path, create=create, busy_timeout=busy_timeout, read_only=read_only)
        file = self._database.path
        self._packs = Packs(packs_folder(file))
        if self._database.is_new:
            self._packs.set_aside()  # of a store that was here before: it may yet be put back
        self._views = Views(self._database)
        self._scanner = Scanner(file)
        self._memory = MemoryTier(memory_bytes)
        self._compaction = Compaction(self._database, self._packs, budget=pack_bytes, clock=clock)
        self._upkeep = Upkeep(
            self._database, self._packs, self._scanner, self._views, self._compaction, clock=clock
        )
        self._written = Written()
        self._columnar = Columnar(
            self._database,
            self._packs,
            self._upkeep,
            self._compaction,
            self._memory,
            written=self._written,
            clock=clock,
        )
        self.ledger = Ledger(self._database, clock)
        """What is known besides the candles."""
        self._trimming = Trimming(self._database, clock, keep_revisions_ms)
        self.leases = Leases(self._database)
        """Names that one holder has at a time, among all that have the file open."""
        self.latencies = LatencyTable()
        """How long calls took since the store was opened, by operation and tiers."""
        self.on_written: Callable[[Mapping[tuple[str, str], tuple[int, int]]], None] | None = None
        """Called behind each write that changed candles, with the first and last bar (ms) of each series."""
        self._queries: Queries | None = None
        self._sql_memory_bytes = sql_memory_bytes
        self._proven_series: set[tuple[object, ...]] = set()
        self._clock = clock
        self._pid = os.getpid()
        if self._database.read_only is None:
            self._compaction.sweep()
            if is_left(self._database):
                self.upkeep.clear()
            workplace.sweep(file.parent)

    @once
    def upkeep(self) -> FileUpkeep:
        """The pages of the file, and what puts them in order."""
        from mdstore.candles.upkeep.file_upkeep import FileUpkeep

        return FileUpkeep(self._database, self._packs, self.leases, self._clock)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._database.closed

    @property
    def read_only(self) -> str | None:
        """Why the file is only read, in words; None where it may be written."""
        return self._database.read_only

    def refuse_to_write(self) -> None:
        """Raise `ReadOnlyError` where the file is only read."""
        self._database.refuse_to_write()

    @property
    def path(self) -> Path:
        """The store's file."""
        return self._database.path

    @property
    def packs_path(self) -> Path:
        """The folder of the packs; there is none before the first."""
        return self._packs.folder

    def close(self) -> None:
        """End the scanner process and close the file."""
        self._mind_forks()
        self._database.refuse_inside("close")
        if not self._database.closed:
            self._compaction.write_used()
        self._scanner.close()
        if self._queries is not None:
            self._queries.close()
        self._database.close()
        self._memory.clear()

    def write(
        self,
        chunks: Generator[Checked],
        claim: Claim,
        policy: Policy,
        progress: Callable[[int], None] | None,
    ) -> WriteResult:
        """Land checked chunks, and what is said of them, in one transaction; close what gives them."""
        self.refuse_to_write()  # before anything is taken of the data
        began = time.perf_counter()
        with closing(chunks):
            result = writes.writer.write(
                self._database,
                self._packs,
                chunks,
                claim=claim,
                policy=policy,
                progress=progress,
                clock=self._clock,
                has_room=self._compaction.has_room,
                written=self._written,
            )
        if result.inserted >= writes.writer.SEAL_ROWS:
            self._compaction.merge()
        self.latencies.add("write", SQLITE, began)
        self._tell([result])
        return result

    @staticmethod
    def prepared(chunk: Checked) -> Checked:
        """Return a checked chunk made ready to be written, which needs no transaction."""
        return writes.preparing.prepared(chunk)

    def write_each(self, parts: Sequence[Part]) -> list[WriteResult]:
        """Land several series, each once, with what is said of them, in one transaction."""
        self.refuse_to_write()
        began = time.perf_counter()
        room = self._compaction.has_room
        done = writes.writer.write_each(
            self._database, self._packs, parts, clock=self._clock, has_room=room, written=self._written
        )
        if any(result.inserted >= writes.writer.SEAL_ROWS for result in done):
            self._compaction.merge()
        self.latencies.add("write", SQLITE, began)
        self._tell(done)
        return done

    def _tell(self, done: Sequence[WriteResult]) -> None:
        """Let go what is past keeping, and say which bars were written to whoever follows them."""
        if any(one.updated for one in done):
            self._trimming.look()
        if self.on_written is not None:
            reach = {
                key: ends for one in done if one.inserted or one.updated for key, ends in one.reach.items()
            }
            if reach:
                self.on_written(reach)

    def read(self, request: Request, *, verify: bool = True, keep: bool = True) -> Answer:
        """Return candles sorted by symbol and time, all of one snapshot; see `Columnar.read`.

        Raises `NoSuchSeriesError`.
        """
        self._mind_forks()
        answer = self._columnar.read(request, verify=verify, keep=keep)
        at = request.as_of
        if at is None or at >= answer.revision:
            return answer  # never by the clock: once set back, it calls what is past "not yet"
        columns = (*(LONG if request.is_long else CANDLE_COLUMNS), *request.extras)
        for _ in range(ATTEMPTS):  # what is deleted in between could not be undone
            revision = self.revision()
            whole = self._columnar.read(replace(request, limit=None, columns=columns))
            undone = as_of.undone(self._database, whole, request, at)
            if self.revision() == revision:
                break
        return undone

    def revision(self) -> int:
        """Return the store's revision, which grows with every transaction that changes candles."""
        with self._database.reading() as con:
            return catalogue.revision(con)

    def state(self, symbols: Collection[str] | None, timeframe: str | None) -> int:
        """Return a number that is another once anything has changed of what an answer over series is made of.

        That is their candles and what is known besides, calendars and what is declared; without a timeframe
        all candles, and what was set aside.
        """
        with self._database.reading() as con:
            return catalogue.state(con, symbols, timeframe)

    def used(self, asks: Mapping[tuple[str, str], int], *, fades: bool = True) -> bool:
        """Count what was asked for, by (symbol, timeframe); false where that must be said again later."""
        return usage.add(self._database, asks, fades=fades)

    def most_used(self, limit: int) -> list[tuple[str, str, float]]:
        """Return the series that were asked for most, and how often."""
        return usage.most(self._database, limit)

    def held(self, request: Request) -> Held:
        """Return the bars of symbols in a range and the holes between. Raises `NoSuchSeriesError`."""
        from mdstore.candles.reads.holes_between import holes_of

        self._mind_forks()
        request = replace(request, columns=CANDLE_COLUMNS if not request.is_long else LONG)
        for _ in range(ATTEMPTS):
            try:
                return holes_of(
                    self._columnar.read(request, verify=False, used=("timestamp",)), request.timeframe
                )
            except PackLostError as lost:
                self._columnar.lose(lost)
        return holes_of(self._columnar.read(request), request.timeframe)

    def lose(self, lost: PackLostError) -> None:
        """Take note that a pack is lost, found by whoever verifies an answer later."""
        self._columnar.lose(lost)

    def explain(self, run: Callable[[Reader], tuple[int, str]]) -> Explanation:
        """Run reads, and say how they were answered.

        `run` is given what to read by, and returns the number of rows and what it made of the answers.
        """
        clock, scanned = time.perf_counter(), self._upkeep.scanned
        traced = Traced(self)
        rows, made = run(traced)
        tiers = traced.tiers if self._upkeep.scanned == scanned else ("scanner", *traced.tiers)
        return Explanation(tiers, rows, _since(clock), traced.why(made), traced.sql())

    def sql(
        self,
        query: str,
        others: Mapping[str, Callable[[], pa.Table]] | None = None,
        timeout: float | None = None,
        params: Params | None = None,
        own: Mapping[str, object] | None = None,
    ) -> tuple[pa.Table, Explanation]:
        """Return what a read-only DuckDB query gives over candles, series, quarantine and other tables."""
        clock, scanned = time.perf_counter(), self._upkeep.scanned
        table, given, tiers = self.queries.run(query, others or {}, timeout, params, own)
        listed = ", ".join(f"{rows:,} {name}" for name, rows in given.items())
        reason = f"given {listed or 'no'} candles"
        self.upkeep.tell_query(query, (time.perf_counter() - clock), table.num_rows, reason)
        tiers = tiers if self._upkeep.scanned == scanned else ("scanner", *tiers)
        self.latencies.add("sql", tiers, clock)
        return table, Explanation(tiers, table.num_rows, _since(clock), reason, query, sum(given.values()))

    @property
    def queries(self) -> Queries:
        """DuckDB over the candles; it starts with its first query."""
        from mdstore.candles.reads.sql import Queries

        self._mind_forks()
        self._queries = self._queries or Queries(
            self._database, self._columnar, self._upkeep, self._sql_memory_bytes
        )
        return self._queries

    def series(
        self, known: int = -1
    ) -> tuple[int, list[tuple[object, ...]] | None, int, list[tuple[str, str, int, int]]]:
        """Return the revision, every series (None where the revision is `known`) and the bytes in use.

        And what of which series is frozen, in rows and bytes: that changes without a revision.
        """
        with self._database.reading() as con:
            revision = catalogue.revision(con)
            rows = None if revision == known else catalogue.all_rows(con, self._proven_series)
            pages = con.pragma("page_count") - con.pragma("freelist_count")
            return revision, rows, pages * con.pragma("page_size"), frozen.held_by_series(con)

    def stored(self, timeframe: str) -> set[str]:
        """Return the symbols of which bars of a timeframe are stored."""
        with self._database.reading() as con:
            return {series.symbol for series in catalogue.series_of(con, timeframe)}

    def first_bars(self, timeframe: str) -> dict[str, int]:
        """Return the first stored bar of each series of a timeframe, in ms."""
        with self._database.reading() as con:
            return {series.symbol: series.first for series in catalogue.series_of(con, timeframe)}

    def last_bar(self, symbol: str, timeframe: str) -> int | None:
        """Return the last stored bar of a series, in ms; None where there is none."""
        with self._database.reading() as con:
            found = catalogue.find(con, symbol, timeframe)
            return None if found is None else found.last

    def delete(self, symbol: str, timeframe: Timeframe | None, start: int, end: int) -> int:
        """Delete candles of a symbol, in one timeframe or all; return how many."""
        self.refuse_to_write()
        keys = self.keys((symbol,), timeframe)
        began = time.perf_counter()
        deleted = writes.delete.delete(self._database, keys, start, end, self._clock)
        self.latencies.add("delete", SQLITE, began)
        return deleted

    def keys(self, symbols: Sequence[str] | None, timeframe: Timeframe | None) -> list[tuple[str, str]]:
        """Return symbol and timeframe of series that are meant; None is any. Raises `NoSuchSeriesError`."""
        with self._database.reading() as con:
            listed = [
                (one.symbol, one.timeframe)
                for one in catalogue.all_series(con)
                if timeframe is None or one.timeframe == str(timeframe)
            ]
            there = {symbol for symbol, _ in listed}
            missing = next((symbol for symbol in symbols or () if symbol not in there), None)
            if missing is not None or (not listed and timeframe is not None):
                raise self._no_series(con, missing, timeframe)
        return [key for key in listed if symbols is None or key[0] in symbols]

    def rename(self, old: str, new: str) -> list[str]:
        """Give a symbol another name, in all its timeframes, and return these."""
        self.refuse_to_write()
        found = writes.rename.rename(self._database, old, new, self._clock)
        if not found:
            raise self.no_series(old, None)
        return found

    def warm(self, progress: Progress | None, *, rebuild: bool) -> int:
        """Seal every loose stretch, and return the rows that took; with `rebuild`, of everything anew."""
        self._mind_forks()
        self.refuse_to_write()
        if rebuild:
            self._upkeep.forget_all()
            self._memory.clear()
        damaged = first_digests.complete(self._database)
        sealed = self._upkeep.seal(self._upkeep.loose(), progress, wait=True)
        if damaged:
            raise damaged[0]
        return sealed

    def compact(self, progress: Progress | None) -> int:
        """Lay all cells in order, in few packs; return the bytes that saved."""
        self.refuse_to_write()
        return self._compaction.compact(progress)

    def trim(self, keep_ms: int) -> int:
        """Let go what bars were longer ago; return how many values of bars that was."""
        self.refuse_to_write()
        return self._trimming.trim(keep_ms)

    def stats(self) -> dict[str, int | float | str]:
        """Return figures of the file, the packs and the memory tier, in rows, bytes and counts."""
        self._mind_forks()
        with self._database.reading() as con:
            found = cells.all_cells(con)
            rows = sum(series.rows for series in catalogue.all_series(con))
            past = trimming.history(con)
            pages = con.pragma("page_count") * con.pragma("page_size")
            frozen_rows, frozen_bytes = frozen.held(con)
        files = self._packs.files()
        sealed = sum(cell.rows for cell in found)
        held = sum(cell.rows * row_bytes(cell.pack) for cell in found)
        return {
            "rows": rows,
            "sqlite_bytes": pages,
            "wal_bytes": self._database.log.bytes,
            "wal_pinned_since": self._database.log.pinned_since,
            "cells": len(found),
            "sealed_rows": sealed,
            "loose_rows": rows - sealed,
            "frozen_rows": frozen_rows,
            "frozen_bytes": frozen_bytes,
            "packs": len(files),
            "pack_bytes": sum(files.values()),
            "dead_pack_bytes": max(0, sum(files.values()) - held),
            "revisions": past.rows,
            "revision_bytes": past.bytes,
            "revisions_since": past.since,
            "packs_set_aside": ", ".join(self._packs.aside()),
            "pack_trouble": self._upkeep.trouble or self._compaction.trouble or self._upkeep.scanner_trouble,
            **{f"memory_{name}": value for name, value in self._memory.stats().items()},
        }

    def memory(self) -> dict[str, int]:
        """Return what this process's memory is taken by, in bytes by part."""
        from mdstore.candles.upkeep.memory import memory

        self._mind_forks()
        held = int(self._memory.stats()["bytes"])
        return memory(tier=held, duckdb=0 if self._queries is None else self._queries.memory())

    def quarantine(self) -> list[tuple[object, ...]]:
        """Return the rows set aside, oldest first."""
        with self._database.reading() as con:
            return catalogue.quarantine(con)

    def backup(
        self,
        target: Path,
        *,
        overwrite: bool,
        packs: bool,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        """Copy the file to `target` while it is in use, with its packs or without."""
        from mdstore.candles.recovery import backup

        chosen = self._packs if packs else None
        backup.backup(self._database, target, overwrite=overwrite, progress=progress, packs=chosen)

    def check(self) -> list[str]:
        """Return what is wrong with the file or the packs, in words."""
        from mdstore.candles.recovery import integrity

        return integrity.check(self._database, self._packs)

    def _mind_forks(self) -> None:
        """Make what is held in memory anew where this process was forked since."""
        if self._pid != os.getpid():
            self._memory.after_fork()
            self._written.after_fork()
            if self._queries is not None:
                self._queries.after_fork()
            self._pid = os.getpid()

    def no_series(self, symbol: str | None, timeframe: Timeframe | None) -> NoSuchSeriesError:
        """Return the error for a series that is not stored, to calls that do not put bars together."""
        with self._database.reading() as con:
            return self._no_series(con, symbol, timeframe)

    def _no_series(
        self, con: apsw.Connection, symbol: str | None, timeframe: Timeframe | None
    ) -> NoSuchSeriesError:
        return catalogue.no_such_series(
            con, symbol, None if timeframe is None else str(timeframe), self.path.name
        ).of_stored()


def _since(clock: float) -> float:
    return (time.perf_counter() - clock) * 1000
