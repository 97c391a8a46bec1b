"""Candles fetched by themselves: what is missing of some series, from an exchange or any other source."""

# What a plain read does not need is imported by the method that does.
# ruff: noqa: PLC0415

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from mdstore.candles.repository import CandleRepository
from mdstore.core.arguments import source_name, symbol_list
from mdstore.core.polars_forks import refuse_broken_polars
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment, ms_to_datetime, to_ms
from mdstore.errors import Hint, InvalidInputError, StoreClosedError
from mdstore.store.declared import Declared

if TYPE_CHECKING:
    import asyncio

    from mdstore.sources.sync.background import Background
    from mdstore.sources.sync.candle_source import Wait
    from mdstore.sources.sync.coordinator import Coordinator
    from mdstore.sources.sync.result import SyncResult
    from mdstore.sources.sync.source_facts import SourceFacts
    from mdstore.sources.sync.sync_place import SyncPlace

    Progress = Callable[[SyncResult], object]

__all__ = ["Syncing"]

Symbols = str | Sequence[str]
Timeframes = str | Timeframe | Sequence[str | Timeframe]
Since = Moment | Literal["listing"] | None
END_SECONDS = 0.8
"""How long an interrupted call waits for what has come to be stored."""
LOOK_SECONDS = 0.1
"""How soon Ctrl-C is heard."""
CLOSED_SECONDS = 1.0
"""So long after the end of a bar it is asked for."""
CLOSED = "the store was closed during a sync; what had come is stored"

_syncing: ContextVar[tuple[Syncing, ...]] = ContextVar("_syncing", default=())
"""Whose sync something is called in: the source, or `progress`."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a call of `sync` is about."""

    source: str | Coordinator
    symbols: tuple[str, ...]
    timeframes: tuple[Timeframe, ...]
    since: int | None
    until: int | None
    base_url: str | None
    offline: bool
    dry_run: bool
    every: Timeframe | None
    progress: Progress | None


