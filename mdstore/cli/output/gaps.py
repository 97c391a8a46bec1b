"""What `mdstore gaps SYMBOL` prints: the holes one by one, what is worth asking for, where bars came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from mdstore.cli.output.gaps_at_a_glance import print_glance
from mdstore.cli.shared.holes import extents_of, holes_of
from mdstore.cli.shared.json_text import json_text, records
from mdstore.cli.shared.maintenance_hint import print_maintenance
from mdstore.cli.shared.table import print_frame
from mdstore.cli.shared.texts import count, is_intraday
from mdstore.cli.shared.weekend_hint import weekend_hint
from mdstore.cli.shared.which_series import timeframe_of

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["print_holes", "print_missing"]

MOST = 50
MOST_SERIES = 500  # whose holes are looked for to compare those of one with; 10 ms
SPARE = ("source", "asked", "end")
SPARE_ORIGINS = ("arrived_last", "arrived_first")


def print_holes(
    store: MarketDataStore,
    out: Console,
    remarks: Console,
    symbols: Sequence[str],
    timeframe: str | None,
    *,
    start: str | None,
    end: str | None,
    rows: int | None,
    every: bool,
    json: bool,
) -> None:
    """Print the holes of series and why they are there, then where the bars came from."""
    if timeframe is None and not json and _several(store, symbols):
        print_glance(store, out, remarks, None, start=start, end=end, rows=rows, json=False, symbols=symbols)
        return
    bar = timeframe_of(store, symbols, timeframe or _without_bars(store, symbols))
    holes = store.gaps(_given(symbols), bar, start=start, end=end)
    is_closed = pl.col("reason") == "session_closed"
    closed, missing = holes.filter(is_closed), holes.filter(~is_closed)
    shown = holes if every else missing
    if json:
        print(json_text(records(shown.head(rows) if rows else shown)))
        return
    if len(shown):
        _print_some(out, remarks, _readable(shown), "hole", rows=rows, bar=bar, spare=SPARE)
    ranged = "" if start is None and end is None else " in this range"
    out.print(_total(missing) if len(missing) else f"no bar is missing{ranged}", highlight=False)
    if len(missing):
        _print_shared(store, out, remarks, bar, (start, end))
    if len(closed):
        listed = "" if every else "; --all lists them"
        out.print(f"market closed: {_bars_in(closed)}{listed}", highlight=False)
    origins = store.provenance(None, bar).filter(pl.col("symbol").cast(pl.String).is_in(list(symbols)))
    if len(origins):
        out.print("\n[bold]Where the bars came from[/]")
        shown = _readable_origins(origins).drop("timeframe", *(["symbol"] if len(symbols) == 1 else []))
        _print_some(out, remarks, shown, "origin", rows=rows, bar=bar, spare=SPARE_ORIGINS)
    if hint := _hint(store, symbols, bar, holes, (start, end)):
        remarks.print(hint, highlight=False, markup=False)


def print_missing(
    store: MarketDataStore,
    out: Console,
    remarks: Console,
    symbols: Sequence[str],
    timeframe: str | None,
    *,
    start: str | None,
    end: str | None,
    page: int | None,
    rows: int | None,
    json: bool,
) -> None:
    """Print what an update would ask a source for."""
    bar = timeframe_of(store, symbols, timeframe)
    ranges = store.missing(_given(symbols), bar, start=start, end=end, page=page)
    if json:
        print(json_text(records(ranges.head(rows) if rows else ranges)))
        return
    if ranges.is_empty():
        out.print("nothing is missing: an update would ask for nothing")
        return
    _print_some(out, remarks, ranges, "range", rows=rows, bar=bar)
    bars, ways = count(int(ranges["bars"].sum()), "bar"), count(len(ranges), "range")
    out.print(f"{bars} to ask for in {ways}", highlight=False)


def _without_bars(store: MarketDataStore, symbols: Sequence[str]) -> str | None:
    """Return the one timeframe of which symbols were asked for, where no bar has come of any."""
    asked = {bar for symbol, bar in store.repository.ledger.without_bars() if symbol in symbols}
    stored = store.series()["symbol"].cast(pl.String).is_in(list(symbols)).any()
    return asked.pop() if len(asked) == 1 and not stored else None


def _print_shared(
    store: MarketDataStore, out: Console, remarks: Console, bar: str, within: tuple[str | None, str | None]
) -> None:
    """Name the holes in a range that all series of the timeframe share, if there are not too many series."""
    series = store.series().filter(pl.col("timeframe") == bar)
    if len(series) <= MOST_SERIES:
        holes = holes_of(store, series, *within)
        print_maintenance(store, out, remarks, series, extents_of(series, *within), holes)


def _several(store: MarketDataStore, symbols: Sequence[str]) -> bool:
    """Tell whether several timeframes of symbols are stored."""
    series = store.series()
    return series.filter(pl.col("symbol").cast(pl.String).is_in(list(symbols)))["timeframe"].n_unique() > 1


def _hint(
    store: MarketDataStore,
    symbols: Sequence[str],
    bar: str,
    holes: pl.DataFrame,
    within: tuple[str | None, str | None],
) -> str | None:
    name = pl.col("symbol").cast(pl.String)
    series = store.series().filter(name.is_in(list(symbols)) & (pl.col("timeframe") == bar))
    if "symbol" not in holes.columns:
        holes = holes.with_columns(pl.lit(symbols[0]).alias("symbol"))
    rows = series.select(name, pl.int_range(pl.len()).alias("row"))
    times = pl.col("start", "end").to_physical()
    placed = holes.select(name, times, "reason").join(rows, on="symbol")
    return weekend_hint(store, series, extents_of(series, *within), placed)


def _given(symbols: Sequence[str]) -> str | list[str]:
    return symbols[0] if len(symbols) == 1 else list(symbols)


def _total(holes: pl.DataFrame) -> str:
    """Say how many bars are missing, and why.

    >>> _total(pl.DataFrame({"bars": [1, 1, 60], "reason": ["unknown", "unknown", "exchange_down"]}))
    '62 bars missing in 3 holes: exchange_down 60, unknown 2'
    """
    sums = holes.group_by("reason").agg(pl.col("bars").sum()).sort("bars", "reason", descending=[True, False])
    reasons = ", ".join(f"{reason} {bars:,}" for reason, bars in sums.iter_rows())
    bars, _, where = _bars_in(holes).partition(" in ")
    return f"{bars} missing in {where}: {reasons}"


def _bars_in(holes: pl.DataFrame) -> str:
    return f"{count(int(holes['bars'].sum()), 'bar')} in {count(len(holes), 'hole')}"


def _readable(holes: pl.DataFrame) -> pl.DataFrame:
    """Write when a source was asked for each hole, and 'never' where a hole is unknown and nobody asked."""
    unasked = pl.when(pl.col("reason") == "unknown").then(pl.lit("never")).otherwise(pl.lit(""))
    return holes.with_columns(pl.col("asked").dt.to_string("%Y-%m-%d %H:%M:%S").fill_null(unasked))


def _readable_origins(origins: pl.DataFrame) -> pl.DataFrame:
    """Write when bars arrived and from where, with words in place of what was not recorded."""
    arrived = pl.col("arrived_first", "arrived_last").dt.to_string("%Y-%m-%d %H:%M:%S")
    return origins.with_columns(pl.col("source").fill_null("not said"), arrived.fill_null("not noted"))


def _print_some(
    out: Console,
    remarks: Console,
    frame: pl.DataFrame,
    noun: str,
    *,
    rows: int | None,
    bar: str,
    spare: Sequence[str] = (),
) -> None:
    rows = rows or MOST
    print_frame(out, frame.head(rows), spare=spare, intraday=is_intraday(bar))
    if len(frame) > rows:
        remarks.print(
            f"the first {rows:,} of {count(len(frame), noun)}; --rows shows more, --json all", highlight=False
        )
