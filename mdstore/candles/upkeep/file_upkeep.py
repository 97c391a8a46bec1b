"""What the rules of `optimization` may ask of the SQLite file, and have done to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from mdstore.candles.file import catalogue, frozen
from mdstore.candles.file.database import LOG_LIMIT, Database
from mdstore.candles.file.digests import Key
from mdstore.candles.file.leases import Lease, Leases
from mdstore.candles.file.readers import TRACED_OF
from mdstore.candles.file.users import Users, users
from mdstore.candles.packs.pack_files import Packs
from mdstore.candles.upkeep import (
    free_pages,
    freezing,
    growth,
    indexes,
    layout,
    plans,
    rebuild,
    records,
    statistics,
    vacuum,
)
from mdstore.candles.upkeep.cold_scan import Scan, scan
from mdstore.candles.upkeep.freezing import Frozen
from mdstore.candles.upkeep.growth import Growth
from mdstore.candles.upkeep.indexes import Index, Trial
from mdstore.candles.upkeep.layout import PageMap, Pages, TableLayout
from mdstore.candles.upkeep.plans import Run, Step
from mdstore.candles.upkeep.records import Record
from mdstore.candles.upkeep.steps import Stop, never
from mdstore.candles.upkeep.vacuum import Room
from mdstore.core.timeframe import Timeframe
from mdstore.errors import DamagedDataError, Hint, StoreBusyError, StoreFileError

__all__ = ["LEASE", "FileUpkeep", "Watcher"]

LEASE = "maintenance"
"""What the lease is called of the one process that does upkeep."""


class Watcher(Protocol):
    """Is told of statements that have ended, in the threads that ran them."""

    def statement(self, event: dict[str, Any]) -> None:
        """Take an event of SQLite: a statement begins, or has ended, then with what it took."""

    def query(self, sql: str, seconds: float, rows: int, reason: str) -> None:
        """Take a query of `sql`."""


class FileUpkeep:
    """The upkeep of one file: measures, records, and what is done to its pages."""

    def __init__(
        self, database: Database, packs: Packs, leases: Leases, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._packs = packs
        self._leases = leases
        self._clock = clock
        self._mine = threading.RLock()
        self._holding = 0
        self._watcher: Watcher | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    @property
    def read_only(self) -> bool:
        """Whether the file is only read."""
        return self._database.read_only is not None

    def refuse_to_write(self) -> None:
        """Raise `ReadOnlyError` where the file is only read."""
        self._database.refuse_to_write()

    def now(self) -> float:
        """Return the time in seconds since 1970, by the clock of the store."""
        return self._clock()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Be the one that does upkeep, among all threads and processes that have the file open.

        The thread that is may say so again. Raises `StoreBusyError` where another is.
        """
        self._database.refuse_to_write()
        if not self._mine.acquire(blocking=False):
            raise self._busy()
        try:
            if self._holding:
                yield
                return
            lease = self._leases.take(LEASE)
            if lease is None:
                raise self._busy()
            self._holding += 1
            try:
                with _beating(lease):
                    yield
            finally:
                self._holding -= 1
        finally:
            self._mine.release()

    @property
    def is_busy(self) -> bool:
        """Whether a thread of this process does upkeep."""
        return self._holding > 0

    def _busy(self) -> StoreBusyError:
        return StoreBusyError(
            f"{self.path}: another thread or process is at its upkeep",
            hint=Hint("try again when it is done", "try again when it is done, or stop its --daemon"),
        )

    def clear(self) -> None:
        """Clear what a rebuild has left that was killed, unless one goes on somewhere."""
        try:
            lease = self._leases.take(LEASE)
        except StoreFileError:  # a disk that is full: the file is opened all the same
            return
        if lease is not None:
            try:
                rebuild.clear(self._database)
            finally:
                lease.give_back()

    # --- measures

    def pages(self) -> Pages:
        """Return how many pages the file has, and how many are free."""
        return layout.pages(self._database)

    def tables(self, names: tuple[str, ...] | None = None, *, stop: Stop = never) -> list[TableLayout]:
        """Return how the pages of tables lie; reads all of them."""
        return layout.tables(self._database, names, stop=stop)

    def page_map(self) -> PageMap:
        """Return what each page of the file belongs to; reads all of it."""
        return layout.page_map(self._database)

    def users(self) -> Users:
        """Return which processes have the file open, and which of them read it now."""
        return users(self.path)

    def log_limit(self) -> int:
        """Return the bytes that the log is cut back to; larger only while a read keeps it."""
        return LOG_LIMIT

    def growth(self) -> list[Growth]:
        """Return when the bars of each series came."""
        return growth.growth(self._database)

    def rows(self) -> int:
        """Return how many candles are stored."""
        with self._database.reading() as con:
            return sum(series.rows for series in catalogue.all_series(con))

    def scan(self) -> Scan | None:
        """Measure a read of many rows, out of memory and in it; None where that cannot be."""
        if not self.read_only:
            vacuum.log_is_free(self._database)  # what is in the log only, the system cannot be told to forget
        return scan(self.path)

    def room(self) -> Room:
        """Return the bytes that a VACUUM needs, and that there are."""
        return vacuum.room(self._database)

    def vacuum_seconds(self) -> float:
        """Return about how long a VACUUM takes."""
        return vacuum.estimate(self._database)

    def log_is_free(self) -> bool:
        """Empty the log, and tell whether no long read was in the way (which a reader cannot)."""
        return self.read_only or vacuum.log_is_free(self._database)

    def analyzed_rows(self) -> dict[str, int]:
        """Return how many rows each table had when it was analyzed."""
        return statistics.analyzed_rows(self._database)

    def plan(self, sql: str) -> tuple[str, ...]:
        """Return the steps of a statement's plan."""
        return plans.plan(self._database, sql)

    def plan_steps(self, sql: str) -> list[Step]:
        """Return the tables of a statement's plan, and how each is gone through."""
        return plans.steps_of(self.plan(sql))

    def run(self, sql: str, params: Sequence[Any] = ()) -> Run:
        """Run a statement that only reads, and return what that took."""
        return plans.run(self._database, sql, params)

    def indexes(self) -> list[Index]:
        """Return all indexes of the file."""
        return indexes.indexes(self._database)

    def try_indexes(self, sql: str, params: Sequence[Any] = ()) -> list[Trial]:
        """Run a statement on a copy of some rows with each index that could help; the best come first."""
        return indexes.try_indexes(self._database, sql, params)

    def has_table(self, table: str) -> bool:
        """Tell whether there is a table of that name."""
        return indexes.has_table(self._database, table)

    def index_damage(self, table: str) -> list[str]:
        """Return what SQLite finds wrong with a table and its indexes."""
        return indexes.damage(self._database, table)

    def count_seconds(self, table: str) -> tuple[float, int]:
        """Return how long it takes to count the rows of a table, and how many there are."""
        return indexes.count_seconds(self._database, table)

    @property
    def watched_of(self) -> int:
        """Of so many reads one is told of."""
        return TRACED_OF

    def watch(self, watcher: Watcher | None) -> None:
        """Have a watcher told of statements that read the file, and queries of `sql`; None ends it."""
        self._watcher = watcher
        self._database.trace(None if watcher is None else watcher.statement)

    def tell_query(self, sql: str, seconds: float, rows: int, reason: str) -> None:
        """Tell the watcher, if there is one, of a query of `sql`."""
        if self._watcher is not None:
            self._watcher.query(sql, seconds, rows, reason)

    # --- records

    def record(self, kind: str, record: Mapping[str, Any]) -> None:
        """Keep what was found or done, with the time."""
        if not self.read_only:
            records.add(self._database, kind, int(self._clock() * 1000), record)

    def records(self, kind: str) -> list[Record]:
        """Return what was kept of a kind, oldest first."""
        return records.newest(self._database, kind)

    def last(self, kind: str) -> Record | None:
        """Return what was kept last of a kind."""
        return records.last(self._database, kind)

    # --- what is done

    def give_back(self, pages: int, *, stop: Stop = never) -> int:
        """Give so many free pages back to the system, in small steps; return how many that were."""
        with self.holding():
            return free_pages.give_back(self._database, pages, stop=stop)

    def vacuum(self, *, stop: Stop = never) -> float:
        """Write the file anew; return for how many seconds nobody else could write."""
        with self.holding():
            return vacuum.vacuum(self._database, stop)

    def rebuild(self, table: str, *, stop: Stop = never) -> int:
        """Put a table in the order of its key while others read and write; return its rows."""
        with self.holding():
            return rebuild.in_order(self._database, table, stop=stop)

    def freeze(
        self,
        keys: Sequence[Key] | None,
        before: int,
        *,
        least: int = 1,
        stop: Stop = never,
        progress: Callable[[int, int], None] | None = None,
    ) -> Frozen:
        """Freeze the bars of series, None for all, that have ended and start before a time (ms).

        In small steps; stretches of less than `least` stay. `progress` is called with rows done, and in all.
        Raises `DamagedDataError` where some are not what was written, once the others are frozen.
        """
        ends = self._ends(keys, before)
        with self.holding():
            damage = freezing.completed(self._database)
            with self._database.reading() as con:
                total = sum(freezing.rows_before(con, key, end) for key, end in ends.items())
            told = _Counted(progress, total)

            def freeze(key: Key) -> Frozen:
                return freezing.freeze(self._database, key, ends[key], told, least, stop)

            return _summed(freeze, ends, damage)

    def to_freeze(self, before: int, *, least: int = 1) -> Frozen:
        """Return how many bars of how many series `freeze` would freeze."""
        ends = self._ends(None, before)
        with self._database.reading() as con:
            rows = [freezing.to_freeze(con, key, end, least) for key, end in ends.items()]
        return Frozen(sum(rows), sum(map(bool, rows)))

    def _ends(self, keys: Sequence[Key] | None, before: int) -> dict[Key, int]:
        """Return before when (ms) bars of series, None for all, have ended and start before a time."""
        if keys is None:
            with self._database.reading() as con:
                keys = [(one.symbol, one.timeframe) for one in catalogue.all_series(con)]
        return {key: _ended(key, before, int(self._clock() * 1000)) for key in keys if _has_name(key)}

    def thaw(
        self,
        keys: Sequence[Key],
        *,
        stop: Stop = never,
        progress: Callable[[int, int], None] | None = None,
    ) -> Frozen:
        """Put all frozen candles of series back into the table, in small steps."""
        with self.holding():
            with self._database.reading() as con:
                total = sum(frozen.held(con, key)[0] for key in keys)
            told = _Counted(progress, total)
            return _summed(lambda key: freezing.thaw(self._database, self._packs, key, told, stop), keys)

    def optimize(self) -> list[str]:
        """Have SQLite analyze what it finds worth it; return what it ran."""
        return statistics.optimize(self._database)

    def create_index(self, table: str, columns: Sequence[str]) -> tuple[str, str]:
        """Make an index; return the statements that make it and that undo it."""
        return indexes.create(self._database, table, columns)

    def drop_index(self, name: str) -> tuple[str, str]:
        """Drop an index that no key needs; return the statements that do and that undo it."""
        return indexes.drop(self._database, name)

    def undo_index(self, sql: str) -> None:
        """Run the statement that undoes one of these."""
        indexes.undo(self._database, sql)

    def reindex(self, table: str) -> None:
        """Make the indexes of a table anew."""
        indexes.reindex(self._database, table)

    def analyze(self, table: str | None = None) -> None:
        """Analyze a table, or all."""
        statistics.analyze(self._database, table)


