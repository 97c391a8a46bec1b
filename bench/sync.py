"""A sync: nothing to do, pages as quick as they come over a socket, and a month at an exchange's own pace."""

from __future__ import annotations

import asyncio
import math
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import polars as pl

import mdstore
from bench.measure import Line, Report, Turn, interleave, ready, verify
from bench.scale import Scale, scratch
from mdstore.core.timeframe import Timeframe
from mdstore.sources.exchanges.binance_candles import BinanceCandles, open_spot
from mdstore.sources.exchanges.upbit_candles import UpbitCandles, open_upbit
from mdstore.sources.sync.candle_source import Market
from mdstore.sources.sync.coordinator import Limits, Metrics, Page, cut

__all__ = ["run"]

MINUTE, DAY = 60_000, 86_400_000
END = 1_756_684_800_000  # 2025-09-01
SERIES, MOST_NOTHING_MS = 100, 50.0
BARS, LEAST_A_SECOND = 100_000, 100_000
MARKETS, DAYS, A_SECOND = 5, 30, 10
LATE, SHARE = 0.03, 0.1
OPENS: dict[str, Callable[..., UpbitCandles | BinanceCandles]] = {"upbit": open_upbit, "binance": open_spot}


class Quick:
    """An exchange in this process: pages of bars that are made as they are asked for, without a wait."""

    name, settles, pace, requests, timeframes = "quick", 2, None, 0, ("1m",)

    def __init__(self, page: int) -> None:
        self.limits = Limits(page, 8)

    async def candles(self, _symbol: str, _timeframe: str, start: int, end: int) -> AsyncIterator[Page]:
        """Give pages, the newest first."""
        while start < end:
            await asyncio.sleep(0)
            low = max(start, end - self.limits.page_bars * MINUTE)
            yield Page(low, end, _rows(low, end), "no_trade")
            end = low

    def stretches(self, timeframe: str, start: int, end: int) -> list[tuple[int, int]]:
        """Cut a range into ten pages each."""
        return cut(Timeframe.parse(timeframe), start, end, 10 * self.limits.page_bars)

    async def markets(self) -> list[Market]:
        """List nothing."""
        return []

    async def first(self, _symbol: str, _timeframe: str) -> int | None:
        """Know nothing."""
        return None

    def report(self, metrics: Metrics) -> None:
        """Take no note."""

    async def aclose(self) -> None:
        """Hold nothing."""


def run(scale: Scale) -> Report:
    """Measure the engine by itself, then with the exchanges' clients and a local exchange in a process."""
    report = Report("sync", "What is missing, from an exchange")
    report.lines.append(_nothing(scale))
    for page in (200, 1_000):
        report.lines.append(_engine(scale, page))
    for name, symbols, days in (("upbit", ["KRW-BTC"], 70), ("binance", ["BTCUSDT"], 140)):
        report.lines.append(_socket(scale, name, symbols, days))
    report.lines += _paced(scale, report)
    return report


def _nothing(scale: Scale) -> Line:
    scale.say(f"{SERIES} series that lack nothing")
    symbols = [f"S{number}" for number in range(SERIES)]
    span = {"since": END - 200 * MINUTE, "until": END}
    with scratch() as folder, mdstore.open(folder / "market_data.sqlite3") as store:
        source = Quick(200)
        store.sync(source, symbols, "1m", **span)

        def ours() -> object:
            return store.sync(source, symbols, "1m", **span)

        def raw() -> object:
            return store.missing(symbols, "1m", start=span["since"], end=span["until"])

        verify(ours().pages == 0, "nothing is asked")  # type: ignore[attr-defined]
        taken = interleave({"mdstore": ready(ours), "store.missing": ready(raw)}, scale.rounds(40))
    return Line.of_times(
        f"nothing to do for {SERIES} series", taken, raw="store.missing", most_ms=MOST_NOTHING_MS
    )


