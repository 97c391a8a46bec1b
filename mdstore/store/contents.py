"""The store as a collection of its series, and as a notebook shows it."""

from __future__ import annotations

from collections.abc import Iterator

from mdstore.candles.repository import CandleRepository
from mdstore.core.polars_forks import refuse_broken_polars
from mdstore.core.timeframe import Timeframe
from mdstore.errors import StoreClosedError
from mdstore.store.listing import Listing

__all__ = ["Contents"]

Key = tuple[str, str]
"""A series: symbol and timeframe."""
SHOWN = ("symbol", "timeframe", "first", "last", "rows")
NAME_AND_BAR = 2


class Contents:
    """The series of a store, by (symbol, timeframe)."""

    def __init__(self, candles: CandleRepository, listing: Listing) -> None:
        self._candles = candles
        self._listing = listing

    def __len__(self) -> int:
        """Return the number of series: ("KRW-BTC", "1m") is one."""
        return len(self._keys())

    def __bool__(self) -> bool:
        """Return True: a store is one, also where nothing is stored in it yet."""
        return True

    def __iter__(self) -> Iterator[Key]:
        """Yield (symbol, timeframe) of each series, in order."""
        return iter(self._keys())

    def __contains__(self, key: object) -> bool:
        """Tell whether a series is stored, `(symbol, timeframe)`; or any of a symbol."""
        if isinstance(key, str):
            return any(symbol == key for symbol, _ in self._keys())
        if not isinstance(key, tuple) or len(key) != NAME_AND_BAR:
            return False
        symbol, bar = key
        name = str(bar)
        return (symbol, str(Timeframe.parse(name)) if Timeframe.is_name(name) else name) in self._keys()

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the file, and the first of its series."""
        from html import escape  # noqa: PLC0415 - a plain read needs neither

        from mdstore.core.html import table_html  # noqa: PLC0415

        try:
            series = self._listing.series()
        except StoreClosedError:
            return f"<p><b>{escape(self._candles.path.name)}</b> (closed)</p>"
        rows, count = int(series["rows"].sum()), len(series)
        title = f"{self._candles.path.name}: {count:,} series, {rows:,} candles"
        note = "" if self._candles.read_only is None else f"for reading only: {self._candles.read_only}"
        return table_html(title, SHOWN, series.select(SHOWN).iter_rows(), count, note)

    def _keys(self) -> list[Key]:
        refuse_broken_polars()
        return self._listing.keys()
