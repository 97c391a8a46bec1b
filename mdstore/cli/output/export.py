"""What `mdstore export` writes: candles, with symbol and timeframe as columns."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from mdstore.candles.file.paths import refuse_target
from mdstore.cli.shared.declared import all_columns, without_empty
from mdstore.cli.shared.pipes import PipeFormat
from mdstore.cli.shared.which_series import target_of
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
) -> int:
    """Write candles to a file, or in a format to standard output, and return how many."""
    if form is None:
        refuse_target(target)
        if target.exists() and not force:
            raise FileFormatError(f"{target} is there already", hint="--force replaces it")
    bar = target_of(store, symbols or (), timeframe, source)
    columns = all_columns(store, derived=source is not None, filled=fill is not None)
    frame = store.candles(
        symbols or None, bar, start=start, end=end, derive_from=source, tz=tz, as_of=as_of, fill=fill,
        columns=columns,
    )  # fmt: skip
    frame = frame if columns is None else without_empty(store, frame)
    if tz is not None:  # days of a zone are at its midnight, and must say of which: they come back as dates
        frame = frame.with_columns(pl.col("timestamp").dt.convert_time_zone(tz))
    # As texts: programs that read Parquet or Feather do not all know categories.
    named = frame.with_columns(pl.col("symbol").cast(pl.String), pl.lit(bar).alias("timeframe"))
    ordered = named.select("symbol", "timeframe", *frame.columns[1:])
    if form is None:
        write(ordered, target)
    else:
        write_to(ordered, sys.stdout.buffer, f".{form.value}")
    return len(named)
