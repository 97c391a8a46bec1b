"""The store: the one object users hold, composed of the parts below it."""

# What a plain read does not need is imported by the method that does: 30 ms of a first read's 200.
# ruff: noqa: PLC0415

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import polars as pl
import pyarrow as pa

from mdstore.analysis.fill import Fill
from mdstore.candles.reads.answer import Answer
from mdstore.candles.reads.explanation import Explanation, Reader
from mdstore.candles.repository import CandleRepository
from mdstore.core.arguments import (
    DEFAULT_FILE,
    byte_count,
    default_file,
    file_path,
    positive_seconds,
    symbol_list,
)  # fmt: skip
from mdstore.core.once import once
from mdstore.core.periods import period_ms
from mdstore.core.polars_forks import refuse_broken_polars, watch_forks
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment
from mdstore.errors import Hint, InvalidInputError, QueryError
from mdstore.realtime.owner import Owner
from mdstore.store.contents import Contents
from mdstore.store.declared import Declared
from mdstore.store.held import held
from mdstore.store.holes import Holes
from mdstore.store.keeping import Keeping
from mdstore.store.listing import Listing
from mdstore.store.live_place import LivePlace
from mdstore.store.maintenance import Maintenance
from mdstore.store.past import Past
from mdstore.store.reading import Made, Reading
from mdstore.store.requests import LONG, request_of
from mdstore.store.syncing import Syncing
from mdstore.store.watching import Watching
from mdstore.store.writing import Writing

if TYPE_CHECKING:
    from mdstore.analysis.screen import Question, Screen
    from mdstore.optimization.alarms import Rule
    from mdstore.optimization.performance import PerformanceMonitor
    from mdstore.realtime.cache import RealtimeDataCache
    from mdstore.realtime.live import LiveCandles
    from mdstore.realtime.rows import Depth, Ticker, Trade
    from mdstore.realtime.serving import Server
    from mdstore.realtime.table import RealtimeTable
    from mdstore.sources.recordings.replay import Replayed

__all__ = ["DEFAULT_FILE", "MarketDataStore", "open"]

UNNAMED: Final = Path()
"""Stands for the path that was not given; None is one that somebody has given by mistake."""
MEMORY_BYTES = 256 * 1024 * 1024
SQL_MEMORY_LEAST = 32 * 1024 * 1024
REALTIME = ("tickers", "orderbooks", "trades")


