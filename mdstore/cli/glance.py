"""All series at a glance: how complete each is, and a picture over time of where it is not."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from mdstore.calendars import Grid
from mdstore.candles.coverage import REASONS
from mdstore.cli.grid import Column, print_grid, room_beside
from mdstore.cli.strips import Axis, legend, paint, strips
from mdstore.cli.tables import count, is_intraday, json_text, moment, records, room
from mdstore.timeframe import Timeframe
from mdstore.timestamps import to_ms

if TYPE_CHECKING:
    from mdstore.store import MarketDataStore

__all__ = ["print_glance"]

LEAST, IN_A_PIPE = 20, 60
SPARE = ("first", "last", "bars", "complete", "timeframe", "missing")
KEY = ("symbol", "timeframe")
# These are no bars that there could be.
NEVER = ("session_closed", "before_listing", "after_delisting")


def print_glance(
    store: MarketDataStore,
    out: Console,
    remarks: Console,
    timeframe: str | None,
    *,
    start: str | None,
    end: str | None,
    rows: int | None,
    json: bool,
) -> None:
    """Print what every series has and lacks, as a table with a strip over time, or as JSON."""
    listed = store.coverage()
    if timeframe is not None:
        bar = str(Timeframe.parse(timeframe))
        store.gaps(None, bar)  # which says what there is where there is nothing of it
        listed = listed.filter(pl.col("timeframe") == bar)
    extents, holes = _extents(listed, start, end), _holes(store, listed, start, end)
    if start is not None or end is not None:
        listed = _within(listed, extents, holes)
    if json:
        print(json_text(records(listed)))
    elif listed.is_empty():
        nothing = f"nothing is stored in {store.path.name}. Hint: mdstore import FILES"
        remarks.print(nothing, highlight=False, markup=False)
    elif (extents["start"] == extents["end"]).all():
        remarks.print("in this range there can be no bars, or none yet")
    else:
        most = len(listed) if rows is None else rows
        _print(out, listed.head(most), extents.head(most), holes)
        shown = f"; --rows shows more than {most:,}" if most < len(listed) else ""
        worth = count(int(listed["missing"].sum()), "bar")
        remarks.print(f"{len(listed):,} series, {worth} worth asking for{shown}", highlight=False)


def _print(out: Console, listed: pl.DataFrame, extents: pl.DataFrame, holes: pl.DataFrame) -> None:
    columns, width = _columns(listed), room(out)
    cells = IN_A_PIPE if width is None else room_beside(columns, width, LEAST)
    shown = extents.filter(pl.col("start") < pl.col("end"))
    first, last = shown.select(pl.col("start").min(), pl.col("end").max()).row(0)
    axis = Axis(first, last, cells)
    lines = strips(extents, holes.filter(pl.col("row") < len(extents)), axis)
    print_grid(out, [*columns, Column(axis.labels(), lines, paint=paint)], width)
    for line in legend(lines, axis, width):
        out.print(line, soft_wrap=True, highlight=False)


def _columns(listed: pl.DataFrame) -> list[Column]:
    cells = {
        "symbol": listed["symbol"].cast(pl.String).to_list(),
        "timeframe": listed["timeframe"].to_list(),
        **{end: _times(listed, end) for end in ("first", "last")},
        "bars": [f"{bars:,}" for bars in listed["bars"]],
        "complete": [_percent(share) for share in listed["complete"]],
        "missing": [f"{bars:,}" for bars in listed["missing"]],
    }
    return [
        Column(
            name,
            texts,
            right=name in SPARE[2:4] or name == "missing",
            cut="end" if name == "symbol" else None,
            spare=SPARE.index(name) if name in SPARE else None,
        )
        for name, texts in cells.items()
    ]


def _times(listed: pl.DataFrame, end: str) -> list[str]:
    pairs = listed.select(end, "timeframe").iter_rows()
    return [moment(at, intraday=is_intraday(bar)) for at, bar in pairs]


def _percent(share: float | None) -> str:
    """Write a share, rounded down: 100 % is whole.

    >>> _percent(1.0), _percent(0.999996), _percent(0.5)
    ('100 %', '99.99 %', '50.00 %')
    """
    if share is None or math.isnan(share):
        return ""
    return "100 %" if share == 1 else f"{math.floor(share * 10_000) / 100:.2f} %"


# ---- what is drawn


def _holes(store: MarketDataStore, listed: pl.DataFrame, start: str | None, end: str | None) -> pl.DataFrame:
    """Return the holes of all series with `row`, whose they are; times in ms."""
    names = listed["timeframe"].unique(maintain_order=True)
    found = [
        store.gaps(None, name, start=start, end=end).with_columns(pl.lit(name).alias("timeframe"))
        for name in names
        if Timeframe.is_name(name)
    ]
    rows = listed.select(*KEY, pl.int_range(pl.len()).alias("row"))
    if not found:
        return rows.clear().with_columns(
            pl.lit(0).alias("start"), pl.lit(0).alias("end"), pl.lit("").alias("reason")
        )
    return pl.concat(found).join(rows, on=KEY).with_columns(pl.col("start", "end").to_physical())


def _extents(listed: pl.DataFrame, start: str | None, end: str | None) -> pl.DataFrame:
    """Return from when to when there could be bars of each series: as asked, else from the first to the last.

    Times in ms, as `MarketDataStore.gaps` understands a range; nothing where a timeframe is not ours.
    """
    now = int(time.time() * 1000)
    spans = []
    for name, first, last in listed.select("timeframe", pl.col("first", "last").to_physical()).iter_rows():
        if not Timeframe.is_name(name):
            spans.append((first, first))
            continue
        bar = Timeframe.parse(name)
        low = first if start is None else bar.next(to_ms(start, "start") - 1)
        high = bar.next(last) if end is None else min(bar.next(to_ms(end, "end") - 1), bar.next(now))
        spans.append((low, max(low, high)))
    return pl.DataFrame(spans, {"start": pl.Int64, "end": pl.Int64}, orient="row")


def _within(listed: pl.DataFrame, extents: pl.DataFrame, holes: pl.DataFrame) -> pl.DataFrame:
    """Count anew, in a range: with its holes, the bars of a series tile it."""
    worth = ((pl.col("reason") == "unknown") & pl.col("asked").is_null()) | (
        pl.col("reason") == "fetch_failed"
    )
    counts = holes.group_by("row").agg(
        *(pl.col("bars").filter(pl.col("reason") == name).sum().alias(name) for name in REASONS),
        pl.col("bars").filter(worth).sum().alias("missing"),
        pl.col("bars").sum().alias("absent"),
    )
    there = [
        Grid(Timeframe.parse(name)).count(pl.Series([low]), pl.Series([high]))[0]
        if Timeframe.is_name(name)
        else 0
        for name, (low, high) in zip(listed["timeframe"], extents.iter_rows(), strict=True)
    ]
    rows = listed.select(*KEY, "first", "last", pl.int_range(pl.len()).alias("row"), pl.Series("all", there))
    both = rows.join(counts, on="row", how="left", maintain_order="left").fill_null(0)
    bars = pl.col("all") - pl.col("absent")
    could = pl.col("all") - pl.sum_horizontal(NEVER)
    return both.with_columns(bars.alias("bars"), (bars / could).alias("complete")).select(listed.columns)
