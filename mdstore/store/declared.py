"""Columns beside those of a candle: which a store keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from mdstore.candles.ledger.ledger import Ledger
from mdstore.core.did_you_mean import did_you_mean
from mdstore.core.extra_columns import Extra, Rule, check_extra
from mdstore.core.polars_forks import refuse_broken_polars
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.timeframe import Timeframe
from mdstore.errors import InvalidInputError
from mdstore.store.listing import Listing
from mdstore.store.requests import LONG

__all__ = ["Declared"]


class Declared:
    """The declared columns of a store."""

    def __init__(self, ledger: Ledger, listing: Listing) -> None:
        self._ledger = ledger
        self._listing = listing

    def declare(
        self,
        name: str,
        *,
        resample: Rule,
        source: str | Sequence[str] | None = None,
        symbols: str | Sequence[str] | None = None,
        timeframes: str | Timeframe | Sequence[str | Timeframe] | None = None,
    ) -> None:
        """Keep a column of numbers beside those of candles: turnover, trades, open interest.

        From now on data that is written has it taken by its `name`, by a name that is known for it (such as
        Upbit's `candle_acc_trade_price` for "value"; see `core.extra_columns`), or by one of `source`. A bar
        may lack a value: null. A write of data without the column leaves the values that are stored; one with
        it stores what it says, null too.

        `resample` says how a longer bar has it, of those of its bars that have a value: "sum", "last",
        "first", "max", "min", "mean", or "volume_weighted", the mean by the volume of the bars. `symbols`
        (names, or patterns such as "KRW-*") and `timeframes` say of which series it is kept (None: all);
        data of others is stored without it.

        Reads give it where `columns=` names it; `scan`, `screen` and `sql` know it. Declared again, it is by
        the new rule and of the new series, and what is stored stays. Sixteen can be declared.

        Raises `InvalidInputError`.

        >>> with mdstore.open(folder / "market_data.sqlite3") as store:
        ...     store.declare("value", resample="sum")
        ...     row = {"timestamp": "2025-09-01", "open": 1, "high": 2, "low": 1, "close": 2, "volume": 3}
        ...     _ = store.write("KRW-BTC", "1d", row | {"candle_acc_trade_price": 4.5})
        ...     store.candles("KRW-BTC", "1d", columns=["close", "value"]).rows()
        [(2.0, 4.5)]
        """
        self._ledger.declare(check_extra(name, resample, source, symbols, timeframes))

    def undeclare(self, name: str) -> None:
        """Take a declaration back: the column is no longer read nor written.

        Its values stay in the file, and are there again when it is declared again. Raises `InvalidInputError`
        for a column that is not declared.
        """
        known = self._ledger.undeclare(name)
        if name not in known:
            raise InvalidInputError(
                f"no column {name!r} is declared", hint=did_you_mean(name, known) or _listed(known)
            )

    def declared(self) -> pl.DataFrame:
        """Return the columns that are declared: `name`, `resample`, `source`, `symbols`, `timeframes`.

        The last three are lists; empty ones are no other name, and all series.
        """
        refuse_broken_polars()
        return self._listing.declared()

    def all(self) -> list[Extra]:
        """Return them, for reads and writes."""
        return self._ledger.declared()

    def beside(self, symbols: str | Sequence[str] | None) -> tuple[str, ...] | None:
        """Return the columns of candles and all that are declared; None where there are none."""
        names = [one.name for one in self._ledger.declared()]
        known = CANDLE_COLUMNS if isinstance(symbols, str) else LONG
        return (*known, *names) if names else None

    def of(self, symbol: str, timeframe: str) -> Callable[[], list[Extra]]:
        """Return what gives those that are kept of a series."""
        return lambda: [one for one in self._ledger.declared() if one.is_of(symbol, timeframe)]


def _listed(known: Sequence[str]) -> str | None:
    return f"declared are {', '.join(known)}" if known else None
