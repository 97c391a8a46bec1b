"""Holes in series, why they are there, and what is worth asking a source for.

A hole is a run of bars that are not stored. It is cut where its reason changes: the calendar says when a
market was closed, the coverage what somebody has said or asked for; what nobody knows is `unknown`. Nothing
is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl

from mdstore.candles.file.catalogue import Series
from mdstore.candles.file.table_reads import Request
from mdstore.candles.ledger.coverage import Interval, without
from mdstore.candles.reads.holes_between import Held
from mdstore.candles.repository import CandleRepository
from mdstore.core.calendars import ALWAYS, Grid, calendar_of
from mdstore.core.hole_reasons import NOT_EXPECTED, OF_THE_INSTRUMENT, REASONS, worth_asking
from mdstore.core.time_bounds import EARLIEST, FOREVER, LATEST
from mdstore.core.timeframe import Timeframe
from mdstore.errors import Hint, NoSuchSeriesError
from mdstore.store.requests import of_stored_bars

__all__ = ["begins", "coverage", "gaps", "missing", "to_ask"]

TIME = pl.Datetime("ms", "UTC")
HOLE = {
    "start": pl.Int64, "end": pl.Int64, "bars": pl.Int64,
    "reason": pl.String, "source": pl.String, "asked": pl.Int64,
}  # fmt: skip
SAID = {
    "start": pl.Int64, "said_until": pl.Int64,
    "reason": pl.String, "source": pl.String, "asked": pl.Int64,
}  # fmt: skip
UNKNOWN = (
    pl.lit("unknown").alias("reason"), pl.lit(None, pl.String).alias("source"),
    pl.lit(None, pl.Int64).alias("asked"),
)  # fmt: skip
NONE = pl.Series([], dtype=pl.Int64)
ATTEMPTS = 5
UNSTORED = "to fetch a series that is not stored, give"
FETCH = Hint(f"{UNSTORED} start=", f"{UNSTORED} --start")
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Series:
    """What is known of one series; `early` are bars that were stored before they had ended."""

    symbol: str
    stored: Series | None
    grid: Grid
    known: Sequence[Interval]
    early: Sequence[int]


def gaps(candles: CandleRepository, request: Request, now: int) -> pl.DataFrame:
    """Return every hole in a range, in the form of `MarketDataStore.gaps`; `now` in ms.

    Raises `NoSuchSeriesError`.
    """
    for _ in range(ATTEMPTS):  # candles and ledger of one moment: nobody has changed a candle in between
        revision = candles.revision()
        with of_stored_bars():
            held = _held(candles, request)
        known = list(_known(candles, [one.symbol for one in held], request.timeframe))
        if candles.revision() == revision:
            break
    parts = [
        _explained(series, *_holes(one, *_asked_range(request, one, series, now)), now)
        for one, series in zip(held, known, strict=True)
    ]
    return _stacked(parts, [one.symbol for one in held], long=request.is_long)


def _held(candles: CandleRepository, request: Request) -> list[Held]:
    """Return what series hold in a range, those among them that were asked for, and of which no bar came."""
    bare = {symbol for symbol, _ in candles.ledger.without_bars(str(request.timeframe))}
    if request.symbols is not None:
        bare.intersection_update(request.symbols)
    if not bare:
        return candles.held(request)
    stored = request.symbols if request.symbols is not None else candles.stored(str(request.timeframe))
    named = tuple(symbol for symbol in stored if symbol not in bare)
    found = {symbol: Held(symbol, 0, None, None, NONE, NONE) for symbol in bare}
    if named:
        of_bars = candles.held(replace(request, symbols=named, columns=("symbol", "timestamp")))
        found |= {one.symbol: one for one in of_bars}
    return [found[symbol] for symbol in (request.symbols or sorted(found))]


def missing(candles: CandleRepository, request: Request, page: int | None, now: int) -> pl.DataFrame:
    """Return what is worth asking for, in the form of `MarketDataStore.missing`; `now` in ms.

    Raises `NoSuchSeriesError` for a series that is not stored, where the request has no start.
    """
    assert request.symbols is not None  # noqa: S101 - asked for by name, since it need not be stored; for mypy
    parts = []
    for series in _known(candles, request.symbols, request.timeframe):
        ranges = _pages(series.grid, _worth(candles, request, series, now), page)
        bars = [series.grid.expected(*one) for one in ranges]
        columns = {"start": [one[0] for one in ranges], "end": [one[1] for one in ranges], "bars": bars}
        parts.append(pl.DataFrame(columns, dict.fromkeys(columns, pl.Int64)))
    return _stacked(parts, request.symbols, long=request.is_long)


def to_ask(candles: CandleRepository, request: Request, page: int | None, now: int) -> dict[str, list[Range]]:
    """Return the ranges (ms) that an update of series asks for, by symbol; what lacks nothing is left out.

    Those are the missing ones, and those that are stored and unsettled. One look at the ledger is for all
    series: 100 that lack nothing take 3 ms. Raises as `missing` does.
    """
    assert request.symbols is not None  # noqa: S101 - as in `missing`
    found = {}
    for series in _known(candles, request.symbols, request.timeframe):
        ranges = _worth(candles, request, series, now, again=True)
        if ranges:
            found[series.symbol] = _pages(series.grid, ranges, page)
    return found


def coverage(candles: CandleRepository, listed: pl.DataFrame, now: int) -> pl.DataFrame:
    """Return each series at a glance, in the form of `MarketDataStore.coverage`.

    `listed` are the series, as `MarketDataStore.series` gives them; those without a bar come last.
    """
    of_series = ("timeframe", "first", "last", "rows")
    bare = [(*key, None, None, 0) for key in candles.ledger.without_bars()]
    listed = listed.select(pl.col("symbol").cast(pl.String), *of_series)
    listed = pl.concat([listed, pl.DataFrame(bare, listed.schema, orient="row")])
    names = [name for name in listed["timeframe"].unique().sort() if Timeframe.is_name(name)]
    parts = []
    for name in names:
        columns = ("symbol", "timestamp")
        found = gaps(candles, Request(None, Timeframe.parse(name), columns), now)
        parts.append(
            found.group_by("symbol").agg(
                pl.lit(name).alias("timeframe"),
                *(
                    pl.col("bars").filter(pl.col("reason") == reason).sum().alias(reason)
                    for reason in REASONS
                ),
                pl.col("bars").filter(worth_asking()).sum().alias("missing"),
            )
        )
    key = ["symbol", "timeframe"]
    bars = listed.with_columns(pl.col("symbol").cast(pl.Categorical)).select(
        *key, "first", "last", pl.col("rows").alias("bars")
    )
    counts = (*REASONS, "missing")
    none = bars.select(*key, *(pl.lit(0, pl.Int64).alias(name) for name in counts)).clear()
    # A series of another program, whose timeframe has no grid here, has no counts.
    both = bars.join(pl.concat([none, *parts]), on=key, how="left", maintain_order="left")
    known = pl.col("timeframe").is_in(names)
    both = both.with_columns(pl.when(known).then(pl.col(name).fill_null(0)) for name in counts)
    absent = sum(pl.col(name) for name in REASONS if name not in NOT_EXPECTED)
    share = pl.col("bars") / (pl.col("bars") + absent)
    return both.with_columns(share.alias("complete")).select(
        *key, "first", "last", "bars", "complete", "missing", *REASONS
    )


# ---- one series


def _known(candles: CandleRepository, symbols: Sequence[str], bar: Timeframe) -> Iterator[_Series]:
    """Yield what is known of series; the grid of those with one calendar is one."""
    found = candles.ledger.known(symbols, str(bar))
    grids: dict[str, Grid] = {}
    each = zip(symbols, found.series, found.intervals, found.unfinished, strict=True)
    for symbol, stored, known, early in each:
        name = calendar_of(symbol, found.calendars)
        grid = grids.get(name) or grids.setdefault(name, Grid(bar, name))
        yield _Series(symbol, stored, grid, known, early)


def _asked_range(request: Request, held: Held, series: _Series, now: int) -> Range:
    """Return the range of bars to look at: as asked, else from its beginning to the last; not the future."""
    bar = request.timeframe
    start = None if held.first is None else begins(held.first, series.known)
    end = held.end
    if series.stored is None:
        start, end = _said_range(series.known)
    start = start if request.start <= -FOREVER else _ceil(bar, request.start)
    end = end if request.end >= FOREVER else min(_ceil(bar, request.end), bar.next(now))
    return (0, 0) if start is None or end is None else (start, end)


def _said_range(known: Iterable[Interval]) -> tuple[int | None, int | None]:
    """Return from when to when something was said of a series without a bar; what is open has no bound."""
    bounds = [bound for one in known for bound in (one.start, one.end) if -FOREVER < bound < FOREVER]
    return min(bounds, default=None), max(bounds, default=None)


def begins(first: int | None, known: Iterable[Interval]) -> int | None:
    """Return where a series begins: at its first stored bar, or with what was asked for in vain before that.

    A sync that failed before its first bar was forgotten once a live bar had come: 100 % were there.
    """
    failed = [one.start for one in known if one.reason == "fetch_failed" and one.start > -FOREVER]
    return min(failed if first is None else [first, *failed], default=None)


def _holes(held: Held, start: int, end: int) -> tuple[pl.Series, pl.Series]:
    """Return all holes in a range: those between bars, and what is before and behind them."""
    if held.first is None or held.end is None:
        return _series([start] if start < end else []), _series([end] if start < end else [])
    starts, ends = held.starts, held.ends
    if start < held.first:
        starts, ends = pl.concat([_series([start]), starts]), pl.concat([_series([held.first]), ends])
    if held.end < end:
        starts, ends = pl.concat([starts, _series([held.end])]), pl.concat([ends, _series([end])])
    return starts, ends


def _explained(series: _Series, starts: pl.Series, ends: pl.Series, now: int) -> pl.DataFrame:
    """Cut holes where their reason changes, and say it."""
    if not len(starts):
        return pl.DataFrame(schema=HOLE)
    low, high, grid = starts[0], ends[-1], series.grid
    forming = grid.timeframe.floor(now)
    known = [one for one in series.known if one.end > low and one.start < high]
    if not known and grid.calendar == ALWAYS and high <= forming:
        bars = grid.count(starts, ends)
        return pl.DataFrame({"start": starts, "end": ends, "bars": bars}).with_columns(UNKNOWN)
    closed = (NONE, NONE) if grid.calendar == ALWAYS else grid.closed(low, high)
    bounds = [bound for one in known for bound in (one.start, one.end)]
    starts, ends = _cut(starts, ends, pl.concat([*closed, _series([*bounds, forming])]))
    said = pl.DataFrame(
        [(one.start, one.end, one.reason, one.source or None, one.asked) for one in known],
        SAID,
        orient="row",
    )
    shut = pl.DataFrame({"start": closed[0], "shut_until": closed[1]})
    holes = pl.LazyFrame({"start": starts, "end": ends}).set_sorted("start")
    # Each starts in at most one of what is said, and of the times at which the market is closed.
    for of in (said, shut):
        holes = holes.join_asof(of.lazy().set_sorted("start"), on="start", coalesce=True)
    start, reason = pl.col("start"), pl.col("reason")
    is_said = start < pl.col("said_until")
    why = (
        pl.when(is_said & reason.is_in(OF_THE_INSTRUMENT)).then(reason)
        .when(start < pl.col("shut_until")).then(pl.lit("session_closed"))
        .when(is_said).then(reason)
        .when(start >= forming).then(pl.lit("forming"))
        .otherwise(pl.lit("unknown"))
    )  # fmt: skip
    stands = is_said & (pl.col("why") == reason)
    joined = (
        _joined(
            holes.with_columns(why.alias("why"))
            .with_columns(pl.when(stands).then(name) for name in ("source", "asked"))
            .select("start", "end", pl.col("why").alias("reason"), "source", "asked")
        )
    ).collect(engine="in-memory")
    return joined.with_columns(grid.count(joined["start"], joined["end"]).alias("bars")).select(tuple(HOLE))


def _cut(starts: pl.Series, ends: pl.Series, bounds: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Cut ranges at those bounds that lie inside them."""
    bounds = bounds.unique()
    place = starts.search_sorted(bounds, side="left").cast(pl.Int64) - 1
    inside = (place >= 0) & (bounds < ends.gather(place.clip(0)))
    cuts = bounds.filter(inside)
    return pl.concat([starts, cuts]).sort(), pl.concat([ends, cuts]).sort()


