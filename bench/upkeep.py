"""The file put in order beside those who use it: cold scans, writes meanwhile; and what watching costs.

Series are fed by time, as a live feed does, so that the leaves of each lie far apart. A read from the disk
is in a process of its own, which has the system forget what it holds of the file; so is whoever writes.
What the histograms and an analyzer take is told by the same read with and without them.
"""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import polars as pl

import mdstore
from bench import candles
from bench.measure import Line, Report, Times, interleave, ready, verify
from bench.scale import Scale, scratch
from mdstore.core.latencies import LatencyTable

__all__ = ["run"]

SERIES, BARS, AT_ONCE = 40, 50_000, 100
SCANNED = 10
ALONE_SECONDS, BEFORE_SECONDS = 5.0, 1.0
PAUSE = 0.005
SPARE_PAGES = 3_000
MOST_COLD, MOST_STEP_MS, MOST_ANALYZER, MOST_CALL_US = 1 / 3, 50.0, 1.05, 1.0
MOST_COUNTED = 1.07  # 1 us of 15
CALLS, ROUNDS = 300, 60
ADDS, ADD_ROUNDS = 10_000, 20
COLD = "SELECT count(close) FROM candles WHERE symbol = ? AND timeframe = '1m'"


def run(scale: Scale) -> Report:
    """Feed a file, put it in order by each means beside a writer, and measure what watching costs."""
    report = Report("upkeep", f"{SERIES} series fed by time, put in order beside a writer")
    bars = max(1_000, int(BARS * min(1.0, scale.effort * 2)))
    with scratch() as folder, mdstore.open(folder / "fed.sqlite3", pack_bytes=0) as store:
        scale.say(f"{SERIES} series of {bars:,} bars, {AT_ONCE} at a time")
        _feed(store, bars)
        _orders(store, scale, report)
        verify(store.maintenance.check() == [], "the file is sound afterwards")
    with scratch() as folder, mdstore.open(folder / "watched.sqlite3", pack_bytes=0) as store:
        store.write("A", "1m", candles.frame(2_000, 1))
        with mdstore.open(store.path, pack_bytes=0, memory_bytes=0) as bare:
            report.lines += _watching(store, bare, scale)
    report.lines.append(_histogram())
    return report


# ---- the file


def _feed(store: mdstore.MarketDataStore, bars: int) -> None:
    frames = {candles.symbol(number): candles.frame(bars, number) for number in range(SERIES)}
    for at in range(0, bars, AT_ONCE):
        pieces = [
            frame[at : at + AT_ONCE].with_columns(symbol=pl.lit(name), timeframe=pl.lit("1m"))
            for name, frame in frames.items()
        ]
        store.write_many(pl.concat(pieces))


def _orders(store: mdstore.MarketDataStore, scale: Scale, report: Report) -> None:
    upkeep, alone = store.repository.upkeep, dict[str, float]()

    def beside(what: str, work: Callable[[], object], most_ms: float | None = None) -> None:
        scale.say(what)
        p50, p99, most, number = _beside_a_writer(store.path, work)
        met = None if most_ms is None else p99 < most_ms
        target = "" if most_ms is None else f"< {most_ms:g} ms"
        raw = alone.setdefault("p99", p99)  # the first is beside nothing
        report.lines.append(Line(f"a write beside {what}, p99", p99, "ms", raw, p99 / raw, target, met))
        report.notes.append(f"beside {what}: {number:,} writes, median {p50:.1f} ms, longest {most:.1f} ms")

    fed = _scans(store)
    beside("nothing", lambda: time.sleep(ALONE_SECONDS))
    beside("a rebuild", lambda: upkeep.rebuild("candles"), MOST_STEP_MS)
    report.lines += _compared("after a rebuild", _scans(store), fed)
    beside("pages that are given back", lambda: upkeep.give_back(SPARE_PAGES), MOST_STEP_MS)
    beside("a VACUUM", upkeep.vacuum)
    report.lines += _compared("after a VACUUM", _scans(store), fed)


def _compared(what: str, now: dict[str, float], before: dict[str, float]) -> list[Line]:
    """Return lines of what a scan takes, beside what it took in the file as it was fed."""
    cold, warm = (now[name] / before[name] for name in ("cold", "warm"))
    target = f"<= {MOST_COLD:.2f} x as fed"
    return [
        Line(
            f"cold scan of a series {what}",
            now["cold"],
            "ms",
            before["cold"],
            cold,
            target,
            cold <= MOST_COLD,
        ),
        Line(f"warm scan of a series {what}", now["warm"], "ms", before["warm"], warm),
    ]


