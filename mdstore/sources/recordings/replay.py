"""Recordings played again, into what takes rows: as fast as possible, or at the pace they were made."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from statistics import median_low
from typing import Any, Protocol

from mdstore.core.time_bounds import FAR_MS
from mdstore.errors import FileFormatError, InvalidInputError, MessageError
from mdstore.realtime.rows import Depth, Kline, Ticker, Trade
from mdstore.realtime.session import may_be_of_bars
from mdstore.sources.exchanges import registry
from mdstore.sources.exchanges.messages import Event
from mdstore.sources.exchanges.registry import Reader
from mdstore.sources.recordings import recording
from mdstore.sources.recordings.recording import Connected, Message, Unread
from mdstore.sources.sync.clocks import OFF_MS

__all__ = ["RecordingClock", "Replayed", "Sink", "replay"]

NS_PER_SECOND, NS_PER_MS = 1_000_000_000, 1_000_000
# What is no JSON is recorded as a text in it: this began as a message, where a bare "pong" is none.
HALF = ('"{', '"[')
# So many messages are looked at to tell whether the clock of the recorder was off.
LOOKED_AT = 300
# Ctrl-C is seen between two naps.
NAP_SECONDS = 0.1
MESSAGES_PER_PROGRESS = 500


class Rows(Protocol):
    """What takes the rows of one kind."""

    def push(self, row: Any, /) -> object:
        """Take a row."""


class Connection(Protocol):
    """What knows what came by a connection."""

    def unsubscribed(self) -> object:
        """Know that something may not have come."""

    def subscribed(self) -> object:
        """Know that from the next trade on all comes; what came since the last one before may lack some."""

    def heard(self, row: Any, /) -> object:
        """Know of a row that was taken."""


class Candles(Protocol):
    """What takes an exchange's candles."""

    def update(self, kline: Kline, /) -> object:
        """Take the state of a bar."""

    def session(self, feed: str, symbols: None, /, *, volume_digits: int) -> Connection:
        """Know that all symbols come by one connection, with so many decimals of their sizes."""


class Sink(Protocol):
    """What recordings are played into."""

    clock: Any
    """Becomes a `RecordingClock`."""

    @property
    def tickers(self) -> Rows:
        """Takes each Ticker."""

    @property
    def orderbooks(self) -> Rows:
        """Takes each Depth."""

    @property
    def trades(self) -> Rows:
        """Takes each Trade."""

    @property
    def live(self) -> Candles:
        """Takes each Kline."""


class RecordingClock:
    """The time on the recording: when the message being played was received, in nanoseconds.

    `ahead` is added where the clock of the recorder was off, so that it is the time of the exchange.
    """

    def __init__(self, now: int, ahead: int = 0) -> None:
        self.now, self.ahead = now, ahead

    def __call__(self) -> int:
        """Return it."""
        return self.now + self.ahead


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was played: counts of messages and rows, and the first and last time of receipt (nanoseconds).

    `skipped` counts the messages that gave no row: no market data, or diffs that waited for a snapshot, as
    those of the symbols in `waiting` still do. `unread` counts what could not be read or broke a rule, lines
    and messages, and `first_unread` says what the first was: bars that may lack it are not whole. `cut` are
    the files that were cut off, as those are whose recorder was killed.
    """

    venue: str
    messages: int
    tickers: int
    orderbooks: int
    trades: int
    klines: int
    skipped: int
    first: int
    last: int
    waiting: tuple[str, ...] = ()
    unread: int = 0
    first_unread: str = ""
    cut: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long the recording lasted."""
        return (self.last - self.first) / NS_PER_SECOND


