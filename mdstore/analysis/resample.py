"""Longer bars out of shorter ones: 1m to 1h, 1d to 1w, and days as the clocks of a zone count them.

Without a zone the bars are those of `Timeframe.floor`. In a zone, days, weeks and months start at local
midnight and are counted over local dates from the same anchors; a day on which the clocks change is one bar
of 23 or 25 hours. Shorter bars are cut anew from every local midnight: one starts whenever the clocks come to
show a whole multiple of its length, or jump over it; but where they jump by whole bars, a bar goes on. A
length of more than a day that is no whole days (36h) is counted on the local clock from 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import polars as pl

from mdstore.core.calendars import ALWAYS
from mdstore.core.calendars import Grid as Market
from mdstore.core.extra_columns import Rule
from mdstore.core.schema import VALUES
from mdstore.core.time_bounds import EARLIEST, LATEST
from mdstore.core.timeframe import DAY, SECOND, Timeframe
from mdstore.core.zones import check_zone
from mdstore.errors import TimeframeError

__all__ = ["bar_starts", "reach", "resample", "symbol_ends"]

FAR = 2**62  # a time beyond all others, with room for an offset
# Rows to a query, or a whole symbol. 10M rows of 200 symbols take 45 ms in queries of one symbol, 65 in
# queries of three, which must first put chunks together, and 80 in one. Of shorter symbols, one query each
# would cost more in planning than in work: 505 symbols of 1,260 rows take 12 ms in thirteen queries.
BLOCK = 50_000
BAR, BARS = "bar", "bars"
# High, low and volume are gathered as lists and then reduced, which costs nothing per bar: 91,000 weeks of
# five days take 3 ms so, and 13 with max(), min() and sum() of a group. The results are the same to the bit.
GATHERED = (pl.col("open").first(), pl.col("high", "low"), pl.col("close").last(), pl.col("volume"))
REDUCED = (
    pl.col("high").list.max(), pl.col("low").list.min(), pl.col("volume").list.sum(),
    pl.col("volume").list.len().cast(pl.Int64).alias(BARS),
)  # fmt: skip


def _weighted(column: pl.Expr) -> pl.Expr:
    volume = pl.when(column.is_not_null()).then(pl.col("volume")).sum()
    return pl.when(volume > 0).then((column * pl.col("volume")).sum() / volume).otherwise(column.mean())


RULES: dict[Rule, Callable[[pl.Expr], pl.Expr]] = {
    "sum": lambda column: pl.when(column.count() > 0).then(column.sum()),
    "last": lambda column: column.drop_nulls().last(),
    "first": lambda column: column.drop_nulls().first(),
    "max": pl.Expr.max,
    "min": pl.Expr.min,
    "mean": pl.Expr.mean,
    "volume_weighted": _weighted,
}
"""How a declared column of a bar is made of those of its source bars, nulls left out."""
# The sources that the hint of an error names: those that people have.
USUAL_SOURCES = (Timeframe(1, "m"), Timeframe(1, "s"))


def resample(
    frame: pl.DataFrame,
    source: Timeframe,
    target: Timeframe,
    *,
    tz: str | None = None,
    ends: Sequence[int] | None = None,
    lasts: Sequence[int] | None = None,
    calendars: Sequence[str] | None = None,
    extras: Mapping[str, Rule] | None = None,
) -> pl.DataFrame:
    """Make `target` bars of the `source` bars in `frame`.

    `frame` has the columns of a candle, or `symbol` and these, sorted, each time once. `ends` says at which
    row each symbol's rows end, where that is known. `tz` names the zone whose clocks cut the bars.

    Returns the same columns, then `closed`, `bars` and `of`. Prices are the source's to the bit, the volume
    is a sum; a bar without source rows is absent. `bars` is the number of source bars that a bar is made of,
    `of` that of those it could be made of. A bar is `closed` when its time is over for the source: the last
    source bar in it is there, or a later one. Where `frame` holds only a part of what there is, `lasts` gives
    the time (ms) of each symbol's last source bar, and `closed` goes by these. `calendars` names each
    symbol's calendar: `of` counts the bars of its sessions only, and after the last of these a bar is closed,
    a week on Friday. Bars outside of the sessions count in `bars` all the same.

    `extras` says how further columns of numbers are made, of those bars that have a value (see `Rule`); where
    none has, they are null.

    Raises `TimeframeError` where a bar would not be made of whole source bars, by its length or because the
    clocks of the zone cut inside one, and `InvalidInputError` where there is no such zone.

    >>> minutes = pl.DataFrame(
    ...     {
    ...         "timestamp": pl.Series([0, 60_000, 300_000]).cast(pl.Datetime("ms", "UTC")),
    ...         "open": [10.0, 11.0, 12.0],
    ...         "high": [11.5, 11.0, 13.0],
    ...         "low": [9.5, 10.5, 12.0],
    ...         "close": [11.0, 10.5, 13.0],
    ...         "volume": [1.0, 2.0, 4.0],
    ...     }
    ... )
    >>> bars = resample(minutes, Timeframe.parse("1m"), Timeframe.parse("5m"))
    >>> bars.drop("timestamp").rows()
    [(10.0, 11.5, 9.5, 10.5, 3.0, True, 2, 5), (12.0, 13.0, 12.0, 13.0, 4.0, False, 1, 5)]
    """
    if not target.holds(source):
        raise _misfit(source, target, f"{target} is no whole multiple of {source}")
    if tz is not None:
        check_zone(tz)
    if frame.is_empty() or (source == target and tz is None):
        one = pl.lit(1, pl.Int64)
        return frame.with_columns(closed=pl.lit(value=True), bars=one, of=one)
    ends = symbol_ends(frame) if ends is None else ends
    held = [place for place, (start, end) in enumerate(pairwise([0, *ends])) if start < end]
    ends = [ends[place] for place in held]
    tails = frame.select(pl.exclude(VALUES).gather([end - 1 for end in ends]))
    finals = tails["timestamp"].to_physical()
    grid = _grid(target, tz, min(frame["timestamp"].to_physical().gather([0, *ends[:-1]])), max(finals))
    if tz is not None:
        _refuse_cuts(source, target, tz, grid)
    if lasts is not None:
        finals = pl.Series([lasts[place] for place in held])
    bars = _bars(frame, ends, grid, extras or {})
    columns = _columns(tails, grid, source, _closed(grid, source, finals), tuple(extras or ()))
    made = bars.select(columns)
    names = {} if calendars is None else {at: calendars[place] for at, place in enumerate(held)}
    sessions = {at: name for at, name in names.items() if name != ALWAYS}
    if not sessions and source.ms is not None:
        return made
    return _counted(made, _spans(bars[BAR], grid, finals), source, sessions)


def reach(target: Timeframe, start: int, end: int, tz: str | None = None) -> tuple[int, int]:
    """Return the half-open range of source times in the `target` bars that start in `[start, end)`.

    All in milliseconds since 1970, UTC; what lies outside the years 1000 to 9000, such as -(2**63 - 1) for no
    bound, comes back as it is.
    """
    first = _first_from(target, start, tz)
    return first, max(first, _first_from(target, end, tz))


def bar_starts(target: Timeframe, tz: str | None, start: int, end: int) -> pl.Series:
    """Return the starts of the `target` bars in `[start, end)`, ascending; all in ms, within 1700 to 2262."""
    if start >= end:
        return pl.Series([], dtype=pl.Int64)
    grid = _grid(target, tz, start, end)
    starts = pl.select(grid.start(pl.int_range(grid.width))).to_series()
    return starts.filter((starts >= start) & (starts < end))


def _first_from(target: Timeframe, moment: int, tz: str | None) -> int:
    """Return the first bar start at or after a moment."""
    if not EARLIEST <= moment <= LATEST:
        return moment
    return _grid(target, tz, moment - 1, moment).start_of(moment - 1, 1)


# ---- bars


def symbol_ends(frame: pl.DataFrame) -> list[int]:
    """Return the row numbers at which each symbol's rows end, of a frame sorted by symbol."""
    if "symbol" not in frame.columns:
        return [len(frame)]
    return frame["symbol"].rle().struct.field("len").cum_sum().to_list()


