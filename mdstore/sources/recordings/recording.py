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
import gzip
import heapq
import json
import re
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from itertools import islice
from operator import attrgetter
from os import PathLike
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from mdstore.errors import FileFormatError, Hint
from mdstore.sources.exchanges import registry

__all__ = ["Connected", "Message", "messages", "played", "venue"]

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
GZIP_MAGIC = b"\x1f\x8b"
# What gzip raises for damage; a file that ends too early is an EOFError.
DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)
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


def messages(*paths: str | PathLike[str]) -> Generator[Message, None, None]:
    """Yield the messages of recordings, as `played` does, without connections."""
    with closing(played(*paths)) as found:
        for one in found:
            if isinstance(one, Message):
                yield one


def played(*paths: str | PathLike[str]) -> Generator[Message | Connected, None, None]:
    """Yield the messages and connections of recordings, of several in the order received.

    A file's own lines are not put in order. Raises `FileFormatError`, once it gets there, naming file and
    line where a line cannot be read or a gzip file is damaged; at the end, where one was cut off, as a crash
    does it; `OSError` for a file that cannot be opened.
    """
    cut: list[FileFormatError] = []
    yield from heapq.merge(*(_when_due(Path(path), cut) for path in paths), key=attrgetter("received"))
    if cut:
        raise cut[0]


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


def _when_due(path: Path, cut: list[FileFormatError]) -> Iterator[Message | Connected]:
    """Yield the messages of a file, which is open only once they are due: a month of hours are 720 files."""
    try:
        with closing(_messages(path)) as found:
            first = next(found, None)
        if first is not None:
            yield first
            with closing(_messages(path)) as found:
                yield from islice(found, 1, None)
    except FileFormatError as error:
        if not _is_cut(error):
            raise
        cut.append(error)


def _is_cut(error: FileFormatError) -> bool:
    """Tell whether a file is sound, but for its end, which is not there."""
    return isinstance(error.__cause__, EOFError)


def _messages(path: Path) -> Generator[Message | Connected, None, None]:
    number = 0
    with ExitStack() as stack:
        file = _opened(path, stack)
        try:
            for number, line in enumerate(file, start=1):  # noqa: B007 - told in the error
                if line.strip() and (message := _message(line.decode().rstrip("\r\n"))) is not None:
                    yield message
        except DAMAGE as error:
            raise FileFormatError(f"{path.name}: damaged after line {number}: {error}") from error
        except (ValueError, SyntaxError, RecursionError) as error:
            raise FileFormatError(f"{path.name}: line {number}: {error}") from error


def _opened(path: Path, stack: ExitStack) -> BinaryIO:
    """Open a recording, gzipped or not by what it begins with, whatever its name."""
    file = stack.enter_context(path.open("rb"))
    if file.peek(len(GZIP_MAGIC))[: len(GZIP_MAGIC)] != GZIP_MAGIC:
        return cast(BinaryIO, file)
    return cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=file)))


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
    """Return the first venue that is sure, else the first that is likely."""
    likely = None
    try:
        for message in islice(_messages(Path(path)), LOOKED_AT):
            found, sure = (None, False) if isinstance(message, Connected) else _hint(message)
            if found and sure:
                return found
            likely = likely or found
    except FileFormatError as error:
        if not _is_cut(error):
            raise
    return likely


def _hint(message: Message) -> tuple[str | None, bool]:
    """Return whose a message may be, and whether it surely is."""
    if message.url is not None:
        return registry.of_url(message.url), True
    data = json.loads(message.text)
    first = data[0] if isinstance(data, list) and data else data
    return registry.of_message(first) if isinstance(first, Mapping) else (None, False)
