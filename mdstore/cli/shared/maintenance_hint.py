"""Holes that all series share are named as what they mostly are: a maintenance of the exchange."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from mdstore.analysis.shared_holes import shared_holes
from mdstore.cli.shared.holes import extents_of, holes_of
from mdstore.cli.shared.texts import count, is_intraday, moment
from mdstore.cli.shared.weekend_hint import resting
from mdstore.core.timeframe import Timeframe

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["print_maintenance"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST = 3
"""Holes that are named; the longest."""


def print_maintenance(  # noqa: PLR0917 - where to, and what of
    store: MarketDataStore,
    out: Console,
    remarks: Console,
    series: pl.DataFrame,
    extents: pl.DataFrame,
    holes: pl.DataFrame,
) -> None:
    """Print the longest holes that all series of a timeframe share, and how to say what they are.

    `series` are those that are looked at, `extents` theirs, and the `row` of `holes` is a row of both.
    Series that rest at weekends are left out: what they share is a holiday, which a calendar explains.
    """
    for name in filter(Timeframe.is_name, series["timeframe"].unique(maintain_order=True)):
        rows = (series["timeframe"] == name).arg_true()
        if not len(_shared(rows, extents, holes)):
            continue
        listed = series[rows]
        rest = resting(extents_of(listed, None, None), holes_of(store, listed, None, None))
        rows = rows.filter(~pl.int_range(len(rows), eager=True).is_in(rest))
        _print(out, remarks, name, _shared(rows, extents, holes))


def _shared(rows: pl.Series, extents: pl.DataFrame, holes: pl.DataFrame) -> pl.DataFrame:
    of_these = holes.filter(pl.col("row").is_in(rows.cast(holes["row"].dtype).implode()))
    return shared_holes(of_these, extents[rows])


def _print(out: Console, remarks: Console, name: str, shared: pl.DataFrame) -> None:
    bar = Timeframe.parse(name)
    found = sorted(
        ((bar.span(start, end), start, end, there) for start, end, there in shared.iter_rows()), reverse=True
    )
    for bars, start, end, there in found[:MOST]:
        since, until = (
            moment(EPOCH + timedelta(milliseconds=at), intraday=is_intraday(name)) for at in (start, end)
        )
        out.print(
            f"all {there:,} series of {name} lack {since} to {until} ({count(bars, 'bar')}): "
            "a maintenance of the exchange, it seems", highlight=False, markup=False,
        )  # fmt: skip
        remarks.print(
            f"mdstore cover --all -t {name} --start {since.replace(' ', 'T')} "
            f"--end {until.replace(' ', 'T')} --reason exchange_down says so", highlight=False, markup=False,
        )  # fmt: skip
    if len(found) > MOST:
        more = count(len(found) - MOST, "shorter hole")
        out.print(f"all series of {name} share {more}, too", highlight=False)
