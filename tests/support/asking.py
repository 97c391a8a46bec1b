"""Requests to the local exchange by the standard library, not by the code under test."""

import json
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen


class Answered(NamedTuple):
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def ask(exchange, path, *, timeout=10, headers=None, **query):
    """Ask the local exchange; an answer that is an error is an answer."""
    url = f"{exchange.url}{path}" + (f"?{urlencode(query)}" if query else "")
    try:
        with urlopen(Request(url, headers=headers or {}), timeout=timeout) as answer:
            return Answered(answer.status, dict(answer.headers), answer.read())
    except HTTPError as error:
        with error:
            return Answered(error.code, dict(error.headers), error.read())


def minutes(exchange, *, unit=1, **query):
    return ask(exchange, f"/v1/candles/minutes/{unit}", **{"market": "KRW-BTC", "count": 200, **query})


def klines(exchange, **query):
    return ask(exchange, "/api/v3/klines", **{"symbol": "BTCUSDT", "interval": "1m", **query})
