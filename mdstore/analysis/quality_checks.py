"""What looks wrong in stored candles: broken rules, repeated bars, prices and volumes that stick out.

Nothing is altered. `findings` judges one series and `findings_of_each` many at once, `disagreements` compares
bars with those made of shorter ones; they return frames of the columns `FINDING`, one row a finding. An error
contradicts what a candle is, a warning is for a person to look at, an info is often how the market was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from math import isfinite
from types import MappingProxyType
from typing import Any

import polars as pl

from mdstore.analysis.outliers import NEIGHBOURS, SPIKE_SCORE, VOLUME_SCORE, spikes, steps, volumes
from mdstore.analysis.several_series import ascending, beside, first_rows
from mdstore.analysis.shifted_bars import shifted
from mdstore.core.schema import PRICES, VALUES
from mdstore.core.time_bounds import EARLIEST, LATEST
from mdstore.core.timeframe import DAY, HOUR, Timeframe

__all__ = ["CHECKS", "FINDING", "SEVERITIES", "disagreements", "findings", "findings_of_each", "in_order"]

SEVERITIES = ("error", "warning", "info")
"""The worst first."""

FINDING = pl.Schema(
    {
        "check": pl.String(), "severity": pl.String(), "start": pl.Datetime("ms", "UTC"),
        "end": pl.Datetime("ms", "UTC"), "bars": pl.Int64(), "value": pl.Float64(), "detail": pl.String(),
    }
)  # fmt: skip
"""From the start of the first bar to the end of the last; `value` is what makes it a finding."""

LONG_RUN = 30
"""How many bars without volume, or at one price, make a finding."""

VOLUME_TOLERANCE = 1e-9

CHECKS: Mapping[str, str] = MappingProxyType({
    "duplicate": "A timestamp that comes more than once.",
    "order": "A timestamp before the one above it.",
    "grid": "A timestamp at which no bar of the timeframe starts.",
    "unit": "A time in no year from 1000 to 9000, as of another unit: written by another program.",
    "future": "A bar that starts after now (bars under a day by over an hour, longer ones by over a day).",
    "ohlc": "A low above the open or the close, or a high below one of them.",
    "number": "A value that is null, NaN or infinite, or a negative volume.",
    "price": "A price that is zero or negative.",
    "zero_volume": f"A run of {LONG_RUN} bars or more without volume.",
    "stuck": f"A run of {LONG_RUN} bars or more at one price, with volume: a feed that repeats itself.",
    "repeated": "Two bars or more that are the same in all, with volume and a range: a row that was copied.",
    "spike": f"A price that leaves its neighbours by {SPIKE_SCORE:g} times the usual move and comes back.",
    "split": "A price that is divided or multiplied, and stays so, as by a split that is not adjusted.",
    "step": "A price that is many times what it was, and stays so, by no split: often of two sources.",
    "seam": "Where bars of two sources meet that differ by a factor where both have them: two adjustments.",
    "volume_outlier": f"A volume further than {VOLUME_SCORE:g} times the usual spread from those around it.",
    "derived": "A bar that differs from the one which bars of a shorter timeframe make.",
    "shifted": "Bars that are each the next, or the one before, of those that shorter bars make.",
    "derived_missing": "A bar that bars of a shorter timeframe make, but which is not stored.",
    "gap": "Bars that are not stored, and no reason for it is known (info where the source was asked).",
    "session": "Bars on which the market was closed, by the calendar of their symbol.",
    "timeframe": "A series of a timeframe that has no name here: written by another program.",
})  # fmt: skip
"""The name of every check, and what it finds."""

SEVERITY = {
    **dict.fromkeys(("duplicate", "order", "unit", "grid", "future", "ohlc", "number"), "error"),
    **dict.fromkeys(("derived", "shifted"), "error"),
    **dict.fromkeys(("price", "stuck", "repeated", "spike", "split", "step", "derived_missing"), "warning"),
    **dict.fromkeys(("zero_volume", "volume_outlier"), "info"),
}

ENDS = ("open", "close")
NEAR = 14 * DAY  # an exchange closes for 11 days at most

Row = Mapping[str, Any]
Check = tuple[str, Callable[["Bars"], pl.DataFrame], Callable[[Row], str]]
"""A name; what finds the places, as `start`, `last` (ms), `bars`, `value`, `weight` and more; the detail."""

SERIES = pl.Schema({"series": pl.UInt32()})
NONE = pl.DataFrame(
    schema={**SERIES, "start": pl.Int64, "last": pl.Int64, "bars": pl.Int64, "value": pl.Float64}
)
NUMBERED = pl.Schema({**SERIES, **FINDING})


@dataclass(frozen=True, slots=True)
class Bars:
    """Series under each other: `series`, the number of each, `start` (Int64 ms) and the values.

    `rows` are all as stored, `timed` those with a time, `finite` those without a broken number, `ordered` of
    these the last of each time, ascending.
    """

    rows: pl.DataFrame
    timed: pl.DataFrame
    finite: pl.DataFrame
    ordered: pl.DataFrame
    timeframe: Timeframe
    now: int


def findings(frame: pl.DataFrame, timeframe: Timeframe, *, now: int, most: int = 100) -> pl.DataFrame:
    """Return what looks wrong in the candles of one series.

    `frame` has the columns of a candle in stored order, `now` is in milliseconds since 1970. The result has
    the columns of `FINDING`, sorted by start and check; where the time is outside of the years
    1000 to 9000, `start` and `end` are null. Of one check there are at most `most` rows, those that weigh
    most, and one more row for all others, its detail "... and N more".

    `value` is the score of a spike, a split or a volume (negative where there is too little), the length of a
    run, the times a timestamp comes, the lowest price, by how much high or low are wrong, a negative volume,
    or by how many milliseconds a timestamp is wrong. Spikes and volumes are judged from 20 moves or volumes
    on. A close is a spike only where the next bar is back at the old price; so a split is no spike, and the
    last close never is.

    >>> bars = pl.DataFrame(
    ...     {
    ...         "timestamp": pl.Series([0, 60_000]).cast(pl.Datetime("ms", "UTC")),
    ...         "open": [10.0, 11.0],
    ...         "high": [11.0, 12.0],
    ...         "low": [9.0, 11.5],
    ...         "close": [11.0, 12.0],
    ...         "volume": [1.0, 2.0],
    ...     }
    ... )
    >>> findings(bars, Timeframe.parse("1m"), now=120_000).select("check", "value", "detail").rows()
    [('ohlc', 0.5, 'low 11.5 is above open 11')]
    """
    rows = frame.with_columns(pl.lit(0, pl.UInt32).alias("series"))
    return findings_of_each(rows, timeframe, now=now, most=most).drop("series")


def findings_of_each(frame: pl.DataFrame, timeframe: Timeframe, *, now: int, most: int = 100) -> pl.DataFrame:
    """Return what `findings` does of several series, the number of each (`series`, UInt32) before it.

    The rows of `frame` are those of its series under each other, by their number, which it has, too.
    """
    bars = _prepared(frame, timeframe, now)
    found = ((name, find(bars), tell) for name, find, tell in JUDGES)
    return _report(_limited(name, rows, tell, timeframe, most) for name, rows, tell in found)


def disagreements(
    stored: pl.DataFrame, made: pl.DataFrame, source: Timeframe, timeframe: Timeframe, *, most: int = 100
) -> pl.DataFrame:
    """Return where stored bars differ from bars of the same `timeframe` made of `source` bars.

    `stored` has the columns of a candle; `made` these, `closed`, `parts` and `whole`: of how many source bars
    a bar is made, and of how many it could be. Only closed bars count. Prices must be equal to the bit,
    volumes within 1e-9 of the larger. A difference is an error where the bar is whole, else an info, and its
    `value` the largest relative one. A whole bar that is missing between stored ones is a `derived_missing`.
    Where nearly all stored bars are the next ones, or those before, that is one finding (`shifted`, an error)
    in place of all others. The result is as that of `findings`.
    """
    made = made.filter("closed").with_columns(pl.lit(str(source)).alias("source"))
    stored, made = (
        _physical(one.with_columns(pl.lit(0, pl.UInt32).alias("series"))) for one in (stored, made)
    )
    moved = shifted(stored.drop("series"), made.drop("series"), timeframe)
    if len(moved):
        moved = moved.insert_column(0, pl.repeat(0, len(moved), dtype=pl.UInt32, eager=True).alias("series"))
        tell = partial(_tell_shifted, str(source))
        return _limited("shifted", moved, tell, timeframe, most).drop("series")
    found = (
        ("derived", _differing(stored, made.drop("series")), _tell_derived),
        ("derived_missing", _missing(stored, made), _tell_missing),
    )
    return _report(_limited(name, rows, tell, timeframe, most) for name, rows, tell in found).drop("series")


# ---- the report


def in_order(found: pl.DataFrame) -> pl.DataFrame:
    """Return findings of several series sorted by series, start and check."""
    return found.sort("series", "start", "check", maintain_order=True)


def _limited(
    check: str, found: pl.DataFrame, tell: Callable[[Row], str], timeframe: Timeframe, most: int
) -> pl.DataFrame:
    """Turn what a check found into findings; of each series all but the `most` weightiest become one row."""
    if found.is_empty():
        return NUMBERED.to_frame()
    if "severity" not in found.columns:
        found = found.with_columns(pl.lit(SEVERITY[check]).alias("severity"))
    kept, others = _parted(found, most)
    details = pl.Series("detail", [tell(row) for row in kept.iter_rows(named=True)], dtype=pl.String)
    kept = _finding(check, kept.with_columns(details), timeframe)
    return pl.concat([kept, _others(check, others, timeframe)])


def _parted(found: pl.DataFrame, most: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the `most` weightiest of each series, and those of the series that have more."""
    if len(found) <= most:
        return found, found.clear()
    many = pl.len().over("series") > most
    few, rest = found.filter(~many), found.filter(many)
    rank = pl.col("severity").replace_strict(SEVERITIES, range(len(SEVERITIES)), return_dtype=pl.Int8)
    rest = rest.sort("series", rank, -pl.col("weight"), "start", maintain_order=True)
    number = pl.int_range(pl.len()).over("series")
    return pl.concat([few, rest.filter(number < most)]), rest.filter(number >= most)


