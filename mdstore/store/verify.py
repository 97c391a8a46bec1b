"""Verification of what is stored, many series at a time; the judgement itself is in `quality_checks`.

Series of one timeframe are judged under each other, so many that they are `TOGETHER` rows: one by one 10,000
of 250 days took four minutes, nearly all of it to plan queries of a few rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import polars as pl

from mdstore.analysis.quality_checks import FINDING, disagreements, findings_of_each, in_order
from mdstore.analysis.resample import resample
from mdstore.candles.file.table_reads import Request
from mdstore.candles.packs.sealing import by_rows
from mdstore.candles.repository import CandleRepository
from mdstore.core.calendars import ALWAYS, Grid
from mdstore.core.hole_reasons import UNEXPLAINED, worth_asking
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.time_bounds import EARLIEST, LATEST
from mdstore.core.timeframe import DAY, Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.store.explained_holes import KnownSeries, by_grid
from mdstore.store.gaps_and_missing import between, known_series
from mdstore.store.seams import seams

__all__ = ["REPORT", "verify"]

REPORT = pl.Schema({"symbol": pl.Categorical(), "timeframe": pl.String(), **FINDING})
NUMBERED = pl.Schema({"series": pl.UInt32(), **FINDING})
MOST = 100
"""Findings of one check in one series that are told one by one."""
TOGETHER = 500_000
"""Rows that are judged at a time: 24 MB, and a few times that of what is made of them."""
ATTEMPTS = 5
LONG = ("symbol", *CANDLE_COLUMNS)
Found = tuple[object, ...]
"""A row of `NUMBERED`, its times in ms."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A series that is to be verified, and its place in the report."""

    place: int
    symbol: str
    timeframe: str
    rows: int


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
    stored = sorted(listed.select(pl.col("symbol").cast(pl.String), "timeframe", "rows").rows())
    _refuse_unknown(candles, [(symbol, name) for symbol, name, _ in stored], symbols, timeframe)
    chosen = None if symbols is None else set(symbols)
    of_asked = [one for one in stored if (chosen is None or one[0] in chosen) and timeframe in {None, one[1]}]
    wanted = [_Wanted(place, *one) for place, one in enumerate(of_asked)]
    bars: dict[str, list[str]] = {}
    for symbol, name, _ in stored:
        bars.setdefault(symbol, []).append(name)
    found, done = [pl.DataFrame(schema=NUMBERED)], 0
    for group in _groups(wanted):
        if progress is not None:
            progress(done, len(wanted))
        places = pl.Series([one.place for one in group], dtype=pl.UInt32)
        frames = _of_group(candles, group, bars, now)
        found += [one.with_columns(places.gather(one["series"]).alias("series")) for one in frames]
        done += len(group)
    if progress is not None:
        progress(done, len(wanted))
    return _report(pl.concat(found), wanted)


def _groups(wanted: Sequence[_Wanted]) -> Iterator[list[_Wanted]]:
    """Yield series of one timeframe that are judged together."""
    ordered = sorted(wanted, key=lambda one: one.timeframe)
    for _, alike in groupby(ordered, key=lambda one: one.timeframe):
        yield from by_rows(alike, TOGETHER)


def _report(found: pl.DataFrame, wanted: Sequence[_Wanted]) -> pl.DataFrame:
    """Name the series of findings, and sort them."""
    found = in_order(found)
    names = pl.DataFrame(
        {"symbol": [one.symbol for one in wanted], "timeframe": [one.timeframe for one in wanted]},
        {"symbol": pl.String, "timeframe": pl.String},
    )
    return found.select(
        names["symbol"].gather(found["series"]).cast(pl.Categorical),
        names["timeframe"].gather(found["series"]), *FINDING,
    )  # fmt: skip


def _of_group(
    candles: CandleRepository, group: Sequence[_Wanted], bars: Mapping[str, Sequence[str]], now: int
) -> Iterator[pl.DataFrame]:
    """Yield what is found in series of one timeframe, as `NUMBERED`: by their number in the group."""
    name = group[0].timeframe
    if not Timeframe.is_name(name):
        detail = f"{name!r} is no timeframe of ours: written by another program"
        yield _numbered((at, "timeframe", "error", None, None, 0, None, detail) for at in range(len(group)))
        return
    bar = Timeframe.parse(name)
    rows, known = _read(candles, [one.symbol for one in group], bar)
    yield findings_of_each(rows, bar, now=now, most=MOST)
    rows = rows.filter(pl.col("timestamp").to_physical().is_between(EARLIEST, LATEST))  # which calendars have
    yield _numbered(_unexplained(rows, known, now))
    yield _numbered(_out_of_session(rows, known, bar))
    for number, (one, (start, end)) in enumerate(
        zip(group, pairwise((0, *_row_ends(rows, known))), strict=True)
    ):
        yield from _with_number(number, seams(candles.ledger, one.symbol, name))
        source = _next_shorter(bars[one.symbol], bar)
        if source is not None:
            stored = rows.slice(start, end - start)
            yield from _with_number(number, _against(candles, one.symbol, stored, source, bar))


def _read(
    candles: CandleRepository, symbols: Sequence[str], bar: Timeframe
) -> tuple[pl.DataFrame, list[KnownSeries]]:
    """Return bars under each other, by the number (`series`) of their symbol, and what is known besides."""
    for _ in range(ATTEMPTS):  # of one moment, as in `gaps`
        revision = candles.revision()
        answer = candles.read(Request(tuple(symbols), bar, LONG), keep=False)
        known = list(known_series(candles, symbols, bar))
        if candles.revision() == revision:
            break
    counts = [end - start for start, end in pairwise((0, *answer.ends))]
    number = pl.int_range(len(symbols), dtype=pl.UInt32).repeat_by(pl.lit(pl.Series(counts)))
    numbers = pl.select(number.explode(empty_as_null=False).alias("series")).to_series()
    return answer.values().select(CANDLE_COLUMNS).insert_column(0, numbers), known


