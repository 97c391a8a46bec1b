"""Whether an exchange answers as its documentation says: one small request of each kind, and what differs.

For whoever has a network: what is said here was written from documentation and recorded answers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from mdstore.core.timeframe import SECOND, Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import Hint, InvalidInputError, SourceError
from mdstore.sources.exchanges.binance_candles import NO_SYMBOL, BinanceCandles
from mdstore.sources.exchanges.upbit_candles import PATHS, UpbitCandles, remaining
from mdstore.sources.sync.candle_source import CandleSource
from mdstore.sources.web.answers import Answer, Request, excerpt
from mdstore.sources.web.client import WebClient

__all__ = ["Finding", "check_source"]

AHEAD_MS: Final = 60 * SECOND
NUMBER: Final = (int, float)
Fields = Mapping[str, type | tuple[type, ...]]
Differ = Callable[[Answer, Any], Iterable[str]]

# https://docs.upbit.com/kr/reference/list-candles-minutes and its neighbours.
UPBIT_CANDLE: Final[Fields] = {
    "market": str, "candle_date_time_utc": str, "candle_date_time_kst": str, "opening_price": NUMBER,
    "high_price": NUMBER, "low_price": NUMBER, "trade_price": NUMBER, "timestamp": int,
    "candle_acc_trade_price": NUMBER, "candle_acc_trade_volume": NUMBER,
}  # fmt: skip
UPBIT_MORE: Final[dict[str, Fields]] = {
    "minutes": {"unit": int},
    "days": {"prev_closing_price": NUMBER, "change_price": NUMBER, "change_rate": NUMBER},
    "weeks": {"first_day_of_period": str},
    "months": {"first_day_of_period": str},
    "years": {"first_day_of_period": str},
}
UPBIT_MARKET: Final[Fields] = {"market": str, "korean_name": str, "english_name": str}
# https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
KLINE: Final = (int, str, str, str, str, str, int, str, int, str, str, str)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was asked for, and what differs from the documentation: nothing, if all is as it says."""

    what: str
    differs: tuple[str, ...]


async def check_source(source: CandleSource) -> list[Finding]:
    """Ask an exchange one small request of each kind, and return what was found.

    Raises `InvalidInputError` for a source whose answers nothing is known of.
    """
    if isinstance(source, UpbitCandles):
        return [await _found(source.client, *probe) for probe in _of_upbit()]
    if isinstance(source, BinanceCandles):
        return [await _found(source.client, *probe) for probe in _of_binance(source)]
    raise InvalidInputError(
        f"{source.name}: what it should answer is known of upbit, binance and binance-futures only",
        hint=Hint("give one of those", "sync a day of it: what comes is held to the rules of a page"),
    )


async def _found(client: WebClient, request: Request, differ: Differ) -> Finding:
    try:
        answer = await client.fetch(request, lambda answer: answer)
    except SourceError as error:
        return Finding(request.what, (error.message.removeprefix(f"{request.what}: "),))
    try:
        data = json.loads(answer.body)
    except ValueError:
        return Finding(request.what, (f"no JSON was answered, but {excerpt(answer)}",))
    return Finding(request.what, (*_of_any(answer), *differ(answer, data)))


def _of_any(answer: Answer) -> Iterable[str]:
    """Tell what differs from what holds of any answer."""
    ours = int(time.time() * 1000)
    if answer.clock is None:
        yield "it has no Date, by which the forming bar is told"
    elif abs(answer.clock - ours) > AHEAD_MS:
        yield f"its clock shows {ms_to_datetime(answer.clock)}, ours {ms_to_datetime(ours)}"


def _of_upbit() -> Iterable[tuple[Request, Differ]]:
    yield Request("/v1/market/all", group="market", what="the markets"), _upbit_markets
    for name, path in PATHS.items():
        kind = path.split("/")[3]
        fields = {**UPBIT_CANDLE, **UPBIT_MORE.get(kind, {})}
        request = Request(
            path, {"market": "KRW-BTC", "count": 3}, group="candle", what=f"three {name} candles"
        )
        yield request, _upbit_candles(fields, Timeframe.parse(name), None)
    to = "2024-01-02T00:00:00Z"
    request = Request(
        PATHS["1m"], {"market": "KRW-BTC", "count": 200, "to": to}, group="candle", what=f"200 before {to}"
    )
    until = 1_704_153_600_000
    yield request, _upbit_candles({**UPBIT_CANDLE, "unit": int}, Timeframe.parse("1m"), until, count=200)
    nowhere: dict[str, str | int] = {"market": "KRW-NOSUCH", "count": 1}
    yield Request(PATHS["1m"], nowhere, group="candle", what="a market that is not there"), _not_found


def _upbit_markets(answer: Answer, data: Any) -> Iterable[str]:
    yield from _status(answer)
    yield from _objects(data, UPBIT_MARKET)
    yield from _remains(answer, "market")