def _others(check: str, others: pl.DataFrame, timeframe: Timeframe) -> pl.DataFrame:
    if others.is_empty():
        return NUMBERED.to_frame()
    summary = others.group_by("series", maintain_order=True).agg(
        pl.col("severity").first(), pl.col("start").min(), pl.col("last").max(), pl.col("bars").sum(),
        pl.lit(None, pl.Float64).alias("value"), pl.len().alias("more"),
    )  # fmt: skip
    details = [f"... and {more:,} more" for more in summary["more"]]
    return _finding(check, summary.with_columns(pl.Series("detail", details)), timeframe)


def _finding(check: str, rows: pl.DataFrame, timeframe: Timeframe) -> pl.DataFrame:
    # A start plus the length of the longest bar lies in the next bar, even where that is a short month.
    end = timeframe.floor_expr(timeframe.floor_expr(pl.col("last")) + timeframe.longest_ms)
    # A time outside of the years 1000 to 9000 has no datetime: only the text names it.
    bounds = (
        pl.when(at.is_between(EARLIEST, LATEST)).then(at).alias(name)
        for name, at in (("start", pl.col("start")), ("end", end))
    )
    rows = rows.with_columns(pl.lit(check).alias("check"), *bounds)
    return rows.select(pl.col(name).cast(dtype) for name, dtype in NUMBERED.items())


