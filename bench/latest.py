"""The read that people do most: the latest 1,000 candles of a series, as a Polars frame.

mdstore has them in memory or in mapped packs; raw is APSW's rows of an indexed statement given to
`pl.DataFrame`. The large and the small file take turns, too: a read must not be slower in the larger one.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack

import apsw
import polars as pl

import mdstore
from bench import candles, raw
from bench.make import Made
from bench.measure import Line, Report, Times, interleave, ready, verify
from bench.scale import Scale

__all__ = ["run"]

COUNT = 1_000
ROUNDS = 300
NO_SLOWER = 1.1  # large against small; the file is asked for a revision, by key


def run(scale: Scale) -> Report:
    """Measure one series again and again, large against small, and then another series each time."""
    report = Report("latest", f"Latest {COUNT:,} candles as a Polars frame, warm")
    large, small = scale.large(), scale.small()
    with ExitStack() as stack:
        stores = [stack.enter_context(mdstore.open(made.path)) for made in (large, small)]
        cons = [stack.enter_context(raw.connected(made.path, reader=True)) for made in (large, small)]
        for made, store, con in zip((large, small), stores, cons, strict=True):
            _verify(made, store, con)
        name = small.names[1]
        turns = {
            "mdstore": ready(lambda: stores[0].candles(name, "1m", limit=COUNT)),
            "raw": ready(lambda: raw.latest(cons[0], name, COUNT)),
            "mdstore small": ready(lambda: stores[1].candles(name, "1m", limit=COUNT)),
            "raw small": ready(lambda: raw.latest(cons[1], name, COUNT)),
        }
        times = interleave(turns, scale.rounds(ROUNDS))
        report.lines += _lines(times, large, small)
        report.lines.append(_another_each_time(large, stores[0], cons[0], scale.rounds(ROUNDS)))
    return report


def _lines(times: Times, large: Made, small: Made) -> list[Line]:
    growth = times.ratio("mdstore", "mdstore small")
    ms = [times.median(way) * 1000 for way in ("mdstore", "mdstore small")]
    return [
        Line.of_times(f"{large.rows:,} rows in the file", times, most_ms=2),
        Line.of_times(f"{small.rows:,} rows in the file", times, "mdstore small", "raw small", most_ms=2),
        Line(f"{large.rows:,} rows against {small.rows:,} (as raw)", ms[0], "ms", ms[1], growth,
             f"<= {NO_SLOWER} x", growth <= NO_SLOWER),
    ]  # fmt: skip


def _another_each_time(made: Made, store: mdstore.MarketDataStore, con: apsw.Connection, rounds: int) -> Line:
    ours, theirs = itertools.cycle(made.names), itertools.cycle(made.names)
    turns = {
        "mdstore": ready(lambda: store.candles(next(ours), "1m", limit=COUNT)),
        "raw": ready(lambda: raw.latest(con, next(theirs), COUNT)),
    }
    return Line.of_times("another series each time", interleave(turns, rounds))


def _verify(made: Made, store: mdstore.MarketDataStore, con: apsw.Connection) -> None:
    name = made.names[1]
    expected = candles.frame(made.bars, seed=1).tail(COUNT)
    answer = store.candles(name, "1m", limit=COUNT)
    verify(candles.columns_of(answer) == expected.rows(), "mdstore gives the latest candles that were made")
    verify(raw.latest(con, name, COUNT).rows() == expected.rows(), "raw gives the same")
    verify(answer.schema["timestamp"] == pl.Datetime("ms", "UTC"), "times are UTC")
