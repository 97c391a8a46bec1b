"""Upbit's requests for markets and candles.

https://docs.upbit.com/kr/reference/list-candles-minutes and its neighbours; the bodies of errors are as
clients have seen them.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from mdstore.core.timeframe import Timeframe
from mdstore.sources.local_exchange.answers import Answer
from mdstore.sources.local_exchange.limits import Verdict
from mdstore.sources.local_exchange.shelf import Shelf, Writer
from mdstore.sources.local_exchange.trades_of_bar import Bar

__all__ = ["UpbitRest", "candle_fields", "times_of"]

MOST = 200
EPOCH, KST = datetime(1970, 1, 1), timedelta(hours=9)  # as texts without a zone
MINUTE_UNITS = (1, 3, 5, 10, 15, 30, 60, 240)
OTHERS = {"seconds": "1s", "days": "1d", "weeks": "1w", "months": "1M", "years": "12M"}
SECONDS_KEPT = 90 * 24 * 3600 * 1000
GROUPS = {"/v1/market/": "market", "/v1/candles/": "candles"}
NOT_FOUND, BAD_TYPE, MISSING = (
    (404, "Code not found"),
    (400, "Type mismatch error. Check the parameters type!"),
    (400, "Missing request parameter error. Check the required parameters!"),
)
QUIET = {"PRICE_FLUCTUATIONS", "TRADING_VOLUME_SOARING", "DEPOSIT_AMOUNT_SOARING", "GLOBAL_PRICE_DIFFERENCES",
         "CONCENTRATION_OF_SMALL_ACCOUNTS"}  # fmt: skip


class UpbitRest:
    """Answers as Upbit does: at most 200 candles before `to`, newest first, the forming one among them."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._truth = shelf.truth

    def group(self, path: str) -> str:
        """Return the group of requests that share ten a second."""
        return next((group for start, group in GROUPS.items() if path.startswith(start)), "default")

    def weight(self, path: str, query: Mapping[str, str]) -> int:  # noqa: ARG002  # all weigh the same
        """Return 1."""
        return 1

    def headers(self, group: str, verdict: Verdict) -> dict[str, str]:
        """Return what is left of this second; `min` is a fixed number, which says nothing."""
        return {"Remaining-Req": f"group={group}; min=600; sec={verdict.left}"}

    def refusal(self, verdict: Verdict) -> Answer:
        """Say that there were too many requests, and how long a ban is."""
        said = "Too many API requests."
        if verdict.status == 418:  # noqa: PLR2004  # as the exchange has it
            said += f" Blocked for {max(1, round(verdict.wait))} seconds."
        return _error(verdict.status, "too_many_requests", said)

    def error(self, status: int) -> Answer:
        """Say that something is wrong with the server."""
        return _error(status, "server_error", "The server could not answer the request.")

    def answer(self, path: str, query: Mapping[str, str]) -> Answer:
        """Answer a request for markets or candles."""
        if path == "/v1/market/all":
            return Answer(
                body=json.dumps(
                    self._markets(details=query.get("is_details", query.get("isDetails")) == "true")
                ).encode()
            )
        parts = path.removeprefix("/v1/candles/").split("/")
        timeframe = _timeframe(parts)
        if timeframe is None:
            return _error(404, 404, "Not found")
        return self._candles(timeframe, query)

    def _markets(self, *, details: bool) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for symbol in self.trading():
            name = symbol.partition("-")[2]
            found.append({"market": symbol, "korean_name": name, "english_name": name})
            if details:
                found[-1]["market_event"] = {"warning": False, "caution": dict.fromkeys(sorted(QUIET), False)}
        return found

    def trading(self) -> list[str]:
        """Return the markets that are listed now."""
        now = self._shelf.now()
        return [
            symbol
            for symbol, one in self._truth.markets.items()
            if "-" in symbol and one.listed <= now and (one.delisted is None or now < one.delisted)
        ]

    def _candles(self, timeframe: Timeframe, query: Mapping[str, str]) -> Answer:
        symbol, now = query.get("market"), self._shelf.now()
        if symbol is None:
            return _error(MISSING[0], *MISSING)
        if symbol not in self.trading():
            return _error(NOT_FOUND[0], *NOT_FOUND)
        try:
            count, until = int(query.get("count", 1)), _to(query.get("to"), now + 1)
        except ValueError:
            return _error(BAD_TYPE[0], *BAD_TYPE)
        oldest = now - SECONDS_KEPT if timeframe.ms == 1000 else 0  # noqa: PLR2004  # a second
        return Answer(self._rows(symbol, timeframe, until, max(0, min(count, MOST)), oldest))

    def latest(self, symbol: str, timeframe: Timeframe) -> Bar | None:
        """Return the newest bar of a market; None where it has none."""
        for block, _, end in self._shelf.down(symbol, timeframe, self._shelf.now() + 1):
            if end:
                return block.bars[end - 1]
        return None

    def _rows(self, symbol: str, timeframe: Timeframe, until: int, count: int, oldest: int) -> list[bytes]:
        found: list[bytes] = []
        writer = WRITERS.get(str(timeframe), _minutes)
        for block, _, end in self._shelf.down(symbol, timeframe, until):
            first = max(bisect_left(block.times, oldest), end - (count - len(found)))
            found += reversed(block.rows(writer, symbol, timeframe)[first:end])
            if len(found) >= count or (block.times and block.times[0] < oldest):
                break
        return found