def _joined(holes: pl.LazyFrame) -> pl.LazyFrame:
    """Make one hole of those beside each other of which the same is said."""
    same = pl.col("start") == pl.col("end").shift(1)
    for name in ("reason", "source", "asked"):
        same &= pl.col(name).eq_missing(pl.col(name).shift(1))
    first = ~same.fill_null(value=False)
    number = first.cum_sum().alias("number")
    whole = holes.group_by(number, maintain_order=True)
    return whole.agg(pl.all().exclude("end").first(), pl.col("end").last()).drop("number")


# ---- what to ask for


def _worth(
    candles: CandleRepository, request: Request, series: _Series, now: int, *, again: bool = False
) -> list[Range]:
    """Return the ranges of bars that have ended, and are not stored or were stored while they formed.

    What was asked for and answered is left out by the ledger alone; candles are looked at where it is silent.
    With `again` also what is stored and unsettled, whole.
    """
    bar = series.grid.timeframe
    first = begins(None if series.stored is None else series.stored.first, series.known)
    if request.start <= -FOREVER and first is None:
        error = candles.no_series(series.symbol, bar)
        hint = FETCH if error.hint is None else Hint(*map("; ".join, zip(error.hint, FETCH, strict=True)))
        raise NoSuchSeriesError(error.message, hint=hint)
    start = first if request.start <= -FOREVER and first is not None else _ceil(bar, request.start)
    end = bar.floor(now) if request.end >= FOREVER else min(_ceil(bar, request.end), bar.floor(now))
    unsettled = [(one.start, one.end) for one in series.known if again and one.reason == "unsettled"]
    told = [(one.start, one.end) for one in series.known if one.is_answered]
    answered = sorted([*told, *unsettled])
    silent = without(start, end, answered) if start < end else []
    found = list(_unstored(candles, series, silent[0][0], silent[-1][1], now)) if silent else []
    early = [(time, bar.next(time)) for time in series.early if start <= time < end]
    amended = [(max(start, low), min(end, high)) for low, high in unsettled if low < end and start < high]
    return sorted([*found, *early, *amended])


