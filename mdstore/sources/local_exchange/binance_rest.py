"""Binance's requests for symbols and klines, of spot and USD-M futures.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints#klinecandlestick-data
https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Kline-Candlestick-Data
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from mdstore.core.timeframe import Timeframe
from mdstore.sources.local_exchange.answers import Answer
from mdstore.sources.local_exchange.limits import Verdict
from mdstore.sources.local_exchange.shelf import Shelf
from mdstore.sources.local_exchange.trades_of_bar import Bar

__all__ = ["FUTURES", "INTERVALS", "SPOT", "BinanceRest", "Rules", "kline_values"]

INTERVALS = "1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M".split()  # noqa: SIM905
DEFAULT = 500
FAR = 253_402_300_799_999  # the year 9999


@dataclass(frozen=True, slots=True)
class Rules:
    """What differs between spot and futures: paths, bars a page, weights by limit."""

    prefix: str
    intervals: tuple[str, ...]
    most: int
    info_weight: int
    weights: tuple[tuple[int, int], ...]  # limit up to, weight
    statuses: tuple[str, str]


SPOT = Rules("/api/v3", ("1s", *INTERVALS), 1000, 20, ((1000, 2),), ("TRADING", "BREAK"))
FUTURES = Rules(
    "/fapi/v1", tuple(INTERVALS), 1500, 1, ((99, 1), (499, 2), (1000, 5), (1500, 10)), ("TRADING", "SETTLING")
)


class BinanceRest:
    """Answers as Binance does: klines from `startTime`, ascending, the forming one among them."""

    def __init__(self, shelf: Shelf, rules: Rules, most: int | None) -> None:
        self._shelf, self._rules, self._most = shelf, rules, most

    def group(self, path: str) -> str:  # noqa: ARG002  # all weigh on the same
        """Return whose weight a request has: spot's or futures'."""
        return self._rules.prefix

    def weight(self, path: str, query: Mapping[str, str]) -> int:
        """Return how much a request weighs."""
        if path.endswith("/exchangeInfo"):
            return self._rules.info_weight
        if not path.endswith("/klines"):
            return 1
        limit = query.get("limit", "")
        asked = min(int(limit) if limit.isdigit() else DEFAULT, self._rules.most)
        return next(weight for most, weight in self._rules.weights if asked <= most)

    def headers(self, group: str, verdict: Verdict) -> dict[str, str]:  # noqa: ARG002
        """Return the weight that this minute has seen."""
        used = {"X-MBX-USED-WEIGHT": str(verdict.used), "X-MBX-USED-WEIGHT-1M": str(verdict.used)}
        return used if verdict.status == 200 else used | {"Retry-After": str(ceil(verdict.wait))}  # noqa: PLR2004

    def refusal(self, verdict: Verdict) -> Answer:
        """Say that there were too many requests, or until when a ban lasts."""
        until = self._shelf.now() + round(verdict.wait * 1000)
        said = (
            f"Way too many requests; IP(127.0.0.1) banned until {until}. Please use the websocket for live "
            "updates to avoid bans."
            if verdict.status == 418  # noqa: PLR2004
            else f"Too many requests; current limit is {self._most} request weight per 1 MINUTE."
        )
        return _error(verdict.status, -1003, said)

    def error(self, status: int) -> Answer:
        """Say that something is wrong with the server."""
        return _error(status, -1001, "Internal error; unable to process your request. Please try again.")

    def answer(self, path: str, query: Mapping[str, str]) -> Answer:
        """Answer a request for symbols, klines, the time."""
        name = path.removeprefix(self._rules.prefix)
        if name == "/exchangeInfo":
            return Answer(body=json.dumps(self._info(query)).encode())
        if name in ("/time", "/ping"):
            said = {"serverTime": self._shelf.now()} if name == "/time" else {}
            return Answer(body=json.dumps(said).encode())
        return self._klines(query) if name == "/klines" else _error(404, -1, "Not found")

    def _info(self, query: Mapping[str, str]) -> dict[str, Any]:
        wanted = [query["symbol"]] if "symbol" in query else json.loads(query.get("symbols", "null"))
        return {
            "timezone": "UTC", "serverTime": self._shelf.now(),
"rateLimits": [self._limit()],
            "exchangeFilters": [],
            "symbols": [self._symbol(one) for one in self.symbols() if wanted is None or one in wanted],
        }  # fmt: skip

    def _limit(self) -> dict[str, Any]:
        window = {"interval": "MINUTE", "intervalNum": 1}
        return {"rateLimitType": "REQUEST_WEIGHT", **window, "limit": self._most}

    def symbols(self) -> list[str]:
        """Return the markets that have been listed by now, whether or not they still trade."""
        now, markets = self._shelf.now(), self._shelf.truth.markets
        return [symbol for symbol, one in markets.items() if "-" not in symbol and one.listed <= now]

    def _symbol(self, symbol: str) -> dict[str, Any]:
        one, now = self._shelf.truth.markets[symbol], self._shelf.now()
        gone = one.delisted is not None and one.delisted <= now
        quote = next((coin for coin in ("USDT", "USDC", "BTC") if symbol.endswith(coin)), symbol[-3:])
        told = {
            "symbol": symbol, "status": self._rules.statuses[gone], "baseAsset": symbol.removesuffix(quote),
            "quoteAsset": quote, "baseAssetPrecision": 8, "quotePrecision": 8, "filters": [],
        }  # fmt: skip
        if self._rules is FUTURES:
            return told | {"pair": symbol, "contractType": "PERPETUAL", "onboardDate": one.listed}
        return told | {"isSpotTradingAllowed": True, "orderTypes": ["LIMIT", "MARKET"], "permissions": []}

    def _klines(self, query: Mapping[str, str]) -> Answer:
        symbol, interval = query.get("symbol", ""), query.get("interval", "")
        if not symbol or not interval:
            missing = "interval" if symbol else "symbol"
            return _error(
                400, -1102, f"Mandatory parameter '{missing}' was not sent, was empty/null, or malformed."
            )
        if symbol not in self.symbols():
            return _error(400, -1121, "Invalid symbol.")
        if interval not in self._rules.intervals:
            return _error(400, -1120, "Invalid interval.")
        numbers = [query.get(name, "") for name in ("startTime", "endTime", "limit")]
        if any(text and not text.isdigit() for text in numbers):
            return _error(400, -1100, "Illegal characters found in a parameter.")
        start, end, limit = (int(text) if text else None for text in numbers)
        count = min(DEFAULT if limit is None else limit, self._rules.most)
        return Answer(self._rows(symbol, Timeframe.parse(interval), start, end, count))

    def _rows(
        self, symbol: str, timeframe: Timeframe, start: int | None, end: int | None, count: int
    ) -> list[bytes]:
        found: list[bytes] = []
        until = FAR if end is None else end + 1  # endTime is included
        if start is None:
            for block, first, stop in self._shelf.down(symbol, timeframe, until):
                rows = block.rows(_klines, symbol, timeframe)
                found = rows[max(first, stop - (count - len(found))) : stop] + found
                if len(found) >= count:
                    break
            return found
        for block, first, stop in self._shelf.up(symbol, timeframe, start, until):
            rows = block.rows(_klines, symbol, timeframe)
            found += rows[first : min(stop, first + count - len(found))]
            if len(found) >= count:
                break
        return found


def kline_values(timeframe: Timeframe, bar: Bar) -> tuple[str, ...]:
    """Return the twelve values of a kline as texts: the times in ms, all else as Binance writes it."""
    close = timeframe.next(bar.timestamp) - 1
    trades = max(1, round((timeframe.shortest_ms) / 3000))
    return (
        str(bar.timestamp), _fixed(bar.open), _fixed(bar.high), _fixed(bar.low), _fixed(bar.close),
        _fixed(bar.volume), str(close), _fixed(bar.value), str(trades), _fixed(bar.volume / 2),
        _fixed(bar.value / 2), "0",
    )  # fmt: skip


def _klines(symbol: str, timeframe: Timeframe, bars: list[Bar]) -> list[bytes]:  # noqa: ARG001  # a Writer
    return [KLINE.format(*kline_values(timeframe, bar)).encode() for bar in bars]


KLINE = '[{},"{}","{}","{}","{}","{}",{},"{}",{},"{}","{}","{}"]'


def _fixed(number: float) -> str:
    return f"{number:.8f}"


def _error(status: int, code: int, message: str) -> Answer:
    return Answer(body=json.dumps({"code": code, "msg": message}).encode(), status=status)