def times_of(bar: Bar) -> tuple[str, str]:
    """Return when a bar starts, in UTC and in Korea."""
    utc = EPOCH + timedelta(milliseconds=bar.timestamp)
    return utc.isoformat(), (utc + KST).isoformat()


def candle_fields(symbol: str, bar: Bar) -> str:
    """Return the fields that all of Upbit's candles have, as JSON without the braces."""
    utc, kst = times_of(bar)
    return (
        f'"market":"{symbol}","candle_date_time_utc":"{utc}",'
        f'"candle_date_time_kst":"{kst}","opening_price":{bar.open!r},'
        f'"high_price":{bar.high!r},"low_price":{bar.low!r},"trade_price":{bar.close!r},'
        f'"timestamp":{bar.last},"candle_acc_trade_price":{bar.value!r},"candle_acc_trade_volume":{bar.volume!r}'
    )


def _minutes(symbol: str, timeframe: Timeframe, bars: list[Bar]) -> list[bytes]:
    unit = (timeframe.ms or 0) // 60_000
    return [f'{{{candle_fields(symbol, bar)},"unit":{unit}}}'.encode() for bar in bars]


def _seconds(symbol: str, _: Timeframe, bars: list[Bar]) -> list[bytes]:
    return [f"{{{candle_fields(symbol, bar)}}}".encode() for bar in bars]


def _days(symbol: str, _: Timeframe, bars: list[Bar]) -> list[bytes]:
    rows = []
    for at, bar in enumerate(bars):
        before = bars[at - 1].close if at else bar.open
        change = bar.close - before
        rows.append(
            f'{{{candle_fields(symbol, bar)},"prev_closing_price":{before!r},"change_price":{change!r},'
            f'"change_rate":{round(change / before, 10)!r}}}'.encode()
        )
    return rows


def _periods(symbol: str, _: Timeframe, bars: list[Bar]) -> list[bytes]:
    return [
        f'{{{candle_fields(symbol, bar)},"first_day_of_period":'
        f'"{datetime.fromtimestamp(bar.timestamp // 1000, UTC):%Y-%m-%d}"}}'.encode()
        for bar in bars
    ]


WRITERS: dict[str, Writer] = {"1s": _seconds, "1d": _days, "1w": _periods, "1M": _periods, "12M": _periods}


def _timeframe(parts: list[str]) -> Timeframe | None:
    if len(parts) == 2 and parts[0] == "minutes" and parts[1] in map(str, MINUTE_UNITS):  # noqa: PLR2004
        return Timeframe.parse(f"{parts[1]}m")
    return Timeframe.parse(OTHERS[parts[0]]) if len(parts) == 1 and parts[0] in OTHERS else None


def _to(text: str | None, default: int) -> int:
    """Return `to` in ms: UTC where it names no zone. Raises `ValueError` for what is no time."""
    if not text:
        return default
    # An offset whose plus sign was not escaped comes as a blank.
    moment = datetime.fromisoformat(text[:19] + text[19:].replace(" ", "+"))
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


def _error(status: int, name: object, message: str) -> Answer:
    return Answer(body=json.dumps({"error": {"name": name, "message": message}}).encode(), status=status)
