"""The bars that `mdstore replay --timeframe` has made of a recording."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from rich.console import Console

from mdstore.cli.shared.table import print_frame
from mdstore.realtime.live import LiveCandles

__all__ = ["ReplayedBars"]

ROWS = 20
"""So many of the latest bars are shown."""
# All that a recording can make; what is kept anyway are six numbers a bar.
ALL = 2**40
SPARE = ("volume", "open", "high", "low")
OHLCV = ("open", "high", "low", "close", "volume")
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "symbol": pl.String, "timeframe": pl.String, "timestamp": pl.Datetime("ms", "UTC"),
    **dict.fromkeys(OHLCV, pl.Float64), "closed": pl.Boolean, "partial": pl.Boolean,
}  # fmt: skip


class ReplayedBars:
    """Collects the bars of timeframes as they end; those that have not are added when it is asked."""

    def __init__(self, live: LiveCandles, timeframes: Sequence[str]) -> None:
        self._live, self._timeframes = live, tuple(dict.fromkeys(timeframes))
        self._subscriptions = [live.subscribe(timeframe, buffer=ALL) for timeframe in self._timeframes]

    def frame(self) -> pl.DataFrame:
        """Return every bar as it is at last, in the order of timeframe, symbol and time."""
        rows: dict[tuple[str, str, int], tuple[object, ...]] = {}
        for subscription in self._subscriptions:
            for bar in subscription.drain():  # one that is amended comes again
                rows[bar[:3]] = (*bar[:8], True, bar.partial)
        for timeframe in self._timeframes:
            known = self._live.frame(None, timeframe).with_columns(pl.col("timestamp").dt.epoch("ms"))
            for symbol, moment, *values in known.iter_rows():
                rows.setdefault((symbol, timeframe, moment), (symbol, timeframe, moment, *values))
        found = pl.DataFrame(list(rows.values()), schema=SCHEMA, orient="row")
        return found.sort(
            found["timeframe"].replace_strict(
                list(self._timeframes), list(range(len(self._timeframes))), return_dtype=pl.Int64
            ),
            "symbol", "timestamp",
        )  # fmt: skip

    def print(self, out: Console) -> None:
        """Print the latest of them, one table a timeframe, and what is not final of them."""
        bars = self.frame()
        for timeframe in self._timeframes:
            mine = bars.filter(pl.col("timeframe") == timeframe).drop("timeframe")
            if len(mine):
                self._print(out, timeframe, mine)

    def _print(self, out: Console, timeframe: str, bars: pl.DataFrame) -> None:
        shown = bars.sort("timestamp", "symbol", maintain_order=True).tail(ROWS).sort("symbol", "timestamp")
        state = (
            pl.when(~pl.col("closed")).then(pl.lit("forming"))
            .when("partial").then(pl.lit("partial")).otherwise(pl.lit(""))
        )  # fmt: skip
        title = f"bars of {timeframe}" + (
            "" if len(bars) <= ROWS else f", the latest {ROWS} of {len(bars):,} (--json has all)"
        )
        out.print()
        out.print(title, highlight=False)
        print_frame(
            out, shown.with_columns(state.alias("state")).drop("closed", "partial"),
            spare=SPARE, intraday=True,
        )  # fmt: skip
