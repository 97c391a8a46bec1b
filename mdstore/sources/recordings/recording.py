"""Recordings of raw messages: files with one message a line and when it was received.

The lines are those of common recorders, plain or gzipped, and may be mixed::

    1723161253937085768 {"stream":...}                       nanoseconds
    1626992741.06217: {"stream":...}                         cryptofeed: seconds, exact to the last digit
    1618678263.010785: b'{"ty":"trade",...}'                 the same, of bytes
    https://... -> 1626992741.301402: {"lastUpdateId":...}   an answer to a request
    wss://... <-> 1618678261.681707                          connected: what was sent before may be lost
    wss://... <- 1618678262.670261: [...]                    sent: not a message
"""

from __future__ import annotations

import ast
import heapq
import json
import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from itertools import islice
from operator import attrgetter
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from mdstore.errors import FileFormatError, Hint
from mdstore.sources.exchanges import registry
from mdstore.sources.recordings.lines import Damage, lines

__all__ = ["Connected", "Message", "Unread", "messages", "played", "venue"]

LINE = re.compile(
    r"(?:(?P<url>\w+://\S+) -> )?(?:(?P<seconds>\d{9,11}(?:\.\d+)?): |(?P<ns>\d{18,19}) )(?P<payload>.*)"
)
# cryptofeed also notes what it was configured to record.
NO_MESSAGE = re.compile(r"\w+://\S+ <- |configuration: ")
CONNECTED = re.compile(r"(?P<url>\w+://\S+) <-> (?P<seconds>\d{9,11}(?:\.\d+)?)")
ACCEPTED = (
    "a line is `nanoseconds JSON`, `seconds: JSON` or `seconds: b'JSON'`, with `URL -> ` before it if it is "
    "an answer"
)
NS_DIGITS = 9
NS_PER_SECOND = 1_000_000_000
# So many messages are looked at to tell whose they are: kinds that tell may be rare.
LOOKED_AT = 1_000


class Message(NamedTuple):
    """A raw message: when this machine received it (nanoseconds since 1970), its JSON, and whom was asked."""

    received: int
    text: str
    url: str | None = None
    """Of an answer to a request; None for what came on a stream."""


class Connected(NamedTuple):
    """A connection began (nanoseconds since 1970): what the exchange sent before may not have come."""

    received: int
    url: str


class Unread(NamedTuple):
    """Something that cannot be read, behind what was received last (nanoseconds since 1970; 0: nothing was).

    `why` says so, with `file` and line. `is_end` says that the file ends there, in the middle of a line or
    of what is gzipped: so a recorder leaves it that was killed.
    """

    received: int
    file: str
    why: str
    is_end: bool

    @property
    def error(self) -> FileFormatError:
        """Return it as an error."""
        return FileFormatError(f"{self.file}: {self.why}")


Line = Message | Connected | Unread


def messages(*paths: str | PathLike[str]) -> Generator[Message]:
    """Yield the messages of recordings, as `played` does, without connections.

    Raises `FileFormatError` for what cannot be read, and `OSError`; where a file was cut off, at the end.
    """
    cut: list[Unread] = []
    with closing(played(*paths)) as found:
        for one in found:
            if isinstance(one, Message):
                yield one
            elif isinstance(one, Unread) and not one.is_end:
                raise one.error
            elif isinstance(one, Unread):
                cut.append(one)
    if cut:
        raise cut[0].error


def played(*paths: str | PathLike[str]) -> Generator[Line]:
    """Yield the messages and connections of recordings, of several in the order received.

    A file's own lines are not put in order. What cannot be read of a file is told in its place. Raises
    `FileFormatError` for a file of which nothing can, and `OSError` for one that cannot be opened.
    """
    yield from heapq.merge(*(_when_due(Path(path)) for path in paths), key=attrgetter("received"))


