"""What a store knows of its bars besides their values: where they are from, and what they were before."""

# What a plain read does not need is imported by the method that does.
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mdstore.candles.repository import CandleRepository
from mdstore.core.arguments import time_range
from mdstore.core.polars_forks import refuse_broken_polars
from mdstore.core.symbols import check_symbol
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment
from mdstore.store.listing import Listing
from mdstore.store.requests import of_stored_bars, request_of

__all__ = ["Past"]


class Past:
    """The past of a store's bars."""

    def __init__(self, candles: CandleRepository, listing: Listing) -> None:
        self._candles = candles
        self._listing = listing

    def provenance(self, symbol: str | None = None, timeframe: str | Timeframe | None = None) -> pl.DataFrame:
        """Return where bars came from, an interval a row.

        `symbol`, `timeframe`, `start` and `end` of the bars, their `source` (null where nobody said), and
        when the first and the last of them `arrived_first` and `arrived_last` (null for what was stored by an
        mdstore that did not note it). A bar that was changed later came with the change;
        `revisions` has what it was before.
        """
        refuse_broken_polars()
        return self._listing.provenance(*_key(symbol, timeframe))

    def revisions(
        self,
        symbol: str | None = None,
        timeframe: str | Timeframe | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> pl.DataFrame:
        """Return the changes of bars that had ended, ascending: exchanges correct history.

        `symbol`, `timeframe`, `timestamp` of the bar, `changed_at`, the values before (`open` to `volume`)
        and after (`new_open` to `new_volume`), and the `source` of the new ones. `candles(as_of=...)` shows
        the bars as they were.
        """
        refuse_broken_polars()
        return self._listing.revisions(*_key(symbol, timeframe), *time_range(start, end))

    def fingerprint(
        self,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
        as_of: Moment | None = None,
    ) -> str:
        """Return a hash of the content of a read, for a backtest to state its data by, and prove it later.

        Arguments as in `candles`, whose frame has the same `mdstore.fingerprint(frame)`. The same range
        `as_of` the same time has the same fingerprint, however the candles are stored, for as long as nothing
        is deleted and no bar of it was still forming then.
        """
        from mdstore.analysis.fingerprints import fingerprint

        request = request_of(
            symbols, timeframe, start=start, end=end, limit=limit, columns=columns, as_of=as_of,
            extras=self._candles.ledger.declared,
        )  # fmt: skip
        with of_stored_bars():
            return fingerprint(self._candles.read(request).table())


def _key(symbol: str | None, timeframe: str | Timeframe | None) -> tuple[str | None, str | None]:
    return (
        None if symbol is None else check_symbol(symbol),
        None if timeframe is None else str(Timeframe.parse(timeframe)),
    )
