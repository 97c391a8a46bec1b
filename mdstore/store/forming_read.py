"""Bars that are forming, behind those that are stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import polars as pl

from mdstore.candles.file.table_reads import Request
from mdstore.candles.reads.explanation import Reader
from mdstore.core.arguments import column_list
from mdstore.core.long_table import latest_of_each
from mdstore.core.schema import VALUES
from mdstore.errors import NoSuchSeriesError
from mdstore.realtime.live import LiveCandles

__all__ = ["appended", "with_forming"]

TIME = pl.Datetime("ms", "UTC")
WHOLE = pl.Series("closed", [True]), pl.Series("partial", [False])
"""What a stored bar is that had ended when it came."""
Early = Mapping[str, set[int]]
"""The bars (ms) by symbol that were stored before they had ended, and not again since."""
TAIL = 8
"""So many stored bars are looked at: more than there are live ones that have closed."""


def with_forming(
    candles: Reader,
    live: LiveCandles,
    there: Collection[str],
    request: Request,
    columns: Sequence[str] | None,
) -> tuple[pl.DataFrame, int]:
    """Return stored bars with the live ones among them, `closed` and `partial`; and how many are live.

    `there` are the symbols stored. Where both have a bar, the one that knows more is taken, see `_live`.
    Range and limit are of both together. A stored bar is `closed` unless it was stored before it had ended,
    and not again since.
    """
    known = (*request.columns, "closed", "partial")
    wanted = known if columns is None else column_list(columns, known)
    symbols = sorted(set(there if request.symbols is None else request.symbols).intersection(there))
    before = candles.ledger.unfinished(symbols, str(request.timeframe))
    # Before the stored ones: a bar that is stored in between then comes from here, rather than not at all.
    fresh = _live(live, request, before)
    fresh = fresh.with_columns(pl.lit(None, pl.Float64).alias(name) for name in request.extras)
    stored = _stored(candles, there, request, fresh)
    # Of what is stored meanwhile it is not known whether the read has it as it was or as it is.
    after = candles.ledger.unfinished(symbols, str(request.timeframe))
    stored = stored.with_columns(
        _closed(stored, request, _both(before, after)), partial=pl.lit(value=False), live=pl.lit(value=False)
    )
    time = pl.col("timestamp").dt.epoch("ms")
    fresh = fresh.filter((time >= request.start) & (time < request.end)).with_columns(live=pl.lit(value=True))
    key = [name for name in ("symbol", "timestamp") if name in known]
    newer, older = (fresh.filter(wins).select(*known, "live") for wins in (pl.col("wins"), ~pl.col("wins")))
    kept = stored.join(newer, on=key, how="anti")
    both = pl.concat([kept, older.join(kept, on=key, how="anti"), newer])
    by_name = [pl.col(name).cast(pl.String) if name == "symbol" else pl.col(name) for name in key]
    found = latest_of_each(both.sort(by_name), request.limit)
    return found.select(wanted), int(found["live"].sum())


def appended(candles: Reader, live: LiveCandles, request: Request) -> tuple[pl.DataFrame, int] | None:
    """Return what `with_forming` does of one symbol, where all that is live comes behind what is stored.

    A bot asks for that over and over: 0.07 ms in place of 1.7. None where it is not so, or may not be.
    """
    assert request.symbols is not None  # noqa: S101 - one symbol; for mypy
    # Before the stored ones, as above.
    known = live.known(request.symbols[0], str(request.timeframe))
    try:
        answer = candles.read(request)
    except NoSuchSeriesError:
        return None
    stored = answer.frame()
    # (Its revision: else what was read may have been finished since.)
    ended = candles.ledger.all_ended(request.symbols[0], str(request.timeframe), answer.revision)
    if stored.is_empty() or not ended:
        return None
    times = stored["timestamp"].slice(-TAIL).cast(pl.Int64).to_list()
    fresh = [(*bar, partial) for bar, partial, wins in known if wins or bar[0] not in times]
    if any(bar[0] <= times[-1] for bar in fresh):
        return None
    both = stored.hstack([mark.new_from_index(0, len(stored)) for mark in WHOLE])
    rows = [bar for bar in fresh if request.start <= bar[0] < request.end]
    if not rows:
        return both, 0
    found = both.vstack(_rows(rows)).slice(0 if request.limit is None else -request.limit)
    return found, min(len(rows), len(found))


def _rows(bars: Sequence[tuple[int, float, float, float, float, float, bool, bool]]) -> pl.DataFrame:
    times, *values, closed, partial = zip(*bars, strict=True)
    named = [pl.Series(name, list(column)) for name, column in zip(VALUES, values, strict=True)]
    stamps = pl.Series("timestamp", list(times)).cast(TIME)
    return pl.DataFrame(
        [stamps, *named, pl.Series("closed", list(closed)), pl.Series("partial", list(partial))]
    )


def _live(live: LiveCandles, request: Request, early: Early) -> pl.DataFrame:
    """Return live bars, and whether each `wins` over a stored one.

    One that is forming does, if it was seen from its start, and one that is closed but not stored yet, or
    only as it was before it had ended. Others know no more than the file, or less.
    """
    symbols = request.symbols if request.is_long or request.symbols is None else request.symbols[0]
    name = str(request.timeframe)
    bars = live.frame(symbols, name).filter(~(pl.col("closed") & pl.col("partial")))
    names = bars["symbol"].to_list() if request.is_long else [str(symbols)] * len(bars)
    waiting = live.waiting(sorted(set(names)), name)
    closed = zip(names, bars["timestamp"].dt.epoch("ms"), bars["closed"], strict=True)
    pending = [
        (symbol, time) in waiting or (is_closed and time in early.get(symbol, ()))
        for symbol, time, is_closed in closed
    ]
    known = pl.Series(pending, dtype=pl.Boolean)
    return bars.with_columns((known | ~(bars["closed"] | bars["partial"])).alias("wins"))


def _both(some: Early, others: Early) -> Early:
    return {symbol: some.get(symbol, set()) | others.get(symbol, set()) for symbol in {*some, *others}}


def _closed(stored: pl.DataFrame, request: Request, early: Early) -> pl.Series:
    """Tell of each stored bar whether it had ended when it was stored."""
    closed = WHOLE[0].new_from_index(0, len(stored))
    if not early:
        return closed
    times = stored["timestamp"].to_physical()
    rows = times.is_in(pl.Series(sorted(set().union(*early.values()))).implode()).arg_true()
    names = stored["symbol"].gather(rows).cast(pl.String) if request.is_long else list(request.symbols or ())
    found = zip(rows, names if request.is_long else names * len(rows), times.gather(rows), strict=True)
    return closed.scatter([row for row, symbol, time in found if time in early.get(symbol, ())], False)


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
