"""Holes in series, why they are there, and what is worth asking a source for.

A hole is a run of bars that are not stored. It is cut where its reason changes: the calendar says when a
market was closed, the coverage what somebody has said or asked for; what nobody knows is `unknown`. Nothing
is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import polars as pl

from mdstore.candles.file.table_reads import Request
from mdstore.candles.ledger.coverage import Interval, without
from mdstore.candles.reads.holes_between import HOLES, Held, holes_of_times
from mdstore.candles.repository import CandleRepository
from mdstore.core.calendars import Grid, calendar_of
from mdstore.core.hole_reasons import NOT_EXPECTED, REASONS, worth_asking
from mdstore.core.time_bounds import EARLIEST, FOREVER, LATEST
from mdstore.core.timeframe import Timeframe
from mdstore.errors import Hint, NoSuchSeriesError
from mdstore.store.explained_holes import KnownSeries, explained
from mdstore.store.requests import of_stored_bars

__all__ = ["begins", "between", "coverage", "gaps", "known_series", "missing", "to_ask"]

TIME = pl.Datetime("ms", "UTC")
MISSING = {"series": pl.UInt32, "start": pl.Int64, "end": pl.Int64, "bars": pl.Int64}
ATTEMPTS = 5
UNSTORED = "to fetch a series that is not stored, give"
FETCH = Hint(f"{UNSTORED} start=", f"{UNSTORED} --start")
Range = tuple[int, int]


def gaps(candles: CandleRepository, request: Request, now: int) -> pl.DataFrame:
    """Return every hole in a range, in the form of `MarketDataStore.gaps`; `now` in ms.

    Raises `NoSuchSeriesError`.
    """
    for _ in range(ATTEMPTS):  # candles and ledger of one moment: nobody has changed a candle in between
        revision = candles.revision()
        with of_stored_bars():
            held = _held(candles, request)
        known = list(known_series(candles, held.symbols, request.timeframe))
        if candles.revision() == revision:
            break
    each = zip(held.firsts, held.ends, known, strict=True)
    ranges = [_asked_range(request, first, end, series, now) for first, end, series in each]
    return _stacked(explained(_with_ends(held, ranges), known, now), held.symbols, long=request.is_long)


def between(
    times: pl.Series, row_ends: Sequence[int], known: Sequence[KnownSeries], now: int
) -> pl.DataFrame:
    """Return the holes between bars that were read (times in ms, as `explained` has them), and why they are.

    The rows of the i-th of the known series, of one timeframe, end at `row_ends[i]`.
    """
    bar = known[0].grid.timeframe
    held = holes_of_times(times, [one.symbol for one in known], row_ends, bar)
    firsts = [(0, 0) if first is None else (_ceil(bar, bar.floor(first)), 0) for first in held.firsts]
    return explained(_with_ends(held, firsts), known, now)


def _held(candles: CandleRepository, request: Request) -> Held:
    """Return what series hold in a range, those among them that were asked for, and of which no bar came."""
    if request.symbols is not None:
        with suppress(NoSuchSeriesError):  # as a rule all are stored: the ledger is not looked through
            return candles.held(request)
    bare = {symbol for symbol, _ in candles.ledger.without_bars(str(request.timeframe))}
    if request.symbols is not None:
        bare.intersection_update(request.symbols)
    if not bare:
        return candles.held(request)
    stored = candles.stored(str(request.timeframe)) if request.symbols is None else request.symbols
    named = tuple(symbol for symbol in sorted(stored) if symbol not in bare)
    held = Held((), (), (), pl.DataFrame(schema=HOLES))
    if named:
        held = candles.held(replace(request, symbols=named, columns=("symbol", "timestamp")))
    symbols = sorted({*held.symbols, *bare})
    firsts, ends = (dict(zip(held.symbols, given, strict=True)) for given in (held.firsts, held.ends))
    place = {symbol: number for number, symbol in enumerate(symbols)}
    places = pl.Series([place[symbol] for symbol in held.symbols], dtype=pl.UInt32)
    holes = held.holes.with_columns(places.gather(held.holes["series"]).alias("series"))
    return Held(symbols, [firsts.get(one) for one in symbols], [ends.get(one) for one in symbols], holes)


def missing(candles: CandleRepository, request: Request, page: int | None, now: int) -> pl.DataFrame:
    """Return what is worth asking for, in the form of `MarketDataStore.missing`; `now` in ms.

    Raises `NoSuchSeriesError` for a series that is not stored, where the request has no start.
    """
    assert request.symbols is not None  # noqa: S101 - asked for by name, since it need not be stored; for mypy
    rows = []
    for number, series in enumerate(known_series(candles, request.symbols, request.timeframe)):
        ranges = _pages(series.grid, _worth(candles, request, series, now), page)
        rows += [(number, *one, series.grid.expected(*one)) for one in ranges]
    return _stacked(pl.DataFrame(rows, MISSING, orient="row"), request.symbols, long=request.is_long)


def to_ask(candles: CandleRepository, request: Request, page: int | None, now: int) -> dict[str, list[Range]]:
    """Return the ranges (ms) that an update of series asks for, by symbol; what lacks nothing is left out.

    Those are the missing ones, and those that are stored and unsettled. One look at the ledger is for all
    series: 100 that lack nothing take 3 ms. Raises as `missing` does.
    """
    assert request.symbols is not None  # noqa: S101 - as in `missing`
    found = {}
    for series in known_series(candles, request.symbols, request.timeframe):
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


def known_series(candles: CandleRepository, symbols: Sequence[str], bar: Timeframe) -> Iterator[KnownSeries]:
    """Yield what is known of series; the grid of those with one calendar is one."""
    found = candles.ledger.known(symbols, str(bar))
    grids: dict[str, Grid] = {}
    each = zip(symbols, found.series, found.intervals, found.unfinished, strict=True)
    for symbol, stored, known, early in each:
        name = calendar_of(symbol, found.calendars)
        grid = grids.get(name) or grids.setdefault(name, Grid(bar, name))
        yield KnownSeries(symbol, stored, grid, known, early)


def _asked_range(
    request: Request, first: int | None, end: int | None, series: KnownSeries, now: int
) -> Range:
    """Return the range of bars to look at: as asked, else from its beginning to the last; not the future."""
    bar = request.timeframe
    start = None if first is None else begins(first, series.known)
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


def _with_ends(held: Held, ranges: Sequence[Range]) -> pl.DataFrame:
    """Return all holes of series, each in its range: between bars, before them and behind them."""
    rows = list[tuple[int, int, int]]()
    for number, (first, last, (start, end)) in enumerate(zip(held.firsts, held.ends, ranges, strict=True)):
        if first is None or last is None:
            rows += [(number, start, end)] if start < end else []
        else:
            rows += [(number, start, first)] if start < first else []
            rows += [(number, last, end)] if last < end else []
    if not rows:
        return held.holes
    return pl.concat([held.holes, pl.DataFrame(rows, HOLES, orient="row")]).sort("series", "start")


# ---- what to ask for


def _worth(
    candles: CandleRepository, request: Request, series: KnownSeries, now: int, *, again: bool = False
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


def _unstored(
    candles: CandleRepository, series: KnownSeries, low: int, high: int, now: int
) -> Iterator[Range]:
    """Yield the holes in a range that are worth asking for."""
    stored, bar = series.stored, series.grid.timeframe
    holes = pl.DataFrame([(0, low, high)], HOLES, orient="row")
    if stored is not None and stored.first < high and low <= stored.last:
        request = Request((series.symbol,), bar, ("timestamp",), low, high)
        with suppress(NoSuchSeriesError):  # deleted since
            holes = _with_ends(candles.held(request), [(low, high)])
    yield from explained(holes, [series], now).filter(worth_asking()).select("start", "end").iter_rows()


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


def _stacked(rows: pl.DataFrame, symbols: Sequence[str], *, long: bool) -> pl.DataFrame:
    """Return rows of series by their number, with the symbol first where there may be several."""
    names = [name for name in ("start", "end", "asked") if name in rows.columns]
    times = rows.with_columns(pl.col(names).cast(TIME))
    if not long:
        return times.drop("series")
    symbol = pl.Series("symbol", symbols, pl.String).gather(rows["series"]).cast(pl.Categorical)
    return times.drop("series").insert_column(0, symbol)


def _ceil(bar: Timeframe, moment: int) -> int:
    """Return the start of the first bar at or after a moment."""
    return bar.next(min(max(moment, EARLIEST), LATEST) - 1)
