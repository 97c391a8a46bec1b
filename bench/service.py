"""A service beside the store that it stands on: an answer, many symbols, one flight for a thousand tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import mdstore
from bench import candles
from bench.measure import Line, Report, Times, interleave, ready, verify
from bench.scale import Scale, scratch
from mdstore.service.memory_coordinator import MemoryCoordinator

__all__ = ["run"]

SYMBOLS, BARS, LATEST = 500, 2_000, 200
MOST_SYNC_MS, MOST_ASYNC_MS, MOST_BATCH_MS, MOST_HELD_MS = 0.030, 0.150, 40.0, 5.0
CALLS = 50


def run(scale: Scale) -> Report:
    """Measure answers from memory by both faces, a batch, and what an event loop feels of a flight."""
    report = Report("service", "What a service costs over the store")
    names = list(map(candles.symbol, range(SYMBOLS)))
    with scratch() as folder, mdstore.open(folder / "market_data.sqlite3") as store:
        scale.say(f"{SYMBOLS} series of {BARS:,} bars")
        for number, symbol in enumerate(names):
            store.write(symbol, "1m", candles.frame(BARS, seed=number))
        end = candles.START + BARS * candles.MINUTE
        source = MemoryCoordinator({}, page_bars=BARS)
        with mdstore.MarketDataService(store, coordinator=source) as service:
            report.lines.append(_sync(scale, store, service, names[0], end))
            report.lines.append(_async(scale, store, source, names[0], end))
            report.lines.append(_batch(scale, store, service, names, end))
        report.lines += _flights(scale, store, report)
    return report


def _sync(
    scale: Scale, store: mdstore.MarketDataStore, service: mdstore.MarketDataService, symbol: str, end: int
) -> Line:
    start = end - 1_000 * candles.MINUTE
    scale.say("1,000 bars from memory")

    def ours() -> object:
        return service.get_candle_data(symbol, "1m", start, end).frame

    def raw() -> object:
        return store.candles(symbol, "1m", start=start, end=end)

    verify(ours().equals(raw()), "both give the same bars")  # type: ignore[attr-defined]
    taken = interleave({"mdstore": ready(_times(ours)), "store": ready(_times(raw))}, scale.rounds(40))
    return Line.of_times("1,000 bars from memory", _each(taken), raw="store", most_ms=MOST_SYNC_MS)


def _async(
    scale: Scale, store: mdstore.MarketDataStore, source: MemoryCoordinator, symbol: str, end: int
) -> Line:
    start = end - 1_000 * candles.MINUTE
    scale.say("the same in a task")
    loop = asyncio.new_event_loop()
    service = mdstore.AsyncMarketDataService(store, coordinator=source)

    async def many() -> None:
        for _ in range(CALLS):
            _ = (await service.get_candle_data(symbol, "1m", start, end)).frame

    def ours() -> object:
        loop.run_until_complete(many())
        return None

    def raw() -> object:
        for _ in range(CALLS):
            store.candles(symbol, "1m", start=start, end=end)
        return None

    taken = interleave({"mdstore": ready(ours), "store": ready(raw)}, scale.rounds(40))
    loop.run_until_complete(service.close())
    loop.close()
    return Line.of_times(
        "1,000 bars from memory, in a task", _each(taken), raw="store", most_ms=MOST_ASYNC_MS
    )


def _batch(
    scale: Scale,
    store: mdstore.MarketDataStore,
    service: mdstore.MarketDataService,
    names: list[str],
    end: int,
) -> Line:
    start = end - LATEST * candles.MINUTE
    scale.say("many symbols")

    def ours() -> object:
        return service.get_candle_data(names, "1m", start, end).frame

    def raw() -> object:
        return store.candles(names, "1m", start=start, end=end)

    verify(ours().equals(raw()), "both give the same bars")  # type: ignore[attr-defined]
    taken = interleave({"mdstore": ready(ours), "store": ready(raw)}, scale.rounds(60))
    return Line.of_times(
        f"the latest {LATEST} bars of {SYMBOLS} symbols", taken, raw="store", most_ms=MOST_BATCH_MS
    )


def _flights(scale: Scale, store: mdstore.MarketDataStore, report: Report) -> list[Line]:
    """A thousand tasks want the same range, which nobody has; a loop that looks at the time runs beside."""
    scale.say("a thousand tasks that miss the same")
    lines, held = [], []
    truth = candles.frame(BARS, seed=999)
    end = candles.START + BARS * candles.MINUTE

    def flight(number: int) -> float:
        symbol = f"NEW{number}"
        source = MemoryCoordinator({(symbol, "1m"): truth}, page_bars=BARS)

        async def ask() -> float:
            longest, asked = 0.0, time.perf_counter()
            async with mdstore.AsyncMarketDataService(store, coordinator=source) as service:
                calls = [
                    asyncio.ensure_future(service.get_candle_data(symbol, "1m", candles.START, end))
                    for _ in range(1_000)
                ]
                await asyncio.sleep(0)
                while not all(call.done() for call in calls[-1:]):
                    clock = time.perf_counter()
                    await asyncio.sleep(0.0005)
                    longest = max(longest, time.perf_counter() - clock - 0.0005)
                answers = await asyncio.gather(*calls)
            verify(len(source.requests) == 1, "a thousand tasks make one request")
            verify({answer.table.num_rows for answer in answers} == {BARS}, "each has all bars")
            held.append(longest)
            return time.perf_counter() - asked

        return asyncio.run(ask())

    taken = [flight(number) for number in range(scale.rounds(9))]
    times = Times({"mdstore": taken})
    lines.append(Line.of_times("1,000 tasks that miss the same range", times, raw=None))
    lines.append(
        Line.of_times(
            "the longest that the loop was held meanwhile", Times({"mdstore": held}), raw=None,
            most_ms=MOST_HELD_MS,
        )
    )  # fmt: skip
    report.notes.append("A thousand tasks that miss the same range made one request, in every round.")
    return lines


def _times(call: Callable[[], object]) -> Callable[[], object]:
    def many() -> object:
        for _ in range(CALLS):
            call()
        return None

    return many


def _each(taken: Times) -> Times:
    return Times({way: [one / CALLS for one in seconds] for way, seconds in taken.seconds.items()})