def replay(
    paths: str | PathLike[str] | Sequence[str | PathLike[str]],
    sink: Sink,
    *,
    venue: str | None = None,
    speed: float | None = None,
    strict: bool = False,
    sleep: Callable[[float], object] = time.sleep,
    timer: Callable[[], float] = time.monotonic,
    progress: Callable[[int], object] | None = None,
) -> Replayed:
    """Play recordings into `sink` in the order received; return what was played.

    The sink's `clock` becomes a `RecordingClock`, so that rows age by the time on the recording, and stands
    at the recording's end afterwards. `venue` is a name of `sources.exchanges.registry`, told by
    the messages where it is not given. `speed` is None for as fast as possible, 1.0 for the pace of the
    recording, 10 for ten times that. `progress` is called with the number of messages done, now and then and
    at the end.

    What cannot be read, a line or a message whose rows break a rule, is counted and played past; where it may
    have held a trade, the bars around it are not whole. `strict` raises `FileFormatError` for it, and at the
    end for a file that was cut off. Raises that also for a file of which nothing can be read, and where
    nothing was played; `InvalidInputError` for a speed that is none or an unknown venue.
    """
    files = [paths] if isinstance(paths, str | PathLike) else _files(paths)
    if speed is not None and (
        not isinstance(speed, int | float) or speed is True or not 0 < speed < math.inf
    ):
        raise InvalidInputError(f"speed: {speed!r} is no number above 0")
    if not files:
        raise InvalidInputError("paths: give at least one recording")
    venue = recording.venue(*files) if venue is None else venue
    ahead, reader = _ahead(files, registry.venue(venue).reader()), registry.venue(venue).reader()
    pace = None if speed is None else _Pace(speed, sleep, timer)
    names = ", ".join(Path(file).name for file in files)
    play = _Play(sink, reader, names, progress, ahead=ahead, strict=strict)
    with closing(recording.played(*files)) as found:
        play.run(found, pace)
    return play.replayed(venue, tuple(reader.waiting()))


def _ahead(files: Sequence[str | PathLike[str]], reader: Reader) -> int:
    """Return by how many nanoseconds an exchange's clock was ahead of the recorder's; 0 where that was set.

    By a clock that was some minutes slow each row is of the future; by one that was fast no bar is whole for
    as long. What comes first may be of hours ago, and so it is the median that counts.
    """
    found: list[int] = []
    with closing(recording.played(*files)) as recorded:
        for one in islice((one for one in recorded if isinstance(one, Message)), LOOKED_AT):
            with suppress(InvalidInputError):
                events = reader.rows(one.text, one.received, one.url)
                rows = [event for event in events if isinstance(event, Ticker | Depth | Trade)]
                found += [row.timestamp * NS_PER_MS - one.received for row in rows if not row.snapshot]
    middle = median_low(found) if found else 0
    return middle if OFF_MS < abs(middle) // NS_PER_MS <= FAR_MS else 0


def _files(paths: object) -> list[str | PathLike[str]]:
    files: list[Any] = (
        list(paths) if isinstance(paths, Iterable) and not isinstance(paths, bytes) else [paths]
    )
    wrong = [file for file in files if not isinstance(file, str | PathLike)]
    if wrong:
        raise InvalidInputError(f"paths: {wrong[0]!r} is no path of a recording")
    return files


class _Pace:
    """Waits for the time between two messages, less the time it took to play the first."""

    def __init__(self, speed: float, sleep: Callable[[float], object], timer: Callable[[], float]) -> None:
        self._speed = speed
        self._sleep = sleep
        self._timer = timer
        self._since: float = timer()
        self._owed = 0.0

    def wait(self, gap: int) -> bool:
        """Wait for `gap` nanoseconds of recording; return whether there was time to sleep.

        What was slept too long, and what playing took, is owed: the pace holds over the whole recording.
        """
        self._owed += gap / NS_PER_SECOND / self._speed - (self._timer() - self._since)
        slept = self._owed > 0
        while self._owed > 0:
            nap, before = min(self._owed, NAP_SECONDS), self._timer()
            self._sleep(nap)
            self._owed -= max(nap, self._timer() - before)
        self._since = self._timer()
        return slept


