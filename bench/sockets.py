"""A feed through a real socket: what 20,000 messages a second take of a core, and how long a burst holds.

Another process sends trades of 300 symbols, as Upbit does, over a websocket of this machine; here a session
reads them, and bars of a minute are made. Times are of this thread's processor, since others may have the
machine: the share of a core is what a message takes, as often as they come, and the loop is held from one
turn of it to the next. Before that, trades are pushed as tuples while bars of some timeframes are made.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import websockets

import mdstore
from bench.measure import Line, Report, Turn, interleave, verify
from bench.realtime import rows_of
from bench.scale import Scale

__all__ = ["run"]

RATE = 20_000
BURST = 50_000
SYMBOLS = 300
SECONDS = 10.0
MOST_SHARE = 0.8
MOST_HELD = 0.050
TIMEFRAMES: dict[str, tuple[str, ...]] = {
    "no bars": (), "1m": ("1m",), "1m, 5m, 1h": ("1m", "5m", "1h"), "1s, 1m, 1h": ("1s", "1m", "1h"),
}  # fmt: skip
SENDER = """
import asyncio, sys, time, websockets
rate, count, symbols = (int(one) for one in sys.argv[1:])
TEXT = ('{"ty":"trade","cd":"KRW-%d","ttms":%d,"tp":%d.5,"tv":0.25,"ab":"BID","sid":%d,"st":"REALTIME",'
        '"td":"2025-09-01","ttm":"00:00:00","pcp":149000000.0,"c":"RISE","cp":1000.0,"tms":%d}')

async def serve(socket):
    await socket.recv()
    began, sent = time.perf_counter(), 0
    while sent < count:
        due = count if not rate else min(count, int((time.perf_counter() - began) * rate) + 1)
        now = time.time_ns() // 10**6
        for number in range(sent, due):
            await socket.send(TEXT % (number % symbols, now, 100 + number % 7, number + 1, now))
        sent = max(sent, due)
        await asyncio.sleep(0.001)
    await socket.wait_closed()

async def main():
    async with websockets.serve(serve, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

asyncio.run(main())
"""


def run(scale: Scale) -> Report:
    """Push beside bars, then send at a pace, then all at once."""
    report = Report("sockets", "A feed through a real socket, and bars as they form")
    scale.say("push while bars form")
    report.lines += _pushes(scale)
    seconds = SECONDS * min(1.0, scale.effort * 4)
    scale.say(f"{RATE:,} messages a second")
    taken, _, passed = _received(RATE, round(RATE * seconds))
    share = taken / seconds
    report.lines.append(
        Line(f"share of a core at {RATE:,} messages/s", 100 * share, "%", None, None,
             f"< {100 * MOST_SHARE:.0f} %", share < MOST_SHARE)
    )  # fmt: skip
    each = taken / (RATE * seconds) * 1e6
    report.notes.append(
        f"{RATE * seconds:,.0f} messages came in {passed:.1f} s, and took {each:.1f} us each, "
        "the websocket's part included"
    )
    scale.say(f"a burst of {BURST:,}")
    taken, held, _ = _received(0, BURST)
    report.lines.append(
        Line(f"longest hold of the loop by a burst of {BURST:,}", held * 1e3, "ms", None, None,
             f"< {MOST_HELD * 1e3:.0f} ms", held < MOST_HELD)
    )  # fmt: skip
    report.notes.append(f"a burst of {BURST:,} messages took {taken:.2f} s of the processor")
    return report


def _pushes(scale: Scale) -> list[Line]:
    """Push tuples while bars of some timeframes form, in turns."""
    count = scale.rows(200_000)
    times = interleave(
        {name: _pushing(count, timeframes) for name, timeframes in TIMEFRAMES.items()}, scale.rounds(9), 8.0
    )
    return [
        Line(f"push, bars of {name}" if TIMEFRAMES[name] else "push, no bars", count / times.median(name),
             "rows/s", None, None, "", True)
        for name in TIMEFRAMES
    ]  # fmt: skip


def _pushing(count: int, timeframes: tuple[str, ...]) -> Turn:
    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        cache = mdstore.RealtimeDataCache()
        if timeframes:
            cache.live.build(timeframes)
        rows, push = rows_of(count, SYMBOLS), cache.trades.push

        def all_of_them() -> float:
            began = time.thread_time()
            for row in rows:
                push(row)
            return time.thread_time() - began

        yield all_of_them
        cache.close()

    return turn


def _received(rate: int, count: int) -> tuple[float, float, float]:
    """Receive messages; return the processor's seconds, the longest hold of the loop, and what passed.

    Without a rate, they come all at once; holds are looked for then only, since looking takes the processor.
    """
    sender = subprocess.Popen(
        [sys.executable, "-c", SENDER, str(rate), str(count), str(SYMBOLS)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert sender.stdout is not None
        return asyncio.run(_listened(int(sender.stdout.readline()), count, is_burst=not rate))
    finally:
        sender.kill()
        sender.communicate()


async def _listened(port: int, count: int, *, is_burst: bool) -> tuple[float, float, float]:
    cache = mdstore.RealtimeDataCache()
    cache.live.build("1m")
    holds: list[float] = [0.0]
    watching = asyncio.create_task(_watch(holds)) if is_burst else None
    async with (
        cache.live.session(mdstore.UpbitFeed(), [f"KRW-{at}" for at in range(SYMBOLS)]) as session,
        websockets.connect(f"ws://127.0.0.1:{port}", compression=None) as socket,
    ):
        await socket.send("[]")
        session.subscribed()
        began, passed, taken = time.thread_time(), time.perf_counter(), 0
        async for message in socket:
            taken += session.push(message)
            if taken == count:
                break
        spent, passed = time.thread_time() - began, time.perf_counter() - passed
    if watching is not None:
        watching.cancel()
    verify(session.refused == 0, "every message is taken")
    verify(cache.trades.stats()["pushed"] == count, "every trade is there")
    cache.close()
    return spent, max(holds), passed


async def _watch(holds: list[float]) -> None:
    """Note how much of the processor went between two turns of the loop."""
    before = time.thread_time()
    while True:
        await asyncio.sleep(0)
        now = time.thread_time()
        holds.append(now - before)
        before = now