def open(  # noqa: A001 - `mdstore.open`, as `gzip.open`
    path: str | os.PathLike[str] = UNNAMED,
    *,
    create: bool = True,
    read_only: bool = False,
    busy_timeout: float = 10.0,
    memory_bytes: int | None = MEMORY_BYTES,
    pack_bytes: int | None = None,
    sql_memory_bytes: int | None = None,
    keep_revisions: str | timedelta | None = None,
    realtime: RealtimeDataCache | None = None,
    maintenance: Literal["auto"] | None = None,
    freeze_after: str | timedelta | None = None,
) -> MarketDataStore:
    """Open a store's file; create, migrate or recover it as needed.

    Without a path it is that of the environment variable MDSTORE_FILE, as on the command line, else
    `market_data.sqlite3` in the working folder.

    `create=False` refuses a path where there is no file yet. A write waits up to `busy_timeout` seconds for
    that of another thread or process. Threads may share the store; so may processes, each with its own `open`
    (a store that is pickled opens its file again).

    `read_only=True` changes nothing, and makes nothing beside the file: packs are used where they are, and
    memory where not. So a store is opened, too, whose file or folder this process may not write to. What
    would write raises `ReadOnlyError`; so does a file of an older schema version, which would have to be
    brought to this one first. `store.read_only` says whether it is so.

    `memory_bytes` bounds what is kept assembled in memory between reads, 0 keeps nothing; pages of mapped
    packs belong to the system and are not among them. `pack_bytes` bounds the folder of the packs beside the
    file, which hold sealed candles a second time, 48 bytes each: beyond it those that were not read for
    longest go, and are read from the file again; 0 keeps none, None is half of what would be free on the disk
    without them. For `memory_bytes` None is no bound.
    `sql_memory_bytes` bounds what `sql` takes to answer, above which it spills to a temporary folder or
    refuses; None is half of the machine's memory. Candles are not among it, they are mapped.

    `keep_revisions`, such as "1y" or a timedelta, is how long it is known what bars were before they changed:
    what is older is let go behind writes, about once an hour, by whoever opened the file so. Reads `as_of` a
    time before that raise `HistoryTrimmedError`. None keeps all.

    `maintenance="auto"` has the file put in order by itself in the quiet hours of the night (UTC), as
    `store.maintenance.start()` does; else nothing of the kind starts. With it, `freeze_after`, such as "90d"
    or a timedelta, has bars that are older compressed, once a day.

    `realtime` holds the tickers, order books and trades where the defaults of `RealtimeDataCache` do not fit.
    The store closes it.

    Raises `StoreFileError`, `NewerSchemaError`, `ReadOnlyError`, `StoreBusyError` or `LiveFileError`.

    >>> with mdstore.open(folder / "market_data.sqlite3") as store:
    ...     store.write("KRW-BTC", "1m", [("2025-09-01T00:00", 1, 2, 1, 2, 0.5)]).inserted
    1
    """
    return MarketDataStore(
        default_file() if path is UNNAMED else path,
        create=create,
        read_only=read_only,
        busy_timeout=busy_timeout,
        memory_bytes=memory_bytes,
        pack_bytes=pack_bytes,
        sql_memory_bytes=sql_memory_bytes,
        keep_revisions=keep_revisions,
        realtime=realtime,
        maintenance=maintenance,
        freeze_after=freeze_after,
    )


