"""What `mdstore screen` prints: the symbols for which conditions hold, and what could not be told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from mdstore.cli.shared.json_text import json_text, records
from mdstore.cli.shared.progress import WorkProgress
from mdstore.cli.shared.table import print_frame
from mdstore.cli.shared.texts import count, is_intraday, moment
from mdstore.cli.shared.which_series import target_of
from mdstore.core.timeframe import Timeframe

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["print_screen"]


def print_screen(
    store: MarketDataStore,
    out: Console,
    remarks: Console,
    conditions: Sequence[str],
    timeframe: str | None,
    *,
    symbols: Sequence[str] | None,
    bars: int | None,
    start: str | None,
    end: str | None,
    source: str | None,
    tz: str | None,
    as_of: str | None = None,
    every: bool,
    json: bool,
) -> None:
    """Print the symbols for which all conditions hold. What is no condition is printed as a column."""
    bar = target_of(store, symbols or (), timeframe, source)
    with WorkProgress(remarks, "screening", "symbols") as progress:
        screened = store.screen(
            bar, list(conditions), symbols=symbols or None, bars=bars, start=start, end=end,
            derive_from=source, tz=tz, as_of=as_of, progress=progress,
        )  # fmt: skip
    rows = screened.rows
    tests = [name for name, dtype in rows.schema.items() if dtype == pl.Boolean]
    if tests and not every:
        rows = rows.filter(pl.all_horizontal(tests).fill_null(value=False)).drop(tests)
    if json:
        print(json_text(records(rows)))
    else:
        print_frame(out, rows, spare=rows.columns[:0:-1])
    for note in (*_too_few(screened.rows, tests), *_older(store, screened.rows, source or bar, end)):
        remarks.print(note, highlight=False, markup=False)
    for symbol, error in screened.failed.rows():
        remarks.print(f"{symbol}: {error}", highlight=False, markup=False)
    remarks.print(f"{count(len(rows), 'symbol')} of {len(screened.rows):,}", highlight=False)


def _too_few(rows: pl.DataFrame, tests: Sequence[str]) -> Iterator[str]:
    """Say for how many symbols a condition is unknown, since its window is longer than their history."""
    for name in tests:
        if unknown := rows[name].null_count():
            yield f"{name}: cannot be told for {count(unknown, 'symbol')}, for want of bars"


def _older(store: MarketDataStore, rows: pl.DataFrame, bar: str, end: str | None) -> Iterator[str]:
    """Say how many symbols end earlier than the others, and which of them ends first."""
    series = store.series().filter(timeframe=str(Timeframe.parse(bar)))
    shown = series.filter(pl.col("symbol").cast(pl.String).is_in(rows["symbol"].cast(pl.String).implode()))
    newest = shown.select(pl.col("last").max())["last"].to_list()[0]
    old = shown.filter(pl.col("last") < newest).sort("last")
    if end is None and len(old):
        first, last = (moment(value, intraday=is_intraday(bar)) for value in (old["last"][0], newest))
        symbols = "1 symbol ends" if len(old) == 1 else f"{len(old):,} symbols end"
        yield f"{symbols} earlier than the others: {old['symbol'][0]} {first}, not {last}"
