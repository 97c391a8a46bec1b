"""Candles of the exchanges of ccxt (https://docs.ccxt.com), for those that are not asked by a module of ours.

What ccxt gives proves little by itself: HTML with status 200 comes back as an empty list, as does JSON that
was cut off, Upbit's 429 and 418 as an error like any other, and where a server gives fewer bars than it was
asked for, either the oldest or the newest are missing, as the exchange has it. So each raw answer is looked
at before ccxt reads it, and bars prove what lies between them: what is empty before or behind them is asked
for by itself. If that is empty, too, and twice, nothing is there. An empty page is no end. Some exchanges
keep to no range, and give their newest bars whatever was asked for: such an answer is no empty one.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from importlib import import_module
from typing import Any, Final

import polars as pl

from mdstore.core.did_you_mean import did_you_mean
from mdstore.core.hole_reasons import Stated
from mdstore.core.page_sizes import BY_EXCHANGE
from mdstore.core.timeframe import DAY, MINUTE, Timeframe, meant
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import Hint, InvalidInputError, NoSuchMarketError, SourceError
from mdstore.sources.exchanges.rest_source import RestSource, closed_until, page_end, told
from mdstore.sources.sync.candle_source import Market, Wait
from mdstore.sources.sync.coordinator import Limits, Page, cut
from mdstore.sources.web.answers import Answer, excerpt
from mdstore.sources.web.client import proxy_for, user_agent
from mdstore.sources.web.host import AskedInVainError, Host, Manners, NoPageError
from mdstore.sources.web.loops import OfLoops
from mdstore.sources.web.pace import Turn

__all__ = ["PREFIX", "CcxtCandles", "open_ccxt"]

PREFIX: Final = "ccxt:"
GROUP: Final = "any"
NAMES: Final = ("timestamp", "open", "high", "low", "close", "volume")
PAGE: Final = 200
"""So many bars are asked for where it is not known how many an exchange gives at most: few give fewer."""
CCXT_MONTH: Final = 30 * DAY
DAWN: Final = 1_230_768_000_000  # 2009-01-01: no market of these is older


def open_ccxt(
    name: str,
    *,
    base_url: str | None = None,
    offline: bool = False,
    on_wait: Callable[[Wait], None] | None = None,
    manners: Manners | None = None,
) -> CcxtCandles:
    """Return an exchange of ccxt, by its name there, as a source of candles. Needs the extra `ccxt`."""
    manners = manners or Manners()
    exchange = _exchange(name, base_url, manners)
    address = _address(exchange) if base_url is None else base_url
    host = CcxtHost(
        address, {GROUP: 1000 / max(exchange.rateLimit, 1)}, offline=offline, manners=manners,
        told=told(address, on_wait),
    )  # fmt: skip
    return CcxtCandles(name, exchange, host)


class CcxtHost(Host):
    """Asks by ccxt, one request at a time: in turn, and with a look at each raw answer before ccxt has it."""

    cost = 1.0
    """What the latest request has cost, as ccxt counts."""
    _clock = 0
    _turn: Turn | None = None

    @property
    def clock(self) -> int:
        """The latest that the exchange's clock has shown (ms); where it shows none, a minute ago."""
        return self._clock or int(time.time() * 1000) - MINUTE

    def look_at(self, exchange: Any) -> None:
        """Stand between an exchange of ccxt and its host."""
        self._exchange = exchange
        self._refusals: list[Answer] = []
        self._connections: OfLoops[None] = OfLoops(exchange.open, lambda _: exchange.close())
        exchange.throttle = self._throttle
        exchange.on_rest_response = self._seen

    async def _throttle(self, cost: float | None = None) -> None:
        self._give_back(None)
        self.cost = float(cost or 1.0)
        self._turn = await self.pace.turn(GROUP, self.cost, self._banned)
        self.requests += 1

    def _seen(
        self, status: int, _reason: str, _url: str, _method: str, headers: Any, text: str, *_: Any
    ) -> str:
        self._give_back(time.monotonic())
        answer = Answer(status, headers, text.encode())
        self._clock = max(self._clock, answer.clock or 0)
        if status != HTTPStatus.OK:
            self._refusals.append(answer)
        else:
            try:  # ccxt makes an empty list of HTML, and of JSON that was cut off
                json.loads(text)
            except ValueError as error:
                raise NoPageError(f"no JSON was answered, but {excerpt(answer)}") from error
        return text

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connections.close()

    def begin_anew(self) -> None:
        """Forget the connections of an event loop that has ended, without having closed them."""
        self._exchange.session = self._exchange.tcp_connector = self._exchange.asyncio_loop = None

    def _give_back(self, at: float | None) -> None:
        if self._turn is not None:
            self.pace.answered(self._turn, at)
            self._turn = None

    async def call(self, what: str, function: Callable[[], Awaitable[Any]]) -> Any:
        """Return what a function of ccxt gives. Raises `SourceError`: why it gives nothing."""
        return await self.tried(what, lambda: self._called(what, function))

    async def _obey_refusals(self) -> None:
        for refusal in self._refusals:
            await self.obey(GROUP, refusal)

    async def _called(self, what: str, function: Callable[[], Awaitable[Any]]) -> Any:
        ccxt, aiohttp = import_module("ccxt"), import_module("aiohttp")
        self._refusals.clear()
        await self._connections.here()
        assert hasattr(self._exchange.session, "_retry_connection")  # noqa: S101 - a name of aiohttp's own
        self._exchange.session._retry_connection = False  # a request that had no turn (see `WebClient`)
        try:
            return await function()
        except ccxt.BadSymbol as error:
            hint = "a market of ccxt is named as in BTC/USDT"
            raise NoSuchMarketError(f"{what}: {_short(error)}", hint=hint) from error
        except ccxt.BaseError as error:
            reason = f"{type(error).__name__}: {_short(error)}"
            await self._obey_refusals()
            if isinstance(error, ccxt.NetworkError) or isinstance(error.__cause__, aiohttp.ClientError):
                raise AskedInVainError(reason) from error
            raise SourceError(
                f"{what}: {reason}",
                hint="see whether symbol, timeframe and times are such as ccxt has of it",
                of_host=not isinstance(error, (ccxt.BadRequest, ccxt.NotSupported)),
            ) from error
        except (TypeError, KeyError, AttributeError) as error:
            raise NoPageError(f"ccxt could not read what was answered: {_short(error)}") from error
        finally:
            self._give_back(None)