def _report(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    return in_order(pl.concat(parts))


def _each(rows: pl.DataFrame, value: pl.Expr, weight: pl.Expr | None = None) -> pl.DataFrame:
    """Make each row a finding of one bar; without a weight, the larger value weighs more."""
    value = value.cast(pl.Float64)
    return rows.with_columns(
        pl.col("start").alias("last"), pl.lit(1, pl.Int64).alias("bars"), value.alias("value"),
        (value if weight is None else weight).alias("weight"),
    )  # fmt: skip


def _number(value: float | None) -> str:
    """Write a number with all its digits: 1,234.5, 0.00001, or with an exponent where that is long."""
    if value is None or not isfinite(value):
        return "null" if value is None else str(value)
    text = f"{Decimal(repr(value)):,f}" if 1e-12 < abs(value) < 1e15 else f"{value:,}"  # noqa: PLR2004
    return text.removesuffix(".0")


def _seconds(ms: float) -> str:
    return f"{_number(ms / 1000)} s"


def _time(ms: int) -> str:
    try:
        return f"{datetime(1970, 1, 1) + timedelta(milliseconds=ms):%Y-%m-%d %H:%M:%S}"
    except OverflowError:
        return f"{ms} ms"


# ---- rows


def _physical(frame: pl.DataFrame) -> pl.DataFrame:
    start, others = pl.col("timestamp").to_physical().alias("start"), pl.exclude("timestamp", *VALUES)
    return frame.select(start, pl.col(VALUES).cast(pl.Float64), others)


def _prepared(frame: pl.DataFrame, timeframe: Timeframe, now: int) -> Bars:
    rows = _physical(frame.select("series", "timestamp", *VALUES))
    timed = rows.drop_nulls("start")
    finite = timed if _all_numbers(timed) else timed.filter(~_broken())
    ordered = finite
    if not ascending(finite):
        key = ["series", "start"]
        ordered = finite.unique(key, keep="last", maintain_order=True).sort(key)
    return Bars(rows, timed, finite, ordered, timeframe, now)


def _all_numbers(rows: pl.DataFrame) -> bool:
    """Tell whether surely no number is broken: a sum is finite only where every value is."""
    whole = not any(rows[name].null_count() or not isfinite(rows[name].sum()) for name in VALUES)
    return whole and not (rows["volume"] < 0).any()


def _broken() -> pl.Expr:
    unfit = [~pl.col(name).is_finite() for name in VALUES]
    return pl.any_horizontal(expr.fill_null(value=True) for expr in [*unfit, pl.col("volume") < 0])


def _duplicates(bars: Bars) -> pl.DataFrame:
    if ascending(bars.timed):
        return NONE
    repeated = bars.timed.filter(pl.struct("series", "start").is_duplicated())
    by_time = repeated.group_by("series", "start", maintain_order=True)
    times = by_time.agg(pl.len().cast(pl.Int64).alias("times"))
    return _each(times, pl.col("times")).with_columns(pl.col("times").alias("bars"))


def _disorder(bars: Bars) -> pl.DataFrame:
    if ascending(bars.timed):
        return NONE
    rows = bars.timed.select("series", "start", beside("start", 1).alias("above"))
    rows = rows.filter(pl.col("start") < pl.col("above"))
    return _each(rows, pl.col("above") - pl.col("start"))


def _off_grid(bars: Bars) -> pl.DataFrame:
    start, floor = pl.col("start"), bars.timeframe.floor_expr(pl.col("start"))
    rows = bars.timed.select("series", "start").filter(start != floor)
    return _each(rows, start - floor, pl.lit(0.0)).with_columns(pl.lit(str(bars.timeframe)).alias("bar"))


def _of_no_year(bars: Bars) -> pl.DataFrame:
    starts = bars.timed["start"]
    wrong = bars.timed.select("series", "start").filter(~starts.is_between(EARLIEST, LATEST))
    return _each(wrong, pl.lit(0.0))


def _future(bars: Bars) -> pl.DataFrame:
    # As in `candle_rules`: an hour for clocks that disagree, a day for dates that may be tomorrow's.
    latest = bars.now + (HOUR if bars.timeframe.shortest_ms < DAY else DAY)
    starts = bars.timed["start"]
    later = bars.timed.select("series", "start").filter((starts > latest) & (starts <= LATEST))
    return _each(later, pl.col("start") - bars.now)


def _misshapen(bars: Bars) -> pl.DataFrame:
    low, high = pl.col("low"), pl.col("high")
    wrong = [low > pl.col("open"), low > pl.col("close"), high < pl.col("open"), high < pl.col("close")]
    beyond = (low - pl.min_horizontal("open", "close"), pl.max_horizontal("open", "close") - high)
    return _each(bars.finite.filter(pl.any_horizontal(wrong)), pl.max_horizontal(beyond))


def _broken_numbers(bars: Bars) -> pl.DataFrame:
    rows = bars.rows
    if len(bars.timed) == len(rows) == len(bars.finite):
        return NONE
    negative = pl.when(pl.col("volume").is_finite() & (pl.col("volume") < 0)).then("volume")
    return _each(rows.filter(_broken() | pl.col("start").is_null()), negative, pl.lit(0.0))


def _not_positive(bars: Bars) -> pl.DataFrame:
    lowest = pl.min_horizontal(PRICES)
    return _each(bars.finite.filter(_unpriced()), lowest, -lowest)


def _unpriced() -> pl.Expr:
    return pl.any_horizontal(pl.col(name) <= 0 for name in PRICES)


# ---- runs


def _without_volume(bars: Bars) -> pl.DataFrame:
    return _runs(bars.ordered, bars.ordered["volume"] == 0, LONG_RUN)


def _stuck(bars: Bars) -> pl.DataFrame:
    rows = bars.ordered
    flat = (rows["high"] == rows["low"]) & (rows["open"] == rows["close"]) & (rows["high"] == rows["open"])
    same = flat & flat.shift(1) & (rows["close"] == rows["close"].shift(1)) & ~first_rows(rows["series"])
    runs = _runs(rows, same.fill_null(value=False), LONG_RUN - 1, before=1)
    if runs.is_empty():
        return runs
    traded = (rows["volume"] > 0).cast(pl.Int64).cum_sum().alias("traded")
    until = pl.concat([pl.Series("traded", [0]), traded])
    count = until.gather(runs["row"] + runs["bars"]) - until.gather(runs["row"])
    return runs.with_columns(rows["close"].gather(runs["row"]), count.alias("traded")).filter(count > 0)


def _repeated(bars: Bars) -> pl.DataFrame:
    rows = bars.ordered
    same = (rows["high"] != rows["low"]) & (rows["volume"] > 0) & ~first_rows(rows["series"])
    for name in VALUES:
        same &= rows[name] == rows[name].shift(1)
    runs = _runs(rows, same.fill_null(value=False), 1, before=1)
    return runs.with_columns(rows[name].gather(runs["row"]) for name in VALUES) if len(runs) else runs


def _spikes(bars: Bars) -> pl.DataFrame:
    return _each(spikes(bars.ordered.filter(~_unpriced())), pl.col("score"))


def _splits(bars: Bars) -> pl.DataFrame:
    return _jumps(bars).filter(pl.col("split").is_not_null())


def _steps(bars: Bars) -> pl.DataFrame:
    return _jumps(bars).filter(pl.col("split").is_null())


def _jumps(bars: Bars) -> pl.DataFrame:
    apart = max(NEAR, 2 * bars.timeframe.longest_ms)
    return _each(steps(bars.ordered.filter(~_unpriced()), apart), pl.col("score"))


def _volume_outliers(bars: Bars) -> pl.DataFrame:
    found = volumes(bars.ordered.select("series", "start", "volume"))
    return _each(found, pl.col("score"), pl.col("score").abs())


def _runs(rows: pl.DataFrame, mask: pl.Series, shortest: int, before: int = 0) -> pl.DataFrame:
    """Return the runs of `shortest` rows or more in which the mask holds, and `before` rows before each."""
    if mask.sum() < shortest:
        return NONE
    begins = ((mask != mask.shift(1)).fill_null(value=True) | first_rows(rows["series"])).arg_true()
    runs = pl.DataFrame({"row": begins.cast(pl.Int64), "value": mask.gather(begins)})
    runs = runs.with_columns(
        pl.col("row") - before, (pl.col("row").shift(-1, fill_value=len(rows)) - pl.col("row")).alias("len")
    )
    runs = runs.filter(pl.col("value") & (pl.col("len") >= shortest))
    bars = (pl.col("len") + before).alias("bars")
    runs = runs.select("row", bars, bars.cast(pl.Float64).alias("value"), bars.alias("weight"))
    starts, at = rows["start"], runs["row"]
    last = starts.gather(at + runs["bars"] - 1).alias("last")
    return runs.with_columns(starts.gather(at), last, rows["series"].gather(at))


# ---- bars made of others


def _differing(stored: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
    both = stored.join(made, on="start", suffix="_made", maintain_order="left")
    both = both.with_columns(_differs(name).alias(f"{name}_differs") for name in VALUES)
    both = both.filter(pl.any_horizontal(f"{name}_differs" for name in VALUES))
    whole = pl.col("parts") >= pl.col("whole")
    severity = pl.when(whole).then(pl.lit("error")).otherwise(pl.lit("info")).alias("severity")
    sizes = [pl.when(f"{name}_differs").then(_difference(name)) for name in VALUES]
    return _each(both.with_columns(severity), pl.max_horizontal(sizes))


def _difference(name: str) -> pl.Expr:
    """Return by how much a column differs, relative to the larger value; null where that is no number."""
    one, other = pl.col(name), pl.col(f"{name}_made")
    relative = (one - other).abs() / pl.max_horizontal(one.abs(), other.abs())
    return pl.when(relative.is_finite()).then(relative)


def _differs(name: str) -> pl.Expr:
    unequal = pl.col(name).ne_missing(pl.col(f"{name}_made"))
    if name != "volume":
        return unequal
    return unequal & (_difference(name) > VOLUME_TOLERANCE).fill_null(value=True)


def _missing(stored: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
    first, last = stored["start"].min(), stored["start"].max()
    if first is None:
        return NONE
    inside = pl.col("start").is_between(pl.lit(first), pl.lit(last)) & (pl.col("parts") >= pl.col("whole"))
    return _each(made.filter(inside).join(stored, on="start", how="anti"), pl.col("parts"))


# ---- details


def _tell_misshapen(row: Row) -> str:
    above = [_named(row, name) for name in ENDS if row["low"] > row[name]]
    below = [_named(row, name) for name in ENDS if row["high"] < row[name]]
    sides = (("low", "above", above), ("high", "below", below))
    return ", ".join(f"{_named(row, end)} is {word} {' and '.join(it)}" for end, word, it in sides if it)


def _tell_broken(row: Row) -> str:
    wrong = [name for name in VALUES if row[name] is None or not isfinite(row[name])]
    texts = ["timestamp is null"] if row["start"] is None else []
    texts += [_stated(row, name) for name in wrong]
    return ", ".join(texts if row["value"] is None else [*texts, _stated(row, "volume")])


def _tell_price(row: Row) -> str:
    return ", ".join(_stated(row, name) for name in PRICES if row[name] <= 0)


def _tell_stuck(row: Row) -> str:
    return f"{row['bars']:,} bars at {_number(row['close'])}, {row['traded']:,} of them with volume"


def _tell_spike(row: Row) -> str:
    name, one, other = NEIGHBOURS[row["scores"].index(row["value"])]
    words = {
        "close": "after {}, back at {}", "open": "after a close of {}, its own close {}",
        "high": "where open and close are {} and {}", "low": "where open and close are {} and {}",
    }  # fmt: skip
    around = words[name].format(_number(row[one]), _number(row[other]))
    return f"{_named(row, name)} {around}: {row['value']:,.0f} times the usual move"


def _tell_split(row: Row) -> str:
    prices = f"open {_number(row['open'])} after a close of {_number(row['before'])}"
    return f"{prices}: {'times' if row['is_up'] else 'divided by'} {row['split']:g}"


def _tell_step(row: Row) -> str:
    prices = f"open {_number(row['open'])} after a close of {_number(row['before'])}"
    return f"{prices}: {'times' if row['is_up'] else 'divided by'} {row['moved']:.4g}, and it stays there"


def _tell_volume(row: Row) -> str:
    return f"volume {_number(row['volume'])}, {row['times']:,.4g} times the usual {row['usual']:,.4g}"


def _tell_derived(row: Row) -> str:
    differ = [name for name in VALUES if row[f"{name}_differs"]]
    texts = [f"{_named(row, name)} is {_number(row[f'{name}_made'])}" for name in differ]
    of = "" if row["parts"] >= row["whole"] else f"{row['parts']:,} of "
    return f"{', '.join(texts)} by {of}{row['whole']:,} {row['source']} bars"


def _tell_shifted(source: str, row: Row) -> str:
    which, when = ("the next", "early") if row["value"] > 0 else ("those before", "late")
    return f"{row['bars']:,} bars are {which} of those that {source} bars make: stored one bar too {when}"


def _tell_missing(row: Row) -> str:
    close, volume = _number(row["close"]), _number(row["volume"])
    return f"not stored; {row['parts']:,} {row['source']} bars make it: close {close}, volume {volume}"


def _all_of(row: Row) -> str:
    return ", ".join(_named(row, name) for name in VALUES)


def _named(row: Row, name: str) -> str:
    return f"{name} {_number(row[name])}"


def _stated(row: Row, name: str) -> str:
    return f"{name} is {_number(row[name])}"


JUDGES: tuple[Check, ...] = (
    ("duplicate", _duplicates, lambda row: f"{_time(row['start'])} comes {row['times']:,} times"),
    ("order", _disorder, lambda row: f"{_time(row['start'])} stands after {_time(row['above'])}"),
    ("grid", _off_grid, lambda row: f"{_seconds(row['value'])} after the start of a {row['bar']} bar"),
    ("unit", _of_no_year, lambda row: f"timestamp {row['start']} is not in ms since 1970"),
    ("future", _future, lambda row: f"starts {_seconds(row['value'])} from now"),
    ("ohlc", _misshapen, _tell_misshapen),
    ("number", _broken_numbers, _tell_broken),
    ("price", _not_positive, _tell_price),
    ("zero_volume", _without_volume, lambda row: f"{row['bars']:,} bars without volume"),
    ("stuck", _stuck, _tell_stuck),
    ("repeated", _repeated, lambda row: f"{row['bars']:,} bars in a row are the same: {_all_of(row)}"),
    ("spike", _spikes, _tell_spike),
    ("split", _splits, _tell_split),
    ("step", _steps, _tell_step),
    ("volume_outlier", _volume_outliers, _tell_volume),
)
