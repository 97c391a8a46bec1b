"""Candles of Upbit: https://docs.upbit.com/kr/reference/list-candles-minutes and its neighbours.

A page is the newest `count` bars that start before `to`, newest first, however far back that is: so it proves
that there are no others from its oldest bar up to `to`, and nothing of what lies before. A short page proves
no more than a full one, since a server may give fewer than it was asked for; that a series begins is told by
an empty one, if the longer bars say so, too, or for seconds if it comes twice. A bar in which nothing was
traded is not there.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from itertools import pairwise
from typing import Annotated, Final, NamedTuple

import msgspec
import polars as pl

from mdstore.core.timeframe import HOUR, SECOND, Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import NoSuchMarketError, SourceError
from mdstore.sources.exchanges.rest_source import (
    LEFT_MS,
    RestSource,
    are_on_grid,
    closed_until,
    page_end,
    refused,
    told,
)
from mdstore.sources.sync.candle_source import Market, Wait
from mdstore.sources.sync.coordinator import Limits, Page
from mdstore.sources.web.answers import Answer, Request, excerpt, is_json
from mdstore.sources.web.client import WebClient
from mdstore.sources.web.host import Manners, NoPageError

__all__ = ["PATHS", "TURNOVER", "UpbitCandles", "open_upbit"]

ADDRESS: Final = "https://api.upbit.com"
PATHS: Final = {
    "1s": "/v1/candles/seconds",
    **{f"{count}m": f"/v1/candles/minutes/{count}" for count in (1, 3, 5, 10, 15, 30)},
    "1h": "/v1/candles/minutes/60",
    "4h": "/v1/candles/minutes/240",
    "1d": "/v1/candles/days",
    "1w": "/v1/candles/weeks",
    "1M": "/v1/candles/months",
    "12M": "/v1/candles/years",
}
PAGE: Final = 200
A_SECOND: Final = 10.0
"""Requests a second, of each group by itself (https://docs.upbit.com/kr/reference/rate-limits)."""
TURNOVER: Final = "candle_acc_trade_price"
ZOOM: Final = ("1M", "1d", "1h")
"""How a listing is found: the oldest month, its oldest day, the oldest hour of that, and so on."""
KST_MS: Final = 9 * HOUR
REMAINING: Final = re.compile(r"\bsec=(\d+)")
EPOCH: Final = datetime(1970, 1, 1)
A_MS: Final = timedelta(milliseconds=1)
Naive = Annotated[datetime, msgspec.Meta(tz=False)]


class Candle(msgspec.Struct):
    """A bar as Upbit writes it; fields that not all kinds of bars have are not read."""

    market: str
    candle_date_time_utc: Naive
    candle_date_time_kst: Naive
    opening_price: float
    high_price: float
    low_price: float
    trade_price: float
    timestamp: int
    candle_acc_trade_price: float
    candle_acc_trade_volume: float
    unit: int | None = None


class Listed(msgspec.Struct):
    """A market as Upbit lists it."""

    market: str


CANDLES: Final = msgspec.json.Decoder(list[Candle])
MARKETS: Final = msgspec.json.Decoder(list[Listed])


class Bars(NamedTuple):
    """The bars of an answer, newest first: when each starts (ms), and the exchange's clock (ms)."""

    times: list[int]
    candles: list[Candle]
    clock: int


def open_upbit(
    *,
    base_url: str | None = None,
    offline: bool = False,
    on_wait: Callable[[Wait], None] | None = None,
    manners: Manners | None = None,
) -> UpbitCandles:
    """Return Upbit as a source of candles."""
    address = ADDRESS if base_url is None else base_url
    return UpbitCandles(
        WebClient(
            address,
            {"candle": A_SECOND, "market": A_SECOND},
            offline=offline,
            manners=manners,
            remaining=remaining,
            told=told(address, on_wait),
        )
    )


class UpbitCandles(RestSource):
    """Candles of Upbit, asked by REST. Pages come from the newest to the oldest."""

    name = "upbit"
    timeframes = tuple(PATHS)
    # Trades of the last moments may be counted after a bar has ended; a bar that is asked for twice is final.
    settles = 2
    limits = Limits(page_bars=PAGE, concurrency=8, timeout=60.0)
    pace = A_SECOND

    def __init__(self, client: WebClient) -> None:
        super().__init__([client])
        self.client = client
        self._begins: dict[tuple[str, str], int] = {}

    async def _candles(self, symbol: str, frame: Timeframe, start: int, end: int) -> AsyncIterator[Page]:
        """Give the pages of a range (ms), newest first."""
        begins = self._begins.get((symbol, str(frame)), start)
        to, seen = end, None
        while max(start, begins) < to:
            bars = await self._page(symbol, frame, to, frame.span(start, to))
            if not bars.times:
                await self._confirm_beginning(symbol, frame, to, seen)
                to = page_end(frame, to, bars.clock, None)
                break
            for page in await self._pages(symbol, frame, (start, to), bars):
                yield page
            to = seen = bars.times[-1]
        if start < to:
            yield Page(start, to, [], None if frame.unit == "s" else "before_listing")

    async def markets(self) -> list[Market]:
        """List what is traded. Upbit says neither since when, nor what was traded once."""
        request = Request("/v1/market/all", group="market", what="the markets of upbit")
        return [Market(one.market) for one in await self.client.fetch(request, read_markets)]

    async def first(self, symbol: str, timeframe: str) -> int | None:
        """Return when the oldest bar starts (ms); None for seconds, which are kept for three months only."""
        frame = self._timeframe(timeframe)
        if frame.unit == "s":
            return None
        name = str(frame)
        if (symbol, name) not in self._begins:
            coarser = [zoom for zoom in ZOOM if zoom != name and Timeframe.parse(zoom).holds(frame)]
            to = None
            for zoom in coarser:
                level = Timeframe.parse(zoom)
                if (symbol, zoom) not in self._begins:
                    found = await self._oldest(symbol, level, to, exact=False)
                    if found is None:
                        return None
                    self._begins[symbol, zoom] = found
                to = level.next(self._begins[symbol, zoom])
            oldest = await self._oldest(symbol, frame, to, exact=True)
            if oldest is None:
                return None
            self._begins[symbol, name] = oldest
        return self._begins[symbol, name]

    async def _oldest(self, symbol: str, frame: Timeframe, to: int | None, *, exact: bool) -> int | None:
        """Return when the oldest bar before `to` starts.

        `exact` asks until nothing is left. Without it a short page will do: it only says where to look.
        """
        oldest = None
        while True:
            bars = await self._page(symbol, frame, to, PAGE)
            if bars.times:
                oldest = to = bars.times[-1]
            if not bars.times or (len(bars.times) < PAGE and not exact):
                return oldest

    async def _confirm_beginning(self, symbol: str, frame: Timeframe, to: int, seen: int | None) -> None:
        """Make sure that there is nothing before `to`, as an empty page says; `seen` is the oldest bar.

        Raises `SourceError` where the exchange's longer bars contradict it.
        """
        if frame.unit == "s":
            return  # they are kept for three months only: the longer bars say nothing of them
        first = await self.first(symbol, str(frame))
        is_so = first == seen if seen is not None else first is None or first >= to
        if not is_so:
            found = "nothing" if first is None else f"bars from {ms_to_datetime(first)}"
            raise SourceError(
                f"upbit gave no {symbol} {frame} before {ms_to_datetime(to)}, and has {found} by its longer "
                "bars: an empty answer proves nothing then",
                hint="try again later",
                of_host=False,
            )

    async def _page(self, symbol: str, frame: Timeframe, to: int | None, wanted: int) -> Bars:
        """Ask for the newest bars before `to`, as many as are wanted, if a page holds so many.

        Seconds are asked for again where none came, since nothing else tells that this is no mistake.
        """
        count = min(wanted, PAGE)
        params: dict[str, str | int] = {"market": symbol, "count": count}
        if to is not None:
            params["to"] = datetime.fromtimestamp(to // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        what = f"{symbol} {frame} before {ms_to_datetime(to) if to is not None else 'now'}"
        request = Request(PATHS[str(frame)], params, group="candle", what=what)
        read = partial(read_bars, symbol=symbol, frame=frame, to=to, count=count)
        bars = await self.client.fetch(request, read)
        is_doubtful = not bars.times and frame.unit == "s"
        return await self.client.fetch(request, read) if is_doubtful else bars

    async def _pages(self, symbol: str, frame: Timeframe, asked: tuple[int, int], bars: Bars) -> list[Page]:
        """Return what an answer proves of the range that was asked for."""
        start, to = max(asked[0], bars.times[-1]), asked[1]
        forming = closed_until(frame, bars.clock)
        closed = next((at for at, time in enumerate(bars.times) if time < forming), len(bars.times))
        last = bars.times[closed] if closed < len(bars.times) else None
        end = page_end(frame, to, bars.clock, last)
        if start >= end:
            return []
        inside = [at for at in range(closed, len(bars.times)) if start <= bars.times[at] < end]
        rows: object = rows_of(bars, inside[::-1]) if inside else []
        if last is not None and end - last > LEFT_MS and await self._is_gone(symbol, frame, last):
            left = min(frame.next(last), end)
            gone = Page(max(left, start), end, [], "after_delisting")
            pages = [gone, Page(start, left, rows, "no_trade", bars.clock)]
            return [page for page in pages if page.start < page.end]
        return [Page(start, end, rows, "no_trade", bars.clock)]

    async def _is_gone(self, symbol: str, frame: Timeframe, last: int) -> bool:
        """Tell whether a market is listed no more, and has no bar after `last`."""
        if await self._is_listed(symbol):
            return False
        return (await self._page(symbol, frame, None, 1)).times == [last]


def read_markets(answer: Answer) -> list[Listed]:
    """Return the markets of an answer."""
    _refuse(answer, "")
    try:
        return MARKETS.decode(answer.body)
    except msgspec.MsgspecError as error:
        raise NoPageError(f"no list of markets was answered, but {excerpt(answer)}") from error


def read_bars(answer: Answer, *, symbol: str, frame: Timeframe, to: int | None, count: int) -> Bars:
    """Return the bars of an answer. Raises `NoPageError` for one that is no page of what was asked for."""
    _refuse(answer, symbol)
    try:
        candles = CANDLES.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NoPageError(f"no candles were answered ({error}), but {excerpt(answer)}") from error
    times = [_ms(candle.candle_date_time_utc) for candle in candles]
    wrong = _wrong(candles, times, (symbol, frame), to, count)
    if wrong:
        raise NoPageError(f"what was answered is no page of {symbol} {frame}: {wrong}")
    newest = max((candle.timestamp for candle in candles), default=0)
    return Bars(times, candles, max(answer.clock or 0, newest))


def _wrong(
    candles: list[Candle], times: list[int], series: tuple[str, Timeframe], to: int | None, count: int
) -> str:
    """Return why bars are no page of a series: an empty text if they are."""
    symbol, frame = series
    seoul = [_ms(candles[at].candle_date_time_kst) - times[at] for at in ((0, -1) if times else ())]
    rules = (
        (len(times) <= count, f"{len(times)} bars where {count} were asked for"),
        (all(candle.market == symbol for candle in candles), "it has bars of other markets"),
        (
            all(b < a for a, b in pairwise(times)),
            "its bars do not go from the newest to the oldest, each once",
        ),
        (to is None or not times or times[0] < to, "it has bars from behind the range"),
        (are_on_grid(frame, times), "its bars are not on the grid"),
        (all(ahead == KST_MS for ahead in seoul), "its times of Seoul do not fit those of UTC"),
    )
    return next((broken for is_kept, broken in rules if not is_kept), "")


def _refuse(answer: Answer, symbol: str) -> None:
    """Raise what an error says that is not worth trying again."""
    if answer.status == HTTPStatus.NOT_FOUND and symbol and is_json(answer):
        raise NoSuchMarketError(
            f"upbit has no market {symbol!r}: {excerpt(answer)}",
            hint="a market is named as in KRW-BTC: what is paid with, and what is bought",
        )
    if answer.status != HTTPStatus.OK:
        raise refused("upbit", answer, excerpt(answer))


def remaining(headers: Mapping[str, str]) -> float | None:
    """Return how many requests of the second are left, by `Remaining-Req`. Its `min` has no meaning now.

    >>> remaining({"Remaining-Req": "group=candles; min=1800; sec=9"})
    9.0
    """
    found = REMAINING.search(headers.get("Remaining-Req", ""))
    return float(found[1]) if found else None


def rows_of(bars: Bars, places: list[int]) -> pl.DataFrame:
    """Return bars as rows, the turnover under Upbit's own name."""
    candles = [bars.candles[at] for at in places]
    return pl.DataFrame(
        {
            "timestamp": pl.Series([bars.times[at] for at in places], dtype=pl.Int64),
            "open": _floats([one.opening_price for one in candles]),
            "high": _floats([one.high_price for one in candles]),
            "low": _floats([one.low_price for one in candles]),
            "close": _floats([one.trade_price for one in candles]),
            "volume": _floats([one.candle_acc_trade_volume for one in candles]),
            TURNOVER: _floats([one.candle_acc_trade_price for one in candles]),
        }
    )


def _floats(values: list[float]) -> pl.Series:
    return pl.Series(values, dtype=pl.Float64)


def _ms(time: datetime) -> int:
    return (time - EPOCH) // A_MS