def _upbit_candles(fields: Fields, frame: Timeframe, until: int | None, count: int = 3) -> Differ:
    def differ(answer: Answer, data: Any) -> Iterable[str]:
        yield from _status(answer)
        yield from _objects(data, fields)
        yield from _remains(answer, "candle")
        try:
            times = [_utc(row["candle_date_time_utc"]) for row in data]
        except (KeyError, TypeError, ValueError):
            return
        if len(times) != count:
            yield f"{len(times)} bars came where {count} were asked for"
        if times != sorted(times, reverse=True):
            yield "the bars do not go from the newest to the oldest"
        if any(frame.floor(time) != time for time in times):
            yield f"a bar starts at {ms_to_datetime(times[0])}, which is not on our grid of {frame}"
        if until is not None and times and not until - frame.longest_ms <= times[0] < until:
            yield f"the newest bar before {ms_to_datetime(until)} is of {ms_to_datetime(times[0])}"

    return differ


def _remains(answer: Answer, group: str) -> Iterable[str]:
    said = answer.headers.get("Remaining-Req", "")
    if remaining(answer.headers) is None:
        yield f"Remaining-Req is {said!r}: it should say what is left of the second, as in sec=9"
    elif f"group={group}" not in said:
        yield f"Remaining-Req is {said!r}: it should be of the group {group}"


def _not_found(answer: Answer, _: Any) -> Iterable[str]:
    if answer.status != HTTPStatus.NOT_FOUND:
        yield f"status {answer.status} came where 404 was expected: {excerpt(answer)}"


def _of_binance(source: BinanceCandles) -> Iterable[tuple[Request, Differ]]:
    part = source.part
    yield (
        Request(f"{part.path}/exchangeInfo", group="weight", cost=part.info, what="the markets and limits"),
        _limits(part.minute),
    )
    for name in part.intervals:
        params: dict[str, str | int] = {"symbol": "BTCUSDT", "interval": name, "limit": 3}
        request = Request(
            f"{part.path}/klines", params, group="weight", cost=part.weight(3), what=f"three {name} candles"
        )
        yield request, _klines(Timeframe.parse(name))
    nowhere = Request(
        f"{part.path}/klines",
        {"symbol": "NOSUCHUSDT", "interval": "1m"},
        group="weight",
        cost=2,
        what="a market that is not there",
    )
    yield nowhere, _no_symbol


def _limits(minute: float) -> Differ:
    def differ(answer: Answer, data: Any) -> Iterable[str]:
        yield from _status(answer)
        limits = data.get("rateLimits", []) if isinstance(data, dict) else []
        weights = [
            one.get("limit")
            for one in limits
            if one.get("rateLimitType") == "REQUEST_WEIGHT" and one.get("interval") == "MINUTE"
        ]
        if weights != [minute]:
            yield f"the weight of a minute is {weights}, where {minute:.0f} was expected"
        symbols = data.get("symbols", []) if isinstance(data, dict) else []
        yield from _objects(symbols, {"symbol": str, "status": str}, more=True)

    return differ


def _klines(frame: Timeframe) -> Differ:
    def differ(answer: Answer, data: Any) -> Iterable[str]:
        yield from _status(answer)
        if not any(name.lower() == "x-mbx-used-weight-1m" for name in answer.headers):
            yield "it does not say in X-MBX-USED-WEIGHT-1M how much of the minute is used"
        if not isinstance(data, list) or any(not isinstance(row, list) for row in data):
            yield f"no list of lists came, but {excerpt(answer)}"
            return
        for row in data:
            found = tuple(type(value) for value in row)
            if found != KLINE:
                yield f"a bar has the fields {[kind.__name__ for kind in found]}"
                return
        times = [row[0] for row in data]
        if len(times) != 3 or times != sorted(times):  # noqa: PLR2004 - as it was asked for
            yield f"bars of {times} came where three were asked for, ascending"
        if any(frame.floor(time) != time for time in times):
            yield f"a bar starts at {ms_to_datetime(times[0])}, which is not on our grid of {frame}"

    return differ


def _no_symbol(answer: Answer, data: Any) -> Iterable[str]:
    code = data.get("code") if isinstance(data, dict) else None
    if answer.status != HTTPStatus.BAD_REQUEST or code != NO_SYMBOL:
        yield f"status {answer.status} and code {code} came where 400 and {NO_SYMBOL} were expected"


def _status(answer: Answer) -> Iterable[str]:
    if answer.status != HTTPStatus.OK:
        yield f"status {answer.status} came: {excerpt(answer)}"


def _objects(data: Any, fields: Fields, *, more: bool = False) -> Iterable[str]:
    """Tell in what rows differ from objects with these fields; of others, too, unless `more` may be there."""
    if not isinstance(data, list) or not data or not all(isinstance(row, dict) for row in data):
        yield "no list of objects came"
        return
    for name, kinds in fields.items():
        values = [row[name] for row in data if name in row]
        if len(values) < len(data):
            yield f"{name} is missing"
        elif any(not isinstance(value, kinds) for value in values):
            yield f"{name} is {next(value for value in values if not isinstance(value, kinds))!r}"
    unknown = sorted({name for row in data for name in row} - set(fields))
    if unknown and not more:
        yield f"there is {', '.join(unknown)}, which is not documented"


def _utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000
