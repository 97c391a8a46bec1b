"""What a read of candles asks for becomes an answer: stored bars, or bars that are made of them.

`candles`, `arrow`, `scan` and `explain` of the store take the same arguments, and all come through here.
"""

# What a plain read does not need is imported by the branch that does: 30 ms of a first read's 200.
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import polars as pl
import pyarrow as pa

from mdstore.analysis.fill import Fill, check_fill
from mdstore.candles.file.table_reads import Request
from mdstore.candles.reads.answer import Answer
from mdstore.candles.reads.explanation import Reader
from mdstore.core.polars_forks import refuse_broken_polars
from mdstore.core.schema import CANDLE, CANDLE_COLUMNS, LONG_CANDLE
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment
from mdstore.errors import Hint, InvalidInputError
from mdstore.store.listing import Listing
from mdstore.store.requests import LONG, request_of

if TYPE_CHECKING:
    from mdstore.candles.repository import CandleRepository
    from mdstore.realtime.live import LiveCandles

__all__ = ["Made", "Reading"]

ADDED = ("closed", "bars", "of", "filled", "partial")
"""The columns that bars have which are made, beside those of stored ones."""
NAME_IT = "name the stored timeframe, e.g."


@dataclass(frozen=True, slots=True)
class Made:
    """Bars that are not stored as they are, and how they were made; has `frame` and `table` as `Answer`.

    Of them so many are `live` as they are, and not made.
    """

    bars: pl.DataFrame
    how: str
    live: int = 0
    tiers: ClassVar[tuple[str, ...]] = ("made",)

    @property
    def rows(self) -> int:
        """The number of bars."""
        return len(self.bars)

    @property
    def nbytes(self) -> int:
        """The bytes of the bars."""
        return int(self.bars.estimated_size())

    def frame(self) -> pl.DataFrame:
        """Return them as a Polars frame of the caller's own."""
        return self.bars.clone()

    def table(self) -> pa.Table:
        """Return them as an Arrow table; the types of stored columns are those of `schema`."""
        table = self.bars.to_arrow()
        known = LONG_CANDLE if "symbol" in self.bars.columns else CANDLE
        stored = [name for name in table.column_names if name in known.names]
        types = {name: known.field(name).type for name in stored}
        fields = [field.with_type(types.get(field.name, field.type)) for field in table.schema]
        return table.cast(pa.schema(fields))


class Reading:
    """Reads of one store; `live` gives its live candles, `now` the time in ms."""

    def __init__(
        self,
        candles: CandleRepository,
        listing: Listing,
        live: Callable[[], LiveCandles],
        now: Callable[[], int],
    ) -> None:
        self._candles = candles
        self._listing = listing
        self._live = live
        self._now = now

    def read(
        self,
        candles: Reader,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe,
        *,
        start: Moment | None,
        end: Moment | None,
        limit: int | None,
        columns: Sequence[str] | None,
        derive_from: str | Timeframe | None,
        tz: str | None,
        fill: Fill | None,
        as_of: Moment | None,
        include_forming: bool,
        verify: bool = True,
    ) -> Answer | Made:
        """Read by `candles`, and make what is asked for; arguments as in `MarketDataStore.candles`.

        Rows of an `Answer` are compared with their digests where `verify` says so.
        """
        made = derive_from is not None or tz is not None or fill is not None
        if made or include_forming:  # stored bars as an Arrow table need no Polars
            refuse_broken_polars()
        if include_forming:
            _refuse_beside_forming(is_other=fill is not None or as_of is not None)
            request = request_of(symbols, timeframe, start=start, end=end, limit=limit)
            request = _with_extras(request, columns, candles)
            return self._with_forming(candles, request, columns, _source(derive_from, tz))
        picked = None if made else columns  # what is made picks columns itself, since it has more of them
        request = request_of(
            symbols, timeframe, start=start, end=end, limit=limit, columns=picked, as_of=as_of,
            extras=candles.ledger.declared,
        )  # fmt: skip
        if not made:
            return candles.read(request, verify=verify)
        request = _with_extras(request, columns, candles)
        source = _source(derive_from, tz)
        how = "" if source is None else _derived_text(request.timeframe, *source)
        if fill is None and source is not None:
            from mdstore.store.derived_read import derived

            return Made(derived(candles, request, *source, columns), how)
        from mdstore.store.filled_read import gridded

        bars = gridded(candles, request, check_fill(fill), source, columns, now=self._now())
        return Made(bars, f"{how}, then filled ({fill})" if how else f"filled ({fill})")

    def stored(  # noqa: PLR0917 - what is asked for
        self,
        symbols: tuple[str, ...] | None,
        timeframe: Timeframe,
        start: int,
        end: int,
        limit: int | None,
        as_of: int | None,
        *,
        is_long: bool,
    ) -> Answer:
        """Read stored bars as they are, where all that is asked for is checked, and times are in ms.

        To read texts and datetimes takes a third of such a read.
        """
        columns = LONG if is_long else CANDLE_COLUMNS
        return self._candles.read(Request(symbols, timeframe, columns, start, end, limit, as_of))

    def _with_forming(
        self,
        candles: Reader,
        request: Request,
        columns: Sequence[str] | None,
        source: tuple[Timeframe, str | None] | None,
    ) -> Made:
        from mdstore.store.forming_read import appended, with_forming

        if source is not None:
            from mdstore.store.derived_forming_read import derived_with_forming

            lasts = self._listing.lasts(str(source[0]))
            made = derived_with_forming(candles, self._live(), lasts, request, *source, columns)
            return Made(made, f"{_derived_text(request.timeframe, *source)}, with what is live")
        if columns is None and not request.is_long:
            found = appended(candles, self._live(), request)
            if found is not None:
                return Made(found[0], "with what is live", found[1])
        series = self._listing.series().filter(pl.col("timeframe") == str(request.timeframe))
        bars, live = with_forming(candles, self._live(), series["symbol"].to_list(), request, columns)
        return Made(bars, "with what is live", live)


def _with_extras(request: Request, columns: Sequence[str] | None, candles: Reader) -> Request:
    """Return the request with those declared columns behind the others that are among `columns`."""
    names = (columns,) if isinstance(columns, str) else columns
    if not isinstance(names, Sequence) or all(name in (*request.columns, *ADDED) for name in names):
        return request
    more = [one.name for one in candles.ledger.declared() if one.name in names]
    return replace(request, columns=(*request.columns, *more))


def _refuse_beside_forming(*, is_other: bool) -> None:
    if is_other:
        raise InvalidInputError("include_forming= is for bars as they are now, without fill= and as_of=")


def _source(derive_from: str | Timeframe | None, tz: str | None) -> tuple[Timeframe, str | None] | None:
    """Return what bars are to be derived from, and in which zone; None for stored ones."""
    if derive_from is None and tz is not None:
        raise InvalidInputError(
            "tz is for derived bars",
            hint=Hint(f"{NAME_IT} derive_from='1m'", f"{NAME_IT} --from 1m"),
        )
    return None if derive_from is None else (Timeframe.parse(derive_from), tz)


def _derived_text(timeframe: Timeframe, source: Timeframe, tz: str | None) -> str:
    return f"{timeframe} derived from {source}" + (f", cut in {tz}" if tz else "")
