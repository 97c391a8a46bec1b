"""Bars put together of stored ones and of those that are forming: today so far, as a zone counts days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import polars as pl

from mdstore.analysis.resample import symbol_ends
from mdstore.candles.file.table_reads import Request
from mdstore.candles.reads.explanation import Reader
from mdstore.core.arguments import column_list
from mdstore.core.long_table import latest_of_each
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.realtime.live import LiveCandles
from mdstore.store.derived_read import MADE, Bars, of_source, put_together
from mdstore.store.forming_read import with_forming

__all__ = ["derived_with_forming", "made_of_live"]


def derived_with_forming(  # noqa: PLR0917 - what is read, of what, and how it is cut
    candles: Reader,
    live: LiveCandles,
    lasts: Mapping[str, int],
    request: Request,
    source: Timeframe,
    tz: str | None,
    columns: Sequence[str] | None,
) -> pl.DataFrame:
    """Return bars of `request.timeframe` made of stored and live bars of `source`.

    `lasts` has the last stored bar (ms) of each symbol of which `source` bars are stored. Columns as of
    derived bars, and `partial`: a live bar in it was not seen from its start. A bar is `closed` when all
    source bars in it are, and the last is over.
    """
    known = (*request.columns, *MADE, "partial")
    wanted = known if columns is None else column_list(columns, known)
    frame, _ = with_forming(candles, live, tuple(lasts), of_source(request, source, tz), None)
    return made_of_live(candles, frame, lasts, request, source, tz).select(wanted)


def made_of_live(  # noqa: PLR0917 - as above
    candles: Reader,
    frame: pl.DataFrame,
    lasts: Mapping[str, int],
    request: Request,
    source: Timeframe,
    tz: str | None,
) -> pl.DataFrame:
    """Return bars made of those of `source` in a frame, which are stored, closed or forming ones."""
    ends = symbol_ends(frame)
    symbols = _symbols(frame, request)
    bars = Bars(
        frame.select(request.columns), symbols, ends,
        [max(lasts.get(one, -FOREVER), last) for one, last in zip(symbols, _over(frame, ends), strict=True)],
        frame["closed"],
    )  # fmt: skip
    made = put_together(candles, bars, request, source, tz, of=True)
    if source == request.timeframe and tz is None:
        made = made.with_columns(frame["closed"], frame["partial"])
    else:
        made = made.with_columns(_partial(made, frame))
    return latest_of_each(made, request.limit)


def _symbols(frame: pl.DataFrame, request: Request) -> Sequence[str]:
    if not request.is_long:
        return request.symbols or ()
    return frame["symbol"].cast(pl.String).unique(maintain_order=True).to_list()


def _over(frame: pl.DataFrame, ends: Sequence[int]) -> list[int]:
    """Return the last bar of each symbol that is over (ms), of those that were read."""
    times, closed = frame["timestamp"].to_physical(), frame["closed"]
    return [
        max(times[low:high].filter(closed[low:high]), default=-FOREVER) for low, high in pairwise([0, *ends])
    ]


def _partial(made: pl.DataFrame, frame: pl.DataFrame) -> pl.Series:
    """Tell of each bar whether a source bar in it was not seen from its start; there are few of those."""
    marks = [False] * len(made)
    if frame["partial"].any():
        starts = made["timestamp"].to_physical()
        for (low, high), (first, last) in zip(
            pairwise([0, *symbol_ends(made)]), pairwise([0, *symbol_ends(frame)]), strict=True
        ):
            part = frame.slice(first, last - first).filter("partial")["timestamp"].to_physical()
            for place in starts[low:high].search_sorted(part, side="right"):
                marks[low + place - 1] = True
    return pl.Series("partial", marks, dtype=pl.Boolean)