def _unstored(candles: CandleRepository, series: _Series, low: int, high: int, now: int) -> Iterator[Range]:
    """Yield the holes in a range that are worth asking for."""
    stored, bar = series.stored, series.grid.timeframe
    if stored is None or high <= stored.first or stored.last < low:
        holes = _series([low]), _series([high])
    else:
        request = Request((series.symbol,), bar, ("timestamp",), low, high)
        try:
            holes = _holes(candles.held(request)[0], low, high)
        except NoSuchSeriesError:  # deleted since
            holes = _series([low]), _series([high])
    worth = _explained(series, *holes, now).filter(worth_asking())
    yield from worth.select("start", "end").iter_rows()


def _pages(grid: Grid, ranges: Iterable[Range], page: int | None) -> list[Range]:
    """Cover ranges, which ascend, with as few pages of `page` expected bars as there can be."""
    made: list[Range] = []
    until = -FOREVER  # up to where the last page can reach
    for start, end in ranges:
        at = start
        if made and at < until:  # it goes on with the page before
            made[-1] = (made[-1][0], max(made[-1][1], min(end, until)))
            at = max(at, until)
        elif made and at <= made[-1][1] and page is None:
            made[-1] = (made[-1][0], max(made[-1][1], end))
            continue
        while at < end:
            until = grid.after(at, page) if page is not None else end
            made.append((at, min(end, until)))
            at = until
    return made


# ---- frames


def _stacked(parts: Sequence[pl.DataFrame], symbols: Sequence[str], *, long: bool) -> pl.DataFrame:
    """Put the frames of symbols under each other, the symbol first where there may be several."""
    if not long:
        return _timed(parts[0])
    named = [
        part.insert_column(0, pl.Series("symbol", [symbol], pl.String).new_from_index(0, len(part)))
        for part, symbol in zip(parts, symbols, strict=True)
    ]
    return _timed(pl.concat(named, rechunk=True)).with_columns(pl.col("symbol").cast(pl.Categorical))


def _timed(frame: pl.DataFrame) -> pl.DataFrame:
    names = [name for name in ("start", "end", "asked") if name in frame.columns]
    return frame.with_columns(pl.col(names).cast(TIME))


def _series(values: Sequence[int]) -> pl.Series:
    return pl.Series(values, dtype=pl.Int64)


def _ceil(bar: Timeframe, moment: int) -> int:
    """Return the start of the first bar at or after a moment."""
    return bar.next(min(max(moment, EARLIEST), LATEST) - 1)
