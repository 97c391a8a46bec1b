"""A timeframe from the timestamps themselves: the most common distance between neighbours."""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

import polars as pl

from mdstore.core.bad_rows import AS_WRITTEN
from mdstore.core.excerpts import excerpt
from mdstore.core.labels import as_hint, of_labels
from mdstore.core.off_grid import dated
from mdstore.core.time_numbers import no_unit
from mdstore.core.time_style import TimeStyle
from mdstore.core.timeframe import DAY, HOUR, MINUTE, SECOND, WEEK, Timeframe
from mdstore.core.timestamps import column_to_ms, ms_to_datetime
from mdstore.errors import Hint, TimestampError

__all__ = ["Spacing", "besides", "contradicts", "spacing_of"]

UNITS = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND))
# So many bars that are all whole multiples of a longer one apart are bars of that.
REGULAR = 30
SHORTEST_MONTH, LONGEST_MONTH, MEAN_MONTH = 28 * DAY, 31 * DAY, 30.44 * DAY
# Bars of a month may be dated by its last day of trading, which comes as early as the 26th.
LATE_IN_MONTH = 26


class Spacing(NamedTuple):
    """How far rows are apart, None where they do not tell.

    `trouble` is what to say where nothing else tells the timeframe: no time can be read, distances are those
    of no bars, or bars bear the last day of their month, or another day of their week than ours do.
    """

    bar: Timeframe | None
    trouble: TimestampError | None = None


def spacing_of(frame: pl.DataFrame, style: TimeStyle) -> Spacing:
    """Return the bar length that the `timestamp` column suggests.

    Gaps and nights do not matter, since the most common distance counts. Bars on the first of every month
    are months, bars on Mondays every seven days are weeks; the last may be one that is not over.
    """
    try:
        stamps = column_to_ms(frame["timestamp"], style)[0].alias("ms")
    except TimestampError as error:
        return Spacing(None, error)
    if stamps.null_count() == len(stamps) > frame["timestamp"].null_count():
        return Spacing(None, _unreadable(frame["timestamp"]))
    times, steps = _steps(stamps, frame["symbol"] if "symbol" in frame.columns else None)
    if not len(steps):
        return Spacing(None)
    counts = steps.value_counts().sort(["count", "ms"], descending=[True, False])
    step = int(counts["ms"][0])
    bar = _named(step, times)
    if bar is not None and bar.shortest_ms < DAY and not _is_regular(times, step):
        return Spacing(bar, _irregular(bar, steps))
    elsewhere = bar is not None and bar.unit in "wM" and not _on_grid(times, bar)
    return Spacing(bar, _elsewhere(bar, times) if bar is not None and elsewhere else None)


def _steps(stamps: pl.Series, symbols: pl.Series | None) -> tuple[pl.Series, pl.Series]:
    """Return the times of the bars of all symbols, in order, and how far each is behind the one before it."""
    if (symbols is None or _is_one(symbols)) and not stamps.null_count():
        steps = stamps.slice(1) - stamps.slice(0, max(len(stamps) - 1, 0))
        if (steps > 0).all():  # as in nearly all files: to sort them takes five queries
            return stamps, steps
    series = pl.repeat("", len(stamps), eager=True) if symbols is None else symbols
    bars = pl.DataFrame([series.alias("symbol"), stamps]).drop_nulls("ms").unique().sort("symbol", "ms")
    return bars["ms"], bars.select(pl.col("ms").diff().over("symbol").drop_nulls())["ms"]


def _is_one(symbols: pl.Series) -> bool:
    plain = symbols.dtype == pl.String and not symbols.null_count()
    return plain and bool((symbols == symbols[0]).all())


def besides(frame: pl.DataFrame, timeframe: str | None, apart: Spacing, style: TimeStyle) -> Hint | None:
    """Return what must be said of the times, too, where the symbol is asked for: one hint is enough."""
    if apart.trouble is not None and (timeframe is None or apart.bar is None):
        return apart.trouble.hint
    if timeframe is None or (bar := Timeframe.parse(timeframe)).shortest_ms < DAY:
        return None
    times = frame["timestamp"]
    stamps, whole = column_to_ms(times, style)
    read = pl.DataFrame([stamps.alias("timestamp"), whole.alias("whole")])
    days = dated(read, times, bar, style)["timestamp"]
    where = ~_is_start(days, bar) & days.is_not_null()
    others = days.filter(where).to_list()
    if 2 * len(others) <= days.count():
        return None
    return as_hint(bar, others[0], of_labels(bar, others, str(times.filter(where)[0])))


