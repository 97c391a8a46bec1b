"""What is known of the connections that rows of some symbols come by: which bars were seen whole.

A session outlives its connections: it begins before the first one, and what is lost between two of them is
one hole, from the last bar that was proven to the first that was seen from its start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from mdstore.core.arguments import symbol_list
from mdstore.core.logs import logger, tell
from mdstore.core.time_bounds import FAR_MS, FOREVER
from mdstore.core.timestamps import Moment, to_ms
from mdstore.errors import FeedError, InvalidInputError, MessageError
from mdstore.realtime.attempts import Attempts
from mdstore.realtime.backfill import Backfill, Fetch
from mdstore.realtime.feeds import Feed
from mdstore.realtime.forming_bars import BarSeries
from mdstore.realtime.live_writer import Ledger
from mdstore.realtime.row_rules import FUTURE_MS, MS_NS
from mdstore.realtime.rows import Depth, Hole, Kline, Notice, Trade

__all__ = ["Reads", "Session", "State", "may_be_of_bars"]

State = Literal["connecting", "subscribed", "alive", "silent", "disconnected", "closed"]
LOG = logger("live")
SILENCE = 60.0
OF_BARS = ("trade", "kline", "candle")
"""What is in the names of those kinds of messages that bars are made of."""


class Reads(Protocol):
    """What makes rows of messages. One with `reset` is told when a connection was lost."""

    def rows(self, message: Any, received: int | None = None, /) -> Sequence[Any]:
        """Return the rows of a message that was `received` at a local time (ns)."""


class Lives(Protocol):
    """What a session needs of live candles."""

    clock: Callable[[], int]
    takers: dict[type, Callable[[Any], object]]
    forget: Callable[[Iterable[str] | None], object]

    @property
    def grace(self) -> int:
        """By how many milliseconds what exchanges send is out of order."""

    @property
    def lock(self) -> AbstractContextManager[object]:
        """Is held by whoever changes a feed."""

    @property
    def ledger(self) -> Ledger | None:
        """Where bars are stored, if they are."""

    def enter(self, session: Session, feed: Feed, symbols: Sequence[str] | None) -> None:
        """Have symbols come by one feed."""

    def leave(self, session: Session, symbols: Sequence[str] | None) -> None:
        """Have symbols come by themselves again."""

    def session_of(self, symbol: str) -> Session | None:
        """Return the session that a symbol comes by."""

    def series_of(self, symbols: Iterable[str] | None) -> list[BarSeries]:
        """Return the series of symbols."""

    def holes(self, symbols: Sequence[str] | None) -> list[Hole]:
        """Return which bars were not seen whole."""

    def ended_holes(self, symbols: Iterable[str] | None) -> list[Hole]:
        """Return those that can be fetched."""

    def missed(self, trade_of: str, timestamp: int) -> None:
        """Know of a trade that was not taken."""

    def filled(self, symbol: str, timeframe: str, start: int, end: int, rows: Sequence[Any] = ()) -> None:
        """Know that a hole was filled."""

    def flush(self, timeout: float | None = None) -> None:
        """Wait until what has ended so far is stored."""


class Session:
    """A feed of some symbols: what came of them, and which bars were not seen whole; made by `live.session`.

    `prefix` is put before each symbol, to keep apart what two exchanges call the same. `backfill(symbol,
    timeframe, start, end)`, a function or a coroutine function, returns the candles of `[start, end)` ms. It
    is called for holes once their bars have ended, those of before a restart included; until then they stay
    in `hole`. A hole of before a restart that is longer than `most_bars` is not fetched: it is in `left`.
    `silence` is after how many seconds without anything a connection is taken for dead, None for never.
    `volume_digits` are the decimals that sizes have at the exchange: volumes that are summed up are rounded
    to them, and so equal to its own. `on_error` is called with every row that is refused, whatever
    the exchange refuses, connections that are lost, and what keeps bars from being stored. Notes of an error
    (`__notes__`) say of which symbol it is, and when it is tried again.

    A `with`, or an `async with`, ends it.

    Raises `InvalidInputError`, also for a symbol that another session has, and `StoreClosedError`.
    """

    def __init__(
        self,
        live: Lives,
        feed: Reads | str,
        symbols: str | Sequence[str] | None,
        *,
        prefix: str = "",
        backfill: Fetch | None = None,
        most_bars: int | None = None,
        silence: float | None = SILENCE,
        volume_digits: int | None = None,
        on_error: Callable[[Exception], object] | None = None,
    ) -> None:
        names = symbol_list(symbols)
        if not isinstance(feed, str) and not callable(getattr(feed, "rows", None)):
            raise InvalidInputError(f"feed={feed!r} has no rows(message): give UpbitFeed(), or a name")
        if silence is not None and not (isinstance(silence, int | float) and silence > 0):
            raise InvalidInputError(f"silence={silence!r} is no number of seconds above 0")
        self.name = feed if isinstance(feed, str) else str(getattr(feed, "venue", type(feed).__name__))
        self.symbols = None if names is None else tuple(prefix + name for name in names)
        self.silence = silence
        self.refused = 0
        """The number of rows, and of messages that could not be read, that were not taken."""
        self.connections = 0
        """The number of times that something came after a connection began."""
        self.alive_since = float("-inf")
        """When that was the last time, by `time.monotonic`."""
        self.left: list[Hole] = []
        """The holes of before it that are too long for it to fetch."""
        self._live, self._reader, self._prefix = live, None if isinstance(feed, str) else feed, prefix
        self._on_error = on_error
        self._feed = Feed(live.grace, self.name, volume_digits, is_told=True)
        self._state: State = "connecting"
        self._heard_at = time.monotonic()
        self._last: Any = None
        live.enter(self, self._feed, self.symbols)
        self._recall(FOREVER if most_bars is None else most_bars)
        self._backfill = (
            None if backfill is None else Backfill(live, self.symbols, len(prefix), backfill, self.trouble)
        )

    # ---- what comes

    def push(self, data: object, received: int | None = None) -> int:
        """Take a message, or the rows of one; return how many rows were taken.

        Nothing that comes raises: a row that breaks a rule is refused and counted, `on_error` is told, and
        the bar that it would have been in is in a hole. So is what a message may have held that cannot be
        read.
        """
        self._hear()
        taken = 0
        for row in self._rows(data, received):
            if type(row) is Notice:
                self.trouble(FeedError(f"{row.venue}: {row.message}"))
            else:
                self._last = row
                taken += self._take(row._replace(symbol=self._prefix + row.symbol) if self._prefix else row)
        return taken

    def subscribed(self, symbols: str | Sequence[str] | None = None, *, at: Moment | None = None) -> None:
        """Say that symbols (None: all) were subscribed to, `at` a time of the exchange if it says so.

        All is seen of them from the first trade of one of them on. Where nobody says it, a symbol is seen
        from its own first trade on.
        """
        names = self._names(symbols)
        with self._live.lock:
            self._feed.await_first(names, self._live.clock() // MS_NS if at is None else -FOREVER)
            self._state = "subscribed"
            if at is not None:
                self._feed.hear(to_ms(at, "at"), None)

    def unsubscribed(self, symbols: str | Sequence[str] | None = None) -> None:
        """Say that what symbols (None: all) send may not come, since they are listed no more, say.

        That nothing comes of them says nothing then; they are seen again from their own next trade on, or
        once they are subscribed to.
        """
        names = None if symbols is None else [name for name in self._names(symbols) if name is not None]
        with self._live.lock:
            self._feed.lose(names)

    def heartbeat(self, at: Moment | None = None) -> None:
        """Say that the connection is alive, and what time it is by the exchange's clock, if it says so."""
        self._hear()
        if at is not None:
            with self._live.lock:
                self._feed.hear(to_ms(at, "at"), None)

    def heard(self, row: Any) -> None:
        """Take note of an order book that was taken: it tells what time it is by the exchange's clock.

        Tickers do not: spot's of Binance are put together of the exchange's times and this machine's.
        """
        if type(row) is Depth and row.timestamp > self._feed.time and _is_of_exchange(row):
            with self._live.lock:
                self._feed.hear(row.timestamp, "")

    def disconnected(self) -> list[Hole]:
        """Say that the connection was lost; return the hole so far, see `hole`.

        Tickers and order books of its symbols are not `latest` any more.
        """
        with self._live.lock:
            self._feed.lose()
            self._state = "disconnected" if self._state != "closed" else "closed"
        self._live.forget(self.symbols)
        reset = getattr(self._reader, "reset", None)
        if reset is not None:
            reset()
        return self.hole

    def connecting(self) -> None:
        """Say that a connection begins; what was not seen before it stays in the hole."""
        self.disconnected()
        self._state = "connecting"
        self._heard_at = time.monotonic()

    # ---- what is known

    @property
    def state(self) -> State:
        """Where the connection stands; "silent" is one that was alive until `silence` seconds ago."""
        return "silent" if self.is_silent and self._state in ("alive", "subscribed") else self._state

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come for longer than `silence` seconds."""
        return self.silence is not None and time.monotonic() - self._heard_at >= self.silence

    @property
    def latest(self) -> int | None:
        """The exchange time of the row that came last (ms), taken or not; None before any has."""
        time = getattr(self._last, "timestamp", None)
        return time if type(time) is int else None

    @property
    def hole(self) -> list[Hole]:
        """The bars of its symbols that were not seen whole, nor fetched since; but for `left`, these are all.

        A hole without an end goes on: until trades come again, and their first whole bar.
        """
        return self._live.holes(self.symbols)

    def filled(self, symbol: str, timeframe: str, start: Moment, end: Moment) -> None:
        """Say that the bars of a hole were stored by other means."""
        self._live.filled(self._prefix + symbol, timeframe, to_ms(start, "start"), to_ms(end, "end"))

    def stats(self) -> dict[str, int | float | str]:
        """Return its state, and what became of what came."""
        return {
            "state": self.state, "refused": self.refused, "connections": self.connections,
            "silent_seconds": time.monotonic() - self._heard_at, "holes": len(self.hole),
        }  # fmt: skip

    def attempts(
        self,
        on: type[Exception] | tuple[type[Exception], ...] = (),
        *,
        first: float = 0.5,
        most: float = 60.0,
    ) -> Attempts:
        """Return connections to be made, one after the other: `async for attempt in session.attempts(...)`.

        Each is a context, `async with attempt:`, that ends where the connection is closed, lost or silent,
        or could not be made (an `OSError`, an `EOFError`, or one of `on`, such as
        `websockets.WebSocketException`); any other error is raised. Before the next, it waits `first`
        seconds, twice as many after each that brought nothing or ended at once, and `most` at last. It ends
        when the session is closed. Plain `for` and `with` do the same, without the watch over silence.
        """
        return Attempts(self, on if isinstance(on, tuple) else (on,), first, most)

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self._state == "closed"

    def close(self) -> None:
        """End it: what is not proven to be whole is in `hole`, which can still be asked for."""
        if self._state == "closed":
            return
        if self._backfill is not None:
            self._backfill.stop()
        self.disconnected()
        self._live.leave(self, self.symbols)
        self._state = "closed"

    def __enter__(self) -> Self:
        if self._backfill is not None:
            self._backfill.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        if self._backfill is not None:
            self._backfill.start(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        what = "all symbols" if self.symbols is None else f"{len(self.symbols):,} symbols"
        return f"<Session: {self.name}, {what}, {self.state}>"

    def trouble(self, error: Exception) -> None:
        """Tell of an error, and go on."""
        tell(self._on_error, error, LOG)

    # ---- within

    def _hear(self) -> None:
        self._heard_at = time.monotonic()
        if self._state in ("connecting", "subscribed"):
            self.connections += 1
            self.alive_since = self._heard_at
            self._state = "alive"

    def _rows(self, data: object, received: int | None) -> Iterable[Any]:
        is_message = isinstance(data, str | bytes | bytearray | dict)
        if not is_message and (isinstance(data, tuple) and hasattr(data, "_fields")):
            return (data,)
        if self._reader is None or not (is_message or _is_parsed(data)):
            return self._given(data, is_message=is_message)
        try:
            return self._reader.rows(data, self._live.clock() if received is None else received)
        except InvalidInputError as error:
            self._refuse(error)
            if may_be_of_bars(error):  # of whatever symbol
                self._lose(self.symbols)
            return ()

    def _given(self, data: object, *, is_message: bool) -> Iterable[Any]:
        if is_message or not isinstance(data, Iterable):
            self._refuse(InvalidInputError(f"{data!r:.80} is no row, and {self.name} reads no messages"))
            return ()
        return data

    def _take(self, row: Any) -> int:
        try:
            self._begin_alone(row)
            self._live.takers[type(row)](row)
        except (InvalidInputError, KeyError, AttributeError, TypeError) as error:
            if isinstance(symbol := getattr(row, "symbol", None), str):
                error.add_note(symbol)
            self._refuse(error)
            if type(row) is Trade:
                self._miss(row)
            elif type(row) is Kline and not row.snapshot:  # the last of its bar, say
                self._lose((symbol,) if isinstance(symbol, str) else self.symbols)
            return 0
        self.heard(row)
        return 1

    def _begin_alone(self, row: Any) -> None:
        """Have a symbol that nobody said was subscribed to be seen from its own first trade on."""
        symbol = row.symbol
        other = self._live.session_of(symbol)
        if other is not None and other is not self:
            raise InvalidInputError(f"{symbol} comes by another session, of {other.name}")
        is_begun = symbol in self._feed.seen or None in self._feed.seen or self._state == "disconnected"
        if other is None or is_begun or type(row) is not Trade:
            return
        if self._feed.awaited.isdisjoint((symbol, None)):
            with self._live.lock:
                self._feed.await_first((symbol,), self._live.clock() // MS_NS)

    def _refuse(self, error: Exception) -> None:
        self.refused += 1
        self.trouble(error)

    def _miss(self, trade: Trade) -> None:
        """Know that a trade was not taken; where its time is wrong, any bar may be the one that lacks it.

        Up to `FAR_MS` ahead it may be right, and the clock here behind: that bar lacks it, too, and would not
        be known to, where a trade that comes late is the next one.
        """
        try:
            ahead = trade.timestamp - self._live.clock() // MS_NS
            if ahead < FAR_MS:
                self._live.missed(trade.symbol, trade.timestamp)
            if ahead <= FUTURE_MS:
                return
        except Exception:  # of a time that is none
            LOG.debug("a trade without a time: %r", trade)
        self._lose((trade.symbol,))

    def _lose(self, symbols: Sequence[str] | None) -> None:
        """Take whatever symbols may have sent for lost, and see them anew from their next trade on."""
        with self._live.lock:
            known = {*self._feed.seen, *self._feed.awaited}
            begun = [symbol for symbol in known if symbols is None or symbol is None or symbol in symbols]
            self._feed.lose(symbols)
            self._feed.await_first(begun, self._live.clock() // MS_NS)

    def _recall(self, most_bars: int) -> None:
        """Begin with the holes that were left when these symbols were stored last."""
        ledger = self._live.ledger
        if ledger is None:
            return
        by_timeframe: dict[str, list[Any]] = {}
        with self._live.lock:
            for series in self._live.series_of(self.symbols):
                if series.persist:
                    by_timeframe.setdefault(series.name, []).append(series)
        for name, found in by_timeframe.items():
            known = ledger.missing([series.symbol for series in found], name)
            with self._live.lock:
                for series in found:
                    for start, end in known.get(series.symbol, ()):
                        if series.timeframe.span(start, end) > most_bars:
                            self.left.append(Hole(series.symbol, name, start, end))
                        else:
                            series.recall(start, end)

    def _names(self, symbols: str | Sequence[str] | None) -> Sequence[str | None]:
        names = symbol_list(symbols)
        if names is None:
            return (None,) if self.symbols is None else self.symbols
        found = tuple(self._prefix + name for name in names)
        unknown = [name for name in found if self.symbols is not None and name not in self.symbols]
        if unknown:
            raise InvalidInputError(f"{unknown[0]} is no symbol of this session")
        return found


def may_be_of_bars(error: InvalidInputError) -> bool:
    """Tell whether a message that could not be read may have held what bars are made of."""
    kind = error.kind if isinstance(error, MessageError) else None
    return kind is None or any(word in kind.lower() for word in OF_BARS)


def _is_parsed(data: object) -> bool:
    """Tell whether a list is one of messages, rather than of rows."""
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict | list)


def _is_of_exchange(row: Depth) -> bool:
    """Tell whether a row has a time of the exchange: where that has none, feeds give the local one."""
    return not row.snapshot and (row.received is None or row.timestamp != row.received // MS_NS)