class _Play:
    """One playing of recordings, and its counts."""

    def __init__(
        self,
        sink: Sink,
        reader: Reader,
        names: str,
        progress: Callable[[int], object] | None,
        *,
        ahead: int,
        strict: bool,
    ) -> None:
        self._sink = sink
        self._rows = reader.rows
        self._names = names
        self._progress = progress or (lambda _done: None)
        self._ahead, self._strict = ahead, strict
        self._clock: RecordingClock | None = None
        self._takers: dict[type[Event], Callable[[Any], object]] = {
            Ticker: sink.tickers.push, Depth: sink.orderbooks.push,
            Trade: sink.trades.push, Kline: sink.live.update,
        }  # fmt: skip
        self._counts: Counter[type[Event]] = Counter()
        self._done = self._skipped = self._first = self._unread = 0
        self._first_unread: FileFormatError | None = None
        self._cut: list[Unread] = []

    def run(self, recorded: Iterator[Message | Connected | Unread], pace: _Pace | None) -> None:
        """Play what was recorded, one after the other."""
        for one in recorded:
            if isinstance(one, Unread):
                self._pass(one)
                continue
            if isinstance(one, Connected):
                self._connect(one, pace)
                continue
            slept = self._advance(one, pace)
            self._play(one)
            self._done += 1
            if slept or self._done % MESSAGES_PER_PROGRESS == 0:
                self._progress(self._done)
        self._progress(self._done)
        if self._strict and self._cut:
            raise self._cut[0].error

    def replayed(self, venue: str, waiting: tuple[str, ...]) -> Replayed:
        """Return the counts."""
        if self._clock is None:
            raise FileFormatError(f"{self._names}: there is no message in it")
        if self._done == self._skipped and not waiting:
            raise self._first_unread or FileFormatError(
                f"{self._names}: none of {self._done:,} messages gave a row", hint=f"are they of {venue}?"
            )
        return Replayed(
            venue=venue,
            messages=self._done,
            tickers=self._counts[Ticker],
            orderbooks=self._counts[Depth],
            trades=self._counts[Trade],
            klines=self._counts[Kline],
            skipped=self._skipped,
            first=self._first,
            last=self._clock.now,
            waiting=waiting,
            unread=self._unread,
            first_unread="" if self._first_unread is None else self._first_unread.message,
            cut=tuple(one.file for one in self._cut),
        )

    def _connect(self, connected: Connected, pace: _Pace | None) -> None:
        """Have bars that miss something be no whole ones; whose connection it is, no recording says."""
        if self._clock is not None:
            self._advance(connected, pace)
            self._lose()

    def _lose(self) -> None:
        """Have what is forming be no whole bars, but for those of which a later kline tells."""
        self._session.unsubscribed()
        self._session.subscribed()

    def _pass(self, unread: Unread) -> None:
        """Go on past what cannot be read, which may have been a trade."""
        if unread.is_end:
            self._cut.append(unread)
        else:
            self._leave_out(unread.error)
        if self._clock is not None:
            self._lose()

    def _leave_out(self, error: FileFormatError) -> None:
        """Count what is not played. Raises it where nothing may be left out."""
        if self._strict:
            raise error
        self._unread += 1
        self._first_unread = self._first_unread or error

    def _advance(self, message: Message | Connected, pace: _Pace | None) -> bool:
        """Set the clock to when a message was received; it is never set back."""
        if self._clock is None:
            self._first = message.received
            self._clock = self._sink.clock = RecordingClock(message.received, self._ahead)
            self._session = self._sink.live.session("recording", None, volume_digits=registry.VOLUME_DIGITS)
            self._session.subscribed()
        gap = max(0, message.received - self._clock.now)
        slept = pace is not None and pace.wait(gap)
        self._clock.now += gap
        return slept

    def _play(self, message: Message) -> None:
        try:
            if message.text.startswith(HALF):
                raise MessageError(f"a message is no JSON: {message.text:.80}")
            events = self._rows(message.text, message.received, message.url)
        except InvalidInputError as error:
            self._refuse(message, error, of_bars=may_be_of_bars(error))
            events = []
        taken = sum([self._take(message, event) for event in events])
        self._skipped += not taken

    def _take(self, message: Message, event: Event) -> bool:
        """Have a row taken; the exchange may also have said that it refuses something."""
        taker = self._takers.get(type(event))
        if taker is None:
            return False
        try:
            taker(event)
        except InvalidInputError as error:
            self._refuse(message, error, of_bars=isinstance(event, Trade | Kline))
            return False
        self._session.heard(event)
        self._counts[type(event)] += 1
        return True

    def _refuse(self, message: Message, error: InvalidInputError, *, of_bars: bool) -> None:
        """Leave out what breaks a rule; a trade is one that its bar lacks."""
        text = f"{self._names}: message {self._done + 1}, received at {message.received}: {error.message}"
        told = FileFormatError(text, hint=error.hint)
        told.__cause__ = error
        self._leave_out(told)
        if of_bars:
            self._lose()
