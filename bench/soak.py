"""Trades for an hour: does memory stay flat once the TTL has passed?

20,000 rows a second over 200 symbols, pushed one at a time under a clock that is told the time; five minutes
with a TTL of one, or with `--huge` the whole hour with the default of ten. The memory of the process is
measured, too.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from itertools import cycle
from pathlib import Path

from bench.chart import Curve, chart
from bench.measure import Line, Report, verify
from bench.scale import Scale
from mdstore.realtime.limits import TRADES
from mdstore.realtime.table import RealtimeTable

__all__ = ["main", "run"]

ROWS_PER_SECOND = 20_000
SYMBOLS = 200
START_MS = 1_700_000_000_000
SAMPLES = 60
SPREAD = 1.1  # the largest over the smallest figure, once the TTL has passed
STATM = Path("/proc/self/statm")
PAGE = 4096


def run(scale: Scale) -> Report:
    """Simulate in a fresh process, so that its memory is that of the rows."""
    seconds, ttl = (3600, 600) if scale.huge else (scale.rows(300), scale.rows(60))
    report = Report(
        "soak", f"Trades for {seconds / 60:g} minutes at {ROWS_PER_SECOND:,} rows/s, TTL {ttl:g} s"
    )
    scale.say(f"{seconds * ROWS_PER_SECOND:,} rows")
    answer = subprocess.run(
        [sys.executable, "-m", "bench.soak", str(seconds), str(ttl)],
        check=True, capture_output=True, text=True, cwd=Path(__file__).resolve().parent.parent,
    )  # fmt: skip
    told = json.loads(answer.stdout)
    times, held, resident = told["seconds"], told["bytes"], told["resident"]
    after = [at for at, second in enumerate(times) if second > 1.3 * ttl]
    for what, values in (("bytes reported", held), ("bytes of the process", resident)):
        flat = [values[at] for at in after]
        spread = max(flat) / min(flat)
        report.lines.append(
            Line(f"{what}, the most over the least once the TTL has passed", max(flat) / 2**20, "MB",
                 min(flat) / 2**20, spread, f"<= {SPREAD:g} x", spread <= SPREAD)
        )  # fmt: skip
    verify(told["pushed"] == seconds * ROWS_PER_SECOND, "every row was counted")
    verify(told["rows"] >= ttl * ROWS_PER_SECOND, "the rows within the TTL are all there")
    # On a logarithmic axis all samples together would be a smear at its end.
    shown = [at for at in range(len(times)) if (at + 1) & at == 0 or at == len(times) - 1]
    report.pictures["soak.svg"] = chart(
        report.title, "seconds", "MB",
        [Curve(name, [(times[at], values[at] / 2**20) for at in shown])
         for name, values in (("the process", resident), ("reported by stats()", held))],
    )  # fmt: skip
    return report


def main() -> None:
    """Push, and print what was held as time went by, as JSON."""
    seconds, ttl = int(float(sys.argv[1])), float(sys.argv[2])
    now = [START_MS * 1_000_000]
    table = RealtimeTable(TRADES, ttl=ttl, clock=lambda: now[0])
    push, names = table.push, cycle([f"S{at}" for at in range(SYMBOLS)])
    key = 0
    told: dict[str, list[float]] = {"seconds": [], "bytes": [], "resident": []}
    every = max(1, seconds // SAMPLES)
    for second in range(1, seconds + 1):
        base = START_MS + (second - 1) * 1000
        for at in range(ROWS_PER_SECOND):
            if at % 20 == 0:
                now[0] = (base + at // 20) * 1_000_000
            key += 1
            push((next(names), base + at // 20, 100.0, 0.5, "buy", key))
        if second % every == 0:
            gc.collect()
            told["seconds"].append(second)
            told["bytes"].append(float(table.stats()["bytes"] or 0))
            told["resident"].append(float(int(STATM.read_text().split()[1]) * PAGE))
    stats = table.stats()
    print(json.dumps({**told, "pushed": stats["pushed"], "rows": stats["rows"]}))


if __name__ == "__main__":
    main()
