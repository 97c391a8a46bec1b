"""Candles of now: bars as they form, made of trades or set by an exchange's own klines.

The rules by which a bar is closed, `grace` being the seconds by which what an exchange sends is out of order:

- A bar is closed once something has come that was made behind its end and the grace, by the exchange's time:
  a trade of its symbol, of another one on the same connection (see `session`), or a stated `heartbeat`. The
  clock of this machine closes nothing. A bar without trades does not exist.
- A bar of klines is closed by a kline that says so, by the first kline of a later bar (an exchange that never
  says so has then sent all that it had), or as above. Without a session nobody tells of a lost connection:
  what closes the bar must then be of the very next one, else the bar is partial. An update that comes after
  its bar was closed still counts while that bar is the newest and the exchange has not closed it; older
  updates are dropped. A kline that says `closed` always counts.
- A closed bar that changes is amended: it is stored again. The last three of each series can be; an older one
  is asked for again.
- A bar that was not seen from its start to its end is partial: it is shown until it is closed, then dropped,
  and in a hole. A kline makes it whole. Symbols that are in no session are seen from their first trade on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import Any

import polars as pl

from mdstore.core.arguments import symbol_list
from mdstore.core.symbols import check_symbol
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment, to_ms
from mdstore.errors import InvalidInputError, StoreClosedError
from mdstore.realtime.all_series import AllSeries
from mdstore.realtime.asked import timeframe_list
from mdstore.realtime.bars import Bar
from mdstore.realtime.feeds import Feed
from mdstore.realtime.forming_bars import BarSeries, Counts
from mdstore.realtime.kline_rules import check_kline, in_milliseconds
from mdstore.realtime.live_frames import LiveBar, frame_of, long_frame_of
from mdstore.realtime.live_writer import Key, Land, Lander, Ledger
from mdstore.realtime.outlet import Outlet
from mdstore.realtime.rows import ClosedBar, Hole, Kline, Trade
from mdstore.realtime.session import Reads, Session
from mdstore.realtime.subscription import Queue, Subscription

__all__ = ["LiveBar", "LiveCandles"]

NS_PER_SECOND = 1_000_000_000
NS_PER_MS = 1_000_000
CLOSE_SECONDS = 60.0
BUFFER = 10_000


class LiveCandles:
    """The forming and the last closed bars of every (symbol, timeframe) that is built or updated.

    `clock` gives nanoseconds since 1970 and may be replaced at any time. `land(symbol, timeframe, rows)`
    stores closed bars of the series that were built with `persist=True`; it is called in a thread of its own.
    `join` is called once, by the first `build`, to have trades offered. Any thread may call the methods.

    >>> live = LiveCandles()
    >>> live.build("1m", from_start=True)
    >>> for second, price in (10, 5.0), (20, 7.0), (70, 6.0):
    ...     live.offer(Trade("KRW-BTC", second * 1000, price, 1.0))
    >>> live.bars("KRW-BTC", "1m")
    [(0, 5.0, 7.0, 5.0, 7.0, 2.0, True), (60000, 6.0, 6.0, 6.0, 6.0, 1.0, False)]
    """

    def __init__(
        self,
        *,
        clock: Callable[[], int] = time.time_ns,
        grace: float = 2.0,
        land: Land | None = None,
        join: Callable[[LiveCandles], None] | None = None,
    ) -> None:
        if not isfinite(grace) or grace < 0:
            raise InvalidInputError(f"grace={grace!r}: give a number of seconds, zero or more")
        self.clock = clock
        """What tells the time, in nanoseconds since 1970; a replay sets its own."""
        self.on_error: Callable[[Exception], object] | None = None
        """Is called, in a thread of its own, with what keeps bars from being stored."""
        self.takers: dict[type, Callable[[Any], object]] = {Trade: self.offer, Kline: self.update}
        """What takes the rows of sessions, by kind."""
        self.forget: Callable[[Iterable[str] | None], object] = lambda _: None
        """Is called with the symbols of a connection that was lost."""
        self._grace = round(grace * 1000)
        self._join = join
        self._lock = threading.RLock()
        self._out = Outlet()
        self._lander: Lander | None = None
        if land is not None:
            self.land_in(land)
        self._all = AllSeries(self._out, self._grace, lambda: self.clock() // NS_PER_MS)
        self._is_closed = self._is_flushed = False

    def build(
        self,
        timeframes: str | Sequence[str],
        *,
        symbols: Sequence[str] | None = None,
        persist: bool = False,
        from_start: bool = False,
    ) -> None:
        """Make bars of these timeframes from the trades of these symbols (None: of all) from now on.

        `persist` hands closed bars to `land`. `from_start` says that every bar is seen from its start, as in
        a recording that is played from its own; otherwise the first bar of a series is partial.

        Raises `InvalidInputError` (and its kinds), `ReadOnlyError` to `persist` where the store is only read,
        and `StoreClosedError` after `close`.
        """
        wanted, names = timeframe_list(timeframes), symbol_list(symbols)
        if persist and self._lander is None:
            raise InvalidInputError("persist=True needs a place to store bars: LiveCandles(land=store.write)")
        if persist and self._lander is not None:
            self._lander.refuse_to_write()
        with self._lock:
            if self._is_closed:
                raise StoreClosedError("these live candles are closed: build before close()")
            self._all.ask(wanted, names, (persist, from_start))
            join, self._join = self._join, None
        if join is not None:
            join(self)
        if persist and self._lander is not None:
            self._lander.start()

    def land_in(self, land: Land) -> None:
        """Store closed bars by `land` from now on. Raises `InvalidInputError` where there is one already."""
        with self._lock:
            if self._lander is not None:
                raise InvalidInputError("these live candles are stored elsewhere: each store has its own")
            self._lander = self._out.lander = Lander(land, self.tick, self._trouble)

    def session(
        self, feed: Reads | str, symbols: str | Sequence[str] | None, **options: Any
    ) -> Session:  # the options and their types are those of Session
        """Return a session: what knows which bars of symbols were seen whole. See `Session` for the options.

        `feed` reads messages, as `UpbitFeed()` or `BinanceFeed()` do; or it is a name, where rows are pushed.
        `symbols` None is all that are in no other session; it ends an earlier session of all.

        Raises `InvalidInputError`, also for a symbol that another session has.
        """
        return Session(self, feed, symbols, **options)

    def offer(self, trade: Trade) -> None:
        """Put a valid trade into the bars that are built of it; quick, and without I/O."""
        symbol, timestamp, price, size, _, key, is_old, _ = trade
        self.take(symbol, timestamp, price, size, key, is_old=is_old)

    def take(
        self, symbol: str, timestamp: int, price: float, size: float, key: int | None, *, is_old: bool = False
    ) -> None:
        """Take a trade's fields: `fast_push` gives them without making a `Trade`, which takes 0.4 us."""
        with self._lock:
            route = self._all.routes.get(symbol)
            if route is None:
                if self._is_closed:
                    return
                route = self._all.route(symbol, timestamp)
            route.take(timestamp, price, size, key, is_old)

    def update(self, kline: Kline) -> None:
        """Set a bar to an exchange's own word; its series is built of klines only from then on.

        An answer to a request (`snapshot`), and a bar that is `closed`, are candles, and change nothing in
        what the series is built of. Where klines stop coming, and trades do not, it is built of these again.
        A time in micro- or nanoseconds is told by its size.

        Raises `InvalidInputError` that names the field which is wrong; nothing is changed then.
        """
        kline = in_milliseconds(kline)
        timeframe = check_kline(kline, self.clock())
        with self._lock:
            if self._is_closed:
                return
            is_first = kline.symbol not in self._all.feeds
            series = self._all.get(kline.symbol, timeframe, kline.timestamp, is_first=is_first)
            series.take(kline)
            if not kline.snapshot and kline.timestamp > series.feed.time:
                series.feed.hear(kline.timestamp, "")  # which proves nothing to other series

    def heartbeat(self, at: Moment, symbols: str | Sequence[str] | None = None) -> None:
        """Say that it is a certain time by the exchange's clock, and that its symbols are alive (None: all).

        For symbols that trade rarely, and at the end of a recording.
        """
        moment, names = to_ms(at, "at"), symbol_list(symbols)
        with self._lock:
            feeds = self._all.feeds
            found = [feeds[name] for name in names or tuple(feeds) if name in feeds]
            for feed in dict.fromkeys(found):
                feed.hear(moment, None)

    def missed(self, trade_of: str, timestamp: int) -> None:
        """Say that a trade (ms) came that was not taken: the bars that would hold it are not whole."""
        with self._lock:
            for series in self._all.of(trade_of):
                series.missed(timestamp)

    def holes(self, symbols: str | Sequence[str] | None = None) -> list[Hole]:
        """Return which bars were not seen whole, and not fetched since; None: of all symbols.

        A hole that has no end goes on: the feed is down, or has not sent a trade since it came up.
        """
        names = symbol_list(symbols)
        with self._lock:
            return [
                Hole(*key, *one)
                for key, series in sorted(self._all.by_key.items())
                if names is None or series.symbol in names
                for one in series.unseen_ranges()
            ]

    def filled(
        self, symbol: str, timeframe: str, start: int, end: int, rows: Sequence[tuple[Any, ...]] = ()
    ) -> None:
        """Say that the bars of `[start, end)` ms were fetched; `rows` are told to those who subscribed."""
        key = check_symbol(symbol), str(Timeframe.parse(timeframe))
        with self._lock:
            if key in self._all.by_key:
                self._all.by_key[key].heal(start, end)
            self._out.filled(key, rows)

    def subscribe(
        self,
        timeframe: str,
        symbols: str | Sequence[str] | None = None,
        callback: Callable[[ClosedBar], object] | None = None,
        *,
        buffer: int = BUFFER,
    ) -> Subscription[ClosedBar]:
        """Be given every bar of a timeframe that ends from now on, each once and in the order of its symbol.

        A bar is whole, or `partial`; one that changes later comes again, `amended`; one that was missed
        comes behind later ones, once it is fetched. With a `callback`, it is called in a thread of its own;
        without, the subscription is iterated over, by `for` or `async for`. Which bars there are is up to
        `build`. Up to `buffer` bars wait; then the oldest go.

        Raises `InvalidInputError` and its kinds, and `StoreClosedError` after `close`.
        """
        name, names = Timeframe.parse(timeframe), symbol_list(symbols)
        if callback is not None and not callable(callback):
            raise InvalidInputError(f"callback={callback!r} cannot be called")
        queue = Queue(names, "drop", buffer, 1.0)
        with self._lock:
            if self._is_closed:
                raise StoreClosedError("these live candles are closed: no bar will end any more")
            self._out.add(name, queue)
        return Subscription(queue, callback, self._leave)

    def tick(self) -> None:
        """State which bars have passed without a trade; called twice a second where bars are stored."""
        with self._lock:
            for series in self._all.by_key.values():
                series.settle(series.feed.proven)

    def bars(self, symbol: str, timeframe: str, *, pending: bool = True) -> list[LiveBar]:
        """Return the live bars of one series, ascending; see `frame`."""
        key = check_symbol(symbol), str(Timeframe.parse(timeframe))
        with self._lock:
            return [bar for bar, _ in self._bars(key, pending)]

    def known(self, symbol: str, timeframe: str) -> list[tuple[LiveBar, bool, bool]]:
        """Return bars to show beside stored ones, whether each is partial, and knows more than a stored one.

        One that is forming does, if it was seen from its start, and one that is closed but not stored yet.
        """
        key = symbol, timeframe
        with self._lock:
            found = self._bars(key, pending=True)
            waiting = {row[0] for row in self._waiting(key)}
        return [
            (bar, partial, bar[0] in waiting or not (bar[6] or partial))
            for bar, partial in found
            if not (bar[6] and partial)
        ]

    def forming(self, symbol: str, timeframe: str) -> Kline | None:
        """Return the bar that is forming, None where there is none."""
        key = check_symbol(symbol), str(Timeframe.parse(timeframe))
        with self._lock:
            series = self._all.by_key.get(key)
            return series.forming() if series is not None else None

    def frame(
        self, symbols: str | Sequence[str] | None, timeframe: str, *, pending: bool = True
    ) -> pl.DataFrame:
        """Return what is live: open bars, and the last closed ones, ascending by (symbol, timestamp).

        Columns: timestamp, open, high, low, close, volume, closed, and partial where not all of a bar was
        seen; `symbol` first for a list or None (all). With `pending`, also older closed bars that wait to be
        stored. Symbols without live bars give none.
        """
        name = str(Timeframe.parse(timeframe))
        names = symbol_list(symbols)
        with self._lock:
            found = {symbol: self._bars((symbol, name), pending) for symbol in names or self._symbols(name)}
        return frame_of(found[symbols]) if isinstance(symbols, str) else long_frame_of(found)

    def waiting(self, symbols: Sequence[str], timeframe: str) -> set[tuple[str, int]]:
        """Return the closed bars that are not stored yet, by symbol and start (ms)."""
        return {(symbol, row[0]) for symbol in symbols for row in self._waiting((symbol, timeframe))}

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all bars closed so far are stored, at most `timeout` seconds (None: no limit).

        Where they cannot be stored, raises what `land` raised last; they stay pending and are tried again.
        """
        self.tick()
        if self._lander is not None:
            self._lander.flush(timeout)

    def close(self, timeout: float | None = CLOSE_SECONDS) -> None:
        """Store what is closed, as `flush` does, and stop; forming bars are not stored.

        Trades and klines after it are ignored. Closing again does nothing, unless Ctrl-C came the first time.
        """
        self.tick()
        with self._lock:
            if self._is_flushed:
                return
            self._is_closed = True
            self._all.ask_for_none()
            queues = self._out.queues()
        for queue in queues:
            queue.end()
        lander = self._lander
        if lander is not None:
            try:
                lander.flush(timeout)
            except Exception:
                lander.stop()
                self._is_flushed = True
                raise
            lander.stop()
        self._is_flushed = True

    def clear(self) -> None:
        """Forget all bars and counts; what `build` asked for stays, and what waits is still stored.

        The next bars are partial, unless `build(from_start=True)` is called again.
        """
        with self._lock:
            self._all.clear()

    def __repr__(self) -> str:
        counts = self.stats()
        return f"<LiveCandles: {counts['series']} series, {counts['forming']} bars forming>"

    def stats(self) -> dict[str, int | float | str | None]:
        """Return counts of what became of bars, trades and klines, and the last failure to store any."""
        with self._lock:
            counts, series = self._all.counts, self._all.of_all(None)
            found: dict[str, int | float | str | None] = {
                "series": len(series),
                "forming": sum(len(one.open) for one in series),
                **{name: getattr(counts, name) for name in Counts.__slots__},
            }
        lander = self._lander
        return {**found, **(lander.stats() if lander else {"landed": 0, "pending": 0, "land_error": None})}

    # ---- for sessions

    def enter(self, session: Session, feed: Feed, symbols: Sequence[str] | None) -> None:
        """Have symbols come by one feed from now on. Raises `InvalidInputError` for one that is taken."""
        with self._lock:
            if self._is_closed:
                raise StoreClosedError("these live candles are closed: no session can begin")
            self._all.enter(session, feed, symbols)

    def leave(self, session: Session, symbols: Sequence[str] | None) -> None:
        """Have symbols come by themselves again."""
        with self._lock:
            self._all.leave(session, symbols)

    def session_of(self, symbol: str) -> Session | None:
        """Return the session that a symbol comes by, if there is one."""
        return self._all.session_of(symbol)

    def series_of(self, symbols: Iterable[str] | None) -> list[BarSeries]:
        """Return the series of symbols (None: of all); the lock is held."""
        return self._all.of_all(symbols)

    @property
    def grace(self) -> int:
        """By how many milliseconds what exchanges send is out of order."""
        return self._grace

    def ended_holes(self, symbols: Iterable[str] | None) -> list[Hole]:
        """Return the holes of stored series whose bars have all ended, by the exchange's time."""
        with self._lock:
            return [
                Hole(series.symbol, series.name, start, end)
                for series in self._all.of_all(symbols)
                if series.persist
                for start, end in series.ended_holes()
            ]

    @property
    def ledger(self) -> Ledger | None:
        """The store that takes bars, if one does."""
        return None if self._lander is None else self._lander.ledger

    @property
    def lock(self) -> threading.RLock:
        """Is held by whoever changes a feed."""
        return self._lock

    # ---- within, with the lock held

    def _leave(self, queue: Queue) -> None:
        with self._lock:
            self._out.remove(queue)

    def _trouble(self, error: Exception) -> None:
        if self.on_error is not None:
            self.on_error(error)
        for session in self._all.sessions():
            session.trouble(error)

    def _symbols(self, timeframe: str) -> list[str]:
        waiting = () if self._lander is None else self._lander.keys()
        return sorted({symbol for symbol, name in (*self._all.by_key, *waiting) if name == timeframe})

    def _waiting(self, key: Key) -> Sequence[tuple[int, float, float, float, float, float]]:
        return () if self._lander is None else self._lander.rows(key)

    def _bars(self, key: Key, pending: bool) -> list[tuple[LiveBar, bool]]:
        """Return bars, and whether each is partial."""
        series = self._all.by_key.get(key)
        waiting = self._waiting(key) if pending else ()
        bars: dict[int, tuple[LiveBar, bool]] = {row[0]: ((*row, True), False) for row in waiting}
        for bar in () if series is None else (*series.closed, *series.open):
            bars[bar.start] = _shown(bar)
        return [bars[start] for start in sorted(bars)]


def _shown(bar: Bar) -> tuple[LiveBar, bool]:
    return (*bar.row(), bar.closed), bar.partial
