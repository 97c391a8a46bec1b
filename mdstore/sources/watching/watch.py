"""An exchange that is watched: its websocket goes into the rings, and what was missed is fetched.

Connections are made one after the other, each for some of the symbols, in an event loop of a thread of its
own. What is known of bars is the session's part: one is whole when it was seen from its start to its end, or
was fetched.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from mdstore.core.logs import logger, tell
from mdstore.core.timeframe import Timeframe
from mdstore.errors import (
    FeedError,
    Hint,
    InvalidInputError,
    MarketDataError,
    SourceError,
    StoreClosedError,
)
from mdstore.realtime.cache import RealtimeDataCache
from mdstore.realtime.row_rules import MS_NS
from mdstore.realtime.session import SILENCE, Session
from mdstore.sources.extra import INSTALL
from mdstore.sources.recordings.recorder import Recorder
from mdstore.sources.sync.candle_source import CandleSource
from mdstore.sources.sync.symbols import is_pattern, matching
from mdstore.sources.watching.exchange_time import ExchangeTime
from mdstore.sources.watching.listing import Listing
from mdstore.sources.watching.missed import Missed
from mdstore.sources.watching.streams import Stream, Wanted
from mdstore.sources.web.client import user_agent

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["Failure", "Watch", "WatchAsked"]

LOG = logger("watch")
ERRORS_KEPT = 100
SLICE_SECONDS = 0.1
"""Importing Polars makes SIGINT restart blocking waits: Ctrl-C is noticed between two of these."""
CLOSE_SECONDS: Final = 0.4
"""How long the other side may take to say goodbye."""
# Pings keep a connection open that says nothing. Whether it is dead is told by `silence` alone: an answer to
# a ping waits behind the messages, and on a busy machine that was taken for a lost connection.
PING_SECONDS: Final = 20.0
# Messages that were read from the socket and wait here; at the library's own 16, reading stops now and then.
WAITING: Final = 4096
MESSAGE_BYTES: Final = 8 * 1024**2
LOOK_SECONDS: Final = 1.0
"""How often clocks are held against each other, and it is looked whether the list of markets is old."""
MOST_BARS: Final = 10_000
"""A longer hole of before the watch is left to a sync: the other markets of a connection wait for each."""


class Failure(NamedTuple):
    """What went wrong, and when (seconds since 1970)."""

    at: float
    error: Exception


@dataclass(frozen=True, slots=True)
class WatchAsked:
    """What is watched: patterns of symbols are names with `*` or `?`."""

    symbols: Sequence[str]
    timeframes: Sequence[Timeframe]
    orderbooks: bool = False
    silence: float = SILENCE
    base_url: str | None = None


class Watch:
    """An exchange that is watched, until it is closed; made by `store.watch`.

    `source` opens where candles are fetched, and is given `on_wait`. `refused` gives the symbols that are not
    to be watched in bars of a timeframe, and why. `record` is where raw messages go: a path, or a recorder,
    which is not closed at the end.

    What comes is in `store.tickers`, `store.trades`, `store.orderbooks` and `store.live`; bars that have
    ended are stored. `symbols` are those that are watched. A `with`, or an `async with`, starts and ends it.
    """

    def __init__(
        self,
        cache: RealtimeDataCache,
        stream: Stream,
        source: Callable[..., CandleSource],
        asked: WatchAsked,
        *,
        record: str | os.PathLike[str] | Recorder | None = None,
        refused: Callable[[Iterable[str], Timeframe], Mapping[str, InvalidInputError]] = lambda *_: {},
        on_error: Callable[[Exception], object] | None = None,
    ) -> None:
        self.exchange = stream.name
        self.timeframes = tuple(str(one) for one in asked.timeframes)
        self.symbols: tuple[str, ...] = ()
        self.errors: deque[Failure] = deque(maxlen=ERRORS_KEPT)
        """The latest failures of connections, rows and requests; the watch goes on."""
        self.messages = 0
        """How many messages came."""
        self._cache, self._stream, self._open_source, self._asked = cache, stream, source, asked
        self._on_error = on_error
        self._owns_recorder = not isinstance(record, Recorder | None)
        self.recorder = (
            record if isinstance(record, Recorder | None) else Recorder(record, on_error=self._trouble)
        )
        """What raw messages are written to, None without one, and from when on it was closed by others."""
        self._refused = refused
        self._sessions: list[Session] = []
        self._sockets: dict[Session, ClientConnection] = {}
        self._anew: set[Session] = set()
        self._listing = Listing(self._trouble, self._leave, self._connect_anew)
        self._missed = Missed(self.exchange, self._listing, self._now, self._trouble)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        self._is_closing = False
        self._failed: BaseException | None = None

    def start(self) -> Self:
        """Look up the symbols, and begin to connect.

        Raises `NoSuchMarketError` for a symbol that the exchange does not have, `SourceError` where it does
        not answer, and `InvalidInputError`, also for a timeframe that it does not have, and for a series that
        has bars of another exchange; `ClockError` where its clock and this machine's are far apart.
        """
        if self._thread is not None:
            raise InvalidInputError("this watch was started before, and a watch is started once")
        if find_spec("websockets") is None:
            raise InvalidInputError("a watch needs the library websockets", hint=Hint(INSTALL, INSTALL))
        self._thread = threading.Thread(target=self._run, name=f"mdstore-watch-{self.exchange}", daemon=True)
        try:
            self._thread.start()
            while not self._ready.wait(SLICE_SECONDS):
                pass
            self._raise_failed()
        except BaseException:  # Ctrl-C while the exchange is asked, too
            self.close()
            raise
        return self

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the watch ends, at most so many seconds; tell whether it has. Raises what ended it."""
        until = None if seconds is None else time.monotonic() + seconds
        while self._thread is not None and self._thread.is_alive():
            left = SLICE_SECONDS if until is None else until - time.monotonic()
            if left <= 0:
                break
            self._thread.join(min(SLICE_SECONDS, left))
        self._raise_failed()
        return self._thread is None or not self._thread.is_alive()

    def close(self) -> None:
        """End it: connections are closed, and what has ended is stored."""
        self._is_closing = self._thread is not None
        if self._loop is not None and self._main is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._main.cancel)
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(SLICE_SECONDS)
        if self.recorder is not None and self._owns_recorder:
            self.recorder.close()

    def stats(self) -> dict[str, int | float | str]:
        """Return how many connections are alive, what came by them, and what was not seen whole."""
        states = [session.state for session in self._sessions]
        gone = self._listing.gone
        holes = [one for session in self._sessions for one in session.hole if one.symbol not in gone]
        return {
            "symbols": len(self.symbols), "gone": len(gone), "connections": len(states),
            "alive": states.count("alive") + states.count("subscribed"), "messages": self.messages,
            "fetched": self.fetched,
            "reconnects": sum(max(0, session.connections - 1) for session in self._sessions),
            "refused": sum(session.refused for session in self._sessions),
            "holes": len(holes), "failures": len(self.errors),
        }  # fmt: skip

    @property
    def fetched(self) -> int:
        """How many bars were fetched in place of those that were missed."""
        return self._missed.bars

    @property
    def gone(self) -> tuple[str, ...]:
        """The symbols that the exchange trades no more: their bars end, and nothing is asked for."""
        return tuple(sorted(self._listing.gone))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        try:
            return await asyncio.to_thread(self.start)
        except asyncio.CancelledError:  # the thread does not know of it
            await asyncio.to_thread(self.close)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        return f"<Watch: {self.exchange}, {len(self.symbols):,} symbols, {self.messages:,} messages>"

    # ---- within, in the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._watched())
        except asyncio.CancelledError:
            pass
        except Exception as error:
            LOG.warning("the watch of %s has ended: %r", self.exchange, error)
            self._failed = error
        except KeyboardInterrupt:  # Polars raises it in any thread; the main one has it, too
            LOG.info("the watch of %s was interrupted", self.exchange)
        finally:
            self._ready.set()

    async def _watched(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        if self._is_closing:  # by somebody who saw no loop that could be told
            return
        source = self._open_source(on_wait=self._missed.waits)
        clock = ExchangeTime(self.exchange, self._cache, partial(self._clock_of, source), self._trouble)
        try:
            self._check_timeframes(source)
            self._refuse_others(one for one in self._asked.symbols if not is_pattern(one))
            listed = [market.symbol for market in await source.markets()]
            clock.shown(getattr(source, "clock", None))
            self.symbols = matching(self._asked.symbols, listed, self.exchange)
            self._refuse_watched()
            self._refuse_others(self.symbols)
            self._cache.live.build(self.timeframes, symbols=list(self.symbols), persist=True)
            await self._connect_all(source, clock)
        finally:
            clock.end()
            await source.aclose()

    async def _clock_of(self, source: CandleSource) -> int | None:
        """Ask what the exchange's clock shows."""
        with suppress(MarketDataError):
            await source.markets()
            return getattr(source, "clock", None)
        return None

    def _check_timeframes(self, source: CandleSource) -> None:
        """Refuse what the exchange does not have: what is missed of it could not be fetched."""
        for timeframe in self.timeframes:
            if timeframe not in source.timeframes:
                raise InvalidInputError(
                    f"{self.exchange} has no {timeframe} candles: what is missed could not be fetched",
                    hint=f"watch one of {', '.join(source.timeframes)}; others are made of them by reading",
                )

    def _refuse_watched(self) -> None:
        for symbol in self.symbols:
            if (other := self._cache.live.session_of(symbol)) is not None:
                raise InvalidInputError(
                    f"{symbol} is watched already, at {other.name}: its bars would be made of both",
                    hint="close that first, or watch in another store",
                )

    def _refuse_others(self, symbols: Iterable[str]) -> None:
        """Refuse symbols of which bars of another exchange are stored."""
        names = list(symbols)
        for timeframe in self._asked.timeframes:
            for error in self._refused(names, timeframe).values():
                raise error

    async def _connect_all(self, source: CandleSource, clock: ExchangeTime) -> None:
        turn = asyncio.Lock()
        self._listing.symbols = self.symbols
        wanted = Wanted(self.symbols, self.timeframes, self._asked.orderbooks)
        async with asyncio.TaskGroup() as tasks:
            for group in self._stream.groups(wanted):
                session = self._session(source, group.symbols)
                self._sessions.append(session)
                self._tell_left(session)
                tasks.create_task(self._connected(session, group, turn))
            tasks.create_task(self._look(source, clock))
            self._ready.set()

    async def _look(self, source: CandleSource, clock: ExchangeTime) -> None:
        while not all(session.is_closed for session in self._sessions):
            await clock.look(self._sessions)
            await self._listing.look_if_due(source)
            await asyncio.sleep(LOOK_SECONDS)

    def _leave(self, symbols: Iterable[str]) -> None:
        """Take it for nothing that nothing comes of symbols which are listed no more."""
        for session in self._sessions:
            if mine := [one for one in symbols if one in (session.symbols or ())]:
                session.unsubscribed(mine)

    async def _connect_anew(self, symbols: Iterable[str]) -> None:
        """Subscribe to symbols that are listed again, with all of their connection."""
        for session, socket in list(self._sockets.items()):
            if any(one in (session.symbols or ()) for one in symbols):
                self._anew.add(session)
                await socket.close()

    def _tell_left(self, session: Session) -> None:
        for timeframe in self.timeframes:
            symbols = list(dict.fromkeys(one.symbol for one in session.left if one.timeframe == timeframe))
            if symbols:
                others = f" and {len(symbols) - 1:,} more" if len(symbols) > 1 else ""
                what = f"{symbols[0]}{others} {timeframe}: more than {MOST_BARS:,} bars in a row are missing"
                self._trouble(
                    SourceError(
                        f"{what} from before; a watch leaves them to a sync",
                        hint=self._sync_hint(symbols, timeframe),
                    )
                )

    def _sync_hint(self, symbols: list[str], timeframe: str) -> Hint:
        url = self._asked.base_url
        return Hint(
            f"store.sync({self.exchange!r}, {symbols}, {timeframe!r}{f', base_url={url!r}' if url else ''})",
            f"mdstore sync {shlex.join([self.exchange, *symbols, timeframe])}"
            f"{f' --base-url {shlex.quote(url)}' if url else ''}",
        )

    def _session(self, source: CandleSource, symbols: Sequence[str]) -> Session:
        return self._cache.live.session(
            self._stream.feed(),
            list(symbols),
            backfill=partial(self._missed.fetch, source),
            most_bars=MOST_BARS,
            silence=self._asked.silence,
            volume_digits=self._stream.volume_digits,
            on_error=self._trouble,
        )

    async def _connected(self, session: Session, wanted: Wanted, turn: asyncio.Lock) -> None:
        """Keep a connection up, and give the session what comes by it."""
        from websockets import WebSocketException  # noqa: PLC0415  # an extra

        async with session:
            async for attempt in session.attempts(on=(WebSocketException, FeedError)):
                async with attempt:
                    async with turn:  # so many connections a second, whatever becomes of them
                        await asyncio.sleep(1 / self._stream.connects)
                    await self._listen(session, wanted)

    async def _listen(self, session: Session, wanted: Wanted) -> None:
        from websockets.asyncio.client import connect  # noqa: PLC0415  # an extra

        self._sockets.pop(session, None)
        self._anew.discard(session)
        async with connect(
            self._stream.url(self._asked.base_url),
            user_agent_header=user_agent(),
            ping_interval=PING_SECONDS, ping_timeout=None, close_timeout=CLOSE_SECONDS,
            max_queue=WAITING, max_size=MESSAGE_BYTES,
        ) as socket:  # fmt: skip
            for number, text in enumerate(self._stream.messages(wanted)):
                await asyncio.sleep(self._stream.pause if number else 0)
                await socket.send(text)
            if there := [one for one in wanted.symbols if one not in self.gone]:
                session.subscribed(there)
            self._sockets[session] = socket
            if self.recorder is not None:
                self.recorder.connected(self._stream.url(self._asked.base_url))
            push, recorded = session.push, self._recorded
            async for message in socket:
                push(message, recorded(message))
                self.messages += 1
        if session in self._anew:
            self._anew.discard(session)
            return
        reason = f": {socket.close_reason}" if socket.close_reason else ""
        raise FeedError(f"{self.exchange} closed the connection ({socket.close_code}{reason})")

    def _recorded(self, message: str | bytes) -> int:
        """Record a message if that is wished; return when it was received (ns). Nothing that comes raises."""
        if self.recorder is None:
            return time.time_ns()
        try:
            return self.recorder.write(message)
        except InvalidInputError:  # bytes that are no text: the session refuses them, and tells
            self.recorder.connected(self._stream.url(self._asked.base_url))
            return time.time_ns()
        except StoreClosedError as error:
            self.recorder = None
            self._trouble(error)
            return time.time_ns()

    def _now(self) -> int:
        """Return the time that live rows go by (ms)."""
        return self._cache.live.clock() // MS_NS

    def _trouble(self, error: Exception) -> None:
        self.errors.append(Failure(time.time(), error))
        tell(self._on_error, error, LOG)

    def _raise_failed(self) -> None:
        if self._failed is None:
            return
        error, self._failed = self._failed, None
        if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error
