"""Candles of Binance: spot (https://developers.binance.com/docs/binance-spot-api-docs) and USD-M futures.

A page is the oldest `limit` bars from `startTime` to `endTime`, ascending: so it proves that there are no
others from `startTime` up to its newest bar, and nothing of what lies behind. A short page proves no more
than a full one, since a server may give fewer than it was asked for; an empty one proves the whole range, if
it comes twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import chain, pairwise
from typing import Any, Final, NamedTuple

import msgspec
import polars as pl

from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import NoSuchMarketError
from mdstore.sources.exchanges.binance_archive import ARCHIVE, Archive
from mdstore.sources.exchanges.binance_columns import COLUMNS, KEPT
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
from mdstore.sources.web.answers import Answer, Request, excerpt
from mdstore.sources.web.client import WebClient
from mdstore.sources.web.host import Manners, NoPageError

__all__ = ["SPOT", "USDM", "BinanceCandles", "Part", "open_spot", "open_usdm", "read_bars", "rows_of"]

# Three days are left out: from which day they are counted is not documented.
INTERVALS: Final = (
    "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w", "1M",
)  # fmt: skip
SHARE: Final = 0.9
"""So much of the weight of a minute is used: others behind the same address want to ask, too."""
FULL: Final = 0.95
"""If so much of it is used, by whomever, it is asked once in a second until the minute is over."""
FILES: Final = 10.0
"""Requests a second for files of the archive, of which no limit is documented."""
NO_SYMBOL: Final = -1121
ILLEGAL: Final = -1100
"""What `btc-usdt` gets in place of `NO_SYMBOL`: its characters are not those of a symbol."""
GONE: Final = ("SETTLING", "DELIVERED", "CLOSE")
"""What the list says of a market that is no more. One with `BREAK` or `HALT` may be traded again."""

Kline = tuple[int, float, float, float, float, float, int, float, float, float, float, Any]
KLINES: Final = msgspec.json.Decoder(list[Kline], strict=False)


class Refusal(msgspec.Struct):
    """What Binance says of a request that it refuses."""

    code: int
    msg: str


class Listed(msgspec.Struct):
    """A market as Binance lists it; spot does not say since when."""

    symbol: str
    status: str
    onboardDate: int | None = None  # noqa: N815


class Everything(msgspec.Struct):
    """What `exchangeInfo` says, as far as it is read."""

    symbols: list[Listed]


@dataclass(frozen=True, slots=True)
class Part:
    """One of Binance's markets: where it is asked, and what that weighs."""

    name: str
    address: str
    path: str
    archive: str
    intervals: tuple[str, ...]
    page: int
    minute: float
    """The weight of a minute."""
    weights: tuple[tuple[int, float], ...]
    """What a request weighs that asks for fewer bars than so many."""
    info: float
    """What the list of markets weighs."""

    def weight(self, bars: int) -> float:
        """Return what a request for so many bars weighs."""
        return next(weight for fewer, weight in self.weights if bars < fewer)


SPOT: Final = Part(
    "binance", "https://api.binance.com", "/api/v3", "spot", ("1s", *INTERVALS), 1000, 6000,
    ((1001, 2.0),), 20,
)  # fmt: skip
# A page of 1,500 weighs as much as five of 499: so 499 it is, 9,000 bars a second in place of 5,400.
USDM: Final = Part(
    "binance-futures", "https://fapi.binance.com", "/fapi/v1", "futures/um", INTERVALS, 499, 2400,
    ((100, 1.0), (500, 2.0), (1001, 5.0), (1501, 10.0)), 1,
)  # fmt: skip


class Bars(NamedTuple):
    """The bars of an answer, ascending, and the exchange's clock (ms)."""

    klines: list[Kline]
    clock: int


def open_spot(**options: Any) -> BinanceCandles:
    """Return Binance's spot market as a source of candles; `options` as those of `open_part`."""
    return open_part(SPOT, **options)


def open_usdm(**options: Any) -> BinanceCandles:
    """Return Binance's USD-M futures as a source of candles; `options` as those of `open_part`."""
    return open_part(USDM, **options)


def open_part(
    part: Part,
    *,
    base_url: str | None = None,
    archive_url: str | None = None,
    offline: bool = False,
    on_wait: Callable[[Wait], None] | None = None,
    manners: Manners | None = None,
) -> BinanceCandles:
    """Return a market of Binance. With `base_url` its public archive is used only by an `archive_url`."""
    address = part.address if base_url is None else base_url
    client = WebClient(
        address,
        {"weight": SHARE * part.minute / 60},
        offline=offline,
        manners=manners,
        remaining=partial(remaining, minute=part.minute),
        told=told(address, on_wait),
    )
    files = archive_url or (ARCHIVE if base_url is None else None)
    if files is None:
        return BinanceCandles(part, client)
    waits = told(files, on_wait)
    archive = WebClient(files, {"file": FILES}, offline=offline, manners=manners, told=waits)
    return BinanceCandles(part, client, Archive(part.archive, archive))