class _Counted:
    """Adds up the rows that are done, and tells of them."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def __call__(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None:
            self._progress(self._done, max(self._done, self._total))


def _summed(
    work: Callable[[Key], Frozen], keys: Iterable[Key], damage: Sequence[DamagedDataError] = ()
) -> Frozen:
    """Do work on each series, and say what came of it; raise the first damage once all are done."""
    found, damage = [], list(damage)
    for key in keys:
        try:
            found.append(work(key))
        except DamagedDataError as error:
            damage.append(error)
    if damage:
        raise damage[0]
    return Frozen(*(sum(getattr(one, name) for one in found) for name in ("rows", "series", "bytes")))


def _has_name(key: Key) -> bool:
    """Tell whether the length of a series' bars has a name here: of others none is known to have ended."""
    return Timeframe.is_name(key[1])


def _ended(key: Key, before: int, now: int) -> int:
    """Return before when (ms) bars of a series have ended and start before a time."""
    return min(before, Timeframe.parse(key[1]).floor(now))


@contextmanager
def _beating(lease: Lease) -> Iterator[None]:
    """Say all the while that the holder of a lease is at work, then give it back."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(lease.beat_seconds):
            lease.beat()

    thread = threading.Thread(target=beat, name="mdstore-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        lease.give_back()
