"""Where the scanner process overtakes APSW, and what its start costs: the choice of SCAN_ROWS in mdstore.

APSW makes a Python object of every value; the scanner makes columns, but has to be asked, to carry them
across and, the first time, to be started. Both give the same Arrow table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import mdstore
from bench import candles
from bench.chart import Curve, chart
from bench.make import Made
from bench.measure import Grid, Report, Times, Turn, interleave, verify
from bench.scale import Scale
from mdstore.candles import repository

__all__ = ["run"]

SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000)
NEVER = 2**62
LIMITS = {"apsw": NEVER, "scanner": 0}


def run(scale: Scale) -> Report:
    """Measure both roads from 1,000 to 200,000 rows, and a cold start; recommend the two limits."""
    report = Report("roads", "APSW against the scanner process, by rows read")
    made = scale.large()
    sizes = [size for size in SIZES if size <= made.rows]
    with mdstore.open(made.path) as store:
        medians = {size: _measure(store, made, size, scale.rounds(15)) for size in sizes}
        cold = _cold(made, scale.rounds(3))
    start = cold.median("cold") - cold.median("warm")
    report.grid = _grid(medians)
    report.notes.append(
        f"The start of the scanner process costs {start * 1000:,.0f} ms. {_limits(medians, start)}"
    )
    curves = [
        Curve(road, [(float(size), times.median(road) * 1e6 / size) for size, times in medians.items()])
        for road in LIMITS
    ]
    report.pictures["roads.svg"] = chart("Time of a read, a row", "rows", "us a row", curves)
    return report


def _measure(store: mdstore.MarketDataStore, made: Made, rows: int, rounds: int) -> Times:
    series = math.ceil(rows / made.bars)
    wanted = made.names[:series] if series > 1 else made.names[0]
    limit = rows // series
    for road in LIMITS:
        with _forced(road):
            taken = store.explain(wanted, "1m", limit=limit)
        verify((taken.road, taken.rows) == (road, limit * series), f"{rows:,} rows come by {road}")
    turns = {road: _turn(store, road, wanted, limit) for road in LIMITS}
    return interleave(turns, rounds)


def _turn(store: mdstore.MarketDataStore, road: str, wanted: str | list[str], limit: int) -> Turn:
    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        with _forced(road):
            yield lambda: store.arrow(wanted, "1m", limit=limit)

    return turn


def _cold(made: Made, rounds: int) -> Times:
    """Time a store's first read by the scanner, and its second."""

    def turn(before: int) -> Turn:
        @contextmanager
        def opened() -> Iterator[Callable[[], object]]:
            with mdstore.open(made.path) as store, _forced("scanner"):
                for _ in range(before):
                    store.arrow(candles.symbol(0), "1m", limit=1_000)
                yield lambda: store.arrow(candles.symbol(0), "1m", limit=1_000)

        return opened

    return interleave({"cold": turn(0), "warm": turn(2)}, rounds)


def _grid(medians: dict[int, Times]) -> Grid:
    grid = Grid(["rows", "APSW", "scanner", "ratio"])
    for size, times in medians.items():
        ms = [f"{times.median(road) * 1000:.2f} ms" for road in LIMITS]
        grid.rows.append([f"{size:,}", *ms, f"{times.ratio('scanner', 'apsw'):.2f}"])
    return grid


@contextmanager
def _forced(road: str) -> Iterator[None]:
    with patch.multiple(repository, SCAN_ROWS=LIMITS[road], SCAN_ROWS_COLD=LIMITS[road]):
        yield


def _limits(medians: dict[int, Times], start: float) -> str:
    sizes = list(medians)
    ratios = [medians[size].ratio("scanner", "apsw") for size in sizes]
    small, large = sizes[-4], sizes[-1]
    gain = sum(
        sign * (medians[large].median(road) - medians[small].median(road)) / (large - small)
        for road, sign in (("apsw", 1), ("scanner", -1))
    )
    cold = f"{start / gain:,.0f}" if gain > 0 else "no"
    return f"It overtakes APSW at {_crossing(sizes, ratios)} rows when warm, at {cold} rows when cold."


def _crossing(sizes: list[int], ratios: list[float]) -> str:
    """Return the rows where the ratio falls through 1, by a straight line between logarithms."""
    for at in range(1, len(sizes)):
        if ratios[at - 1] > 1 >= ratios[at]:
            share = math.log(ratios[at - 1]) / (math.log(ratios[at - 1]) - math.log(ratios[at]))
            return f"{sizes[at - 1] * (sizes[at] / sizes[at - 1]) ** share:,.0f}"
    return f"fewer than {sizes[0]:,}" if ratios[0] <= 1 else f"more than {sizes[-1]:,}"