class BinanceCandles(RestSource):
    """Candles of a market of Binance; whole months and days from the public archive, if there is one."""

    settles = 2

    def __init__(self, part: Part, client: WebClient, archive: Archive | None = None) -> None:
        super().__init__([client, *([archive.client] if archive else [])])
        self.part, self.name, self.timeframes = part, part.name, part.intervals
        self.limits = Limits(page_bars=part.page, concurrency=8, timeout=60.0)
        self.pace = SHARE * part.minute / 60 / part.weight(part.page)
        self.client, self._archive = client, archive
        self._firsts: dict[tuple[str, str], int | None] = {}

    async def _candles(self, symbol: str, frame: Timeframe, start: int, end: int) -> AsyncIterator[Page]:
        """Give the pages of a range (ms), ascending."""
        if self._archive is None:
            async for page in self._asked(symbol, frame, start, end):
                yield page
            return
        async for part in self._archive.parts(symbol, frame, (start, end), self.part.page):
            if isinstance(part, Page):
                yield part
                continue
            async for page in self._asked(symbol, frame, *part):
                yield page

    async def _asked(self, symbol: str, frame: Timeframe, start: int, end: int) -> AsyncIterator[Page]:
        low = start
        while low < end:
            bars = await self._page(symbol, frame, low, end)
            forming = closed_until(frame, bars.clock)
            closed = [kline for kline in bars.klines if kline[0] < forming]
            if not closed:
                high = page_end(frame, end, bars.clock, None)
                if low < high:
                    async for page in self._absent(
                        symbol, frame, (low, high, bars.clock), at_start=low == start
                    ):
                        yield page
                return
            begin = closed[0][0]
            if low == start < begin:
                async for page in self._absent(symbol, frame, (low, begin, bars.clock), at_start=True):
                    yield page
                low = begin
            last, rest = closed[-1][0], bars.klines[len(closed) :]
            if rest:  # it is forming: what lies before it is answered, too
                high = page_end(frame, min(end, rest[0][0]), bars.clock, last)
                yield Page(low, high, rows_of(closed), "no_trade", bars.clock)
                return
            high = frame.next(last)
            yield Page(low, high, rows_of(closed), "no_trade", bars.clock)
            low = high

    async def _absent(
        self, symbol: str, frame: Timeframe, empty: tuple[int, int, int], *, at_start: bool
    ) -> AsyncIterator[Page]:
        """Give the pages of a range in which there are no bars, each with its reason.

        `empty` is the range, and what the exchange's clock shows.
        """
        low, high, clock = empty
        listed = await self.first(symbol, str(frame)) if at_start else None
        if at_start and (listed is None or low < listed):
            middle = high if listed is None else min(listed, high)
            yield Page(low, middle, [], "before_listing")
            low = middle
        if low < high:
            gone = high - low > LEFT_MS and await self._is_gone(symbol, frame, low)
            yield Page(low, high, [], "after_delisting" if gone else "no_trade", clock)

    def stretches(self, timeframe: str, start: int, end: int) -> list[tuple[int, int]]:
        """Cut a range (ms) at the months, where there may be files of them; else by pages."""
        by_pages = super().stretches
        if self._archive is None:
            return by_pages(timeframe, start, end)
        files = self._archive.plan(self._timeframe(timeframe), start, end, self.part.page)
        return list(
            chain.from_iterable(
                [(low, high)] if file else by_pages(timeframe, low, high) for file, low, high in files
            )
        )

    async def markets(self) -> list[Market]:
        """List what is traded, by symbol; of futures since when, too."""
        found = await self._everything()
        return [Market(one.symbol, one.onboardDate) for one in found if one.status == "TRADING"]

    async def first(self, symbol: str, timeframe: str) -> int | None:
        """Return when the oldest bar starts (ms); None where there is none yet."""
        frame = self._timeframe(timeframe)
        key = (symbol, str(frame))
        if self._firsts.get(key) is None:
            bars = await self._page(symbol, frame, 0, None, limit=1)
            self._firsts[key] = bars.klines[0][0] if bars.klines else None
        return self._firsts[key]

    async def _page(
        self, symbol: str, frame: Timeframe, start: int, end: int | None, *, limit: int | None = None
    ) -> Bars:
        """Ask for the oldest bars from `start` on; again where none came, which may be a mistake."""
        count = limit or min(self.part.page, frame.span(start, end or start + 1))
        params: dict[str, str | int] = {
            "symbol": symbol, "interval": str(frame), "startTime": start, "limit": count,
        }  # fmt: skip
        if end is not None:
            params["endTime"] = end - 1
        request = Request(
            f"{self.part.path}/klines",
            params,
            group="weight",
            cost=self.part.weight(count),
            what=f"{symbol} {frame} from {ms_to_datetime(start)}",
        )
        read = partial(read_bars, symbol=symbol, frame=frame, asked=(start, end), count=count, name=self.name)
        bars = await self.client.fetch(request, read)
        return bars if bars.klines else await self.client.fetch(request, read)

    async def _everything(self) -> list[Listed]:
        request = Request(
            f"{self.part.path}/exchangeInfo",
            group="weight",
            cost=self.part.info,
            what=f"the markets of {self.name}",
        )
        return await self.client.fetch(request, partial(read_markets, name=self.name))

    async def _symbols(self) -> frozenset[str]:
        """Return the markets that are there yet, those that are halted among them."""
        return frozenset(one.symbol for one in await self._everything() if one.status not in GONE)

    async def _is_gone(self, symbol: str, frame: Timeframe, low: int) -> bool:
        """Tell whether a market is no more, and has no bar from `low` on."""
        if await self._is_listed(symbol):
            return False
        return not (await self._page(symbol, frame, low, None, limit=1)).klines