def _engine(scale: Scale, page: int) -> Line:
    scale.say(f"pages of {page}")
    bars = scale.rows(BARS)
    start = END - bars * MINUTE

    def synced() -> Turn:
        @contextmanager
        def turn() -> Iterator[object]:
            with scratch() as folder, mdstore.open(folder / "market_data.sqlite3") as store:
                yield lambda: store.sync(Quick(page), "A", "1m", since=start, until=END)
                verify(len(store.candles("A", "1m")) == bars, "all bars are there")

        return turn  # type: ignore[return-value]

    def written() -> Turn:
        @contextmanager
        def turn() -> Iterator[object]:
            with scratch() as folder, mdstore.open(folder / "market_data.sqlite3") as store:

                def each() -> None:
                    for low in range(start, END, page * MINUTE):
                        high = min(low + page * MINUTE, END)
                        store.write("A", "1m", _rows(low, high), covers=(low, high), absent="no_trade")

                yield each

        return turn  # type: ignore[return-value]

    taken = interleave({"mdstore": synced(), "a write a page": written()}, scale.rounds(8))
    return Line.of_rates(f"pages of {page}, without a wait", taken, bars, raw="a write a page")


def _socket(scale: Scale, name: str, symbols: list[str], days: int) -> Line:
    """Sync from a local exchange in a process of its own, without limits: those of the client's own, too.

    Of Binance these are 45 pages a second, 45,000 bars: nine tenths of the weight that it takes in a minute.
    """
    scale.say(f"{name} over a socket, without limits")
    days = max(1, scale.rows(days * 20) // 20)
    rates = []
    with _exchange(symbols, "--no-limits") as url:
        for _ in range(scale.rounds(5) + 1):
            source = OPENS[name](base_url=url)
            source.client.pace.limits = dict.fromkeys(source.client.pace.limits, math.inf)
            with scratch() as folder, mdstore.open(folder / "market_data.sqlite3") as store:
                result = store.sync(source, symbols, "1m", since=END - days * DAY, until=END)
                verify(not result.failed, "all of it came")
                rates.append(result.done / result.seconds)
    rate = sorted(rates[1:])[len(rates[1:]) // 2]
    target = f">= {LEAST_A_SECOND:,} bars/s"
    return Line(
        f"{name} over a socket, without limits", rate, "bars/s", target=target, met=rate >= LEAST_A_SECOND
    )


def _paced(scale: Scale, report: Report) -> list[Line]:
    """Sync a month of several markets at Upbit's pace; how much longer than that takes it, and what share."""
    days = DAYS if scale.effort >= 1 else 1
    scale.say(f"{days} days of {MARKETS} markets at {A_SECOND} requests a second")
    symbols = [f"KRW-T{number}" for number in range(MARKETS)]
    with (
        _exchange(symbols, "--silent", "0") as url,
        scratch() as folder,
        mdstore.open(folder / "market_data.sqlite3") as store,
    ):
        store.sync("upbit", symbols[0], "1d", since=END - DAY, until=END, base_url=url)  # what it imports
        time.sleep(2)
        spent, began = time.process_time(), time.perf_counter()
        result = store.sync("upbit", symbols, "1m", since=END - days * DAY, until=END, base_url=url)
        taken, spent = time.perf_counter() - began, time.process_time() - spent
    verify(not result.failed, "all of it came")
    ideal = -(-days * 1_440 // 200) * MARKETS / A_SECOND
    report.notes.append(
        f"{result.inserted:,} bars in {result.requests:,} requests; {ideal:.0f} s at the best."
    )
    over, share = taken / ideal - 1, spent / taken
    return [
        Line(
            "a month at 10 requests a second",
            taken,
            "s",
            ideal,
            taken / ideal,
            f"<= {1 + LATE:g} x",
            over <= LATE,
        ),
        Line("of one core meanwhile", share * 100, "%", target=f"< {SHARE:.0%}", met=share < SHARE),
    ]


@contextmanager
def _exchange(symbols: list[str], *options: str) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "mdstore.sources.local_exchange",
        *symbols,
        "--now",
        "2025-09-02",
        *options,
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://[\d.:]+", process.stdout.readline())
        assert found is not None
        yield found[0]
    finally:
        process.kill()
        process.communicate()


def _rows(low: int, high: int) -> pl.DataFrame:
    times = pl.int_range(low, high, MINUTE, eager=True)
    one = pl.Series([1.5]).new_from_index(0, len(times))
    values = [one, one + 1, one - 1, one, one]
    names = ("open", "high", "low", "close", "volume")
    return pl.DataFrame([times.alias("timestamp"), *(v.alias(n) for v, n in zip(values, names, strict=True))])