def venue(*paths: str | PathLike[str]) -> str:
    """Tell whose messages recordings hold: a name of `sources.exchanges.registry`.

    Raises `FileFormatError` where the first thousand messages of each do not tell, or tell different things.
    """
    told = {str(path): found for path in paths if (found := _venue(path)) is not None}
    if len(set(told.values())) > 1:
        listed = ", ".join(f"{path} of {found}" for path, found in told.items())
        raise FileFormatError(
            f"the recordings are of different exchanges: {listed}", hint="give one at a time"
        )
    if not told:
        names = ", ".join(Path(path).name for path in paths)
        raise FileFormatError(
            f"{names}: cannot tell whose messages these are", hint=Hint("give venue=", "give --venue")
        )
    return next(iter(told.values()))


def _when_due(path: Path) -> Generator[Line]:
    """Yield the lines of a file, which is open only once they are due: a month of hours are 720 files."""
    with closing(_read(path)) as found:
        first = next(found, None)
        if isinstance(first, Unread) and not first.is_end:
            _refuse_no_recording(first, found)
    if first is not None:
        yield first
        with closing(_read(path)) as found:
            yield from islice(found, 1, None)


def _refuse_no_recording(first: Unread, others: Iterator[Line]) -> None:
    """Raise what is wrong with the first line of a file where no other is better."""
    if all(isinstance(one, Unread) for one in islice(others, LOOKED_AT)):
        raise first.error


def _read(path: Path) -> Generator[Line]:
    number = received = 0
    with closing(lines(path)) as found:
        for line in found:
            if isinstance(line, Damage):
                why = f"damaged after line {number}: {line.why}"
                yield Unread(received, path.name, why, line.is_end)
                continue
            number += 1
            try:
                one = _message(line.decode().rstrip("\r\n")) if line.strip() else None
            except (ValueError, SyntaxError, RecursionError) as error:
                is_cut = not line.endswith(b"\n")
                yield Unread(received, path.name, f"line {number}: {error}", is_cut)
            else:
                if one is not None:
                    received = one.received
                    yield one


def _message(line: str) -> Message | Connected | None:
    """Parse a line; None for one that is neither. Raises `ValueError` or `SyntaxError`."""
    if NO_MESSAGE.match(line):
        return None
    if (connected := CONNECTED.match(line)) is not None:
        return Connected(_ns(connected["seconds"]), connected["url"])
    match = LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"{line!r:.80} is no recorded message: {ACCEPTED}")
    text = _text(match["payload"])
    json.loads(text)  # a line cut short is found here, where file and line are known
    received = int(match["ns"]) if match["ns"] else _ns(match["seconds"])
    return Message(received, text, match["url"])


def _text(payload: str) -> str:
    if not payload.startswith(("b'", 'b"')):
        return payload
    data = ast.literal_eval(payload)
    if not isinstance(data, bytes):
        raise ValueError(f"{payload!r:.80} is no bytes literal")  # noqa: TRY004 - of the line, not of a type
    return data.decode()


def _ns(seconds: str) -> int:
    """Return seconds as nanoseconds, by digits: a float of today's seconds is only exact to 240 ns."""
    whole, _, fraction = seconds.partition(".")
    return int(whole) * NS_PER_SECOND + int(fraction.ljust(NS_DIGITS, "0")[:NS_DIGITS])


def _venue(path: str | PathLike[str]) -> str | None:
    """Return the first venue that is sure, else the first that is likely.

    Raises `FileFormatError` for a file of which nothing can be read.
    """
    likely = None
    with closing(_when_due(Path(path))) as read:
        for one in islice(read, LOOKED_AT):
            found, sure = _hint(one) if isinstance(one, Message) else (None, False)
            if found and sure:
                return found
            likely = likely or found
    return likely


def _hint(message: Message) -> tuple[str | None, bool]:
    """Return whose a message may be, and whether it surely is."""
    if message.url is not None:
        return registry.of_url(message.url), True
    data = json.loads(message.text)
    first = data[0] if isinstance(data, list) and data else data
    return registry.of_message(first) if isinstance(first, Mapping) else (None, False)