def _blocks(ends: Sequence[int]) -> Iterator[tuple[int, int, range]]:
    """Yield ranges of rows that hold whole symbols, and the places of these."""
    start = place = 0
    for following, end in enumerate(ends, 1):
        if end - start >= BLOCK or end == ends[-1]:
            yield start, end, range(place, following)
            start, place = end, following


def _bars(frame: pl.DataFrame, ends: Sequence[int], grid: Grid, extras: Mapping[str, Rule]) -> pl.DataFrame:
    """Return the values of each bar, and its number; a symbol's count from a multiple of the width."""
    number = grid.number(pl.col("timestamp").to_physical())
    queries, more = [], [RULES[rule](pl.col(name)).alias(name) for name, rule in extras.items()]
    for start, end, places in _blocks(ends):
        # Symbols are counted by their runs: the codes of a categorical are in no order.
        symbol = places.start + (pl.col("symbol").rle_id().cast(pl.Int64) if len(places) > 1 else 0)
        # Without set_sorted() the rows are hashed, which takes three times as long.
        bar = (number + symbol * grid.width).set_sorted().alias(BAR)
        block = frame.slice(start, end - start).lazy()
        queries.append(block.group_by(bar, maintain_order=True).agg(*GATHERED, *more).with_columns(REDUCED))
    # The streaming engine takes twice as long: it does not use that groups are runs of rows.
    return pl.concat(pl.collect_all(queries, engine="in-memory"), rechunk=True)