def contradicts(frame: pl.DataFrame, timeframe: str | None, spacing: str | None, style: TimeStyle) -> bool:
    """Tell whether rows cannot be bars of a timeframe that their file's name seems to say.

    `data_6m` may be six months of 15m bars: these start where no 6m bar does, and all of many are 15m apart.
    """
    if timeframe is None or spacing is None or timeframe == spacing:
        return False
    said, apart = Timeframe.parse(timeframe), Timeframe.parse(spacing)
    stamps = column_to_ms(frame["timestamp"], style)[0].drop_nulls().alias("ms").unique()
    if apart.shortest_ms < said.shortest_ms or not _on_grid(stamps, apart):
        return False
    return not _on_grid(stamps, said) or len(stamps) >= REGULAR


def _named(step: int, stamps: pl.Series) -> Timeframe | None:
    months = round(step / MEAN_MONTH)
    likely = months * SHORTEST_MONTH <= step <= months * LONGEST_MONTH
    if months and likely and (_starts(stamps, Timeframe(1, "M")) or _ends(stamps)):
        return Timeframe(months, "M")
    if step % WEEK == 0:
        # Weeks from Thursday, as KuCoin has them, are counted from 1970 as days are.
        count = step // WEEK
        return Timeframe(7 * count, "d") if _on_grid(stamps, Timeframe(7, "d")) else Timeframe(count, "w")
    for unit, size in UNITS:
        if step % size == 0:
            return Timeframe.parse(f"{step // size}{unit}")
    return None


def _on_grid(stamps: pl.Series, bar: Timeframe) -> bool:
    return bool(_is_start(stamps, bar).all())


def _is_start(stamps: pl.Series, bar: Timeframe) -> pl.Series:
    starts = stamps.to_frame().select(bar.floor_expr(pl.col(stamps.name)).alias("start"))["start"]
    return starts == stamps


def _starts(stamps: pl.Series, bar: Timeframe) -> bool:
    """Tell bars of which all but one, which may not be over, start where a longer bar does."""
    return bool(_is_start(stamps, bar).sum() >= max(len(stamps) - 1, 2))


def _ends(stamps: pl.Series) -> bool:
    """Tell bars that are dated by the last day of their month (of trading); one may not be over."""
    late = stamps.cast(pl.Datetime("ms")).dt.day() >= LATE_IN_MONTH
    return bool(late.sum() >= max(len(stamps) - 1, 2))


def _is_regular(stamps: pl.Series, step: int) -> bool:
    """Tell bars, most of which begin as far behind the same grid, from trades, whose distances are chance."""
    common = (stamps % step).value_counts(sort=True)["count"][0]
    return bool(2 * common >= len(stamps))


def _irregular(bar: Timeframe, steps: pl.Series) -> TimestampError:
    """Return the error for rows of which no distance is that of bars."""
    whole = gcd(*steps.to_list())
    said = (
        f"timestamp: rows are irregularly spaced, {bar} at most often: these are trades, or bars with holes"
    )
    likely = f"{whole // MINUTE}m" if whole % MINUTE == 0 else "1m"
    return TimestampError(
        said,
        hint=Hint(
            f"where they are bars of which many are absent, say of what length: timeframe={likely!r}",
            f"where they are bars of which many are absent, say of what length: -t {likely}",
        ),
    )


def _unreadable(times: pl.Series) -> TimestampError:
    if (
        times.dtype == pl.String
        and (numbers := times.drop_nulls().cast(pl.Float64, strict=False)).count() == times.count()
    ):
        low, high = numbers.min(), numbers.max()
        assert isinstance(low, float) and isinstance(high, float)  # noqa: S101, PT018 - for mypy
        return no_unit(low, high)
    example = excerpt(str(times.drop_nulls()[0]), 40)
    return TimestampError(f"no time can be read, such as timestamp = {example!r}", hint=AS_WRITTEN)


def _elsewhere(bar: Timeframe, stamps: pl.Series) -> TimestampError:
    """Return the error for bars of weeks or months that bear another day of these than ours."""
    others = stamps.filter(~_is_start(stamps, bar)).to_list()
    example = f"{ms_to_datetime(others[0]):%Y-%m-%d, a %A}"
    where = "the last day of their month" if bar.unit == "M" else "another day of the week than Monday"
    return TimestampError(
        f"timestamp: rows are {bar} apart and bear {where}, such as {example}",
        hint=as_hint(bar, others[0], of_labels(bar, others)),
    )
