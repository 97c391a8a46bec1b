"""What a store knows of bars that are not there: which, why, and which are worth asking a source for."""

# What a plain read does not need is imported by the method that does.
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index

import polars as pl

from mdstore.candles.file.table_reads import Request
from mdstore.candles.repository import CandleRepository
from mdstore.core.arguments import symbol_list, time_range
from mdstore.core.hole_reasons import Stated
from mdstore.core.polars_forks import refuse_broken_polars
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment
from mdstore.errors import InvalidInputError
from mdstore.store.listing import Listing
from mdstore.store.requests import claim_of, request_of

__all__ = ["Holes"]


class Holes:
    """The holes of a store's series, and the calendars that explain some of them."""

    def __init__(self, candles: CandleRepository, listing: Listing, now: Callable[[], int]) -> None:
        self._candles = candles
        self._listing = listing
        self._now = now

    def gaps(
        self,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> pl.DataFrame:
        """Return every hole: runs of bars of the timeframe's grid that are not stored, and why.

        The range is `[start, end)`; by default it goes from the first stored bar, or from what failed to be
        fetched before that, to the last. One row a hole: `start`, `end` (where the next bar is), `bars` (how
        many are missing), `reason`, `source` (who said so, or was asked) and `asked` (when, the last time).
        Several symbols, or None for every symbol of the timeframe, give a long frame with `symbol` first. A
        series that was asked for, and of which no bar came, is one hole from when to when it was asked for.
        Together with the bars, holes tile the range.

        `reason` is one of: `session_closed` (by the calendar, see `set_calendar`); `no_trade`,
        `exchange_down`, `before_listing`, `after_delisting` (somebody said so, see `write` and `cover`);
        `fetch_failed`; `unsettled` (it has ended just now: the source answered without it, and may yet
        publish it); `forming` (the bar has not ended); `unknown`. Unknown with a time in `asked` means that
        the source answered and has no such bar, without it that nobody has asked. None is guessed.

        Raises `NoSuchSeriesError`, `InvalidInputError` and its kinds.

        >>> with mdstore.open(folder / "market_data.sqlite3") as store:
        ...     bars = [("2025-09-01T00:00", 1, 2, 1, 2, 5), ("2025-09-01T00:03", 2, 2, 1, 1, 4)]
        ...     store.write("KRW-BTC", "1m", bars).inserted
        ...     store.gaps("KRW-BTC", "1m").select("bars", "reason").rows()
        2
        [(2, 'unknown')]
        """
        from mdstore.store.gaps_and_missing import gaps

        refuse_broken_polars()
        request = _some_range(request_of(symbols, timeframe, start=start, end=end))
        return gaps(self._candles, request, self._now())

    def missing(
        self,
        symbols: str | Sequence[str],
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        page: int | None = None,
    ) -> pl.DataFrame:
        """Return the ranges that are worth asking a source for: `start`, `end`, and the `bars` they hold.

        Those are holes that nobody has asked for yet, holes of which a fetch failed, and bars that were
        stored while they were forming. The range is `[start, end)`; by default it begins as that of
        `gaps` and goes to the last bar that has ended, so that this is what an update asks for. A series that
        is not stored yet is missing whole, from `start` on.

        `page` is how many bars the source gives at a time: ranges are cut to that, and those that fit into
        one page are asked for together, so that there are as few as can be; `bars` of a page counts stored
        ones in between, too. Several symbols give a long frame with `symbol` first.

        Raises `NoSuchSeriesError` for a series that is not stored where there is no `start`,
        `InvalidInputError` and its kinds.

        >>> with mdstore.open(folder / "market_data.sqlite3") as store:
        ...     day = {"start": "2025-09-01", "end": "2025-09-02"}
        ...     for start, end, bars in store.missing("KRW-BTC", "1h", **day, page=200).iter_rows():
        ...         rows = []  # what the exchange gives for start and end
        ...         _ = store.write("KRW-BTC", "1h", rows, covers=(start, end), source="upbit")
        ...     store.missing("KRW-BTC", "1h", **day).rows()
        []
        """
        from mdstore.store.gaps_and_missing import missing

        refuse_broken_polars()
        if symbols is None:
            raise InvalidInputError("symbols=None: name those that are wanted, they need not be stored")
        request = _some_range(request_of(symbols, timeframe, start=start, end=end))
        return missing(self._candles, request, None if page is None else _page(page), self._now())

    def coverage(self) -> pl.DataFrame:
        """Return every series at a glance: what it has, and how many bars it lacks for which reason.

        All is of the range that `gaps` has by default. Series that were asked for, and of which no bar came,
        come last: their `first` and `last` are null. `symbol`, `timeframe`, `first`, `last` and
        `bars` are as stored; `complete` is the share of the bars there could be (sessions the market was
        closed are none); `missing` counts those worth asking for (`missing()` looks on to now); then a column
        of bars for each reason, see `gaps`.
        """
        from mdstore.store.gaps_and_missing import coverage

        refuse_broken_polars()
        return coverage(self._candles, self._listing.series(), self._now())

    def cover(
        self,
        symbols: str | Sequence[str],
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        reason: Stated | None = None,
        source: str | None = None,
    ) -> None:
        """State why there are no bars in `[start, end)`, besides those that are stored.

        `reason` is one of `no_trade`, `exchange_down`, `before_listing`, `after_delisting`,
        `session_closed`, `fetch_failed`; None says that the source was asked and has no more, and why not is
        unknown. It is said of bars that have ended, `after_delisting` also of those to come; a start or an
        end that is None is open. What says more is not covered by what says less: a reason stays where a
        later fetch only finds nothing. `uncover` takes it back.

        Raises `InvalidInputError` and its kinds.
        """
        self._candles.ledger.cover(_keys(symbols, timeframe), claim_of(source, (start, end), reason))

    def uncover(
        self,
        symbols: str | Sequence[str],
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> None:
        """Take back what was said of `[start, end)`, by `cover` or a write: `missing` asks for it again.

        Raises `InvalidInputError` and its kinds.
        """
        self._candles.ledger.uncover(_keys(symbols, timeframe), *time_range(start, end))

    def set_calendar(self, pattern: str, calendar: str | None) -> None:
        """Say when symbols can be traded: kept in the file, and used by `gaps`, `missing` and `fill`.

        `pattern` is a symbol, or a GLOB pattern such as `"KRX:*"`; where several fit, the longest counts.
        `calendar` is a name of the package exchange_calendars, such as `"XNYS"` or `"XKRX"`, or `"24/7"`,
        which symbols have where no pattern fits. None takes the pattern away.

        Raises `InvalidInputError`, also where exchange_calendars is not installed.
        """
        from mdstore.core.calendars import check_calendar

        name = None if calendar is None else check_calendar(calendar)
        if not isinstance(pattern, str) or not pattern.isprintable() or not pattern:
            raise InvalidInputError(f"pattern {pattern!r}: give a symbol, or a pattern such as 'KRX:*'")
        self._candles.ledger.set_calendar(pattern, name)

    def calendars(self) -> pl.DataFrame:
        """Return the calendars that were set: `pattern` and `calendar`."""
        refuse_broken_polars()
        rows = list(self._candles.ledger.calendars().items())
        return pl.DataFrame(rows, {"pattern": pl.String, "calendar": pl.String}, orient="row")


def _some_range(request: Request) -> Request:
    """Refuse a range that is turned round: "no holes" would be an answer to something else."""
    if request.start > request.end:
        raise InvalidInputError("the range is turned round: its end is before its start")
    return request


def _keys(symbols: str | Sequence[str], timeframe: str | Timeframe) -> list[tuple[str, str]]:
    given = symbol_list(symbols)
    if given is None:
        raise InvalidInputError("symbols=None: name the symbols this is said of")
    return [(symbol, str(Timeframe.parse(timeframe))) for symbol in given]


def _page(page: int) -> int:
    try:
        number = index(page)
    except TypeError:
        number = 0
    if isinstance(page, bool) or number < 1:
        raise InvalidInputError(f"page {page!r} is no number of bars: give a whole number from 1, or None")
    return number
