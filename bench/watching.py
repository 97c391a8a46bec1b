"""A watch of 200 markets: how long a message is on its way from the socket to the ring, at 5,000 a second.

The local exchange, in a process of its own, sends a trade and a ticker of each of 2,500 trades a second; a
watch reads them by two connections, makes bars of a minute, and stores these as they end.

The clock starts when the bytes of a message have been read from the socket, and stops when its row is in the
ring: what waits for others that came with it counts. Times are of this process's processor, that of its other
threads (which store bars) included, since others may have the machine; those by the wall are beside them.
Where others do have it, one read of the socket finds hundreds of messages, and the last of them waits for
all: so the target is held against reads that found what comes in 10 ms.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from array import array
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from websockets.asyncio.connection import Connection
from websockets.asyncio.messages import Assembler

import mdstore
from bench.measure import Line, Report, verify
from bench.scale import Scale
from mdstore.realtime.session import Session

__all__ = ["run"]

MARKETS = 200
RATE = 5_000
TRADES_A_MINUTE = RATE // 2 * 60 // MARKETS
SECONDS = 150.0
MOST_MS = 5.0
SETTLE_SECONDS = 5.0
AT_ONCE = RATE // 100
SMALL = f"socket to ring, reads of up to {AT_ONCE} messages"
PROCESSOR, WALL = "socket to ring, all reads", "socket to ring, by the wall"


def run(scale: Scale) -> Report:
    """Watch for some minutes, and take the times of all messages."""
    report = Report("watching", f"A watch of {MARKETS} markets at {RATE:,} messages a second")
    seconds = max(70.0, SECONDS * min(1.0, scale.effort * 4))
    scale.say(f"{seconds:.0f} s of {RATE:,} messages a second")
    with _exchange() as url, tempfile.TemporaryDirectory() as folder:
        times, stats, spent, passed = _watched(url, Path(folder) / "market_data.sqlite3", seconds)
    target = f"< {MOST_MS:g} ms"
    for name, taken in times.items():
        ordered = sorted(taken) or [float("inf")]
        p50, p99, p999 = (ordered[int(len(ordered) * share)] * 1e3 for share in (0.5, 0.99, 0.999))
        is_judged = name == SMALL
        met = p99 < MOST_MS if is_judged else True
        report.lines += [
            Line(f"{name}, p50", p50, "ms", None, None, "", True),
            Line(f"{name}, p99", p99, "ms", None, None, target if is_judged else "", met),
            Line(f"{name}, p99.9", p999, "ms", None, None, "", True),
        ]
    report.lines.append(Line("share of a core", 100 * spent / passed, "%", None, None, "", True))
    count = len(times[PROCESSOR])
    report.notes.append(
        f"{count:,} messages in {passed:.0f} s ({count / passed:,.0f} a second) by "
        f"{stats['connections']} connections, {len(times[SMALL]) / count:.0%} of them in small reads; "
        f"{stats['bars']:,} bars were stored meanwhile"
    )
    return report


@contextmanager
def _exchange() -> Iterator[str]:
    """Start the local exchange in a process; give its address."""
    command = [
        sys.executable, "-m", "mdstore.sources.local_exchange", f"KRW-T*{MARKETS}", "--no-limits",
        "--silent", "0", "--trades-per-minute", str(TRADES_A_MINUTE),
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.stdin.close()


def _watched(
    url: str, path: Path, seconds: float
) -> tuple[dict[str, array[float]], dict[str, int], float, float]:
    """Watch; return each message's seconds, counts, and the processor's and the clock's seconds."""
    with mdstore.open(path) as store, _stamped() as stamps:
        with store.watch("upbit", "KRW-T*", "1m", base_url=url) as watch:
            while not store.trades.stats()["rows"]:
                time.sleep(0.1)
            time.sleep(SETTLE_SECONDS)
            stamps.clear()
            spent, passed = time.process_time(), time.monotonic()
            time.sleep(seconds)
            taken = {SMALL: stamps.small, PROCESSOR: stamps.by_processor, WALL: stamps.by_wall}
            spent, passed = time.process_time() - spent, time.monotonic() - passed
            stats: dict[str, Any] = watch.stats()
        verify(stats["refused"] == 0, "every message is taken")
        verify(not watch.errors, f"nothing fails: {list(watch.errors)}")
        bars = int(store.series()["rows"].sum())
    return taken, {"connections": stats["connections"], "bars": bars}, spent, passed


class _Stamps:
    """When the bytes of each message were read, by connection, and how long it took from there.

    A read is the processor's time, the wall's, and how many messages it found.
    """

    def __init__(self) -> None:
        self.read: defaultdict[Assembler, deque[list[float]]] = defaultdict(deque)
        self.now = self.latest = [0.0, 0.0, 0]
        self.clear()

    def clear(self) -> None:
        self.small, self.by_processor, self.by_wall = array("d"), array("d"), array("d")


@contextmanager
def _stamped() -> Iterator[_Stamps]:
    """Take times in the library and the session; it costs a message two microseconds."""
    stamps, processor, wall = _Stamps(), time.process_time, time.perf_counter
    received, put, get, push = Connection.data_received, Assembler.put, Assembler.get, Session.push

    def data_received(self: Any, data: bytes) -> None:
        stamps.now = [processor(), wall(), 0]
        received(self, data)

    def put_stamped(self: Any, frame: Any) -> None:
        stamps.now[2] += 1
        stamps.read[self].append(stamps.now)
        put(self, frame)

    async def get_stamped(self: Any, decode: bool | None = None) -> Any:
        data = await get(self, decode)
        stamps.latest = stamps.read[self].popleft()  # nothing else runs until it is pushed
        return data

    def push_stamped(self: Any, data: object, received_at: int | None = None) -> int:
        taken = push(self, data, received_at)
        spent = processor() - stamps.latest[0]
        stamps.by_processor.append(spent)
        if stamps.latest[2] <= AT_ONCE:
            stamps.small.append(spent)
        stamps.by_wall.append(wall() - stamps.latest[1])
        return taken

    with (
        patch.object(Connection, "data_received", data_received),
        patch.object(Assembler, "put", put_stamped),
        patch.object(Assembler, "get", get_stamped),
        patch.object(Session, "push", push_stamped),
    ):
        yield stamps
