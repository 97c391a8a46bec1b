"""Reads of one series out of larger and larger files: they must not take longer for what else there is.

The files take turns within every round. Without the memory tier each read goes to the catalogue, the cells
and the map; with it, to a dictionary. The file of 100,000,000 rows is only made and measured with `--huge`:
13 GB and some minutes, once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import polars as pl

import mdstore
from bench import candles
from bench.chart import Curve, chart
from bench.make import Made, make
from bench.measure import Grid, Report, Times, interleave, ready, verify
from bench.scale import Scale
from bench.versus import steady, touch

__all__ = ["run"]

ROUNDS = 15
LATEST = 1_000
LIMITS: dict[str, int | None] = {"whole series": None, f"latest {LATEST:,}": LATEST}
TIERS: dict[str, dict[str, int]] = {"": {}, ", no memory tier": {"memory_bytes": 0}}
WAYS = [(what, tier) for what in LIMITS for tier in TIERS]


def run(scale: Scale) -> Report:
    """Measure the same reads on files of a hundredth to (with `--huge`) ten times the large file."""
    report = Report("flat", f"One series of {scale.bars:,} rows, by the rows in the file")
    files = [make(symbols, scale.bars, scale.say) for symbols in _symbols(scale)]
    with ExitStack() as stack:
        stores = {
            (made.rows, tier): stack.enter_context(mdstore.open(made.path, **options))
            for made in files
            for tier, options in TIERS.items()
        }
        for made in files:
            scale.say(f"warming {made.rows:,} rows")
            stores[made.rows, ""].maintenance.warm()
        times = _measure(files, stores, scale)
    report.grid = _grid(files, times)
    curves = [
        Curve("".join(way), [(float(made.rows), times.median(_key(made, way)) * 1000) for made in files])
        for way in WAYS
    ]
    report.pictures["flat.svg"] = chart("Time of a read", "rows in the file", "ms", curves)
    return report


def _symbols(scale: Scale) -> list[int]:
    full = scale.symbols
    return sorted({2, max(full // 10, 2), full, *([full * 10] if scale.huge else [])})


def _measure(
    files: list[Made], stores: dict[tuple[int, str], mdstore.MarketDataStore], scale: Scale
) -> Times:
    expected = candles.frame(scale.bars, seed=1).rows()
    turns = {}
    for made in files:
        for what, tier in WAYS:
            read = _reading(stores[made.rows, tier], made.names[1], LIMITS[what])
            answer = candles.columns_of(read())
            verify(answer == expected[-len(answer) :], f"{what} of {made.rows:,} rows is right")
            turns[_key(made, (what, tier))] = ready(steady(_touching(read)))
    return interleave(turns, scale.rounds(ROUNDS))


def _reading(store: mdstore.MarketDataStore, name: str, limit: int | None) -> Callable[[], pl.DataFrame]:
    return lambda: store.candles(name, "1m", limit=limit)


def _touching(read: Callable[[], pl.DataFrame]) -> Callable[[], pl.DataFrame]:
    return lambda: touch(read())


def _grid(files: list[Made], times: Times) -> Grid:
    heads = [part for way in WAYS for part in (f"{''.join(way)}, ms", "ratio")]
    grid = Grid(["rows in the file", *heads])
    for made in files:
        cells = [f"{made.rows:,}"]
        for way in WAYS:
            key = _key(made, way)
            growth = times.ratio(key, _key(files[0], way))
            cells += [f"{times.median(key) * 1000:.3f}", f"{growth:.2f}"]
        grid.rows.append(cells)
    return grid


def _key(made: Made, way: tuple[str, str]) -> str:
    return f"{''.join(way)}: {made.rows}"
