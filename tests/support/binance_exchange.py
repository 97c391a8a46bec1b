"""Binance's candles and archive as their documentation has them, in memory: of minutes that have a bar."""

import hashlib
import io
import json
import zipfile
from bisect import bisect_right
from datetime import UTC, datetime
from email.utils import format_datetime

from mdstore.core.timeframe import Timeframe
from mdstore.sources.exchanges.binance_candles import SPOT
from mdstore.sources.exchanges.binance_columns import COLUMNS
from mdstore.sources.web.answers import Answer

M1 = Timeframe.parse("1m")


def kline(at, frame):
    price = 100 + at // 60_000 % 991
    return [
        at, f"{price}.10000000", f"{price + 3}.50000000", f"{price - 2}.25000000", f"{price + 1}.00000000",
        "2.50000000", frame.next(at) - 1, f"{price * 2.5:.8f}", 12, "1.25000000", f"{price * 1.25:.8f}", "0",
    ]  # fmt: skip


class BinanceExchange:
    """Stands where a `WebClient` does. `minutes` are the starts (ms) of minutes with a bar, by market.

    `cap` is how many bars it gives at most, whatever is asked for; `clock` what its clock shows (ms).
    """

    requests = 0

    def __init__(self, minutes, *, clock, cap=1000, part=SPOT, gone=(), halted=()):
        self.minutes = {market: sorted(times) for market, times in minutes.items()}
        self.clock, self.cap, self.part, self.gone, self.halted = clock, cap, part, gone, halted
        self.log = []

    async def fetch(self, request, read):
        self.requests += 1
        self.log.append(request)
        return read(self.answer(request.path, request.params))

    async def aclose(self):
        pass

    def answer(self, path, params):
        headers = {"Date": format_datetime(datetime.fromtimestamp(self.clock // 1000, UTC), usegmt=True)}
        if path == f"{self.part.path}/exchangeInfo":
            listed = [{"symbol": one, "status": self.status(one), "onboardDate": 7} for one in self.minutes]
            return Answer(200, headers, json.dumps({"timezone": "UTC", "symbols": listed}).encode())
        assert path == f"{self.part.path}/klines"
        if params["symbol"] not in self.minutes:
            return Answer(400, headers, b'{"code":-1121,"msg":"Invalid symbol."}')
        frame = Timeframe.parse(params["interval"])
        last = params.get("endTime", self.clock)
        bars = [bar for bar in self.bars(params["symbol"], frame) if params["startTime"] <= bar <= last]
        given = bars[: min(params["limit"], self.cap, 1500)]
        return Answer(200, headers, json.dumps([kline(at, frame) for at in given]).encode())

    def status(self, market):
        return "SETTLING" if market in self.gone else "BREAK" if market in self.halted else "TRADING"

    def bars(self, market, frame):
        """Return the starts of the bars of a market, the forming one among them."""
        minutes = self.minutes[market][: bisect_right(self.minutes[market], self.clock)]
        return minutes if frame == M1 else sorted(set(map(frame.floor, minutes)))


def zipped(times, frame, name, *, microseconds=False, header=False):
    """Return a file of the archive."""
    rows = [kline(at, frame) for at in times]
    for row in rows if microseconds else ():
        row[0], row[6] = row[0] * 1000, row[6] * 1000 + 999
    lines = [",".join(map(str, row)) for row in rows]
    text = "\n".join([",".join(COLUMNS), *lines] if header else lines) + "\n"
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name.replace(".zip", ".csv"), text)
    return body.getvalue()


class ArchiveFiles:
    """Stands where the `WebClient` of an archive does; `files` by path."""

    requests = 0

    def __init__(self, files):
        self.files = dict(files)
        for path, body in files.items():
            line = f"{hashlib.sha256(body).hexdigest()}  {path.rpartition('/')[2]}\n"
            self.files[f"{path}.CHECKSUM"] = line.encode()
        self.log = []

    async def fetch(self, request, read):
        self.requests += 1
        self.log.append(request.path)
        body = self.files.get(request.path)
        if isinstance(body, Exception):
            raise body
        if isinstance(body, Answer):
            return read(body)
        return read(Answer(404, {}, b"<Error/>") if body is None else Answer(200, {}, body))

    async def aclose(self):
        pass
