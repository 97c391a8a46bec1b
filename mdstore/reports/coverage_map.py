"""Where the bars of the largest series are and where they lack, as pictures: a line a series, over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import polars as pl

from mdstore.core.hole_reasons import DRAWN
from mdstore.core.timeframe import Timeframe
from mdstore.reports.svg import mosaic

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["LEGEND", "coverage_pictures"]

MOST_SERIES: Final = 40
CELLS: Final = 60
SIZE: Final = (12.0, 18.0)
LEFT: Final = 190
LETTERS: Final = 26
HALF: Final = 0.5
LEAST: Final = 0.5
"""Bars: what is less comes of cutting a hole at the edge of a cell."""
LEGEND: Final = (
    ("full", "bars"),
    ("some", "some missing, and nobody knows why"),
    ("most", "most missing, and nobody knows why"),
    ("failed", "a fetch failed"),
    ("known", "missing, and known why"),
    ("closed", "market closed"),
)


def coverage_pictures(store: MarketDataStore) -> tuple[dict[str, str], int]:
    """Return a picture of each timeframe, and how many series are left out: those with fewest bars.

    Each timeframe has its own axis: a week of minutes would be a dot beside ten years of days.
    """
    series = store.series().sort("rows", descending=True)
    named = series.filter(pl.col("timeframe").map_elements(Timeframe.is_name, pl.Boolean))
    shown = named.head(MOST_SERIES).sort(pl.col("symbol").cast(pl.String))
    by_name = shown.partition_by("timeframe", as_dict=True)
    names = sorted((str(name) for (name,) in by_name), key=lambda name: Timeframe.parse(name).next(0))
    return {name: _picture(store, name, by_name[name,]) for name in names}, len(series) - len(shown)


def _picture(store: MarketDataStore, name: str, series: pl.DataFrame) -> str:
    first, last = _ms(series["first"].min()), Timeframe.parse(name).next(_ms(series["last"].max()))
    edges = [first + (last - first) * place / CELLS for place in range(CELLS + 1)]
    drawn = [(_short(row["symbol"]), _cells(store, row, edges)) for row in series.iter_rows(named=True)]
    since, until = (f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}" for at in (first, last))
    return mosaic(drawn, SIZE, LEFT, (since, until))


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _cells(
    store: MarketDataStore, row: Mapping[str, object], edges: Sequence[float]
) -> list[tuple[str, str]]:
    symbol, name = str(row["symbol"]), str(row["timeframe"])
    gaps = store.gaps(symbol, name)
    start, end = _ms(row["first"]), Timeframe.parse(name).next(_ms(row["last"]))
    bars = int(str(row["rows"])) + int(gaps["bars"].sum())
    absent = _absent(gaps, edges)
    cells = []
    for place in range(CELLS):
        low, high = max(edges[place], start), min(edges[place + 1], end)
        here = bars * (high - low) / (end - start) if high > low else 0.0
        lacking = {drawn: found[place + 1] - found[place] for drawn, found in absent.items()}
        kind, what = _kind(here, lacking)
        since, until = (datetime.fromtimestamp(at / 1000, UTC) for at in (low, high))
        when = f", {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}" if kind not in {"", "full"} else ""
        cells.append((kind, f"{symbol} {name}{when}: {what}" if kind else ""))
    return cells


def _absent(gaps: pl.DataFrame, edges: Sequence[float]) -> dict[str, list[float]]:
    """Return how many bars lack before each edge, by how they are drawn; a hole lacks them evenly."""
    start, end = (pl.col(name).to_physical().cast(pl.Float64) for name in ("start", "end"))
    before = [
        (pl.col("bars") * ((edge - start) / (end - start)).clip(0, 1)).sum().alias(str(place))
        for place, edge in enumerate(edges)
    ]
    drawn = gaps.with_columns(pl.col("reason").replace_strict(DRAWN, return_dtype=pl.String).alias("drawn"))
    return {str(name): list(found) for name, *found in drawn.group_by("drawn").agg(before).iter_rows()}


def _kind(bars: float, lacking: Mapping[str, float]) -> tuple[str, str]:
    """Return the class of a cell of so many bars, and what lacks, in words."""
    if bars <= 0:
        return "", ""
    shares = {drawn: count / bars for drawn, count in lacking.items() if count >= LEAST}
    told = ", ".join(f"{lacking[drawn]:,.0f} of {bars:,.0f} {drawn}" for drawn in shares) or "complete"
    if "failed" in shares:
        return "failed", told
    if "unknown" in shares:
        return ("most" if shares["unknown"] >= HALF else "some"), told
    return next((drawn for drawn in ("closed", "known") if shares.get(drawn, 0) >= HALF), "full"), told


def _ms(moment: object) -> int:
    assert isinstance(moment, datetime)  # noqa: S101 - a column of times; for mypy
    return round(moment.timestamp() * 1000)