def _next_shorter(names: Sequence[str], bar: Timeframe) -> Timeframe | None:
    """Return of some timeframes the longest that bars can be made of."""
    parts = [part for part in map(Timeframe.parse, filter(Timeframe.is_name, names)) if part != bar]
    return max((part for part in parts if bar.holds(part)), key=lambda part: part.shortest_ms, default=None)


def _row_ends(rows: pl.DataFrame, known: Sequence[KnownSeries]) -> list[int]:
    """Return the row numbers at which the rows of each series end."""
    numbers = pl.Series(range(len(known)), dtype=pl.UInt32)
    return rows["series"].search_sorted(numbers, side="right").to_list()


def _unexplained(rows: pl.DataFrame, known: Sequence[KnownSeries], now: int) -> Iterator[Found]:
    """Yield the holes of which nobody knows why: one finding for all of a series."""
    holes = between(rows["timestamp"].to_physical(), _row_ends(rows, known), known, now)
    unknown = holes.filter(pl.col("reason").is_in(UNEXPLAINED))
    start, bars = pl.col("start"), pl.col("bars")
    of_each = unknown.group_by("series", maintain_order=True).agg(
        start.first(), pl.col("end").last(), bars.sum(), pl.len().alias("holes"), bars.max().alias("most"),
        start.get(bars.arg_max()).cast(pl.Datetime("ms")).alias("at"), worth_asking().any().alias("unasked"),
    )  # fmt: skip
    for series, start, end, bars, holes, most, at, unasked in of_each.iter_rows():
        what = f"{_count(bars, 'missing bar')} in {_count(holes, 'hole')}"
        asked = "" if unasked else ", though the source was asked"
        detail = f"{what}{asked}; the longest is {most:,} from {at:%Y-%m-%d %H:%M}"
        yield series, "gap", "warning" if unasked else "info", start, end, bars, float(bars), detail


def _out_of_session(rows: pl.DataFrame, known: Sequence[KnownSeries], bar: Timeframe) -> Iterator[Found]:
    """Yield the bars on which the market was closed: one finding for all of a series."""
    # Many sources give bars of trade before and after the session, and of the auction that closes it.
    severity = "warning" if bar.shortest_ms >= DAY else "info"
    for grid, numbers in by_grid(known).items():
        if grid.calendar == ALWAYS:
            continue
        time = bar.floor_expr(pl.col("timestamp").to_physical()).alias("time")
        closed = _while_closed(
            rows.filter(rows["series"].is_in(numbers.implode())).select("series", time), grid
        )
        of_each = closed.group_by("series", maintain_order=True).agg(
            pl.col("time").first().alias("first"), pl.col("time").last().alias("last"), pl.len()
        )
        for series, first, last, bars in of_each.iter_rows():
            when = f"{ms_to_datetime(first):%Y-%m-%d %H:%M}"
            detail = f"{_count(bars, 'bar')} while {grid.calendar} is closed, the first from {when}"
            yield series, "session", severity, first, bar.next(last), bars, float(bars), detail


def _while_closed(times: pl.DataFrame, grid: Grid) -> pl.DataFrame:
    """Return the bars (`time`) that start while a market is closed."""
    ordered = times["time"].sort()
    if ordered.is_empty():
        return times
    starts, ends = grid.closed(ordered[0], grid.timeframe.next(ordered[-1]))
    if starts.is_empty():
        return times.clear()
    place = starts.search_sorted(times["time"], side="right").cast(pl.Int64) - 1
    return times.filter((place >= 0) & (times["time"] < ends.gather(place.clip(0))))


def _against(
    candles: CandleRepository, symbol: str, stored: pl.DataFrame, source: Timeframe, bar: Timeframe
) -> pl.DataFrame:
    """Compare stored bars with those made of shorter ones."""
    frame = candles.read(Request((symbol,), source, CANDLE_COLUMNS)).frame()
    frame = frame.filter(pl.col("timestamp").to_physical().is_between(EARLIEST, LATEST))
    made = resample(frame, source, bar).rename({"bars": "parts", "of": "whole"})
    return disagreements(stored.drop("series"), made, source, bar, most=MOST)


def _numbered(found: Iterable[Found]) -> pl.DataFrame:
    """Return findings that are given as rows as a frame."""
    plain = {name: pl.Int64() if name in {"start", "end"} else dtype for name, dtype in NUMBERED.items()}
    return pl.DataFrame(list(found), plain, orient="row").cast(NUMBERED)


def _with_number(number: int, found: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield findings of one series with its number, if there are any."""
    if len(found):
        yield found.select(pl.lit(number, pl.UInt32).alias("series"), *FINDING)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _refuse_unknown(
    candles: CandleRepository,
    keys: Sequence[tuple[str, str]],
    symbols: Sequence[str] | None,
    timeframe: str | None,
) -> None:
    """Refuse series that are asked for by name and not stored."""
    known = set(keys) if timeframe is not None else {(symbol, None) for symbol, _ in keys}
    for symbol in symbols or ():
        if (symbol, timeframe) not in known:
            raise candles.no_series(symbol, None if timeframe is None else Timeframe.parse(timeframe))
    if symbols is None and timeframe is not None and not any(timeframe == name for _, name in keys):
        raise candles.no_series(None, Timeframe.parse(timeframe))
