"""Trades in memory: rows in, the latest, windows and snapshots out, against other ways to keep them.

Rows are of six fields. A peer gives what it can: none but mdstore checks values, drops what is repeated, says
when a row came or lets several threads push. `latest` is then asked for while a thread pushes 100,000 rows a
second, and how long each call took is drawn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import polars as pl

from bench.chart import Curve, chart
from bench.measure import Grid, Line, Report, Times, Turn, interleave, verify
from bench.rings import NAMES, PEERS, Ours, Ring, Row
from bench.scale import Scale

__all__ = ["run"]

PUSHED = 200_000
SYMBOLS = 200
ROUNDS = 9
WINDOW = 10_000
SNAPSHOT = 500
CALLS = 1_000
RATE = 100_000
BURST_SECONDS = 0.001
LISTEN_SECONDS = 10.0
PACE = 50e-6
EDGES = tuple(0.25 * 2**power for power in range(12))  # microseconds
NS = 1_000_000_000


def run(scale: Scale) -> Report:
    """Measure what goes in, then what comes out, then what comes out while much goes in."""
    report = Report("realtime", "Trades in memory, six fields a row")
    pushed = scale.rows(PUSHED)
    _verify(pushed)
    works = {
        "push, tuples": (_pushes(pushed), pushed, "rows/s"),
        f"window of {WINDOW:,} rows": (_reads(lambda ring: ring.window("BIG", WINDOW), 1), 1, "ms"),
        "latest": (_reads(lambda ring: ring.latest("BIG"), CALLS), CALLS, "us"),
    }
    report.grid = Grid(["", *PEERS])
    for what, (turns, count, unit) in works.items():
        scale.say(what)
        times = interleave(turns, scale.rounds(ROUNDS), most=8.0)
        report.grid.rows.append([what, *(_cell(times.median(name), count, unit) for name in PEERS)])
        report.lines += _lines(what, times, count)
    scale.say("dicts, batches, snapshots")
    report.lines += _own(pushed, scale.rounds(ROUNDS))
    scale.say("latest under load")
    _under_load(report, LISTEN_SECONDS * min(1.0, scale.effort * 4))
    return report


def rows_of(count: int, symbols: int, name: str = "S{}") -> list[Row]:
    """Return trades of the last minute, in order."""
    now = time.time_ns() // 1_000_000
    return [
        (name.format(at % symbols), now - 60_000 + at * 60_000 // count, 100.0 + at % 7, 0.5,
         "buy" if at % 3 else "sell", at)
        for at in range(count)
    ]  # fmt: skip


def _verify(count: int) -> None:
    """Every way gives the last rows of a symbol as they were pushed."""
    rows = rows_of(count, SYMBOLS)
    mine = [row for row in rows if row[0] == "S7"][-500:]
    for name, made in PEERS.items():
        ring = made()
        for row in rows:
            ring.push(row)
        window = ring.window("S7", len(mine))
        verify(window["id"].to_list() == [row[5] for row in mine], f"{name} gives the last ids")
        verify(window["price"].to_list() == [row[2] for row in mine], f"{name} gives the last prices")
    ours = Ours()
    ours.table.push(pl.DataFrame(rows, schema=NAMES, orient="row"))
    verify(ours.window("S7", 500)["id"].to_list() == [row[5] for row in mine], "a batch is the same rows")


def _pushes(count: int) -> dict[str, Turn]:
    def turn(made: Callable[[], Ring]) -> Turn:
        @contextmanager
        def pushing() -> Iterator[Callable[[], object]]:
            rows, push = rows_of(count, SYMBOLS), made().push

            def all_of_them() -> None:
                for row in rows:
                    push(row)

            yield all_of_them

        return pushing

    return {name: turn(made) for name, made in PEERS.items()}


def _reads(read: Callable[[Ring], object], calls: int) -> dict[str, Turn]:
    def turn(made: Callable[[], Ring]) -> Turn:
        ring = made()
        for row in rows_of(WINDOW + 500, 1, "BIG"):
            ring.push(row)

        @contextmanager
        def reading() -> Iterator[Callable[[], object]]:
            read(ring)
            time.sleep(PACE)

            def often() -> None:
                for _ in range(calls):
                    read(ring)

            yield often

        return reading

    return {name: turn(made) for name, made in PEERS.items()}


def _cell(seconds: float, count: int, unit: str) -> str:
    if unit == "rows/s":
        return f"{count / seconds / 1e6:.2f}M/s"
    per_call = seconds / count * (1e3 if unit == "ms" else 1e6)
    return f"{per_call:.2f} {unit}"


def _lines(what: str, times: Times, count: int) -> list[Line]:
    other = "NumPy ring" if "NumPy ring" in PEERS else "deque + dict"
    seconds, theirs = times.median("mdstore"), times.median(other)
    if what.startswith("push"):
        rates = count / seconds, count / theirs
        return [
            Line(f"{what} (raw: {other})", rates[0], "rows/s", rates[1], times.ratio(other, "mdstore"),
                 ">= 1,000,000 rows/s", rates[0] >= 1_000_000)
        ]  # fmt: skip
    most, unit, scale = (0.3, "ms", 1e3) if what.startswith("window") else (2.0, "us", 1e6)
    taken = seconds / count * scale
    target = f"< {most:g} {unit}" + (" with its TTL check" if unit == "us" else "")
    return [
        Line(f"{what} (raw: {other})", taken, unit, theirs / count * scale, times.ratio("mdstore", other),
             target, taken < most)
    ]  # fmt: skip


def _own(count: int, rounds: int) -> list[Line]:
    """Measure what only mdstore has: dicts, batches, snapshots."""
    rates = [
        _rate(f"push, {what}", count, times, least) for what, times, least in _pushed_otherwise(count, rounds)
    ]
    table = Ours().table
    for at in range(SNAPSHOT):
        table.push((f"S{at}", time.time_ns() // 1_000_000, 1.0, 1.0, "buy", at))

    @contextmanager
    def snapshot() -> Iterator[Callable[[], object]]:
        table.snapshot()
        time.sleep(PACE)
        yield table.snapshot

    verify(len(table.snapshot()) == SNAPSHOT, "a snapshot has every symbol")
    taken = interleave({"snapshot": snapshot}, rounds * 10).median("snapshot") * 1e3
    return [*rates, Line(f"snapshot of {SNAPSHOT} symbols", taken, "ms", None, None, "< 1 ms", taken < 1)]


def _pushed_otherwise(count: int, rounds: int) -> Iterator[tuple[str, float, int]]:
    """Yield what was pushed, the seconds it took, and the rows a second that are asked for."""

    def fresh(push: Callable[[Ours], object]) -> Turn:
        @contextmanager
        def turn() -> Iterator[Callable[[], object]]:
            ours = Ours()
            yield lambda: push(ours)

        return turn

    # One after the other, the rows of each let go before the next: 200,000 dicts slow the collector.
    half = count // 2
    frame = pl.DataFrame(rows_of(count, SYMBOLS), schema=NAMES, orient="row")
    batches = fresh(lambda ours: [ours.push(frame[:half]), ours.push(frame[half:])])
    what = f"Polars frames of {half:,} rows, {SYMBOLS} symbols"
    yield what, interleave({"batch": batches}, rounds * 3).median("batch"), 5_000_000
    dicts = [dict(zip(NAMES, row, strict=True)) for row in rows_of(count, SYMBOLS)]
    singly = fresh(lambda ours: [ours.push(row) for row in dicts])
    yield "dicts", interleave({"dicts": singly}, rounds).median("dicts"), 600_000


def _rate(what: str, count: int, seconds: float, least: int) -> Line:
    rate = count / seconds
    return Line(what, rate, "rows/s", None, None, f">= {least:,} rows/s", rate >= least)


def _under_load(report: Report, seconds: float) -> None:
    """Ask for the latest row again and again, without a pause and with one, while a thread pushes."""
    quiet = _asked(Ours(), seconds / 4, PACE)
    kinds = {"no feed": quiet}
    for name, pace in (("fed, asked every 50 us", PACE), ("fed, asked without a pause", 0.0)):
        ours = Ours()
        with _feed(ours) as fed:
            kinds[name] = _asked(ours, seconds, pace)
        rate = fed[0] / fed[1]
        worst = _percentile(kinds[name], 99.9)
        report.lines.append(
            Line(f"latest, 99.9th percentile, {name} at {rate:,.0f} rows/s", worst, "us", None, None,
                 "< 50 us", worst < 50)
        )  # fmt: skip
        report.notes.append(
            f"latest, {name}: "
            + ", ".join(f"{p:g} % within {_percentile(kinds[name], p):.2f} us" for p in (50, 99, 99.9, 99.99))
            + f", the slowest of {len(kinds[name]):,} {kinds[name][-1]:,.0f} us"
        )
    curves = [Curve(name, list(zip(EDGES, _shares(taken), strict=True))) for name, taken in kinds.items()]
    report.pictures["latest_latency.svg"] = chart(
        "store.trades.latest(symbol): how long a call takes", "microseconds, up to", "% of calls", curves
    )


@contextmanager
def _feed(ours: Ours) -> Iterator[list[float]]:
    """Push a number of rows a second from a thread; yield the rows pushed and the seconds it took."""
    stop, done = threading.Event(), [0.0, 1.0]

    def feed() -> None:
        began = time.perf_counter()
        pushed = 0
        while not stop.is_set():
            due = int((time.perf_counter() - began) * RATE)
            now = time.time_ns() // 1_000_000
            for key in range(pushed, due):
                ours.push((f"S{key % SYMBOLS}", now, 100.0, 0.5, "buy", key))
            pushed = due
            time.sleep(BURST_SECONDS)
        done[:] = pushed, time.perf_counter() - began

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        time.sleep(0.1)
        yield done
    finally:
        stop.set()
        thread.join()


def _asked(ours: Ours, seconds: float, pace: float) -> list[float]:
    """Return how long calls took, in microseconds, the slowest last."""
    ours.push(("ASKED", time.time_ns() // 1_000_000, 1.0, 1.0, "buy", 1))
    taken = []
    end = time.perf_counter() + seconds
    latest, clock = ours.latest, time.perf_counter_ns
    while time.perf_counter() < end:
        start = clock()
        row = latest("ASKED")
        taken.append((clock() - start) / 1000)
        assert row is not None
        if pace:
            time.sleep(pace)
    return sorted(taken)


def _percentile(taken: Sequence[float], percent: float) -> float:
    return taken[min(len(taken) - 1, int(len(taken) * percent / 100))]


def _shares(taken: Sequence[float]) -> list[float]:
    """Return the percentage of calls up to each edge, from the edge before."""
    shares, below = [], 0
    for edge in EDGES:
        count = sum(1 for one in taken if one <= edge) - below
        below += count
        shares.append(100 * count / len(taken))
    return shares