class MarketDataStore:
    """Candles in one SQLite file, in and out as Polars frames; made by `mdstore.open`.

    Times in are datetimes (aware, or naive = UTC), dates, ISO 8601 texts or numbers (see `timestamps`); times
    out are `Datetime("ms", "UTC")`, the start of the bar. Ranges are half-open, `[start, end)`.

    It is a collection of its series: `len(store)`, `("KRW-BTC", "1m") in store`, `for symbol, bar in store`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        read_only: bool = False,
        busy_timeout: float = 10.0,
        memory_bytes: int | None = MEMORY_BYTES,
        pack_bytes: int | None = None,
        sql_memory_bytes: int | None = None,
        keep_revisions: str | timedelta | None = None,
        realtime: RealtimeDataCache | None = None,
        maintenance: Literal["auto"] | None = None,
        freeze_after: str | timedelta | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = {
            "create": create, "read_only": read_only, "busy_timeout": busy_timeout,
            "memory_bytes": memory_bytes, "pack_bytes": pack_bytes, "sql_memory_bytes": sql_memory_bytes,
            "keep_revisions": keep_revisions,
        }  # fmt: skip
        _refuse_other(maintenance, freeze_after)
        self._clock = clock
        self._server: Server | None = None
        watch_forks()
        self._candles = CandleRepository(
            file_path(path),
            create=create,
            read_only=read_only,
            busy_timeout=busy_timeout,
            memory_bytes=byte_count(memory_bytes, "memory_bytes"),
            pack_bytes=None if pack_bytes is None else byte_count(pack_bytes, "pack_bytes"),
            sql_memory_bytes=(
                None
                if sql_memory_bytes is None
                else byte_count(sql_memory_bytes, "sql_memory_bytes", least=SQL_MEMORY_LEAST)
            ),
            keep_revisions_ms=None if keep_revisions is None else period_ms(keep_revisions, "keep_revisions"),
            clock=clock,
        )
        self._listing = Listing(self._candles)
        self._maintenance = Maintenance(self._candles)
        self._declared = Declared(self._candles.ledger, self._listing)
        self._writing = Writing(self._candles, self._declared, self._now)
        self._reading = Reading(self._candles, self._listing, lambda: self.live, self._now)
        self._holes = Holes(self._candles, self._listing, self._now)
        self._past = Past(self._candles, self._listing)
        self._keeping = Keeping(self._candles, self._reading, self._writing, self._declared)
        self._syncing = Syncing(self._candles, self._declared, self._now)
        self._contents = Contents(self._candles, self._listing)
        self._watching = Watching(lambda: self.realtime, self._syncing.place)
        try:
            self._realtime = Owner(realtime, LivePlace(self, self._candles, self._syncing.place), clock)
            if maintenance is not None:
                self._maintenance.start(freeze_after=freeze_after)
        except BaseException:
            self._candles.close()
            raise

    @property
    def path(self) -> Path:
        """The store's file, as an absolute path."""
        return self._candles.path

    @property
    def read_only(self) -> bool:
        """Whether the file is only read: as asked for, or since it cannot be written."""
        return self._candles.read_only is not None

    @property
    def packs_path(self) -> Path:
        """The folder of the packs. It may be deleted at any time; what it holds is in the file, too."""
        return self._candles.packs_path

    @property
    def repository(self) -> CandleRepository:
        """The candles of the file, as `FragmentationMonitor` and its like take them."""
        return self._candles

    @property
    def maintenance(self) -> Maintenance:
        """Upkeep: `optimize`, `start`, `warm`, `compact`, `check`, `backup`, `stats`."""
        return self._maintenance

    @property
    def realtime(self) -> RealtimeDataCache:
        """Tickers, order books, trades and live candles: in memory only, each row until its TTL."""
        return self._realtime.cache

    @property
    def tickers(self) -> RealtimeTable[Ticker]:
        """What symbols trade at: `push`, `latest`, `window`, `snapshot`, `subscribe`, `stats`."""
        return self._realtime.cache.tickers

    @property
    def orderbooks(self) -> RealtimeTable[Depth]:
        """Order books, up to 30 levels a side; as `tickers`."""
        return self._realtime.cache.orderbooks

    @property
    def trades(self) -> RealtimeTable[Trade]:
        """Trades; as `tickers`."""
        return self._realtime.cache.trades

    @property
    def live(self) -> LiveCandles:
        """Candles as they form: `build` makes them of trades, `update` takes an exchange's own."""
        return self._realtime.cache.live

    def serve(self) -> Path:
        """Serve what is live to other processes of this user: `mdstore.attach(path)` reads it there.

        It goes through a socket in `<file>-live/`, a folder of the user's alone, until the store is closed.
        A read of 10,000 rows takes half a millisecond, and one of the latest row a tenth. Returns the path of
        the socket. Raises `InvalidInputError` where it is served already by another store or process, and
        `OSError`.
        """
        from mdstore.realtime.serving import Server, socket_path

        if self._server is None or not self._server.is_mine:
            self._server = Server(self.realtime, socket_path(self.path))
        return self._server.path

    def replay(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        venue: str | None = None,
        speed: float | None = None,
        strict: bool = False,
        progress: Callable[[int], object] | None = None,
    ) -> Replayed:
        """Play recordings of raw exchange messages into `tickers`, `orderbooks`, `trades` and `live`.

        `speed` is None for as fast as possible, 1.0 for the pace of the recording. Rows live by the time on
        the recording, which stands still at its end, so that they can be looked at; `store.realtime.clear()`
        forgets them and goes back to the time of day. For files and `venue`, see `sources.recordings.replay`.
        A line or message that cannot be read is left out and counted (`unread`), and no bar that may lack it
        is whole; a file whose end is not there is one of `cut`. With `strict` both raise `FileFormatError`.

        Raises `FileFormatError` where nothing can be played, `OSError`, and `InvalidInputError` where there
        are live rows already.
        """
        from mdstore.sources.recordings.replay import replay

        if not self.realtime.is_empty:
            raise InvalidInputError(
                "there are live rows, and a recording has a time of its own",
                hint=Hint(
                    "replay into another store, or forget them by store.realtime.clear()",
                    "replay into another store",
                ),
            )
        try:
            return replay(paths, self.realtime, venue=venue, speed=speed, strict=strict, progress=progress)
        finally:
            if self.realtime.is_empty:  # nothing was played: the time of day again
                self.realtime.clear()

    def candles(
        self,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
        derive_from: str | Timeframe | None = None,
        tz: str | None = None,
        fill: Fill | None = None,
        as_of: Moment | None = None,
        include_forming: bool = False,
    ) -> pl.DataFrame:
        """Return candles as a Polars frame, ascending and all of one snapshot.

        One symbol gives timestamp, open, high, low, close, volume. A list of symbols, or None for every
        symbol of the timeframe, gives a long frame with `symbol` (categorical) first, sorted by symbol and
        time. `limit` is the latest so many bars in the range, of each symbol. `columns` picks and orders
        columns, declared ones (see `declare`) among them; a long frame keeps its symbol. A range without
        candles gives an empty frame of the same schema. The frame shares memory with the store's where it
        can; changing it changes nothing but it.

        `derive_from` makes the bars of a shorter timeframe that is stored (see `resample`): with the same
        meaning of range and limit, and with the columns `closed`, `bars` and `of` at the end. `tz` then is
        the zone in which days, weeks and months are cut.

        `include_forming` adds what is in `live`: bars that are forming, and closed ones that are not stored
        yet, with columns `closed` (a stored bar is, unless it was stored before it had ended, and not again
        since) and `partial` (live, and not seen from its start) at the end. With
        `derive_from` they are made of both: the hour, or the day of a zone, so far.

        `fill` makes the grid regular: bars that are not stored are added as `"flat"` ones at the last close,
        without volume, or as `"null"`, with a column `filled` at the end; bars of closed sessions are not
        (see `set_calendar`). It reaches from `start` to `end`, or from the first to the last bar. They are
        never stored. The price that is carried into the range is a read of its own.

        `as_of` gives the candles as they were known at that time: without what came later, and what closed
        bars were before they changed. A bar that was forming then is absent, once it has changed.

        Raises `NoSuchSeriesError` for a series that is not stored, `InvalidInputError` and its kinds.
        """
        refuse_broken_polars()
        began = time.perf_counter()
        answer = self._reading.read(
            self._candles, symbols, timeframe, start=start, end=end, limit=limit, columns=columns,
            derive_from=derive_from, tz=tz, fill=fill, as_of=as_of, include_forming=include_forming,
        )  # fmt: skip
        frame = answer.frame()
        self._candles.latencies.add("candles", answer.tiers, began)
        return frame

    def resample(
        self,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe,
        *,
        source: str | Timeframe,
        tz: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
        as_of: Moment | None = None,
        include_forming: bool = False,
    ) -> pl.DataFrame:
        """Return bars of `timeframe` made of the stored ones of `source`, which it must be a multiple of.

        Open is the first, high the highest, low the lowest, close the last, volume the sum; a bar without
        source bars is absent. `tz` cuts days, weeks and months (and hours, from midnight) in a zone such as
        "Asia/Seoul"; times stay UTC.

        `closed` says whether the time of a bar is over for the source: the last source bar in it is stored,
        or a later one. After the last session of its calendar a week is closed on Friday. It is not closed
        where a source bar was stored before it had ended, and not again since. `bars` is of how
        many source bars a bar is made, `of` of how many it could be: those of its sessions, without those
        that are known never to have been (holes by reason of "no_trade", "exchange_down", "before_listing",
        "after_delisting", "session_closed"; see `gaps`). A first day of four hours is closed, 4 of 24. Bars
        outside of the sessions count in `bars` only.

        `as_of` makes them of the bars as they were known then, `include_forming` of those that are forming,
        too, as in `candles`: the day so far.

        Raises `TimeframeError` for bars that cannot be made of the source, `NoSuchSeriesError`.
        """
        return self.candles(
            symbols, timeframe, start=start, end=end, limit=limit, columns=columns,
            derive_from=source, tz=tz, as_of=as_of, include_forming=include_forming,
        )  # fmt: skip

    def arrow(
        self,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
        derive_from: str | Timeframe | None = None,
        tz: str | None = None,
        fill: Fill | None = None,
        as_of: Moment | None = None,
        include_forming: bool = False,
    ) -> pa.Table:
        """Return candles as an Arrow table; arguments and order as in `candles`.

        The schema is `schema.CANDLE`, or `schema.LONG_CANDLE` for several symbols; bars that are made
        (`derive_from`, `fill`, `include_forming`) have the columns more that `candles` gives them.
        """
        began = time.perf_counter()
        answer = self._reading.read(
            self._candles, symbols, timeframe, start=start, end=end, limit=limit, columns=columns,
            derive_from=derive_from, tz=tz, fill=fill, as_of=as_of, include_forming=include_forming,
        )  # fmt: skip
        table = answer.table()
        self._candles.latencies.add("arrow", answer.tiers, began)
        return table

    def scan(
        self,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
        derive_from: str | Timeframe | None = None,
        tz: str | None = None,
        fill: Fill | None = None,
        as_of: Moment | None = None,
        include_forming: bool = False,
    ) -> pl.LazyFrame:
        """Return candles as a LazyFrame; arguments and order as in `candles`.

        It is of the moment of this call, however often and wherever in a query it is used. Declared columns
        are among its columns (of stored bars), as only those that are used are read. Columns, slices and
        conditions on symbol and timestamp decide which cells are touched. Bars that are made
        (`derive_from`, `fill`, `include_forming`) are made now, and only what follows is lazy.

        Raises `NoSuchSeriesError`, `InvalidInputError` and its kinds.
        """
        from mdstore.store.lazy_read import lazy_frame

        refuse_broken_polars()
        if columns is None and derive_from is None and fill is None and not include_forming:
            columns = self._declared.beside(symbols)
        read = partial(
            self._reading.read, self._candles, symbols, timeframe,
            start=start, end=end, limit=limit, columns=columns,
            derive_from=derive_from, tz=tz, fill=fill, as_of=as_of, include_forming=include_forming,
        )  # fmt: skip
        began = time.perf_counter()
        answer = read(verify=False)
        self._candles.latencies.add("scan", answer.tiers, began)
        if isinstance(answer, Made):
            return answer.frame().lazy()

        def again() -> Answer:
            fresh = read()
            assert isinstance(fresh, Answer)  # noqa: S101 - the same read is of the same kind; for mypy
            return fresh

        return lazy_frame(answer, self._candles.lose, again)

    def screen(
        self,
        timeframe: str | Timeframe,
        what: Question,
        *,
        symbols: Sequence[str] | None = None,
        bars: int | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        derive_from: str | Timeframe | None = None,
        tz: str | None = None,
        as_of: Moment | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Screen:
        """Evaluate expressions, or a function, over each symbol's latest `bars` (or a range, or all).

        `what` is a Polars expression, a text such as `"close > sma(close, 20)"` (see `expressions`), a list
        or dict of these, or a Python function of a symbol's frame. The answer has one row a symbol in
        `.rows`; an expression with a value for each bar is taken at the latest. Symbols it fails for are in
        `.failed`, with the reason. `derive_from` and `tz` put the bars together first, as in `candles`;
        `as_of` asks of the bars as they were known then. Declared columns are there under their names.
        `progress` is called with symbols done and symbols in all.

        Raises `NoSuchSeriesError`, `InvalidInputError`, and `QueryError` for an expression that fits no
        symbol.
        """
        from mdstore.analysis.screen import screen

        refuse_broken_polars()
        began = time.perf_counter()
        given = [symbols] if isinstance(symbols, str) else symbols
        columns = self._declared.beside(None)
        if derive_from is None and tz is None:
            request = request_of(
                given, timeframe, start=start, end=end, limit=bars, as_of=as_of, columns=columns,
                extras=self._declared.all,
            )  # fmt: skip
            answer = self._candles.read(request)
            found = screen(answer.frame(), answer.ends, what, progress=progress)
            self._candles.latencies.add("screen", answer.tiers, began)
            return found
        from mdstore.analysis.resample import symbol_ends

        made = self.candles(
            given, timeframe, start=start, end=end, limit=bars, derive_from=derive_from, tz=tz,
            columns=columns or LONG, as_of=as_of,
        )  # fmt: skip
        found = screen(made, symbol_ends(made), what, progress=progress)
        self._candles.latencies.add("screen", Made.tiers, began)
        return found

    def sql(
        self,
        query: str,
        *,
        params: Sequence[object] | Mapping[str, object] | None = None,
        tables: Mapping[str, object] | None = None,
        timeout: float | None = None,
    ) -> pl.DataFrame:
        """Return the result of a DuckDB query that reads `candles`, `series` and `quarantine`.

        `tickers`, `orderbooks` and `trades` are tables, too, of what is live. Times in the tables and in the
        result are UTC. The tables of the file are of one snapshot. Conditions on
        symbol, timeframe and timestamp in the query's WHERE bound what is read of a large file.

        `params` are values for `?` in the query (a list) or for `$name` (a dict): what users type belongs
        there and not into the text. `tables` are tables of your own by name: a Polars or pandas frame, an
        Arrow table, a dict of columns.

        One statement that reads (also EXPLAIN, DESCRIBE, SUMMARIZE and SHOW TABLES), of the tables here and
        functions that only read their arguments: no files, no settings. Types that no frame has are refused
        (UHUGEINT, BIT), as are whole numbers of more than 38 digits: cast them. `timeout` is how many seconds
        it may take. What it needs is put into packs, a million rows at a time, and read, a timeframe at a
        time: such a piece is not broken off.

        Raises `QueryError` for SQL that is wrong or would do more, `QueryTimeoutError` beyond `timeout`,
        `InvalidInputError` for parameters and tables that cannot be used.

        >>> with mdstore.open(folder / "market_data.sqlite3") as store:
        ...     query = "SELECT m.weight * ? AS twice FROM mine m LEFT JOIN candles c USING (symbol)"
        ...     mine = {"symbol": ["KRW-BTC"], "weight": [0.25]}
        ...     store.sql(query, params=[2], tables={"mine": mine}, timeout=10)["twice"].to_list()
        [0.5]
        """
        refuse_broken_polars()
        return _frame(self._sql(query, timeout, params, tables)[0])

    def explain(
        self,
        symbols: str | Sequence[str] | None = None,
        timeframe: str | Timeframe | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
        derive_from: str | Timeframe | None = None,
        tz: str | None = None,
        fill: Fill | None = None,
        as_of: Moment | None = None,
        include_forming: bool = False,
        sql: str | None = None,
        params: Sequence[object] | Mapping[str, object] | None = None,
        tables: Mapping[str, object] | None = None,
        timeout: float | None = None,
    ) -> Explanation:
        """Run a read, and say which road it took, why, how many rows it gave and how long it took.

        Takes the arguments of `candles`, or `sql=` and a query; `params`, `tables` and `timeout` go with a
        query, as in `sql`.
        """
        if sql is not None:
            return self._sql(sql, timeout, params, tables)[1]
        if timeout is not None:
            raise InvalidInputError("timeout= bounds a query: it goes with sql=")
        if params is not None or tables is not None:
            raise InvalidInputError("params= and tables= are of a query: they go with sql=")
        if timeframe is None:
            raise InvalidInputError("explain needs a timeframe (and symbols), or sql=")

        def run(reader: Reader) -> tuple[int, str]:
            answer = self._reading.read(
                reader, symbols, timeframe, start=start, end=end, limit=limit, columns=columns,
                derive_from=derive_from, tz=tz, fill=fill, as_of=as_of, include_forming=include_forming,
            )  # fmt: skip
            answer.table()
            return answer.rows, answer.how if isinstance(answer, Made) else ""

        return self._candles.explain(run)

    def series(self) -> pl.DataFrame:
        """Return what is stored: symbol, timeframe, first and last bar, rows, bytes and revision.

        `bytes` is each series' share of the file: by rows, and of what is frozen by its bytes. `revision`
        grows whenever a series changes.
        """
        refuse_broken_polars()
        return self._listing.series()

    def stats(self, *, rules: Iterable[Rule] | None = None) -> dict[str, Any]:
        """Return how the store does, as one tree of figures; a millisecond or two.

        Of the file, whoever uses it: `file` (rows, bytes, pages, how many are free in percent, the share of
        leaves in order as it was measured last, the disk), `log` (its bytes, since when a read keeps it, who
        has the file open and who reads it now, where the system tells), `packs`, `growth`, the last of each
        kind of upkeep (`maintenance`), and who is at what that one process does at a time (`at_work`).

        Of this process alone: `memory` (the tier with its hit rate, that of the latest thousand reads and the
        usual one; bytes by part), `latencies` (count, seconds in all and percentiles in milliseconds, by
        operation and the tiers that answered), `realtime`. Other processes know theirs.

        `alarms` are what rules find wrong in it, each with what to do: those of `optimization.alarms.RULES`,
        or `rules`. The figures of `maintenance.stats()` are among these, under the same names.
        """
        from mdstore.optimization.alarms import RULES

        more = {"maintenance": self._maintenance._stats(), "realtime": self._realtime.stats()}
        tree = self._performance.stats(more, RULES if rules is None else rules)
        tables = tree["realtime"].values()
        tree["memory"]["parts"]["realtime"] = sum(int(table.get("bytes", 0)) for table in tables)
        return tree

    def quarantine(self) -> pl.DataFrame:
        """Return the rows that were set aside: when, the rule each breaks, and the row as JSON."""
        refuse_broken_polars()
        return self._listing.quarantine()

    write = held("_writing", Writing.write)
    watch = held("_watching", Watching.watch)
    write_many = held("_writing", Writing.write_many)
    delete = held("_writing", Writing.delete)
    rename = held("_writing", Writing.rename)
    gaps = held("_holes", Holes.gaps)
    missing = held("_holes", Holes.missing)
    coverage = held("_holes", Holes.coverage)
    cover = held("_holes", Holes.cover)
    uncover = held("_holes", Holes.uncover)
    set_calendar = held("_holes", Holes.set_calendar)
    calendars = held("_holes", Holes.calendars)
    declare = held("_declared", Declared.declare)
    undeclare = held("_declared", Declared.undeclare)
    declared = held("_declared", Declared.declared)
    provenance = held("_past", Past.provenance)
    revisions = held("_past", Past.revisions)
    fingerprint = held("_past", Past.fingerprint)
    keep = held("_keeping", Keeping.keep)
    sync = held("_syncing", Syncing.sync)
    sync_async = held("_syncing", Syncing.sync_async)

    def verify(
        self,
        symbols: str | Sequence[str] | None = None,
        timeframe: str | Timeframe | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> pl.DataFrame:
        """Return what looks wrong in the candles, one row a finding; nothing is changed.

        `symbol`, `timeframe`, `check` (see `analysis.quality_checks`), `severity` ("error": it contradicts
        what a candle is; "warning": look at it; "info"), `start` and `end` (null where the time is in no year
        from 1 to 9999), `bars`, `value` and `detail` in words. Bars of a longer timeframe are compared with
        those made of the next shorter one that is stored. `progress` is called with series done and in all.
        For the soundness of the file see `maintenance.check`.

        Raises `NoSuchSeriesError`, `InvalidInputError` and its kinds.
        """
        from mdstore.store.verify import verify

        refuse_broken_polars()
        bar = None if timeframe is None else str(Timeframe.parse(timeframe))
        listed = self._listing.series()
        wanted = symbol_list(symbols)
        return verify(self._candles, listed, wanted, bar, now=self._now(), progress=progress)

    def close(self) -> None:
        """Close the file and end the scanner process; what was written is safe already.

        Ends subscriptions, and stores the closed live candles that wait for it.
        """
        self._watching.close()
        self._maintenance.stop()
        if self._server is not None:
            self._server.close()
        self._syncing.close()
        try:
            self._realtime.close()
        except KeyboardInterrupt:
            raise  # candles may wait yet: `close` again stores them
        except BaseException:
            self._candles.close()
            raise
        self._candles.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def aclose(self) -> None:
        """Close it as `close` does, in a thread, so that the event loop goes on meanwhile."""
        import asyncio

        await asyncio.shield(asyncio.to_thread(self.close))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    __len__ = held("_contents", Contents.__len__)
    __bool__ = held("_contents", Contents.__bool__)
    __iter__ = held("_contents", Contents.__iter__)
    __contains__ = held("_contents", Contents.__contains__)
    _repr_html_ = held("_contents", Contents._repr_html_)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.path, self._options)

    def __repr__(self) -> str:
        state = ", closed" if self._candles.closed else ", read_only=True" if self.read_only else ""
        return f"MarketDataStore({str(self.path)!r}{state})"

    @once
    def _performance(self) -> PerformanceMonitor:
        from mdstore.optimization.performance import PerformanceMonitor

        return PerformanceMonitor(self._candles)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _sql(
        self,
        query: str,
        timeout: float | None = None,
        params: Sequence[object] | Mapping[str, object] | None = None,
        tables: Mapping[str, object] | None = None,
    ) -> tuple[pa.Table, Explanation]:
        if not isinstance(query, str):
            raise QueryError(f"a query is a text, not {query!r}")
        try:
            query.encode()
        except UnicodeError as error:
            raise QueryError(f"the query holds what is no character: {error}") from error
        live = {name: partial(self._realtime_rows, name) for name in REALTIME}
        return self._candles.sql(
            query, live, None if timeout is None else positive_seconds(timeout, "timeout"), params, tables
        )

    def _realtime_rows(self, table: str) -> pa.Table:
        return self.realtime.tables[table].arrow()


def _refuse_other(maintenance: object, freeze_after: str | timedelta | None) -> None:
    """Refuse what is no upkeep, before there is a file."""
    if maintenance not in (None, "auto"):
        raise InvalidInputError(
            f"maintenance={maintenance!r} is neither 'auto' nor None",
            hint=Hint("store.maintenance.start() takes hours and a zone", "mdstore optimize --daemon"),
        )
    if freeze_after is not None and period_ms(freeze_after, "freeze_after") and maintenance is None:
        raise InvalidInputError(
            f"freeze_after={freeze_after!r} is for upkeep, and none was asked for",
            hint=Hint('give maintenance="auto" as well', "mdstore optimize --daemon --freeze-after 90d"),
        )


def _frame(table: pa.Table) -> pl.DataFrame:
    try:
        frame = pl.from_arrow(table)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise QueryError(
            f"a column of a type that Polars has not: {error}", hint="cast it in the query"
        ) from error
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series; for mypy
    return frame


def _reopen(path: Path, options: dict[str, Any]) -> MarketDataStore:
    return MarketDataStore(path, **options)