def _scans(store: mdstore.MarketDataStore) -> dict[str, float]:
    """Return the milliseconds of reading a series from the disk, and again from memory: medians of ten."""
    store.repository.upkeep.log_is_free()  # what is in the log alone is not forgotten
    command = [sys.executable, "-m", "bench.upkeep", "scan", os.fspath(store.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _beside_a_writer(path: Path, work: Callable[[], object]) -> tuple[float, float, float, int]:
    """Do some work while another process writes; return p50, p99 and the longest write (ms), and how many."""
    command = [sys.executable, "-m", "bench.upkeep", "write", os.fspath(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(BEFORE_SECONDS)
        work()
        out, _ = writer.communicate("\n")
    took = sorted(json.loads(out))
    return statistics.median(took), took[int(len(took) * 0.99)], took[-1], len(took)


# ---- what watching costs


def _watching(store: mdstore.MarketDataStore, bare: mdstore.MarketDataStore, scale: Scale) -> list[Line]:
    """Measure reads with an analyzer and without, with the histogram of latencies and without.

    `bare` is the same file with nothing kept in memory.
    """
    repository, table = store.repository, store.repository.latencies

    def hits() -> None:
        for _ in range(CALLS):
            store.candles("A", "1m", limit=200)

    def misses() -> None:
        for _ in range(CALLS // 10):
            bare.candles("A", "1m", limit=200)

    def watched(of: mdstore.MarketDataStore, call: Callable[[], None]) -> Callable[[], None]:
        analyzer = mdstore.QueryAnalyzer(of)

        def work() -> None:
            with analyzer:
                call()

        return work

    def untimed() -> None:
        repository.latencies = _NoTable()
        try:
            hits()
        finally:
            repository.latencies = table

    rounds = scale.rounds(ROUNDS)
    answers = interleave({"on": ready(watched(store, hits)), "off": ready(hits)}, rounds)
    rows = interleave({"on": ready(watched(bare, misses)), "off": ready(misses)}, rounds)
    timed = interleave({"on": ready(hits), "off": ready(untimed)}, rounds)
    return [
        _cost(f"{CALLS} answers from memory, an analyzer on", answers, MOST_ANALYZER),
        _cost(f"{CALLS // 10} reads of 200 rows of the table, an analyzer on", rows, MOST_ANALYZER),
        _cost(f"{CALLS} answers from memory, latencies counted", timed, MOST_COUNTED),
    ]


def _cost(what: str, times: Times, most: float) -> Line:
    ratio = times.ratio("on", "off")
    on, off = (times.median(way) * 1000 for way in ("on", "off"))
    return Line(what, on, "ms", off, ratio, f"<= {most:g} x without", ratio <= most)


class _NoTable(LatencyTable):
    """Counts nothing."""

    def add(self, operation: str, tiers: tuple[str, ...], began: float) -> None:
        """Leave it."""


def _histogram() -> Line:
    table, rounds = LatencyTable(), []
    for _ in range(ADD_ROUNDS):
        began = time.perf_counter()
        for _ in range(ADDS):
            table.add("candles", ("memory",), began)
        rounds.append((time.perf_counter() - began) / ADDS * 1e6)
    each = min(rounds)  # what others take of the core is no cost of ours
    return Line(
        "a call counted in its histogram",
        each,
        "us",
        None,
        None,
        f"< {MOST_CALL_US:g} us",
        each < MOST_CALL_US,
    )


# ---- the other processes


def _scan(path: str) -> None:
    times: dict[str, list[float]] = {"cold": [], "warm": []}
    for number in range(SCANNED):
        handle = os.open(path, os.O_RDWR)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
        for taken in times.values():
            con = apsw.Connection(path)
            con.execute("SELECT 1 FROM series").fetchall()
            began = time.perf_counter()
            con.execute(COLD, (candles.symbol(number * 3 + 2),)).fetchall()
            taken.append((time.perf_counter() - began) * 1000)
            con.close()
    print(json.dumps({name: statistics.median(taken) for name, taken in times.items()}))


def _write(path: str) -> None:
    took, number = [], 0
    with mdstore.open(path, pack_bytes=0) as store:
        store.write("W", "1m", [(candles.START, 1, 1, 1, 1, 1)])
        print("ready", flush=True)
        while sys.stdin not in select.select([sys.stdin], [], [], 0)[0]:
            number += 1
            began = time.perf_counter()
            store.write("W", "1m", [(candles.START + number * candles.MINUTE, 1, 1, 1, 1, 1)])
            took.append((time.perf_counter() - began) * 1000)
            store.candles(candles.symbol(1), "1m", limit=100)
            time.sleep(PAUSE)
    print(json.dumps(took))


if __name__ == "__main__":
    {"scan": _scan, "write": _write}[sys.argv[1]](sys.argv[2])