def _columns(
    tails: pl.DataFrame, grid: Grid, source: Timeframe, closed: pl.Expr, extras: tuple[str, ...]
) -> list[pl.Expr]:
    """Return the columns of the result out of numbered bars; `tails` are the last rows of the symbols."""
    number = pl.col(BAR) % grid.width
    whole = (grid.start(number + 1) - grid.start(number)) // (source.ms or 1)
    start = grid.start(pl.col(BAR) % grid.width).cast(tails.schema["timestamp"]).alias("timestamp")
    columns = [
        start,
        *map(pl.col, (*VALUES, *extras)),
        closed.alias("closed"),
        pl.col(BARS),
        whole.alias("of"),
    ]
    if "symbol" in tails.columns:
        columns.insert(0, pl.lit(tails["symbol"]).gather(pl.col(BAR) // grid.width))
    return columns


def _closed(grid: Grid, source: Timeframe, finals: pl.Series) -> pl.Expr:
    """Tell which numbered bars are over; `finals` are the times of the symbols' last source bars."""
    symbol, number = pl.col(BAR) // grid.width, pl.col(BAR) % grid.width
    last_of_bar = source.floor_expr(grid.start(number + 1) - 1)
    return pl.lit(finals).gather(symbol) >= last_of_bar


def _counted(
    made: pl.DataFrame, spans: pl.DataFrame, source: Timeframe, sessions: Mapping[int, str]
) -> pl.DataFrame:
    """Count what months hold, or sessions; after its last session a bar is closed, too.

    `spans` has `start` and `end` of each bar, the place of its `symbol`, and from when on there is no source.
    `sessions` are the calendars of symbols, by place.
    """
    starts, ends = spans["start"], spans["end"]
    if source.ms is None:
        made = made.with_columns(Market(source).count(starts, ends).alias("of"))
    for name in set(sessions.values()):
        market = Market(source, name)
        its = spans["symbol"].is_in([place for place, one in sessions.items() if one == name])
        over = market.expected_in(spans["after"], ends) == 0
        made = made.with_columns(
            market.expected_in(starts, ends).zip_with(its, made["of"]).alias("of"),
            made["closed"] | (over & its),
        )
    return made


def _spans(numbers: pl.Series, grid: Grid, finals: pl.Series) -> pl.DataFrame:
    symbol, number = pl.col(BAR) // grid.width, pl.col(BAR) % grid.width
    after = pl.lit(finals).gather(symbol) + 1
    return numbers.to_frame().select(
        symbol.alias("symbol"), grid.start(number).alias("start"), grid.start(number + 1).alias("end"),
        after.alias("after"),
    )  # fmt: skip


# ---- where bars start


@dataclass(frozen=True, slots=True)
class Grid:
    """The starts of consecutive bars, numbered from 0: evenly spaced, or as listed.

    `width` is how many numbers there are; the last is that of the bar after the data.
    """

    width: int
    first: int = 0
    step: int = 0
    listed: pl.Series | None = None

    def number(self, moment: pl.Expr) -> pl.Expr:
        """Return the number of the bar that holds a moment."""
        if self.listed is None:
            return (moment - self.first) // self.step
        # 5 ns a row, and the division 2: moments come in order, so that the branches are foreseen.
        return pl.lit(self.listed).search_sorted(moment, side="right").cast(pl.Int64) - 1

    def start(self, number: pl.Expr) -> pl.Expr:
        """Return when the bar of a number starts."""
        if self.listed is None:
            return number * self.step + self.first
        return pl.lit(self.listed).gather(number)

    def start_of(self, moment: int, shift: int) -> int:
        """Return the start of the bar that comes `shift` after the one which holds a moment."""
        return int(pl.select(self.start(self.number(pl.lit(pl.Series([moment]))) + shift)).item())


def _grid(target: Timeframe, tz: str | None, first: int, last: int) -> Grid:
    """Return the bars from the one that holds `first` to the one after that which holds `last`."""
    # A day more: clocks set back early in a bar make it longer.
    clock = _clock(tz, first - target.longest_ms - DAY, last + target.longest_ms)
    if target.ms is not None and _is_even(target.ms, tz, clock):
        start = first - (first - target.floor(0) + int(clock.offsets[0])) % target.ms
        return Grid((last - start) // target.ms + 2, start, target.ms)
    starts = _starts(target, clock, first, last).unique().sort()
    low = starts.search_sorted(first, side="right") - 1
    width = starts.search_sorted(last, side="right") + 1 - low
    return Grid(width, listed=starts.slice(low, width))


def _is_even(length: int, tz: str | None, clock: Clock) -> bool:
    """Tell whether all bars are equally long: days in Seoul since 1988, hours in New York, not its days."""
    if tz is None or length >= DAY:
        return len(clock.offsets) == 1
    return DAY % length == 0 and (clock.offsets % length).n_unique() == 1


def _starts(target: Timeframe, clock: Clock, first: int, last: int) -> pl.Series:
    """List the starts of bars in a range, and some on both sides of it.

    Lists are long only for short lengths that do not divide a day: 75,000 a year for 7m.
    """
    if target.ms is not None and target.ms < DAY:
        return clock.shows(target.ms, first - 2 * DAY, last + 2 * DAY)
    dates = [target.floor(first - DAY)]
    while dates[-1] <= last + DAY:
        dates.append(target.next(dates[-1]))
    return clock.comes_to(pl.Series(dates))


@dataclass(frozen=True, slots=True)
class Clock:
    """What the clocks of a zone show: from each time in `since` on, UTC and the offset beside it (ms)."""

    since: pl.Series
    offsets: pl.Series

    def comes_to(self, dates: pl.Series) -> pl.Series:
        """Return when the clocks first show each of these local times, or a later one."""
        shown = self.since.shift(-1, fill_value=FAR) + self.offsets  # at the end of each part
        part = shown.search_sorted(dates, side="right")
        moments, jumps = dates - self.offsets.gather(part), self.since.gather(part)
        return moments.zip_with(moments > jumps, jumps)

    def shows(self, length: int, first: int, last: int) -> pl.Series:
        """Return when the clocks come to show, or jump over, a multiple of `length` since midnight."""
        starts = [self.since.filter(self._jumped(length))]
        for since, end, offset in zip(self.since, [*self.since[1:], FAR], self.offsets, strict=True):
            low, high = max(since, first) + offset, min(end, last) + offset
            times = _multiples(length, low - low % DAY, high)
            starts.append(times.filter((times >= low) & (times < high)) - offset)
        return pl.concat(starts)

    def _jumped(self, length: int) -> pl.Series:
        """Tell at which changes the clocks are set forward over a multiple, not by a multiple."""
        jump, shown = self.offsets.diff(), self.since + self.offsets
        over = shown - shown % DAY % length >= shown - jump
        return (over & (jump % length != 0)).fill_null(value=False)


def _multiples(length: int, midnight: int, end: int) -> pl.Series:
    """List the multiples of a length from each midnight on, for all days that begin before a time."""
    days = pl.DataFrame({"day": pl.int_range(midnight, max(midnight, end), DAY, eager=True)})
    steps = pl.DataFrame({"step": pl.int_range(0, DAY, length, eager=True)})
    return days.join(steps, how="cross").select(pl.col("day") + pl.col("step")).to_series()


def _clock(tz: str | None, first: int, last: int) -> Clock:
    """Return what the clocks show from the day of `first` to the day after `last`."""
    if tz is None:
        return Clock(pl.Series([-FAR]), pl.Series([0]))
    check_zone(tz)
    return _zone_clock(tz, first - first % DAY, last - last % DAY + DAY)


@lru_cache(maxsize=64)
def _zone_clock(tz: str, first: int, last: int) -> Clock:
    """Find the changes of the clocks, first the days, then the seconds. No zone changes twice in a day."""
    days = pl.int_range(first, last + 1, DAY, eager=True)
    offsets = _offsets(days, tz)
    changed = (offsets != offsets.shift(1)).fill_null(value=False)
    low, high = (days - DAY).filter(changed), days.filter(changed)
    while (high - low > SECOND).any():
        middle = (low + high) // (2 * SECOND) * SECOND
        same = _offsets(middle, tz) == _offsets(low, tz)
        low, high = middle.zip_with(same, low), high.zip_with(same, middle)
    return Clock(pl.concat([pl.Series([-FAR]), high]), pl.concat([offsets.head(1), offsets.filter(changed)]))


def _offsets(moments: pl.Series, tz: str) -> pl.Series:
    """Return how far the clocks of a zone are ahead of UTC, in milliseconds."""
    utc = moments.cast(pl.Datetime("ms", "UTC"))
    local = utc.dt.convert_time_zone(tz).dt.replace_time_zone(None)
    return local.cast(pl.Int64) - moments


# ---- errors


def _refuse_cuts(source: Timeframe, target: Timeframe, tz: str, grid: Grid) -> None:
    """Refuse bars that start inside a source bar."""
    # Evenly spaced ones are all whole if one is, since the length is a multiple.
    number = pl.int_range(1 if grid.listed is None else grid.width)
    starts = pl.select(grid.start(number).alias("start"))
    cut = starts.filter(source.floor_expr(pl.col("start")) != pl.col("start"))["start"]
    if len(cut):
        moment = f"{cut.cast(pl.Datetime('ms'))[0]:%Y-%m-%d %H:%M}"
        raise _misfit(source, target, f"in {tz} one starts at {moment} UTC, inside a {source} bar", cut)


def _misfit(
    source: Timeframe, target: Timeframe, reason: str, cut: pl.Series | None = None
) -> TimeframeError:
    fits = [
        part
        for part in USUAL_SOURCES
        if target.holds(part) and (cut is None or (cut % part.shortest_ms == 0).all())
    ]
    return TimeframeError(
        f"{target} bars cannot be made of {source} bars: {reason}", hint=f"derive it from {fits[0]}"
    )