class Syncing:
    """Syncs of one store, in an event loop of their own; `now` gives the time in ms."""

    def __init__(self, candles: CandleRepository, declared: Declared, now: Callable[[], int]) -> None:
        self._candles, self._declared, self._now = candles, declared, now
        self._background: Background | None = None
        self._under_way: dict[asyncio.Task[Any], threading.Event] = {}
        self._is_closed = False

    def sync(
        self,
        source: str | Coordinator,
        symbols: Symbols,
        timeframes: Timeframes,
        *,
        since: Since = None,
        until: Moment | None = None,
        every: str | Timeframe | None = None,
        dry_run: bool = False,
        base_url: str | None = None,
        offline: bool = False,
        progress: Progress | None = None,
    ) -> SyncResult:
        """Fetch what is missing of some series, and store it page by page with what each page proves.

        `source` is the name of an exchange, such as `"upbit"` or `"binance"`, or a `Coordinator` of your
        own, as a service has one. A symbol may be a pattern: `"KRW-*"` is every such market of the exchange.
        It is asked for `[since, until)`: from the first stored bar on where `since` is None, from the first
        bar that the exchange has with `"listing"`; up to the last bar that has ended without `until`.

        What the ledger knows is not asked for again (see `missing`): a sync that was interrupted, or killed,
        goes on where it was when it is called again. Series that lack least come first, of each the oldest
        bars. The latest bars are asked for again as long as the exchange may amend them; a bar that has
        changed is a revision. Several processes that sync the same series share the work.

        `progress` is called with the `SyncResult` as it grows, in a thread of the store; what it raises ends
        the sync, and is raised. Neither it nor the source may sync the same store, since both would wait for
        ever: that raises `InvalidInputError`. `dry_run` only says how many bars and pages are missing.
        `every="1m"` goes on each time that such a bar has ended. It returns once `until` is over, and ends
        by Ctrl-C (a cancellation of `sync_async`), by `close` (`StoreClosedError`), by what `progress`
        raises, and by what keeps the store from taking what came. The result of each round is what `progress`
        is called with at its end (`is_over`). `base_url` is asked in place of the exchange; with `offline`
        nobody is.

        A series that has bars of another exchange, such as the spot market's, fails: its bars would be made
        of both. What came from files does not matter, and a source of your own that does not say that it
        proves its pages may add to any series.

        What a source fails with is in the result, by series (`result.failed`), and does not stop the others.
        Raises `InvalidInputError` and its kinds, and what keeps the store from taking what came.

        >>> def candles(symbol, timeframe, start, end):
        ...     return [(time, 1, 2, 1, 2, 5) for time in range(start, end, 60_000)]
        >>> with mdstore.open(folder / "market_data.sqlite3") as store:
        ...     source = mdstore.FunctionCoordinator(candles, name="mine")
        ...     result = store.sync(source, "KRW-BTC", "1m", since="2025-09-01", until="2025-09-02")
        ...     result.inserted, result.requests
        ...     store.sync(source, "KRW-BTC", "1m", until="2025-09-02").requests
        (1440, 8)
        0
        """
        asked = self._asked(
            source, symbols, timeframes, since=since, until=until, every=every, dry_run=dry_run,
            base_url=base_url, offline=offline, progress=progress,
        )  # fmt: skip
        over = threading.Event()
        future = self._loop().submit(self._go(asked, over))
        try:
            while True:  # Ctrl-C may meet another thread, and is heard by this one when it looks
                with suppress(TimeoutError):
                    return future.result(LOOK_SECONDS)
                if future.done():
                    return future.result()  # what it raised itself
        except KeyboardInterrupt as error:
            future.cancel()
            over.wait(END_SECONDS)
            error.add_note("What had come is stored; the same call goes on from there.")
            raise

    async def sync_async(
        self,
        source: str | Coordinator,
        symbols: Symbols,
        timeframes: Timeframes,
        *,
        since: Since = None,
        until: Moment | None = None,
        every: str | Timeframe | None = None,
        dry_run: bool = False,
        base_url: str | None = None,
        offline: bool = False,
        progress: Progress | None = None,
    ) -> SyncResult:
        """Do what `sync` does, and let the event loop go on meanwhile. A task that is cancelled ends it."""
        asked = self._asked(
            source, symbols, timeframes, since=since, until=until, every=every, dry_run=dry_run,
            base_url=base_url, offline=offline, progress=progress,
        )  # fmt: skip
        import asyncio

        over = threading.Event()
        try:
            return await asyncio.wrap_future(self._loop().submit(self._go(asked, over)))
        except asyncio.CancelledError:
            await asyncio.to_thread(over.wait, END_SECONDS)
            raise

    def place(self) -> SyncPlace:
        """Return the store as one who asks for what is missing sees it."""
        from mdstore.store.store_place import StorePlace

        return StorePlace(self._candles, self._declared, self._now)

    def close(self) -> None:
        """End what is under way; what has come is stored, and whoever waits for the rest is told."""
        background, self._is_closed = self._background, True
        if background is None or background.mind_forks():  # what is under way is the parent's
            return
        under_way = dict(self._under_way)
        for task in under_way:
            background.loop.call_soon_threadsafe(task.cancel)
        until = time.monotonic() + END_SECONDS
        for over in under_way.values() if self not in _syncing.get() else ():
            over.wait(max(0.0, until - time.monotonic()))
        background.close()

    def _loop(self) -> Background:
        from mdstore.sources.sync.background import Background

        if self._background is None or self._background.mind_forks():
            self._under_way = {}
            self._background = Background("mdstore-sync")
        return self._background

    def _asked(
        self,
        source: str | Coordinator,
        symbols: Symbols,
        timeframes: Timeframes,
        *,
        since: Since,
        until: Moment | None,
        every: str | Timeframe | None,
        dry_run: bool,
        base_url: str | None,
        offline: bool,
        progress: Progress | None,
    ) -> _Asked:
        """Return the arguments of a call, checked before anything is begun."""
        from mdstore.sources.sync.sync_run import LISTING

        refuse_broken_polars()
        if not dry_run:
            self._candles.refuse_to_write()
        if self in _syncing.get():
            raise InvalidInputError(
                "a sync of this store was begun by the source or the progress= of one: both would wait for "
                "ever",
                hint="begin it when the other is over, or in a thread of its own",
            )
        if not isinstance(source, str) and not callable(getattr(source, "candles", None)):
            raise InvalidInputError(
                f"{source!r} is no source: give the name of an exchange, or a Coordinator"
            )
        if not isinstance(source, str) and (base_url is not None or offline):
            raise InvalidInputError("base_url= and offline= are of an exchange that is opened by its name")
        named = symbol_list(symbols) if symbols else None
        if not named:
            raise InvalidInputError(
                "no symbols: name those that are wanted; '*' is every market of an exchange"
            )
        bars = (timeframes,) if isinstance(timeframes, str | Timeframe) else tuple(timeframes)
        if not bars:
            raise InvalidInputError("no timeframe: name those that are wanted, such as '1m'")
        start = LISTING if since == "listing" else None if since is None else to_ms(since, "since")
        end = None if until is None else to_ms(until, "until")
        if start is not None and start >= (self._now() if end is None else end):
            what = "until" if end is not None else "now"
            raise InvalidInputError(f"the range is empty: {what} is not after since")
        if every is not None and end is not None and end <= self._now():
            raise InvalidInputError(
                f"it is to go on every {every}, and {ms_to_datetime(end)}, up to when bars are wanted, is "
                "over",
                hint=Hint("leave out every=, or until=", "leave out --every, or --until"),
            )
        return _Asked(
            source, tuple(dict.fromkeys(named)), tuple(dict.fromkeys(map(Timeframe.parse, bars))), start, end,
            base_url, offline, dry_run, None if every is None else Timeframe.parse(every), progress,
        )  # fmt: skip

    # ---- in the loop

    async def _go(self, asked: _Asked, over: threading.Event) -> SyncResult:
        import asyncio

        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in one; for mypy
        self._under_way[task] = over
        _syncing.set((*_syncing.get(), self))
        try:
            return await self._opened(asked)
        except asyncio.CancelledError:
            if self._is_closed:  # not the caller's doing, so it is told
                raise StoreClosedError(CLOSED) from None
            raise
        finally:
            del self._under_way[task]
            over.set()

    async def _opened(self, asked: _Asked) -> SyncResult:
        waits = _Waits(asked.progress)
        if not isinstance(asked.source, str):
            return await self._rounds(asked.source, asked, waits)
        from mdstore.sources.exchanges.candle_sources import open_source

        source = open_source(asked.source, base_url=asked.base_url, offline=asked.offline, on_wait=waits.told)
        try:
            return await self._rounds(source, asked, waits)
        finally:
            with suppress(Exception):
                await source.aclose()

    async def _rounds(self, source: Coordinator, asked: _Asked, waits: _Waits) -> SyncResult:
        import asyncio

        from mdstore.sources.exchanges.candle_sources import is_exchange
        from mdstore.sources.sync.bad_bars import BadBars
        from mdstore.sources.sync.candle_source import refuse_others
        from mdstore.sources.sync.other_exchanges import OtherExchanges
        from mdstore.sources.sync.patience import Patience
        from mdstore.sources.sync.result import SyncResult
        from mdstore.sources.sync.source_facts import SourceFacts
        from mdstore.sources.sync.sync_run import SyncRun
        from mdstore.sources.sync.worth_asking import Wanted

        if (there := getattr(source, "timeframes", None)) is not None:
            refuse_others(source.name, there, asked.timeframes)
        source_name(source.name)
        facts = SourceFacts(source, offline=asked.offline)
        place, bad = self.place(), BadBars(self._now)
        others = OtherExchanges(place, source.name, is_exchange) if facts.proves else None
        symbols: list[str] = []
        while True:
            try:  # each time anew: a new listing may fit a pattern
                waits.result = SyncResult(source.name)
                listed = partial(_markets, facts, source.name, asked.symbols)
                symbols = await Patience(facts, waits.told).asked(listed)
            except Exception:  # somebody else's code: the markets of the round before will do
                if not symbols:
                    raise
            now = self._now()
            wanted = Wanted(symbols, asked.timeframes, asked.since, min(asked.until or now, now))
            run = SyncRun(place, source, wanted, facts=facts, bad=bad, others=others, progress=asked.progress)
            waits.result = run.result
            result = await (run.plan() if asked.dry_run else run.run())
            if run.trouble is not None:
                raise run.trouble
            if asked.every is None or asked.dry_run or (asked.until is not None and asked.until <= now):
                return result
            facts.forget_markets()
            now = self._now()
            await asyncio.sleep((asked.every.next(now) - now) / 1000 + CLOSED_SECONDS)


class _Waits:
    """Says in the result of what is under way for what its source waits."""

    def __init__(self, progress: Progress | None) -> None:
        self.result: SyncResult | None = None
        self._progress = progress

    def told(self, wait: Wait | None) -> None:
        """Be told that a request waits, or no longer does."""
        if self.result is None:
            return
        self.result.wait = wait
        if self._progress is not None:
            with suppress(Exception):  # it is called again soon, where that is heard
                self._progress(self.result)


async def _markets(facts: SourceFacts, source: str, symbols: Sequence[str]) -> list[str]:
    """Return the symbols that are meant, patterns among them replaced by the markets that fit."""
    from mdstore.sources.sync.symbols import fitting, is_pattern

    found: dict[str, None] = {}
    for symbol in symbols:
        if not is_pattern(symbol):
            found[symbol] = None
            continue
        if not facts.proves:
            raise InvalidInputError(
                f"{source} does not list its markets: name symbols in place of {symbol!r}"
            )
        fits = fitting(symbol, sorted(await facts.markets()))
        if not fits:
            raise InvalidInputError(f"{source} has no market that fits {symbol!r}")
        found.update(dict.fromkeys(fits))
    return list(found)
