"""Binance's public archive: a zip file of each month and day of a series (https://data.binance.vision).

It is described at https://github.com/binance/binance-public-data. Beside each file lies its SHA-256. Months
are published some days after their end, days on the next. Times are in ms, those of spot from 2025 on in us.
Files lack bars that the exchange itself has: so a file proves its bars, and what it lacks is asked for.
Whatever fails of a file, its range is asked for: the archive only makes it faster.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from itertools import pairwise
from typing import Final
from weakref import WeakKeyDictionary

import polars as pl

from mdstore.core.timeframe import DAY, Timeframe
from mdstore.errors import SourceError
from mdstore.sources.exchanges.binance_columns import COLUMNS, KEPT
from mdstore.sources.exchanges.rest_source import are_on_grid
from mdstore.sources.sync.coordinator import Page
from mdstore.sources.sync.sync_place import Range
from mdstore.sources.web.answers import Answer, Request, excerpt
from mdstore.sources.web.client import WebClient
from mdstore.sources.web.host import NoPageError

__all__ = ["ARCHIVE", "Archive", "pieces", "plan", "read_zip"]

ARCHIVE: Final = "https://data.binance.vision"
LEAST_PAGES: Final = 5
"""A file takes two requests; where fewer pages would do, they are asked for."""
MOST_PIECES: Final = 32
"""A file with more holes than this is not used."""
SPANS: Final = (
    (Timeframe.parse("1M"), "monthly", "%Y-%m", 7 * DAY),
    (Timeframe.parse("1d"), "daily", "%Y-%m-%d", 2 * DAY),
)
"""What a file holds, its folder, how its name says when, and how long after the end it surely is there."""
LARGEST: Final = 512 << 20
"""The text of a file: a month of seconds is 2.7 million lines of 130 bytes. One file at a time is read."""
AGAIN: Final = "the range of the file can be asked for in its place"
HEADER: Final = b"open,high,low,close,volume,"
"""How the columns behind the time are called, where a file says so; of the others there are spellings."""
MICROSECONDS: Final = 10**14
"""A time greater than this is in us: in ms it would be in the year 5138."""

File = tuple[str, str]
"""The folder of a file, and the time in its name."""


class Archive:
    """The files of one market: `market` is its folder, `spot` or `futures/um`."""

    def __init__(self, market: str, client: WebClient, *, clock: Callable[[], float] = time.time) -> None:
        self.market, self.client, self._clock = market, client, clock
        self._missing: set[str] = set()
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def parts(
        self, symbol: str, frame: Timeframe, asked: Range, page: int
    ) -> AsyncIterator[Page | Range]:
        """Give a range (ms) ascending: pages from files, and the ranges that are to be asked for."""
        for file, low, high in self.plan(frame, *asked, page):
            rows = None if file is None else await self._rows(symbol, frame, file)
            for piece in [(low, high)] if rows is None else pieces(rows, frame, low, high):
                yield piece

    def plan(self, frame: Timeframe, start: int, end: int, page: int) -> list[tuple[File | None, int, int]]:
        """Cut a range (ms) into files that are there by now, and ranges without one, ascending."""
        return plan(frame, start, end, page, int(self._clock() * 1000))

    async def _rows(self, symbol: str, frame: Timeframe, file: File) -> pl.DataFrame | None:
        """Return the rows of a file; None where there is none."""
        folder, when = file
        name = f"{symbol}-{frame}-{when}.zip"
        path = f"/data/{self.market}/{folder}/klines/{symbol}/{frame}/{name}"
        if path in self._missing:
            return None
        try:
            async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
                rows = await self._read(path, name, frame)
        except SourceError:
            rows = None
        if rows is None:
            self._missing.add(path)
        return rows

    async def _read(self, path: str, name: str, frame: Timeframe) -> pl.DataFrame | None:
        """Return the rows of a file; None where there is none. Raises `SourceError` where it fails."""
        digest = await self.client.fetch(_request(f"{path}.CHECKSUM"), partial(read_checksum, name=name))
        if digest is None:
            return None
        body = await self.client.fetch(_request(path), read_file)
        if body is None:
            return None
        rows = await asyncio.to_thread(read_zip, body, name, digest)
        times = rows["timestamp"]
        if times.n_unique() < len(times) or not are_on_grid(frame, times.to_list()):
            raise SourceError(f"{name} has bars off the grid of {frame}, or one twice", hint=AGAIN)
        return rows


def _request(path: str) -> Request:
    return Request(path, group="file", what=path.rpartition("/")[2], is_large=True)


def plan(frame: Timeframe, start: int, end: int, page: int, now: int) -> list[tuple[File | None, int, int]]:
    """Cut a range (ms) into files and ranges without one, ascending; a request gives `page` bars at most."""
    found: list[tuple[File | None, int, int]] = []
    low = start
    while low < end:
        for span, folder, spelled, published in SPANS:
            high = span.next(low)
            worth_it = frame.span(low, high) >= LEAST_PAGES * page
            if span.floor(low) == low and high <= end and high + published <= now and worth_it:
                when = datetime.fromtimestamp(low // 1000, UTC).strftime(spelled)
                found.append(((folder, when), low, high))
                break
        else:
            high = min(SPANS[-1][0].next(low), end)
            if found and found[-1][0] is None:
                found[-1] = (None, found[-1][1], high)
            else:
                found.append((None, low, high))
        low = high
    return found


def pieces(rows: pl.DataFrame, frame: Timeframe, low: int, high: int) -> list[Page | Range]:
    """Cut the rows of a file into pages without a hole, and the holes between them."""
    rows = rows.filter((pl.col("timestamp") >= low) & (pl.col("timestamp") < high))
    times = rows["timestamp"]
    ends_run = times.diff().fill_null(0) != frame.ms
    begins = [*ends_run.arg_true().to_list(), len(rows)]
    if len(begins) > MOST_PIECES:
        return [(low, high)]
    found: list[Page | Range] = []
    for at, until in pairwise(begins):
        begin, end = int(times[at]), frame.next(int(times[until - 1]))
        if low < begin:
            found.append((low, begin))
        found.append(Page(begin, end, rows[at:until], "no_trade"))
        low = end
    return [*found, (low, high)] if low < high else found


def read_checksum(answer: Answer, *, name: str) -> str | None:
    """Return the SHA-256 of a file by the text beside it; None where there is none."""
    if answer.status == HTTPStatus.NOT_FOUND:
        return None
    if answer.status != HTTPStatus.OK:
        raise SourceError(f"{name}.CHECKSUM was refused ({answer.status}): {excerpt(answer)}", hint=AGAIN)
    digest, _, named = answer.text.strip().partition(" ")
    if len(digest) != 2 * hashlib.sha256().digest_size or named.strip().lstrip("*") != name:
        raise NoPageError(f"no SHA-256 of {name} was answered, but {excerpt(answer)}")
    return digest.lower()


def read_file(answer: Answer) -> bytes | None:
    """Return a file; None where there is none."""
    if answer.status == HTTPStatus.NOT_FOUND:
        return None
    if answer.status != HTTPStatus.OK:
        raise SourceError(
            f"a file of the archive was refused ({answer.status}): {excerpt(answer)}", hint=AGAIN
        )
    return answer.body


def read_zip(body: bytes, name: str, digest: str | None = None) -> pl.DataFrame:
    """Return the rows of a file, ascending, times in ms. Raises `SourceError` for what is no such file.

    A row that lacks a value is left out: that bar is asked for, as any that a file lacks.
    """
    if digest is not None and hashlib.sha256(body).hexdigest() != digest:
        raise SourceError(f"{name} does not have the SHA-256 that it should", hint=AGAIN)
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as file:
            [inside] = file.infolist()
            if inside.file_size > LARGEST:
                raise SourceError(f"{name} would be {inside.file_size} bytes of text: too large", hint=AGAIN)
            text = file.read(inside)
        rows = pl.read_csv(
            text,
            has_header=_has_header(text),
            new_columns=list(COLUMNS),
            schema_overrides=[pl.Int64, *[pl.Float64] * 5, pl.Int64, *[pl.Float64] * 5],
        )
    except (zipfile.BadZipFile, zlib.error, ValueError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{name} has its SHA-256, and holds no candles: {error}", hint=AGAIN) from error
    moment = pl.col("timestamp")
    in_ms = pl.when(moment > MICROSECONDS).then(moment // 1000).otherwise(moment)
    kept = rows.select(in_ms, *(pl.col(column).cast(pl.Float64) for column in KEPT[1:]))
    return kept.drop_nulls().sort("timestamp")


def _has_header(text: bytes) -> bool:
    """Tell whether a file says what its columns are: futures do since 2022, spot does not.

    Raises `ValueError` for others than those of a candle.
    """
    if text[:1].isdigit():
        return False
    if text and not text.partition(b",")[2].startswith(HEADER):
        raise ValueError(f"its columns are {text[:80]!r}")
    return True
