"""All series of bars: which are made of what comes by which connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.errors import Hint, InvalidInputError
from mdstore.realtime.asked import Asked
from mdstore.realtime.feeds import Feed
from mdstore.realtime.forming_bars import BarSeries, Counts, Out
from mdstore.realtime.live_writer import Key
from mdstore.realtime.route import Route
from mdstore.realtime.session import Session

__all__ = ["AllSeries"]


class AllSeries:
    """The series by symbol and timeframe, the sessions that have symbols, and the feed of each symbol.

    A symbol that is in no session has a feed of its own, or that of the session of all the others. `now`
    gives this machine's time (ms). Whoever calls holds the lock of the live candles.
    """

    def __init__(self, out: Out, grace: int, now: Callable[[], int]) -> None:
        self.counts, self.asked = Counts(), Asked()
        self.by_key: dict[Key, BarSeries] = {}
        self.feeds: dict[str, Feed] = {}
        self.routes: dict[str, Route] = {}
        self._by_symbol: dict[str, list[BarSeries]] = {}
        self._sessions: dict[str, Session] = {}
        self._rest: tuple[Session, Feed] | None = None
        self._out, self._grace, self._now = out, grace, now

    def ask(
        self, timeframes: list[Timeframe], symbols: tuple[str, ...] | None, terms: tuple[bool, bool]
    ) -> None:
        """Have timeframes made of the trades of symbols (None: of all), on the terms of `Asked`."""
        self.asked.add(timeframes, symbols, terms)
        self.routes.clear()
        for series in self.by_key.values():
            series.persist, _ = self.asked.terms(series.symbol, series.name)
        for symbol in self._sessions:
            self._make(symbol)

    def ask_for_none(self) -> None:
        """Make no more of trades."""
        self.asked = Asked()
        self.routes.clear()

    def clear(self) -> None:
        """Forget all but what was asked for."""
        for known in (self.by_key, self._by_symbol, self.routes, self.feeds, self._sessions):
            known.clear()
        self._rest = None
        self.asked.forget_starts()
        self.counts = Counts()

    # ---- series

    def get(self, symbol: str, timeframe: Timeframe, moment: int, *, is_first: bool) -> BarSeries:
        """Return a series; one that is new begins with what comes at a moment (ms).

        `is_first` says that nothing of its symbol has come before.
        """
        feed = self._feed_of(symbol)
        key = symbol, str(timeframe)
        series = self.by_key.get(key)
        if series is None:
            series = BarSeries(symbol, timeframe, feed=feed, counts=self.counts, out=self._out)
            series.persist, from_start = self.asked.terms(*key)
            series.unseen(min(moment, feed.time) if feed.time > -FOREVER else moment)
            self.by_key[key] = series
            self._by_symbol.setdefault(symbol, []).append(series)
            self._join_feed(series, feed, is_first=is_first)
            if from_start:
                series.whole()
        return series

    def of(self, symbol: str) -> list[BarSeries]:
        """Return the series of a symbol."""
        return self._by_symbol.get(symbol, [])

    def of_all(self, symbols: Iterable[str] | None) -> list[BarSeries]:
        """Return the series of symbols (None: of all)."""
        if symbols is None:
            return list(self.by_key.values())
        return [series for symbol in symbols for series in self.of(symbol)]

    def route(self, symbol: str, timestamp: int) -> Route:
        """Find, once, which series are made of the trades of a symbol."""
        is_first, asked = symbol not in self.feeds, self.asked.timeframes(symbol)
        made = tuple(self.get(symbol, timeframe, timestamp, is_first=is_first) for timeframe in asked)
        route = self.routes[symbol] = Route(symbol, self._feed_of(symbol), made)
        return route

    # ---- sessions

    def enter(self, session: Session, feed: Feed, symbols: Sequence[str] | None) -> None:
        """Have symbols come by one feed from now on. Raises `InvalidInputError` for one that is taken."""
        if symbols is None:
            for symbol in [name for name in self.feeds if name not in self._sessions]:
                self._change_feed(symbol, feed)
            self._rest = session, feed
            return
        for symbol in symbols:
            other = self._sessions.get(symbol)
            if other is not None:
                raise InvalidInputError(
                    f"{symbol} comes by another session, of {other.name}: rows of two feeds would be "
                    "mixed in its bars",
                    hint=Hint(
                        f"close that session first, or keep them apart: prefix='{session.name}:'",
                        "close that session first",
                    ),
                )
        for symbol in symbols:
            self._sessions[symbol] = session
            self._change_feed(symbol, feed)
            self._make(symbol)

    def leave(self, session: Session, symbols: Sequence[str] | None) -> None:
        """Have symbols come by themselves again."""
        if symbols is None:
            symbols = [name for name in self.feeds if self.session_of(name) is session]
            self._rest = None if self._rest is not None and self._rest[0] is session else self._rest
        for symbol in symbols:
            self._sessions.pop(symbol, None)
            self.feeds.pop(symbol, None)
            self.routes.pop(symbol, None)

    def session_of(self, symbol: str) -> Session | None:
        """Return the session that a symbol comes by, if there is one."""
        return self._sessions.get(symbol) or (None if self._rest is None else self._rest[0])

    def sessions(self) -> list[Session]:
        """Return every session once."""
        rest = () if self._rest is None else (self._rest[0],)
        return list(dict.fromkeys((*self._sessions.values(), *rest)))

    # ---- within

    def _make(self, symbol: str) -> None:
        """Make the series that are asked for of a symbol, before anything came of it."""
        for timeframe in self.asked.timeframes(symbol):
            self.get(symbol, timeframe, self._now(), is_first=False)

    def _change_feed(self, symbol: str, feed: Feed) -> None:
        """Have what is made of a symbol go on by another feed; what the old one had not proven is lost."""
        mine = self.of(symbol)
        for series in mine:
            series.lose(series.feed.proven)
            series.feed.series.remove(series)
            feed.time = max(feed.time, series.feed.time)
        for series in mine:
            self._join_feed(series, feed, is_first=False)
        self.feeds[symbol] = feed
        self.routes.pop(symbol, None)

    def _feed_of(self, symbol: str) -> Feed:
        """Return what a symbol comes by."""
        feed = self.feeds.get(symbol)
        if feed is None and self._rest is not None:
            feed = self._rest[1]
            self._change_feed(symbol, feed)
        elif feed is None:
            feed = Feed(self._grace)
            self._change_feed(symbol, feed)
            feed.await_first((symbol,), self._now())
        return feed

    def _join_feed(self, series: BarSeries, feed: Feed, *, is_first: bool) -> None:
        series.feed = feed
        feed.join(series, is_first=is_first)
