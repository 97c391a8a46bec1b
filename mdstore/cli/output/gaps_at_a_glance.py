"""What `mdstore gaps` prints of all series: how complete each is, drawn over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from mdstore.cli.shared.holes import KEY, extents_of, holes_of
from mdstore.cli.shared.json_text import json_text, records
from mdstore.cli.shared.maintenance_hint import print_maintenance
from mdstore.cli.shared.table import Column, print_grid, room, room_beside
from mdstore.cli.shared.texts import count, is_intraday, moment
from mdstore.cli.shared.timeline import Axis, legend, paint, strips
from mdstore.cli.shared.weekend_hint import weekend_hint
from mdstore.cli.shared.which_series import refuse_unknown
from mdstore.core.calendars import Grid
from mdstore.core.hole_reasons import NOT_EXPECTED, REASONS, worth_asking
from mdstore.core.timeframe import Timeframe

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["print_glance"]

LEAST, IN_A_PIPE = 20, 60
# Columns that are left out where a terminal is narrow, the first first: numbers say more than the drawing.
DRAWING = "the drawing over time"
SPARE = ("first", "last", DRAWING, "bars", "complete", "timeframe", "missing")
MOST_WITHOUT_BARS = 20
TO_THE_RIGHT = ("bars", "complete", "missing")


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
    symbols: Sequence[str] = (),
) -> None:
    """Print what every series has and lacks, as a table with a strip over time, or as JSON.

    With `symbols`, which must be stored, only the series of these symbols are shown.
    """
    bare = _without_bars(store, timeframe, symbols, start, end)
    series = store.series()
    if timeframe is not None and len(bare):
        series = series.filter(pl.col("timeframe") == str(Timeframe.parse(timeframe)))
    elif timeframe is not None:
        series = refuse_unknown(store, None, timeframe)
    if symbols:
        for symbol in symbols:
            refuse_unknown(store, symbol, None)
        series = series.filter(pl.col("symbol").cast(pl.String).is_in(list(symbols)))
    extents, holes = extents_of(series, start, end), holes_of(store, series, start, end)
    bars = series["rows"] if start is None and end is None else _tiled(series, extents, holes)
    listed = _counted(series.with_columns(bars.alias("bars")), holes)
    if json:
        both = pl.concat([listed, bare])
        print(json_text(records(both.head(rows) if rows else both)))
        return
    _print_without_bars(out, remarks, bare, rows)
    if listed.is_empty() and len(bare):
        return
    if listed.is_empty():
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
        if symbols:
            one = f"mdstore gaps {symbols[0]} {listed.filter(pl.col('symbol') == symbols[0])['timeframe'][0]}"
            remarks.print(f"{one} lists the holes of one timeframe", highlight=False, markup=False)
        if not symbols:
            print_maintenance(store, out, remarks, series, extents, holes)
        if hint := weekend_hint(store, series, extents, holes):
            remarks.print(hint, highlight=False, markup=False)


def _without_bars(
    store: MarketDataStore, timeframe: str | None, symbols: Sequence[str], start: str | None, end: str | None
) -> pl.DataFrame:
    """Return the series that were asked for, and of which no bar came, as `_counted` returns others."""
    bar = None if timeframe is None else str(Timeframe.parse(timeframe))
    keys = [key for key in store.repository.ledger.without_bars(bar) if not symbols or key[0] in symbols]
    series = store.series().clear()
    found = pl.DataFrame(
        [(*key, None, None, 0) for key in keys],
        series.select(*KEY, "first", "last", "rows").schema,
        orient="row",
    )
    found = found.with_columns(pl.col("rows").alias("bars"))
    return _counted(found, holes_of(store, found, start, end))


def _print_without_bars(out: Console, remarks: Console, bare: pl.DataFrame, rows: int | None) -> None:
    """Print a line for each series of which no bar has come: how many it was asked for, and why."""
    most = MOST_WITHOUT_BARS if rows is None else rows
    for row in bare.head(most).iter_rows(named=True):
        why = ", ".join(f"{name} {row[name]:,}" for name in REASONS if row[name])
        text = (
            f"{row['symbol']} {row['timeframe']}: no bar has come; {why or 'none was wanted in this range'}"
        )
        out.print(text, highlight=False, markup=False)
    if len(bare) > most:
        remarks.print(f"and {len(bare) - most:,} more series of which no bar has come", highlight=False)


def _print(out: Console, listed: pl.DataFrame, extents: pl.DataFrame, holes: pl.DataFrame) -> None:
    columns, width = _columns(listed), room(out)
    cells = IN_A_PIPE if width is None else room_beside(columns, width, LEAST, SPARE.index(DRAWING))
    if not cells:
        print_grid(out, columns, width, [DRAWING])
        return
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
            right=name in TO_THE_RIGHT,
            cut="end" if name == "symbol" else None,
            spare=SPARE.index(name) if name in SPARE else None,
        )
        for name, texts in cells.items()
    ]


def _times(listed: pl.DataFrame, end: str) -> list[str]:
    pairs = listed.select(end, "timeframe").iter_rows()
    return [moment(at, intraday=is_intraday(bar)) for at, bar in pairs]


def _percent(share: float | None) -> str:
    """Write a share as a percentage, rounded down: only what is complete is 100 %.

    >>> _percent(1.0), _percent(0.999996), _percent(0.5)
    ('100 %', '99.99 %', '50.00 %')
    """
    if share is None or math.isnan(share):
        return ""
    return "100 %" if share == 1 else f"{math.floor(share * 10_000) / 100:.2f} %"


# ---- what is counted


def _tiled(series: pl.DataFrame, extents: pl.DataFrame, holes: pl.DataFrame) -> pl.Series:
    """Count the bars in a range without reading any: they are what the range has room for, less the holes."""
    fit = pl.Series([0] * len(series))
    for name in filter(Timeframe.is_name, series["timeframe"].unique()):
        count_of = Grid(Timeframe.parse(name)).count(extents["start"], extents["end"])
        fit = fit.zip_with(series["timeframe"] != name, count_of)
    absent = holes.group_by("row").agg(pl.col("bars").sum())
    rows = pl.DataFrame({"row": pl.int_range(len(series), eager=True), "fit": fit})
    both = rows.join(absent, on="row", how="left", maintain_order="left")
    return both["fit"] - both["bars"].fill_null(0)


def _counted(series: pl.DataFrame, holes: pl.DataFrame) -> pl.DataFrame:
    """Return what `MarketDataStore.coverage` returns, counted within the range of the holes."""
    counts = holes.group_by("row").agg(
        pl.col("bars").filter(worth_asking()).sum().alias("missing"),
        *(pl.col("bars").filter(pl.col("reason") == name).sum().alias(name) for name in REASONS),
    )
    rows = series.select(*KEY, "first", "last", "bars", pl.int_range(pl.len()).alias("row"))
    names = ("missing", *REASONS)
    both = rows.join(counts, on="row", how="left", maintain_order="left").with_columns(
        pl.col(names).fill_null(0)
    )
    absent = pl.sum_horizontal(name for name in REASONS if name not in NOT_EXPECTED)
    is_ours = pl.Series([Timeframe.is_name(name) for name in series["timeframe"]], dtype=pl.Boolean)
    share = pl.when(is_ours).then(pl.col("bars") / (pl.col("bars") + absent)).fill_nan(None)
    return both.select(*KEY, "first", "last", "bars", share.alias("complete"), *names)