def remaining(headers: Mapping[str, str], *, minute: float) -> float | None:
    """Return 0 if the weight of the minute is nearly used up, by whomever; None otherwise."""
    used = next((value for name, value in headers.items() if name.lower() == "x-mbx-used-weight-1m"), "")
    return 0.0 if used.isdigit() and int(used) >= FULL * minute else None


def read_markets(answer: Answer, *, name: str) -> list[Listed]:
    """Return the markets of an answer."""
    _refuse(answer, "", name)
    try:
        return msgspec.json.decode(answer.body, type=Everything).symbols
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NoPageError(f"no list of markets was answered, but {excerpt(answer)}") from error


def read_bars(
    answer: Answer,
    *,
    symbol: str,
    frame: Timeframe,
    asked: tuple[int, int | None],
    count: int,
    name: str = SPOT.name,
) -> Bars:
    """Return the bars of an answer. Raises `NoPageError` for one that is no page of what was asked for."""
    _refuse(answer, symbol, name)
    try:
        klines = KLINES.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NoPageError(f"no candles were answered ({error}), but {excerpt(answer)}") from error
    times = [kline[0] for kline in klines]
    rules = (
        (len(klines) <= count, f"{len(klines)} bars where {count} were asked for"),
        (
            all(a < b for a, b in pairwise(times)),
            "its bars do not go from the oldest to the newest, each once",
        ),
        (not times or times[0] >= asked[0], "it has bars from before the range"),
        (asked[1] is None or not times or times[-1] < asked[1], "it has bars from behind the range"),
        (are_on_grid(frame, times), "its bars are not on the grid"),
    )
    wrong = next((broken for is_kept, broken in rules if not is_kept), "")
    if wrong:
        raise NoPageError(f"what was answered is no page of {symbol} {frame}: {wrong}")
    return Bars(klines, answer.clock or (times[-1] if times else 0))


def _refuse(answer: Answer, symbol: str, name: str) -> None:
    """Raise what an error says that is not worth trying again."""
    if answer.status == HTTPStatus.OK:
        return
    try:
        refusal = msgspec.json.decode(answer.body, type=Refusal)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        refusal = Refusal(0, excerpt(answer))
    is_symbol = refusal.code == NO_SYMBOL or (refusal.code == ILLEGAL and "'symbol'" in refusal.msg)
    if is_symbol and symbol:
        raise NoSuchMarketError(
            f"{name} has no market {symbol!r}: {refusal.msg}",
            hint="a market is named as in BTCUSDT: what is bought, and what is paid with",
        )
    raise refused(name, answer, refusal.msg)


def rows_of(klines: list[Kline]) -> pl.DataFrame:
    """Return bars as rows: those of a candle, and what else Binance says of them under its own names."""
    columns = dict(zip(COLUMNS, zip(*klines, strict=True), strict=True))
    return pl.DataFrame(
        {
            name: pl.Series(columns[name], dtype=pl.Int64 if name == "timestamp" else pl.Float64)
            for name in KEPT
        }
    )
