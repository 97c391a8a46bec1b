"""The server: requests to the API they are for, under its limits, with the faults of the plan."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from aiohttp import web

from mdstore.sources.local_exchange.answers import Answer, Api
from mdstore.sources.local_exchange.binance_archive import BinanceArchive
from mdstore.sources.local_exchange.binance_rest import FUTURES, SPOT, BinanceRest
from mdstore.sources.local_exchange.faults import Fault, Faults
from mdstore.sources.local_exchange.limits import Allowance, Rules, Verdict
from mdstore.sources.local_exchange.request_log import Asked, RequestLog
from mdstore.sources.local_exchange.shelf import Shelf
from mdstore.sources.local_exchange.truth import Truth
from mdstore.sources.local_exchange.upbit_rest import UpbitRest

__all__ = ["Server"]

OK, REFUSED, BANNED, DOWN = 200, 429, 418, 503
HTML = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking</body></html>"
MAINTENANCE = b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
SMALLEST = 1400  # bytes worth compressing
QUICKEST = 1  # 0.1 ms a page of 200 bars, and 10 kB; the usual 6 takes 0.5 ms for 8 kB
ZIP, PLAIN = "application/zip", "application/json"
LOG_PATH = "/local/requests"
"""What the exchange was asked, as JSON: `?since=10` leaves out the first ten."""


class Server:
    """Answers requests; `asked` is the log of them."""

    def __init__(self, truth: Truth, now: Callable[[], int], rules: Rules, faults: Faults) -> None:
        self.truth, self.now, self.rules, self.faults = truth, now, rules, faults
        self.clock = time.monotonic
        self.asked = RequestLog()
        self.shelf = Shelf(truth, now)
        self._archive = BinanceArchive(self.shelf)
        self.upbit = UpbitRest(self.shelf)
        self._apis: dict[str, Api] = {
            "/v1/": self.upbit,
            "/api/v3/": BinanceRest(self.shelf, SPOT, rules.spot_weight),
            "/fapi/v1/": BinanceRest(self.shelf, FUTURES, rules.futures_weight),
            "/data/": self._archive,
        }
        self._allowances: dict[str, Allowance] = {"archive": self._allowance(None, 1)}
        self._allowances["/api/v3"] = self._allowance(rules.spot_weight, rules.weight_window)
        self._allowances["/fapi/v1"] = self._allowance(rules.futures_weight, rules.weight_window)
        self._down_until = float("-inf")

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        path = request.path
        if path == LOG_PATH:
            return web.Response(
                body=_told(self.asked, int(request.query.get("since", 0))), content_type=PLAIN
            )
        api = next((api for start, api in self._apis.items() if path.startswith(start)), None)
        if api is None:
            return web.json_response({"error": "no such path"}, status=404)
        query = dict(request.query)
        group, weight = api.group(path), api.weight(path, query)
        agent = request.headers.get("User-Agent", "")
        asked = Asked(self.clock(), group, path, query, agent, weight)
        answer, fault = self._answer(api, asked)
        self.asked.append(asked._replace(status=answer.status, rows=len(answer.rows or ()), fault=fault))
        return await self._send(request, answer, fault)

    def changed(self) -> None:
        """Forget what was made of the truth before it changed."""
        self.shelf.clear()
        self._archive.clear()

    def _answer(self, api: Api, asked: Asked) -> tuple[Answer, Fault | None]:
        verdict = self._ask(asked)
        headers = api.headers(asked.group, verdict)
        if verdict.status != OK:
            answer, fault = api.refusal(verdict), None
        else:
            answer, fault = self._with_fault(api, asked, verdict)
            if answer.status in (REFUSED, BANNED):
                headers = api.headers(asked.group, Verdict(answer.status, 0, verdict.used, 1))
        # By its own clock, as an exchange's is: clients tell by it which bar is forming.
        answer.headers |= headers | {"Date": formatdate(self.shelf.now() / 1000, usegmt=True)}
        return answer, fault

    def _ask(self, asked: Asked) -> Verdict:
        allowance = self._allowances.get(asked.group)
        if allowance is None:
            allowance = self._allowances[asked.group] = self._allowance(self.rules.upbit_per_second, 1)
        return allowance.ask(asked.weight)

    def _with_fault(self, api: Api, asked: Asked, verdict: Verdict) -> tuple[Answer, Fault | None]:
        now = self.now()
        stopped = any(start <= now < end for start, end in self.truth.maintenance)
        if stopped or self.clock() < self._down_until:
            return _page(MAINTENANCE, DOWN), "maintenance"
        fault = self.faults.next(rows="candles" in asked.path or "klines" in asked.path)
        if fault is None:
            return api.answer(asked.path, asked.query), None
        return self._faulty(fault, api, asked, verdict), fault

    def _faulty(self, fault: Fault, api: Api, asked: Asked, verdict: Verdict) -> Answer:
        if fault == "maintenance":
            self._down_until = self.clock() + self.rules.maintenance
            return _page(MAINTENANCE, DOWN)
        if fault in ("html", "empty_html"):
            return _page(HTML if fault == "html" else b"", OK)
        if fault in ("429", "418"):
            return api.refusal(Verdict(int(fault), 0, verdict.used, 1))
        if fault in ("500", "502", "503"):
            return api.error(int(fault)) if fault == "500" else _page(MAINTENANCE, int(fault))
        answer = api.answer(asked.path, asked.query)
        self._spoil(fault, answer)
        return answer

    def _spoil(self, fault: Fault, answer: Answer) -> None:
        """Change the rows of an answer."""
        rows = answer.rows or []
        if fault == "duplicated" and len(rows) > 1:
            at = self.faults.random.randrange(len(rows) - 1)
            answer.rows = [*rows[: at + 1], rows[at], *rows[at + 1 : -1]]
        elif fault == "reordered":
            self.faults.random.shuffle(rows)
        elif fault == "short_page" and len(rows) > 1:
            answer.rows = rows[: self.faults.random.randrange(1, len(rows))]
        elif fault == "truncated":
            whole = answer.bytes()
            answer.rows, answer.body = None, whole[: len(whole) // 2]

    async def _send(
        self, request: web.BaseRequest, answer: Answer, fault: Fault | None
    ) -> web.StreamResponse:
        if fault == "slow":
            await asyncio.sleep(self.rules.slow)
        elif fault == "stalled":
            await asyncio.sleep(3600)
        body = answer.bytes()
        if fault == "dropped":
            return await _broken_off(request, answer, body)
        headers = answer.headers | {"Content-Type": answer.content_type}
        takes_gzip = "gzip" in request.headers.get("Accept-Encoding", "")
        if self.rules.compress and takes_gzip and len(body) > SMALLEST and answer.content_type != ZIP:
            body = gzip.compress(body, QUICKEST)
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, status=answer.status, headers=headers)

    def _allowance(self, most: int | None, window: float) -> Allowance:
        rules = self.rules
        return Allowance(most, window=window, patience=rules.patience, ban=rules.ban, clock=self.clock)


async def _broken_off(request: web.BaseRequest, answer: Answer, body: bytes) -> web.StreamResponse:
    """Send half of an answer, and close the connection."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(body) + 1
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response


def _page(body: bytes, status: int) -> Answer:
    return Answer(body=body, status=status, content_type="text/html; charset=utf-8")


def _told(asked: RequestLog, since: int) -> bytes:
    """Return the log from a request on, for another process."""
    rows: list[dict[str, Any]] = [one._asdict() for one in asked.since(since)]
    return json.dumps(rows).encode()
