"""Verification of what is stored, a series at a time; the judgement itself is in `quality`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from mdstore.analysis.quality_checks import FINDING, disagreements, findings
from mdstore.analysis.resample import resample
from mdstore.candles.file.table_reads import Request
from mdstore.candles.repository import CandleRepository
from mdstore.core.calendars import ALWAYS, Grid, calendar_of
from mdstore.core.hole_reasons import UNEXPLAINED, worth_asking
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.time_bounds import EARLIEST, LATEST
from mdstore.core.timeframe import DAY, Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.store.gaps_and_missing import gaps
from mdstore.store.seams import seams

__all__ = ["REPORT", "verify"]

REPORT = pl.Schema({"symbol": pl.Categorical(), "timeframe": pl.String(), **FINDING})
MOST = 100
"""Findings of one check in one series that are told one by one."""


def verify(
    candles: CandleRepository,
    listed: pl.DataFrame,
    symbols: Sequence[str] | None,
    timeframe: str | None,
    *,
    now: int,
    progress: Callable[[int, int], None] | None,
) -> pl.DataFrame:
    """Return the findings of series, in the form of `MarketDataStore.verify`; `now` in ms.

    `listed` are all series, as `MarketDataStore.series` gives them. Raises `NoSuchSeriesError`.
    """
    keys = listed.select(pl.col("symbol").cast(pl.String), "timeframe").rows()
    _refuse_unknown(candles, keys, symbols, timeframe)
    wanted = [
        (symbol, name)
        for symbol, name in sorted(keys)
        if (symbols is None or symbol in symbols) and timeframe in (None, name)
    ]
    reports = [pl.DataFrame(schema=REPORT)]
    for done, (symbol, name) in enumerate(wanted):
        if progress is not None:
            progress(done, len(wanted))
        shorter = [other for known, other in keys if known == symbol]
        found = pl.concat([pl.DataFrame(schema=FINDING), *_of_series(candles, symbol, name, shorter, now)])
        key = (pl.lit(symbol).alias("symbol").cast(pl.Categorical), pl.lit(name).alias("timeframe"))
        reports.append(found.sort("start", "check", maintain_order=True).select(*key, *FINDING))
    if progress is not None:
        progress(len(wanted), len(wanted))
    return pl.concat(reports)


def _of_series(
    candles: CandleRepository, symbol: str, name: str, others: Sequence[str], now: int
) -> Iterator[pl.DataFrame]:
    if not Timeframe.is_name(name):
        yield _finding("timeframe", f"{name!r} is no timeframe of ours: written by another program")
        return
    bar = Timeframe.parse(name)
    stored = candles.read(Request((symbol,), bar, CANDLE_COLUMNS)).frame()
    yield findings(stored, bar, now=now, most=MOST)
    stored = _with_a_year(stored)
    yield _unexplained(candles, symbol, bar, stored, now)
    yield seams(candles.ledger, symbol, name)
    yield _out_of_session(stored, bar, calendar_of(symbol, candles.ledger.calendars()))
    parts = [part for part in map(Timeframe.parse, filter(Timeframe.is_name, others)) if part != bar]
    parts = [part for part in parts if bar.holds(part)]
    if parts:
        source = max(parts, key=lambda part: part.shortest_ms)
        yield _against(candles, symbol, stored, source, bar)


def _with_a_year(frame: pl.DataFrame) -> pl.DataFrame:
    """Leave out times of other units, which no calendar has."""
    times = frame["timestamp"].to_physical()
    if len(times) and times[0] >= EARLIEST and times[-1] <= LATEST:
        return frame
    return frame.filter(times.is_between(EARLIEST, LATEST))


def _unexplained(
    candles: CandleRepository, symbol: str, bar: Timeframe, stored: pl.DataFrame, now: int
) -> pl.DataFrame:
    """Return the holes of which nobody knows why: one finding for all of a series."""
    if stored.is_empty():
        return pl.DataFrame(schema=FINDING)
    times = stored["timestamp"].to_physical()
    request = Request((symbol,), bar, ("timestamp",), bar.floor(times[0]), bar.next(times[-1]))
    holes = gaps(candles, request, now)
    unknown = holes.filter(pl.col("reason").is_in(UNEXPLAINED))
    if unknown.is_empty():
        return pl.DataFrame(schema=FINDING)
    bars = int(unknown["bars"].sum())
    asked = unknown.filter(worth_asking()).is_empty()
    longest = unknown.sort("bars", descending=True).row(0, named=True)
    what = f"{_count(bars, 'missing bar')} in {_count(len(unknown), 'hole')}"
    asked_text = ", though the source was asked" if asked else ""
    place = f"{longest['bars']:,} from {longest['start']:%Y-%m-%d %H:%M}"
    detail = f"{what}{asked_text}; the longest is {place}"
    row = (
        "gap",
        "info" if asked else "warning",
        unknown["start"][0],
        unknown["end"][-1],
        bars,
        float(bars),
        detail,
    )
    return pl.DataFrame([row], FINDING, orient="row")


def _out_of_session(stored: pl.DataFrame, bar: Timeframe, calendar: str) -> pl.DataFrame:
    """Return the bars on which the market was closed: one finding for all of a series."""
    if calendar == ALWAYS or stored.is_empty():
        return pl.DataFrame(schema=FINDING)
    times = stored.select(bar.floor_expr(pl.col("timestamp").to_physical()))["timestamp"]
    starts, ends = Grid(bar, calendar).closed(times[0], bar.next(times[-1]))
    if starts.is_empty():
        return pl.DataFrame(schema=FINDING)
    place = starts.search_sorted(times, side="right").cast(pl.Int64) - 1
    closed = times.filter((place >= 0) & (times < ends.gather(place.clip(0))))
    if closed.is_empty():
        return pl.DataFrame(schema=FINDING)
    start, end = ms_to_datetime(closed[0]), ms_to_datetime(bar.next(closed[-1]))
    bars, first = len(closed), f"{start:%Y-%m-%d %H:%M}"
    detail = f"{_count(bars, 'bar')} while {calendar} is closed, the first from {first}"
    # Many sources give bars of trade before and after the session, and of the auction that closes it.
    severity = "warning" if bar.shortest_ms >= DAY else "info"
    row = ("session", severity, start, end, bars, float(bars), detail)
    return pl.DataFrame([row], FINDING, orient="row")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _against(
    candles: CandleRepository, symbol: str, stored: pl.DataFrame, source: Timeframe, bar: Timeframe
) -> pl.DataFrame:
    """Compare stored bars with those made of shorter ones."""
    frame = _with_a_year(candles.read(Request((symbol,), source, CANDLE_COLUMNS)).frame())
    made = resample(frame, source, bar).rename({"bars": "parts", "of": "whole"})
    return disagreements(stored, made, source, bar, most=MOST)


def _finding(check: str, detail: str) -> pl.DataFrame:
    return pl.DataFrame([(check, "error", None, None, 0, None, detail)], FINDING, orient="row")


def _refuse_unknown(
    candles: CandleRepository,
    keys: Sequence[tuple[str, str]],
    symbols: Sequence[str] | None,
    timeframe: str | None,
) -> None:
    """Refuse series that are asked for by name and not stored."""
    for symbol in symbols or ():
        if not any(symbol == known and timeframe in (None, name) for known, name in keys):
            raise candles.no_series(symbol, None if timeframe is None else Timeframe.parse(timeframe))
    if symbols is None and timeframe is not None and not any(timeframe == name for _, name in keys):
        raise candles.no_series(None, Timeframe.parse(timeframe))
