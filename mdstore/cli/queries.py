"""What the reading commands do with a store."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from mdstore.candles.file.paths import refuse_target
from mdstore.cli.progress import WorkProgress
from mdstore.cli.tables import (
    count,
    is_intraday,
    json_text,
    moment,
    print_frame,
    records,
    room,
    size_text,
)
from mdstore.core.timeframe import Timeframe
from mdstore.errors import FileFormatError, InvalidInputError, NoSuchSeriesError, TimeframeError
from mdstore.reports.text_chart import chart, columns_for
from mdstore.sources.files import write

if TYPE_CHECKING:
    from mdstore.analysis.fill import Fill
    from mdstore.store.store import MarketDataStore

__all__ = [
    "SPARE", "export_candles", "print_bars", "print_screen", "print_series", "print_stats", "refuse_unknown",
    "timeframe_of", "what_goes", "with_timeframe",
]  # fmt: skip

WIDTH_IN_A_PIPE = 110
# What goes first where a bar is wider than the terminal.
SPARE = ("volume", "open", "high", "low")


def timeframe_of(store: MarketDataStore, symbols: Sequence[str], timeframe: str | None) -> str:
    """Return the timeframe that is meant: the given one, or the only one stored of the symbols, or of all."""
    if timeframe is not None:
        return str(Timeframe.parse(timeframe))
    series = store.series()
    there = series.filter(pl.col("symbol").is_in(list(symbols))) if symbols else series
    stored = there["timeframe"].unique(maintain_order=True).to_list()
    if not stored:
        raise NoSuchSeriesError(_nothing(store, symbols, series["symbol"].unique().to_list()))
    if len(stored) > 1:
        of = f" of {', '.join(symbols)}" if symbols else ""
        raise InvalidInputError(f"several timeframes{of} are stored: {', '.join(stored)}. Hint: say which")
    return str(stored[0])


def with_timeframe(
    store: MarketDataStore, symbols: Sequence[str] | None, timeframe: str | None
) -> tuple[list[str], str | None]:
    """Return symbols and timeframe, which may be the last of the symbols, unless it is stored as one."""
    given = list(symbols or ())
    if not given or timeframe is not None or not _is_timeframe(given[-1]):
        return given, timeframe
    if given[-1] in store.series()["symbol"].cast(pl.String):
        return given, None
    return given[:-1], given[-1]


def _is_timeframe(text: str) -> bool:
    try:
        Timeframe.parse(text)
    except TimeframeError:
        return False
    return True


def print_bars(
    store: MarketDataStore,
    out: Console,
    symbol: str,
    timeframe: str | None,
    *,
    rows: int,
    start: str | None,
    end: str | None,
    source: str | None,
    tz: str | None,
    as_of: str | None = None,
    fill: Fill | None = None,
    height: int | None,
    json: bool,
) -> None:
    """Print the latest bars as a table or as JSON; with a height, a chart above the table."""
    bar = _derived(timeframe, source) if source else timeframe_of(store, [symbol], timeframe)
    width = room(out) or WIDTH_IN_A_PIPE
    charted = height is not None and not json
    limit = None if charted and start is not None else max(rows, columns_for(width) if charted else 0)
    frame = store.candles(
        symbol, bar, start=start, end=end, limit=limit, derive_from=source, tz=tz, as_of=as_of, fill=fill
    )
    if json:
        print(json_text(records(frame.tail(rows))))
        return
    if charted and height is not None and not frame.is_empty():
        shown = frame if start is not None else frame.tail(columns_for(width))
        drawn = shown.drop_nulls("close")  # which bars that are filled with null have not
        out.print(chart(drawn, title=f"{symbol} {bar}", width=width, height=height), soft_wrap=True)
        out.print()
    if frame.is_empty():
        known = "" if as_of is None else f" were known as of {as_of}"
        out.print(
            f"no bars of {symbol} {bar} in this range{known}; {_stored_range(store, symbol, source or bar)}",
            soft_wrap=True,
        )
        return
    shown = frame.tail(rows)
    if "closed" in shown.columns and shown["closed"].all():
        shown = shown.drop("closed")
    if "filled" in shown.columns:
        shown = _marked(shown)
    print_frame(out, shown, spare=SPARE, intraday=is_intraday(bar) or tz is not None)


def _marked(bars: pl.DataFrame) -> pl.DataFrame:
    """Mark the bars that were filled in, if there are any."""
    if not bars["filled"].any():
        return bars.drop("filled")
    return bars.with_columns(pl.when("filled").then(pl.lit("filled")).otherwise(pl.lit("")).alias("filled"))


def print_series(store: MarketDataStore, out: Console, remarks: Console, *, json: bool) -> None:
    """Print the catalogue as a table or as JSON."""
    series = store.series()
    if json:
        print(json_text(records(series)))
        return
    texts = {"size": [size_text(size) for size in series["bytes"]]}
    for end in ("first", "last"):
        pairs = zip(series[end], series["timeframe"], strict=True)
        texts[end] = [moment(time, intraday=is_intraday(bar)) for time, bar in pairs]
    shown = series.with_columns(pl.Series(name, cells, pl.String) for name, cells in texts.items())
    print_frame(out, shown.drop("bytes", "revision"), spare=("size", "first", "last"))
    remarks.print(f"{count(int(series['rows'].sum()), 'row')} in {store.path.name}", highlight=False)


def export_candles(
    store: MarketDataStore,
    target: Path,
    symbols: Sequence[str] | None,
    timeframe: str | None,
    *,
    start: str | None,
    end: str | None,
    source: str | None,
    tz: str | None,
    as_of: str | None = None,
    fill: Fill | None = None,
    force: bool,
) -> int:
    """Write candles to a file and return how many."""
    refuse_target(target)
    if target.exists() and not force:
        raise FileFormatError(f"{target} is there already. Hint: --force replaces it")
    bar = _derived(timeframe, source) if source else timeframe_of(store, symbols or (), timeframe)
    frame = store.candles(
        symbols or None, bar, start=start, end=end, derive_from=source, tz=tz, as_of=as_of, fill=fill
    )
    # As texts: programs that read Parquet or Feather do not all know categories.
    named = frame.with_columns(pl.col("symbol").cast(pl.String), pl.lit(bar).alias("timeframe"))
    write(named.select("symbol", "timeframe", *frame.columns[1:]), target)
    return len(named)


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
    every: bool,
    json: bool,
) -> None:
    """Print the symbols for which all conditions hold, with the values of what is no condition."""
    bar = _derived(timeframe, source) if source else timeframe_of(store, symbols or (), timeframe)
    with WorkProgress(remarks, "screening", "symbols") as progress:
        screened = store.screen(
            bar, list(conditions), symbols=symbols or None, bars=bars, start=start, end=end,
            derive_from=source, tz=tz, progress=progress,
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
    """Say where a condition cannot be told: a window is longer than what there is."""
    for name in tests:
        if unknown := rows[name].null_count():
            yield f"{name}: cannot be told for {count(unknown, 'symbol')}, for want of bars"


def _older(store: MarketDataStore, rows: pl.DataFrame, bar: str, end: str | None) -> Iterator[str]:
    """Say which symbols' latest bars are of an earlier time than the others'."""
    series = store.series().filter(timeframe=str(Timeframe.parse(bar)))
    shown = series.filter(pl.col("symbol").cast(pl.String).is_in(rows["symbol"].cast(pl.String).implode()))
    newest = shown.select(pl.col("last").max())["last"].to_list()[0]
    old = shown.filter(pl.col("last") < newest).sort("last")
    if end is None and len(old):
        first, last = (moment(value, intraday=is_intraday(bar)) for value in (old["last"][0], newest))
        symbols = "1 symbol ends" if len(old) == 1 else f"{len(old):,} symbols end"
        yield f"{symbols} earlier than the others: {old['symbol'][0]} {first}, not {last}"


def print_stats(store: MarketDataStore, out: Console, *, json: bool) -> None:
    """Print what the file and its packs take."""
    stats = store.maintenance.stats()
    if json:
        print(json_text(stats))
        return
    rows = max(int(stats["rows"]), 1)
    for name, size in (("SQLite file", stats["sqlite_bytes"]), ("packs", stats["pack_bytes"])):
        each = f"{int(size) / rows:.1f} B a candle"
        out.print(f"{name:<12}{size_text(float(size)):>10}  {each}", highlight=False)
    places = f"{count(int(stats['cells']), 'cell')} and {count(int(stats['packs']), 'pack')}"
    sealed = f"{stats['sealed_rows']:,} in {places}"
    out.print(
        f"{'candles':<12}{stats['rows']:>10,}  {sealed}, {stats['loose_rows']:,} loose", highlight=False
    )
    out.print(f"{'its log':<12}{size_text(float(stats['wal_bytes'])):>10}", highlight=False)
    if stats["packs_set_aside"]:
        out.print(f"set aside   {stats['packs_set_aside']}", highlight=False, markup=False)
    if stats["pack_trouble"]:
        out.print(str(stats["pack_trouble"]), highlight=False, markup=False)


def what_goes(
    store: MarketDataStore, symbol: str, timeframe: str | None, start: str | None, end: str | None
) -> str:
    """Say what a deletion would take, for the question before it."""
    series = refuse_unknown(store, symbol, timeframe)
    bars = ", ".join(series["timeframe"])
    rows = count(int(series["rows"].sum()), "row")
    if start is None and end is None:
        return f"{symbol} {bars}, {rows}"
    return f"what lies in [{start or 'the beginning'}, {end or 'the end'}) of {symbol} {bars} ({rows})"


def refuse_unknown(store: MarketDataStore, symbol: str | None, timeframe: str | None) -> pl.DataFrame:
    """Return the series of a symbol and a timeframe, as far as they are given; raise where there is none."""
    listed = store.series()
    series = listed if symbol is None else listed.filter(pl.col("symbol") == symbol)
    if timeframe is not None:
        series = series.filter(pl.col("timeframe") == str(Timeframe.parse(timeframe)))
    if series.is_empty():
        named = " ".join(word for word in (symbol, timeframe) if word)
        raise NoSuchSeriesError(_nothing(store, [named], listed["symbol"].unique().to_list()))
    return series


def _derived(timeframe: str | None, source: str) -> str:
    if timeframe is None:
        raise InvalidInputError(
            f"--from {source} makes bars of another timeframe. Hint: say which, such as 1h"
        )
    return timeframe


def _stored_range(store: MarketDataStore, symbol: str, timeframe: str) -> str:
    series = store.series().filter((pl.col("symbol") == symbol) & (pl.col("timeframe") == timeframe))
    first, last = (moment(series[end][0], intraday=is_intraday(timeframe)) for end in ("first", "last"))
    return f"stored are {first} to {last}"


def _nothing(store: MarketDataStore, symbols: Sequence[str], known: list[str]) -> str:
    if not known:
        return f"{store.path.name} holds no candles. Hint: mdstore import FILES"
    near = [
        match
        for symbol in symbols
        for match in difflib.get_close_matches(symbol.split(" ")[0].upper(), known, 1)
    ]
    hint = f". Did you mean {near[0]}?" if near else "; `mdstore series` lists what is stored"
    return f"no candles of {', '.join(symbols)} in {store.path.name}{hint}"
