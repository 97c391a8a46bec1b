"""Candles of now: bars as they form, made of trades or set by an exchange's own klines.

When a bar is closed (`grace` is for how many seconds late trades are waited for):

- A bar of trades is closed when the clock is past its end and the grace: at the next trade of a later bar, or
  at the next `tick()`, which every read calls. A bar without trades does not exist.
- A bar of klines is closed by a kline that says so, by the first kline of a later bar (an exchange that never
  says so has then sent all that it had), or by the clock as above. An update that comes after the clock has
  closed its bar still counts while that bar is the newest and the exchange has not closed it; older updates
  are dropped. A kline that says `closed` always counts.
- A closed bar that changes is amended: it is stored again. The last three of each series can be.
- A bar that was not seen from its start, or in which a `gap` fell, is partial: it is shown until its end and
  its grace have passed, and then dropped. A kline makes it whole. A bar counts as seen from its start if it
  starts after the first trade of its symbol, or no earlier than a feed said that it is `connected`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from math import isfinite

import polars as pl

from mdstore.core.arguments import symbol_list
from mdstore.core.candle_rules import check_symbol
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment, to_ms
from mdstore.errors import InvalidInputError, StoreClosedError
from mdstore.realtime.forming_bars import Bar, BarSeries, Counts, check_kline
from mdstore.realtime.live_writer import Key, Land, Lander
from mdstore.realtime.rows import Kline, Trade

__all__ = ["LiveBar", "LiveCandles"]

LiveBar = tuple[int, float, float, float, float, float, bool]
"""timestamp (ms), open, high, low, close, volume, closed."""

Schema = dict[str, pl.DataType | type[pl.DataType]]
SCHEMA: Schema = {
    "timestamp": pl.Datetime("ms", "UTC"), "open": pl.Float64, "high": pl.Float64, "low": pl.Float64,
    "close": pl.Float64, "volume": pl.Float64, "closed": pl.Boolean, "partial": pl.Boolean,
}  # fmt: skip
LONG_SCHEMA: Schema = {"symbol": pl.Categorical, **SCHEMA}
NS_PER_SECOND = 1_000_000_000
NS_PER_MS = 1_000_000
CLOSE_SECONDS = 60.0


class LiveCandles:
    """The forming and the last closed bars of every (symbol, timeframe) that is built or updated.

    `clock` gives nanoseconds since 1970 and may be replaced at any time. `land(symbol, timeframe, rows)`
    stores closed bars of the series that were built with `persist=True`; it is called in a thread of its own.
    `join` is called once, by the first `build`, to have trades offered. Any thread may call the methods.

    >>> live = LiveCandles(clock=lambda: 90_000_000_000)
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
        self._clock = clock
        self._grace = int(grace * NS_PER_SECOND)
        self._lander = None if land is None else Lander(land, self.tick)
        self._join = join
        self._lock = threading.Lock()
        self._counts = Counts()
        self._asked = _Asked()
        self._series: dict[Key, BarSeries] = {}
        self._routes: dict[str, tuple[BarSeries, ...]] = {}
        self._connected: dict[str | None, int | None] = {}
        """Since when (ms) every trade is seen, of a symbol or (None) of all."""
        self._due = FOREVER
        self._is_closed = self._is_flushed = False

    @property
    def clock(self) -> Callable[[], int]:
        """What tells the time, in nanoseconds since 1970; a replay sets its own."""
        return self._clock

    @clock.setter
    def clock(self, clock: Callable[[], int]) -> None:
        with self._lock:
            self._clock = clock
            self._asked.forget_times()  # they were told by the other clock

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

        Raises `InvalidInputError` (and its kinds), and `StoreClosedError` after `close`.
        """
        wanted, names = _timeframes(timeframes), symbol_list(symbols)
        if persist and self._lander is None:
            raise InvalidInputError("persist=True needs a place to store bars: LiveCandles(land=store.write)")
        with self._lock:
            if self._is_closed:
                raise StoreClosedError("these live candles are closed: build before close()")
            self._asked.add(wanted, names, (persist, from_start, self.clock() // NS_PER_MS))
            self._routes.clear()
            for series in self._series.values():
                series.persist, _ = self._asked.terms(series.symbol, series.name)
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
            self._lander = Lander(land, self.tick)

    def offer(self, trade: Trade) -> None:
        """Put a valid trade into the bars that are built of it; quick, and without I/O."""
        timestamp, price, size = trade.timestamp, trade.price, trade.size
        with self._lock:
            routes = self._routes.get(trade.symbol)
            if routes is None:
                routes = self._route(trade.symbol)
            for series in routes:
                bar = series.bar
                if bar.start <= timestamp < bar.end:
                    bar.add(timestamp, price, size)
                    if series.due and self._clock() >= series.due:
                        series.close_due(self._clock(), keep=1)
                else:
                    series.place(timestamp, price, size, self._clock())
                    self._due = min(self._due, series.next_due)

    def update(self, kline: Kline) -> None:
        """Set a bar to an exchange's own word; its series is built of klines only from then on.

        Raises `InvalidInputError` that names the field which is wrong; nothing is changed then.
        """
        timeframe = check_kline(kline, self.clock())
        with self._lock:
            if self._is_closed:
                return
            series = self._get(kline.symbol, timeframe)
            was_by_klines, series.heard = series.by_klines, self.clock() // NS_PER_MS
            if series.take(kline) and not was_by_klines:
                self._routes.pop(kline.symbol, None)
            self._due = min(self._due, series.next_due)

    def connected(self, symbols: str | Sequence[str] | None = None) -> None:
        """Say that from now on every trade is seen (None: of all symbols), for a feed to call when it is up.

        Without it, a symbol counts as seen from its first trade on, and its first bar is lost. What was open
        before is partial then: name the symbols where several feeds come and go.
        """
        names, now = symbol_list(symbols), self.clock() // NS_PER_MS
        with self._lock:
            self._connected = {None: now} if names is None else self._connected | dict.fromkeys(names, now)
            for series in self._series.values():
                if names is None or series.symbol in names:
                    series.connect(now)

    def missed(self, trade_of: str, timestamp: int) -> None:
        """Say that a trade (ms) came too late to be taken: bars that would hold it are not whole."""
        with self._lock:
            for series in self._routes.get(trade_of, ()):
                series.missed(timestamp)

    def gap(
        self, symbols: str | Sequence[str] | None = None, *, since: Moment | None = None
    ) -> list[tuple[str, str, int, int]]:
        """Say that trades were missed (None: of all symbols), for a feed to call when it lost its connection.

        `since` is when the last message came, by default the last trade or kline of any of the symbols. What
        is open and what ended after it is not whole any more; of that, what waits to be stored is withdrawn.
        Return what is to be fetched elsewhere, also where it was stored already: symbol, timeframe, and the
        first start and the end in milliseconds, `[start, end)`.
        """
        names = symbol_list(symbols)
        moment = None if since is None else to_ms(since, "since")
        with self._lock:
            found = [one for one in self._series.values() if names is None or one.symbol in names]
            now = self.clock() // NS_PER_MS
            heard = max((one.last for one in found), default=0) or now
            lost = min(heard if moment is None else moment, now)
            self._connected = {} if names is None else self._connected | dict.fromkeys(names, None)
            holes = []
            for series in found:
                series.gap(lost)
                bar = Timeframe.parse(series.name)
                start, end = bar.floor(lost), bar.next(now)
                if self._lander is not None:
                    self._lander.withdraw((series.symbol, series.name), start)
                holes.append((series.symbol, series.name, start, end))
        return sorted(holes)

    def tick(self) -> None:
        """Close every bar whose end and grace have passed."""
        now = self.clock()
        with self._lock:
            if now < self._due:
                return
            for series in self._series.values():
                series.close_due(now)
            self._due = min((series.next_due for series in self._series.values()), default=FOREVER)

    def bars(self, symbol: str, timeframe: str, *, pending: bool = True) -> list[LiveBar]:
        """Return the live bars of one series, ascending; see `frame`."""
        key = check_symbol(symbol), str(Timeframe.parse(timeframe))
        self.tick()
        with self._lock:
            return [bar for bar, _ in self._bars(key, pending)]

    def forming(self, symbol: str, timeframe: str) -> Kline | None:
        """Return the bar that is forming, None where there is none."""
        key = check_symbol(symbol), str(Timeframe.parse(timeframe))
        self.tick()
        with self._lock:
            series = self._series.get(key)
            return series.forming() if series is not None else None

    def frame(
        self, symbols: str | Sequence[str] | None, timeframe: str, *, pending: bool = True
    ) -> pl.DataFrame:
        """Return what is live: open bars, and the last closed ones, ascending by (symbol, timestamp).

        Columns: timestamp, open, high, low, close, volume, closed, and partial where not all of a bar was
        seen; `symbol` first for a list or None (all).
        With `pending`, also older closed bars that wait to be stored. Symbols without live bars give none.
        """
        name = str(Timeframe.parse(timeframe))
        names = symbol_list(symbols)
        self.tick()
        with self._lock:
            found = {symbol: self._bars((symbol, name), pending) for symbol in names or self._symbols(name)}
        if isinstance(symbols, str):
            return _columns(SCHEMA, [(*bar, partial) for bar, partial in found[symbols]])
        rows = [(symbol, *bar, partial) for symbol, bars in found.items() for bar, partial in bars]
        return _columns(LONG_SCHEMA, rows)

    def waiting(self, symbols: Sequence[str], timeframe: str) -> set[tuple[str, int]]:
        """Return the closed bars that are not stored yet, by symbol and start (ms)."""
        lander = self._lander
        if lander is None:
            return set()
        return {(symbol, row[0]) for symbol in symbols for row in lander.rows((symbol, timeframe))}

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
            self._asked = _Asked()
            self._routes.clear()
        if self._lander is not None:
            try:
                self._lander.flush(timeout)
            except Exception:
                self._lander.stop()
                self._is_flushed = True
                raise
            self._lander.stop()
        self._is_flushed = True

    def clear(self) -> None:
        """Forget all bars and counts; what `build` asked for stays, and what waits is still stored.

        The next bars are partial, unless `build(from_start=True)` is called again.
        """
        with self._lock:
            self._series.clear()
            self._routes.clear()
            self._asked.forget_starts()
            self._connected.clear()
            self._counts = Counts()
            self._due = FOREVER

    def stats(self) -> dict[str, int | float | str | None]:
        """Return counts of what became of bars, trades and klines, and the last failure to store any."""
        with self._lock:
            counts, series = self._counts, list(self._series.values())
            found: dict[str, int | float | str | None] = {
                "series": len(series),
                "forming": sum(len(one.open) for one in series),
                **{name: getattr(counts, name) for name in Counts.__slots__},
            }
        stored = (
            {"landed": 0, "pending": 0, "land_error": None} if self._lander is None else self._lander.stats()
        )
        return {**found, **stored}

    def _route(self, symbol: str) -> tuple[BarSeries, ...]:
        """Find, once, which series are built of the trades of a symbol."""
        made = (self._get(symbol, timeframe) for timeframe in self._asked.timeframes(symbol))
        routes = self._routes[symbol] = tuple(series for series in made if not series.by_klines)
        return routes

    def _get(self, symbol: str, timeframe: Timeframe) -> BarSeries:
        key = symbol, str(timeframe)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = BarSeries(
                symbol, timeframe, grace=self._grace, counts=self._counts, out=self._out
            )
            series.persist, from_start = self._asked.terms(*key)
            connected = self._connected.get(symbol, self._connected.get(None))
            if from_start:
                series.whole()
            elif connected is not None:
                # Trades from before it was built were not seen by it.
                series.connect(max(connected, self._asked.since(*key)))
        return series

    def _out(self, series: BarSeries, bar: Bar) -> None:
        if series.persist and self._lander is not None:
            self._lander.put((series.symbol, series.name), bar.row())

    def _symbols(self, timeframe: str) -> list[str]:
        waiting = () if self._lander is None else self._lander.keys()
        return sorted({symbol for symbol, name in (*self._series, *waiting) if name == timeframe})

    def _bars(self, key: Key, pending: bool) -> list[tuple[LiveBar, bool]]:
        """Return bars, and whether each is partial."""
        series = self._series.get(key)
        waiting = self._lander.rows(key) if pending and self._lander is not None else ()
        bars: dict[int, tuple[LiveBar, bool]] = {row[0]: ((*row, True), False) for row in waiting}
        for bar in () if series is None else (*series.closed, *series.open):
            bars[bar.start] = ((*bar.row(), bar.closed), bar.partial)
        return [bars[start] for start in sorted(bars)]


Terms = tuple[bool, bool, int]
"""Whether to store bars, whether to believe that the first is whole, and since when (ms) they are built."""


class _Asked:
    """What `build` was asked for, by timeframe and symbol (None: all)."""

    def __init__(self) -> None:
        self._terms: dict[Timeframe, dict[str | None, Terms]] = {}

    def add(self, timeframes: list[Timeframe], symbols: tuple[str, ...] | None, asked: Terms) -> None:
        persist, from_start, now = asked
        for timeframe in timeframes:
            terms = self._terms.setdefault(timeframe, {})
            for symbol in symbols or (None,):
                before = terms.get(symbol, (False, False, now))
                terms[symbol] = (persist or before[0], from_start, before[2])

    def timeframes(self, symbol: str) -> list[Timeframe]:
        return [timeframe for timeframe, terms in self._terms.items() if symbol in terms or None in terms]

    def terms(self, symbol: str, timeframe: str) -> tuple[bool, bool]:
        """Return whether bars of a series are stored, and whether its first one is whole."""
        own = self._own(symbol, timeframe)
        return any(persist for persist, _, _ in own), any(from_start for _, from_start, _ in own)

    def since(self, symbol: str, timeframe: str) -> int:
        """Return since when (ms) a series is built."""
        return min((since for _, _, since in self._own(symbol, timeframe)), default=0)

    def forget_starts(self) -> None:
        for terms in self._terms.values():
            terms.update({symbol: (persist, False, since) for symbol, (persist, _, since) in terms.items()})

    def forget_times(self) -> None:
        for terms in self._terms.values():
            terms.update({symbol: (persist, start, 0) for symbol, (persist, start, _) in terms.items()})

    def _own(self, symbol: str, timeframe: str) -> list[Terms]:
        terms = self._terms.get(Timeframe.parse(timeframe), {})
        return [terms[key] for key in (symbol, None) if key in terms]


def _timeframes(timeframes: str | Sequence[str]) -> list[Timeframe]:
    names = (timeframes,) if isinstance(timeframes, str | Timeframe) else tuple(timeframes)
    if not names:
        raise InvalidInputError("the list of timeframes is empty: give one such as '1m', or several")
    return [Timeframe.parse(name) for name in names]


def _columns(schema: Schema, rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    """Return rows as a frame; by column, which takes half the time that rows do."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    return pl.DataFrame(
        [
            pl.Series(name, list(values), dtype=kind)
            for (name, kind), values in zip(schema.items(), columns, strict=True)
        ]
    )
