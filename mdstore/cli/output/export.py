"""What `mdstore export` writes: candles, with symbol and timeframe as columns."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mdstore.candles.file.paths import refuse_folder, refuse_target
from mdstore.cli.shared.declared import all_columns, without_empty
from mdstore.cli.shared.pipes import PipeFormat
from mdstore.cli.shared.which_series import refuse_nothing, target_of, with_timeframe
from mdstore.core.timeframe import Timeframe
from mdstore.errors import FileFormatError
from mdstore.sources.files import write, write_to

if TYPE_CHECKING:
    from mdstore.analysis.fill import Fill
    from mdstore.store.store import MarketDataStore

__all__ = ["export_candles"]


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
    form: PipeFormat | None = None,
    closed: bool = False,
) -> int:
    """Write candles to a file, or in a format to standard output, and return how many.

    Without a timeframe, which may be the last of `symbols`, those of all are under each other.
    """
    if form is None:
        refuse_target(target)
        refuse_folder(target)
        if target.exists() and not force:
            raise FileFormatError(f"{target} is there already", hint="--force replaces it")
    symbols, timeframe = with_timeframe(store, symbols, timeframe)
    if source is not None or timeframe is not None:
        bars = [target_of(store, symbols, timeframe, source)]
    else:
        refuse_nothing(store, symbols)
        bars = _timeframes(store, symbols)

    def frames() -> Iterator[pl.DataFrame]:
        for bar in bars:
            frame = _candles(
                store, symbols, bar, start=start, end=end, derive_from=source, tz=tz, as_of=as_of, fill=fill
            )
            yield _ended(frame, Timeframe.parse(bar)) if closed else frame

    ordered = pl.concat(frames(), how="diagonal")
    if form is None:
        write(ordered, target)
    else:
        write_to(ordered, sys.stdout.buffer, f".{form.value}")
    return len(ordered)


def _candles(
    store: MarketDataStore, symbols: Sequence[str], bar: str, *, tz: str | None, **how: Any
) -> pl.DataFrame:
    """Return candles of a timeframe with symbol and timeframe as columns; no symbols are all that have it."""
    columns = all_columns(store, derived=how["derive_from"] is not None, filled=how["fill"] is not None)
    of_bar = store.series().filter(pl.col("timeframe") == bar)["symbol"].cast(pl.String)
    asked = [symbol for symbol in symbols if symbol in of_bar] or list(symbols)
    frame = store.candles(asked or None, bar, tz=tz, columns=columns, **how)
    frame = frame if columns is None else without_empty(store, frame)
    if tz is not None:  # days of a zone are at its midnight, and must say of which: they come back as dates
        frame = frame.with_columns(pl.col("timestamp").dt.convert_time_zone(tz))
    # As texts: programs that read Parquet or Feather do not all know categories.
    named = frame.with_columns(pl.col("symbol").cast(pl.String), pl.lit(bar).alias("timeframe"))
    return named.select("symbol", "timeframe", *frame.columns[1:])


def _timeframes(store: MarketDataStore, symbols: Sequence[str]) -> list[str]:
    """Return the timeframes of symbols, or all, the shortest first; those that are no names of ours last."""
    series = store.series().with_columns(pl.col("symbol").cast(pl.String))
    stored = series.filter(pl.col("symbol").is_in(list(symbols))) if symbols else series
    ours = filter(Timeframe.is_name, stored["timeframe"].unique())
    return sorted(ours, key=lambda name: Timeframe.parse(name).shortest_ms)


def _ended(frame: pl.DataFrame, bar: Timeframe) -> pl.DataFrame:
    """Leave out bars that have not ended: as derived ones say of themselves, of others by the clock."""
    if "closed" in frame.columns:
        return frame.filter("closed")
    forming = bar.floor(int(time.time() * 1000))
    return frame.filter(pl.col("timestamp").dt.epoch("ms") < forming)