class CcxtCandles(RestSource):
    """Candles of an exchange by ccxt, one request at a time. Symbols are those of ccxt: `BTC/USDT`."""

    settles = 3

    def __init__(self, name: str, exchange: Any, host: CcxtHost) -> None:
        super().__init__([host])
        self.name = f"{PREFIX}{name}"
        self._exchange, self._host = exchange, host
        host.look_at(exchange)
        self._theirs = {ours: theirs for theirs in exchange.timeframes or () if (ours := meant(theirs))}
        self.timeframes = tuple(self._theirs)
        self.limits = Limits(page_bars=_page_size(name, exchange), concurrency=1, timeout=60.0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._firsts: dict[tuple[str, str], int | None] = {}

    @property
    def pace(self) -> float:
        """The requests in a second, as far as is known: what they cost is known from the first on."""
        return self._host.pace.limits[GROUP] / self._host.cost

    async def _candles(self, symbol: str, frame: Timeframe, start: int, end: int) -> AsyncIterator[Page]:
        """Give the pages of a range (ms), newest first: of an exchange that has no older ones, they come."""
        first, before = await self.first(symbol, str(frame)), start
        if first is not None and start < first:
            before = max(start, min(first, page_end(frame, end, self._host.clock, None)))
        for low, high in reversed(cut(frame, before, end, self._most(frame))):
            async for page in self._range(symbol, frame, low, high):
                yield page
        if start < before:
            yield Page(start, before, [], "before_listing")

    async def _range(self, symbol: str, frame: Timeframe, low: int, high: int) -> AsyncIterator[Page]:
        """Give the pages of a range that fits a page: what its bars do not prove is asked for by itself."""
        rows = await self._ask(symbol, frame, low, high)
        forming = closed_until(frame, self._host.clock)
        closed = [row for row in rows if row[0] < forming]
        if not closed:
            until = page_end(frame, high, self._host.clock, None)
            if low < until:
                yield Page(low, until, [], self._reason(symbol, frame), self._host.clock)
            return
        begin, last, rest = closed[0][0], closed[-1][0], rows[len(closed) :]
        until = min(high, rest[0][0]) if rest else frame.next(last)
        end = page_end(frame, until, self._host.clock, last)
        if end < high and not rest:
            async for page in self._range(symbol, frame, end, high):
                yield page
        yield Page(begin, end, rows_of(closed), "no_trade", self._host.clock)
        if low < begin:
            async for page in self._range(symbol, frame, low, begin):
                yield page

    def _reason(self, symbol: str, frame: Timeframe) -> Stated | None:
        """Return why bars are absent: where the oldest is known, because nothing was traded."""
        return None if self._firsts.get((symbol, str(frame))) is None else "no_trade"

    async def markets(self) -> list[Market]:
        """List what is traded, by symbol; since when, where the exchange says so."""
        await self._loaded()
        return [
            Market(symbol, market.get("created"))
            for symbol, market in self._exchange.markets.items()
            if market.get("active") is not False
        ]

    async def first(self, symbol: str, timeframe: str) -> int | None:
        """Return when the oldest bar starts (ms), found by the longer bars; None where they do not tell."""
        frame = self._timeframe(timeframe)
        key = (symbol, str(frame))
        if key not in self._firsts:
            self._firsts[key] = await self._find_first(symbol, frame)
        return self._firsts[key]

    async def _find_first(self, symbol: str, frame: Timeframe) -> int | None:
        low, high = DAWN, int(time.time() * 1000) + DAY
        coarser = [name for name in ("1M", "1d", "1h") if name in self._theirs and name != str(frame)]
        levels = [Timeframe.parse(name) for name in coarser if Timeframe.parse(name).holds(frame)]
        if not levels:
            return None
        for level in (*levels, frame):
            found = await self._oldest(symbol, level, low, high)
            if found is None:
                return None
            low, high = found, level.next(found)
        return low

    async def _oldest(self, symbol: str, frame: Timeframe, low: int, high: int) -> int | None:
        """Return the oldest bar of a range. What comes before the bars of a page is asked for, too."""
        for start, end in cut(frame, low, high, self._most(frame)):
            until = end
            while start < until and (rows := await self._ask(symbol, frame, start, until, proves=False)):
                until = int(rows[0][0])
            if until < end:
                return until
        return None

    async def _ask(
        self, symbol: str, frame: Timeframe, low: int, high: int, *, proves: bool = True
    ) -> list[list[Any]]:
        """Ask for exactly `[low, high)`, and return the bars in it, ascending: none, if none came twice.

        Raises `SourceError` where the exchange did not keep to the range, if an empty one `proves` something.
        """
        for _ in range(2):
            rows = await self._once(symbol, frame, low, high)
            if any(low <= row[0] < high for row in rows):
                return [row for row in _in_range(rows, frame, low, high) if _is_traded(row)]
            if rows and proves and not self._may_be_empty(symbol, frame, (low, high), rows):
                raise _astray(self.name, f"{symbol} {frame}", (low, high), rows)
        return []

    async def _once(self, symbol: str, frame: Timeframe, low: int, high: int) -> list[list[Any]]:
        """Return what comes of one request, ascending."""
        theirs = self._theirs[str(frame)]
        # To ccxt a month is 30 days: so many of them reach to the end of the range, and past it.
        limit = frame.span(low, high) if frame.ms else -((low - high) // CCXT_MONTH)
        what = f"{symbol} {frame} from {ms_to_datetime(low)} by ccxt"

        async def fetch() -> list[list[Any]]:
            rows = await self._exchange.fetch_ohlcv(symbol, theirs, since=low, limit=limit)
            _in_range(rows, frame, low, high)
            return sorted(rows, key=lambda row: row[0])

        await self._loaded()
        async with self._turn():
            found: list[list[Any]] = await self._host.call(what, fetch)
        return found

    def _may_be_empty(
        self, symbol: str, frame: Timeframe, asked: tuple[int, int], rows: list[list[Any]]
    ) -> bool:
        """Tell whether a range may be empty of which an answer has only bars from behind it.

        An exchange that goes on past the end gives such. It is not one that has its newest bars only, since
        it was seen to have the oldest, too. The one bar at the end comes of many, for which it is included.
        """
        low, high = asked
        if len(rows) == 1 and rows[0][0] == high and frame.next(low) < high:
            return True
        return rows[0][0] >= high and self._firsts.get((symbol, str(frame))) is not None

    def _turn(self) -> asyncio.Lock:
        """Return what is held by the call under way, of which the answer is that is looked at.

        The connections of ccxt are of one event loop. Raises `SourceError` for another while that one runs.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None and not self._loop.is_closed():
                raise SourceError(
                    f"{self.name} is asked from two event loops at a time, and ccxt is for one",
                    hint=Hint(
                        "open it once for each, by mdstore.open_source", "run one command after the other"
                    ),
                )
            self._loop, self._one = loop, asyncio.Lock()
            self._host.begin_anew()
        return self._one

    def _most(self, frame: Timeframe) -> int:
        """Return how many bars a range may have, so that no more than a page of them is asked for."""
        return self.limits.page_bars if frame.ms else self.limits.page_bars * 30 // 31 - 1

    async def _loaded(self) -> None:
        async with self._turn():
            if not self._exchange.markets:
                what = f"the markets of {self.name}"
                await self._host.call(what, self._exchange.load_markets)


def _in_range(rows: list[list[Any]], frame: Timeframe, low: int, high: int) -> list[list[Any]]:
    """Return the bars of a range, ascending. Raises `NoPageError` for what is no list of bars."""
    inside = sorted((row for row in rows if low <= row[0] < high), key=lambda row: row[0])
    times = [row[0] for row in inside]
    if len(set(times)) < len(times) or any(frame.floor(time) != time for time in times):
        raise NoPageError("its bars are not on the grid, or one comes twice")
    return inside


def _is_traded(row: list[Any]) -> bool:
    """Tell whether a bar has any price: one that was not traded has none."""
    return any(price is not None for price in row[1:5])


def _astray(name: str, series: str, asked: tuple[int, int], rows: list[list[Any]]) -> SourceError:
    low, high = map(ms_to_datetime, asked)
    first, last = (ms_to_datetime(int(rows[at][0])) for at in (0, -1))
    return SourceError(
        f"asked for {series} of [{low}, {high}), {name} gave bars from {first} to {last}: it did not keep to "
        "the range, and proves nothing",
        hint="it may have its newest bars only: ask for none that are older than what it gave",
        of_host=False,
    )


def rows_of(rows: list[list[Any]]) -> pl.DataFrame:
    """Return bars as rows."""
    columns = dict(zip(NAMES, zip(*rows, strict=True), strict=False))
    return pl.DataFrame(
        {
            name: pl.Series(values, dtype=pl.Int64 if name == "timestamp" else pl.Float64)
            for name, values in columns.items()
        }
    )


def _page_size(name: str, exchange: Any) -> int:
    """Return how many bars an exchange gives at most, by what ccxt knows, or by its documentation."""
    features = (exchange.features or {}).get("spot") or {}
    known = (features.get("fetchOHLCV") or {}).get("limit")
    return int(known or min(BY_EXCHANGE.get(name, (PAGE,))))


def _exchange(name: str, base_url: str | None, manners: Manners) -> Any:
    try:
        ccxt = import_module("ccxt.async_support")
    except ImportError as error:
        raise SourceError(
            f"{PREFIX}{name}: asking exchanges by ccxt is an extra", hint="pip install 'mdstore[ccxt]'"
        ) from error
    if name not in ccxt.exchanges:
        near = did_you_mean(name, ccxt.exchanges, shown=lambda one: repr(f"{PREFIX}{one}"))
        raise InvalidInputError(f"ccxt has no exchange {name!r}", hint=near and Hint(near, near))
    # Its own throttle is for one process: `CcxtHost` puts the shared pace in its place, by the same costs.
    exchange = getattr(ccxt, name)(
        {"enableRateLimit": True, "timeout": int(manners.answer * 1000), "userAgent": user_agent()}
    )
    if not exchange.has.get("fetchOHLCV"):
        raise InvalidInputError(
            f"{name!r} has no candles, by what ccxt knows of it",
            hint=Hint("open another, such as 'ccxt:kraken'", "give another, such as ccxt:kraken"),
        )
    if base_url is not None:
        exchange.urls["api"] = _moved(exchange.urls["api"], base_url)
    exchange.aiohttp_proxy = proxy_for(_address(exchange))
    return exchange


def _address(exchange: Any) -> str:
    """Return one of the addresses that an exchange is asked at: its host stands for all of them."""
    urls = exchange.urls["api"]
    while isinstance(urls, dict):
        urls = next(iter(urls.values()))
    return str(urls).replace("{hostname}", str(exchange.hostname))


def _moved(urls: Any, base_url: str) -> Any:
    """Return the addresses of an exchange with another host: their paths stay."""
    if isinstance(urls, dict):
        return {name: _moved(one, base_url) for name, one in urls.items()}
    path = str(urls).split("://", 1)[-1].partition("/")[2]
    return f"{base_url.rstrip('/')}/{path}" if path else base_url.rstrip("/")


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
