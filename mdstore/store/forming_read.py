"""Bars that are forming, behind those that are stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import polars as pl

from mdstore.candles.file.table_reads import Request
from mdstore.candles.reads.explanation import Reader
from mdstore.core.arguments import column_list
from mdstore.core.long_table import latest_of_each
from mdstore.realtime.live import LiveCandles

__all__ = ["with_forming"]


def with_forming(
    candles: Reader,
    live: LiveCandles,
    there: Collection[str],
    request: Request,
    columns: Sequence[str] | None,
) -> pl.DataFrame:
    """Return stored bars with the live ones among them, and columns `closed` and `partial`.

    `there` are the symbols stored. Where both have a bar, the one that knows more is taken, see `_live`.
    Range and limit are of both together.
    """
    known = (*request.columns, "closed", "partial")
    wanted = known if columns is None else column_list(columns, known)
    # Before the stored ones: a bar that is stored in between then comes from here, rather than not at all.
    fresh = _live(live, request)
    stored = _stored(candles, there, request, fresh)
    stored = stored.with_columns(closed=pl.lit(value=True), partial=pl.lit(value=False))
    time = pl.col("timestamp").dt.epoch("ms")
    fresh = fresh.filter((time >= request.start) & (time < request.end))
    key = [name for name in ("symbol", "timestamp") if name in known]
    newer, older = fresh.filter("wins").select(known), fresh.filter(~pl.col("wins")).select(known)
    kept = stored.join(newer, on=key, how="anti")
    both = pl.concat([kept, older.join(kept, on=key, how="anti"), newer])
    by_name = [pl.col(name).cast(pl.String) if name == "symbol" else pl.col(name) for name in key]
    return latest_of_each(both.sort(by_name), request.limit).select(wanted)


def _live(live: LiveCandles, request: Request) -> pl.DataFrame:
    """Return live bars, and whether each `wins` over a stored one.

    One that is forming does, if it was seen from its start, and one that is closed but not stored yet. Others
    know no more than the file, or less.
    """
    symbols = request.symbols if request.is_long or request.symbols is None else request.symbols[0]
    name = str(request.timeframe)
    bars = live.frame(symbols, name).filter(~(pl.col("closed") & pl.col("partial")))
    names = bars["symbol"].to_list() if request.is_long else [str(symbols)] * len(bars)
    waiting = live.waiting(sorted(set(names)), name)
    keys = zip(names, bars["timestamp"].dt.epoch("ms"), strict=True)
    pending = pl.Series([key in waiting for key in keys], dtype=pl.Boolean)
    return bars.with_columns((pending | ~(bars["closed"] | bars["partial"])).alias("wins"))


def _stored(candles: Reader, there: Collection[str], request: Request, fresh: pl.DataFrame) -> pl.DataFrame:
    """Return the stored bars; a symbol that has live ones only is fine."""
    if not request.is_long:
        alive = set(request.symbols or ()) if len(fresh) else set()
    else:
        alive = set(fresh["symbol"].unique())
    wanted = set(there if request.symbols is None else request.symbols)
    stored = tuple(sorted(wanted.intersection(there)))
    if stored or not alive or wanted - set(there) - alive:
        unknown = wanted - set(there) - alive
        return candles.read(request if unknown or not stored else replace(request, symbols=stored)).frame()
    return fresh.clear().select(request.columns)
