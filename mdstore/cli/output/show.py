"""What `mdstore show` prints: the latest bars as a table, and a chart of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from mdstore.cli.shared.declared import DERIVED, all_columns, without_empty
from mdstore.cli.shared.json_text import json_text, records
from mdstore.cli.shared.table import print_frame, room
from mdstore.cli.shared.texts import is_intraday, moment
from mdstore.cli.shared.which_series import target_of
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.zones import check_zone
from mdstore.reports.text_chart import chart, columns_for

if TYPE_CHECKING:
    from mdstore.analysis.fill import Fill
    from mdstore.store.store import MarketDataStore

__all__ = ["print_bars"]

WIDTH_IN_A_PIPE = 110
# Columns that are left out where a bar is wider than the terminal, the first first.
SPARE = ("volume", "open", "high", "low")


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
    """Print the latest bars as a table or as JSON; with a `height`, a chart above the table."""
    bar = target_of(store, [symbol], timeframe, source)
    width = room(out) or WIDTH_IN_A_PIPE
    charted = height is not None and not json
    limit = None if charted and start is not None else max(rows, columns_for(width) if charted else 0)
    if tz is not None:
        check_zone(tz)
    columns = all_columns(store, derived=source is not None, filled=fill is not None)
    frame = store.candles(
        symbol, bar, start=start, end=end, limit=limit, derive_from=source, tz=tz if source else None,
        as_of=as_of, fill=fill, columns=columns,
    )  # fmt: skip
    frame = frame if columns is None else without_empty(store, frame)
    if tz is not None:
        frame = frame.with_columns(pl.col("timestamp").dt.convert_time_zone(tz))
    if json:
        print(json_text(records(frame.tail(rows))))
        return
    if charted and height is not None and not frame.is_empty():
        shown = frame if start is not None else frame.tail(columns_for(width))
        drawn = shown.drop_nulls("close")  # bars that were filled with null have no price to draw
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
    if "of" in shown.columns and (shown["bars"] >= shown["of"]).all():
        shown = shown.drop("bars", "of")
    if "filled" in shown.columns:
        shown = _marked(shown)
    print_frame(out, shown, spare=(*_others(shown), *SPARE), intraday=is_intraday(bar) or tz is not None)
    if tz is not None:
        out.print(f"times of {tz}", style="dim", highlight=False, markup=False)


def _others(bars: pl.DataFrame) -> list[str]:
    """Return the declared columns, the last first."""
    return [name for name in reversed(bars.columns) if name not in (*CANDLE_COLUMNS, *DERIVED, "filled")]


def _marked(bars: pl.DataFrame) -> pl.DataFrame:
    """Mark the bars that were filled in, if there are any."""
    if not bars["filled"].any():
        return bars.drop("filled")
    return bars.with_columns(pl.when("filled").then(pl.lit("filled")).otherwise(pl.lit("")).alias("filled"))


def _stored_range(store: MarketDataStore, symbol: str, timeframe: str) -> str:
    series = store.series().filter((pl.col("symbol") == symbol) & (pl.col("timeframe") == timeframe))
    first, last = (moment(series[end][0], intraday=is_intraday(timeframe)) for end in ("first", "last"))
    return f"stored are {first} to {last}"
