"""Upbit's candles as its documentation has them, in memory: made of minutes in which something was traded."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from mdstore.core.timeframe import Timeframe
from mdstore.sources.exchanges.upbit_candles import PATHS
from mdstore.sources.web.answers import Answer

FRAMES = {path: Timeframe.parse(name) for name, path in PATHS.items()}


def text(ms, hours=0):
    return (datetime.fromtimestamp(ms / 1000, UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S")


class UpbitExchange:
    """Stands where a `WebClient` does. `minutes` are the starts (ms) of minutes with a trade, by market.

    `cap` is how many bars it gives at most, whatever is asked for; `clock` what its clock shows (ms).
    """

    requests = 0

    def __init__(self, minutes, *, clock, cap=200, listed=None):
        self.minutes = {market: sorted(times) for market, times in minutes.items()}
        self.clock, self.cap = clock, cap
        self.listed = list(minutes) if listed is None else listed
        self.log = []

    async def fetch(self, request, read):
        self.requests += 1
        self.log.append(request)
        return read(self.answer(request.path, request.params))

    async def aclose(self):
        pass

    def answer(self, path, params):
        headers = {"Date": format_datetime(datetime.fromtimestamp(self.clock // 1000, UTC), usegmt=True)}
        if path == "/v1/market/all":
            return Answer(200, headers, json.dumps([{"market": one} for one in self.listed]).encode())
        if params["market"] not in self.minutes:
            body = {"error": {"name": 404, "message": "Code not found"}}
            return Answer(404, headers, json.dumps(body).encode())
        bars = self.bars(params["market"], FRAMES[path])
        to = params.get("to")
        if to is not None:
            until = datetime.fromisoformat(to).timestamp() * 1000
            bars = [bar for bar in bars if bar < until]
        newest = bars[::-1][: min(params["count"], self.cap, 200)]
        return Answer(200, headers, json.dumps([candle(params["market"], at) for at in newest]).encode())

    def bars(self, market, frame):
        """Return the starts of the bars of a market, the forming one among them."""
        return sorted({frame.floor(minute) for minute in self.minutes[market] if minute <= self.clock})


def candle(market, at):
    price = 1000.0 + at // 60_000 % 997
    return {
        "market": market,
        "candle_date_time_utc": text(at),
        "candle_date_time_kst": text(at, 9),
        "opening_price": price,
        "high_price": price + 3.5,
        "low_price": price - 2.25,
        "trade_price": price + 1,
        "timestamp": at + 999,
        "candle_acc_trade_price": price * 2.5,
        "candle_acc_trade_volume": 2.5,
    }
