"""Where the scanner process overtakes APSW, and what its start costs: the choice of SCAN_ROWS in mdstore.

Sealing reads loose stretches of series from the table by either. APSW makes a Python object of every value;
the scanner makes columns, but has to be asked, to carry them across and, the first time, to be started. Both
end as Arrow columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import mdstore
from bench import candles, table
from bench.chart import Curve, chart
from bench.make import Made
from bench.measure import Grid, Report, Times, Turn, interleave, ready, verify
from bench.scale import Scale

__all__ = ["run"]

SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000)
ROADS = {"apsw": table.by_apsw, "scanner": table.by_scanner}


def run(scale: Scale) -> Report:
    """Measure both roads from 1,000 to 200,000 rows, and a cold start; recommend the two limits."""
    report = Report("roads", "APSW against the scanner process, by rows to be sealed")
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
        for road in ROADS
    ]
    report.pictures["roads.svg"] = chart("Time of a read, a row", "rows", "us a row", curves)
    return report


def _measure(store: mdstore.MarketDataStore, made: Made, rows: int, rounds: int) -> Times:
    series = math.ceil(rows / made.bars)
    pieces = table.stretches(made.names[:series], rows // series, made.end)
    verify(table.same(store, pieces), f"both roads give the same {rows:,} rows")
    turns = {road: ready(lambda read=read: read(store, pieces)) for road, read in ROADS.items()}
    return interleave(turns, rounds)


def _cold(made: Made, rounds: int) -> Times:
    """Time what a store's scanner is asked first, and later."""
    pieces = table.stretches([candles.symbol(0)], 1_000, made.end)

    def turn(before: int) -> Turn:
        @contextmanager
        def opened() -> Iterator[Callable[[], object]]:
            with mdstore.open(made.path) as store:
                for _ in range(before):
                    table.by_scanner(store, pieces)
                yield lambda: table.by_scanner(store, pieces)

        return opened

    return interleave({"cold": turn(0), "warm": turn(2)}, rounds)


def _grid(medians: dict[int, Times]) -> Grid:
    grid = Grid(["rows", "APSW", "scanner", "ratio"])
    for size, times in medians.items():
        ms = [f"{times.median(road) * 1000:.2f} ms" for road in ROADS]
        grid.rows.append([f"{size:,}", *ms, f"{times.ratio('scanner', 'apsw'):.2f}"])
    return grid


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
