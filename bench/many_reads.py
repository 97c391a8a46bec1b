"""Many short series: what is asked of all of them, each time after one more bar of each was written.

Daily bars, 250 of each, every tenth series lacks one. Raw is Polars over one frame that is in memory already,
which the bars are put behind before it is timed; it knows of no reasons, digests or other writers.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

import mdstore
from bench import candles
from bench.measure import Grid, Line, Report, Times, Turn, interleave, verify
from bench.scale import Scale, scratch

__all__ = ["run"]

SIZES = (100, 1_000, 10_000, 30_000)
TOLD = 10_000
BARS, SCREEN = 250, 200
DAY = 86_400_000
FIRST = 1_704_067_200_000  # 2024-01-01
CHUNK = 1_000
ROUNDS = {1_000: (5, 3), 10_000: (4, 2), 30_000: (1, 1)}
"""Rounds of what is quick and of what is slow, up to so many series: writes of more take most of the time."""
FED, PANEL = 200, 500
RAW = "raw "
TARGETS = {
    "latest bar of all": 80, "screen": 120, "gaps(None)": 500, "coverage()": 500, "verify()": 10_000,
    "sql: count by symbol": 80, f"latest bar of {FED}": 2.5, f"{PANEL} x {SCREEN} bars": 10,
}  # fmt: skip
COUNT = "SELECT symbol, count(*) AS bars FROM candles GROUP BY symbol ORDER BY symbol"
SMA = pl.col("close").rolling_mean(20).last().alias("sma")


def run(scale: Scale) -> Report:
    """Measure files of so many series, one after the other."""
    report = Report("many_reads", f"Many series of {BARS} days, after one more bar of each")
    sizes = [max(20, round(size * min(1.0, scale.effort))) for size in SIZES]
    told = sizes[SIZES.index(TOLD)]
    grid = Grid(["ms", *(f"{size:,} series" for size in sizes)], [])
    columns = []
    for size in sizes:
        scale.say(f"{size:,} series")
        with scratch() as folder:
            taken = _measure(folder / "many.sqlite3", size, scale)
        columns.append({name: taken.median(name) * 1000 for name in TARGETS})
        if size == told:
            report.lines += [
                Line.of_times(f"{name}, {size:,} series", taken, name, _raw_of(name), most_ms=most)
                for name, most in TARGETS.items()
            ]
    grid.rows = [[name, *(f"{column[name]:,.1f}" for column in columns)] for name in TARGETS]
    report.grid = grid
    return report


def _raw_of(name: str) -> str | None:
    return f"{RAW}{name}" if name in {"latest bar of all", "screen", "sql: count by symbol"} else None


class _Bars:
    """A store of many series, and the same bars in one frame."""

    def __init__(self, store: mdstore.MarketDataStore, size: int) -> None:
        self.store = store
        self.names = [f"S{number:05}" for number in range(size)]
        self.days = BARS
        parts = [self._part(low) for low in range(0, size, CHUNK)]
        for part in parts:
            store.write_many(part, timeframe="1d")
        self._parts = [pl.concat(parts).with_columns(pl.col("symbol").cast(pl.Categorical))]

    def _part(self, low: int) -> pl.DataFrame:
        names = self.names[low : low + CHUNK]
        frame = candles.frame(BARS * len(names), seed=low)
        number = pl.int_range(pl.len())
        days = (FIRST + (number % BARS) * DAY).cast(pl.Datetime("ms", "UTC")).alias("timestamp")
        symbols = pl.Series("symbol", names).gather(pl.select(pl.int_range(len(frame)) // BARS).to_series())
        frame = frame.select(symbols, days, pl.exclude("timestamp"))
        return frame.filter((number // BARS % 10 != 9) | (number % BARS != 100))

    def grow(self, count: int | None = None) -> None:
        """Write one more bar of each series, or of the first so many."""
        names = self.names[:count]
        more = candles.frame(len(names), seed=self.days).with_columns(
            pl.lit(FIRST + self.days * DAY).cast(pl.Datetime("ms", "UTC")).alias("timestamp")
        )
        more = more.insert_column(0, pl.Series("symbol", names))
        self.days += 1
        self.store.write_many(more, timeframe="1d")
        self._parts.append(more.with_columns(pl.col("symbol").cast(pl.Categorical)))

    def put_together(self) -> None:
        """Put what was written behind the bars of its series, in memory that no query has seen."""
        # The names were met in their order, so their codes ascend; texts of 2.5M rows take 3 s to sort.
        codes = pl.col("symbol").to_physical()
        self._parts = [pl.concat(self._parts).sort(codes, maintain_order=True)]

    @property
    def frame(self) -> pl.DataFrame:
        """All that the store has."""
        if len(self._parts) > 1:
            self.put_together()
        return self._parts[0]

    def tail(self, bars: int, names: list[str] | None = None) -> pl.DataFrame:
        """Return the latest bars of each series, by hand."""
        frame = self.frame if names is None else self.frame.filter(pl.col("symbol").is_in(names))
        return frame.group_by("symbol", maintain_order=True).tail(bars)


def _measure(path: Path, size: int, scale: Scale) -> Times:
    with mdstore.open(path) as store:
        bars = _Bars(store, size)
        calls = _calls(bars)
        bars.grow()
        _verify(bars, calls)
        slow = {name: calls.pop(name) for name in ("gaps(None)", "coverage()", "verify()")}
        counts = {f"latest bar of {FED}": FED, f"{PANEL} x {SCREEN} bars": PANEL}
        quick, few = next(rounds for most, rounds in ROUNDS.items() if size <= most)
        rounds, warm = min(quick, scale.rounds(quick)), size <= TOLD
        taken = dict(interleave(_turns(bars, calls, counts), rounds, most=20.0, warm=warm).seconds)
        taken |= interleave(_turns(bars, slow, counts), few, most=20.0, warm=False).seconds
        return Times(taken)


def _calls(bars: _Bars) -> dict[str, Callable[[], pl.DataFrame]]:
    store, fed, panel = bars.store, bars.names[:FED], bars.names[:PANEL]
    return {
        "latest bar of all": lambda: store.candles(None, "1d", limit=1),
        "screen": lambda: _screen(store.candles(None, "1d", limit=SCREEN)),
        "gaps(None)": lambda: store.gaps(None, "1d"),
        "coverage()": store.coverage,
        "verify()": store.verify,
        "sql: count by symbol": lambda: store.sql(COUNT),
        f"latest bar of {FED}": lambda: store.candles(fed, "1d", limit=1),
        f"{PANEL} x {SCREEN} bars": lambda: store.candles(panel, "1d", limit=SCREEN),
        "raw latest bar of all": lambda: bars.tail(1),
        "raw screen": lambda: _screen(bars.tail(SCREEN)),
        "raw sql: count by symbol": lambda: bars.frame.group_by("symbol", maintain_order=True).len("bars"),
    }


def _turns(
    bars: _Bars, calls: dict[str, Callable[[], pl.DataFrame]], counts: dict[str, int]
) -> dict[str, Turn]:
    def after(call: Callable[[], object], count: int | None, *, is_raw: bool) -> Turn:
        @contextmanager
        def turn() -> Iterator[Callable[[], object]]:
            if is_raw:
                bars.put_together()
            else:
                call()  # so that it is of the moment before that write
                bars.grow(count)
            gc.collect()
            time.sleep(0.01)
            yield call

        return turn

    return {name: after(call, counts.get(name), is_raw=name.startswith(RAW)) for name, call in calls.items()}


def _screen(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.group_by("symbol", maintain_order=True).agg(SMA, pl.col("volume").sum())


def _verify(bars: _Bars, calls: dict[str, Callable[[], pl.DataFrame]]) -> None:
    def same(ours: pl.DataFrame, theirs: pl.DataFrame) -> bool:
        plain = pl.col("symbol").cast(pl.String)
        return ours.with_columns(plain).equals(theirs.with_columns(plain))

    for again in range(2):  # as they are first put together, and as they grow
        verify(same(calls["latest bar of all"](), bars.tail(1)), "the latest bars are those of the frame")
        verify(same(bars.store.candles(None, "1d", limit=SCREEN), bars.tail(SCREEN)), "so are the latest 200")
        # Of the same bars: how Polars adds them up goes by how they lie in memory, to the last bit.
        assert_frame_equal(calls["screen"](), calls["raw screen"](), rel_tol=1e-12, categorical_as_str=True)
        verify(same(calls[f"latest bar of {FED}"](), bars.tail(1, bars.names[:FED])), "so are some of them")
        panel = calls[f"{PANEL} x {SCREEN} bars"]()
        verify(same(panel, bars.tail(SCREEN, bars.names[:PANEL])), "so is a panel")
        counted = calls["sql: count by symbol"]()["bars"]
        verify(counted.equals(calls["raw sql: count by symbol"]()["bars"].cast(pl.Int64)), "SQL counts them")
        if not again:
            bars.grow()
    lacking = bars.names[9::10]
    gaps = calls["gaps(None)"]()
    verify(gaps["symbol"].cast(pl.String).to_list() == lacking, "every hole is found")
    verify(gaps["bars"].sum() == len(lacking), "no bar more is missing")
    verify(calls["coverage()"]()["missing"].sum() == len(lacking), "so says the coverage")
    verify(calls["verify()"]().filter(check="gap").height == len(lacking), "and the verification")
