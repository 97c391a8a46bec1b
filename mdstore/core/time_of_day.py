"""A date in one column and its time of day in another: one time.

Dropped, the time of day would leave a day's bars at one midnight, where the last would bury the others.
"""

from __future__ import annotations

from datetime import time

import polars as pl

from mdstore.core.column_names import zone_in
from mdstore.core.spelled_times import read_clocks
from mdstore.core.time_style import TimeStyle
from mdstore.core.timeframe import DAY, HOUR, MINUTE, SECOND
from mdstore.core.timestamps import column_to_ms
from mdstore.core.zones import header_zone, in_zone, zoned_texts
from mdstore.errors import TimestampError

__all__ = ["TimeOfDay"]

BARE_DIGITS = r"^\d{1,6}$"
HHMM, HHMMSS = 4, 6
NS_PER_MS = 1_000_000
SECONDS_OF_DAY = 86_400
NOTHING_GIVEN = "at no time"  # what is no clock: a date alone would be midnight
NAIVE_UTC = (None, "UTC")
# Years 1900 to 2100 as YYYYMMDD: beside a time of day such a number is a date.
EARLIEST_DATE, LATEST_DATE = 19_000_101, 21_001_231


class TimeOfDay:
    """Puts dates and times of day together, over the chunks of one table.

    Digits are HHMM or HHMMSS (930, 0930, 93000); which is told by their number, and is the same in all
    chunks: 100 is one o'clock in a column of 930 and 1600, and a minute past midnight in one of 93000.
    """

    def __init__(self, style: TimeStyle) -> None:
        self._style = style.of_zone(None)  # a date alone is of no zone
        self._tz = style.tz
        self._digits = 0
        self._completes: bool | None = None

    def whole(self, dates: pl.Series, times: pl.Series) -> pl.Series:
        """Return times of dates and times of day, in the zone that the header of `times` names, if it does.

        Dates that bear a time of day themselves stay as they are. A row that cannot be read keeps its texts,
        to be judged and named; so do all where nothing has told yet in which order day and month are. Raises
        `TimestampError` where the two columns do not fit together at all.
        """
        plain = _dates(dates)
        if plain.dtype.is_numeric():
            return dates
        zone = zone_in(times.name)
        if zone is not None and zone != "UTC":
            zone = header_zone(zone, self._tz)
        try:
            days = column_to_ms(plain, self._style)[0]
        except TimestampError:
            if self._style.told.undecided:
                return _joined(dates, self._since_midnight(times), times, zone)
            raise
        if not self._are_dates(dates.name, days):
            return dates
        since = self._since_midnight(times)
        if since.null_count() == len(since) > times.null_count():
            since = _repeated(days, dates, times)
        made = in_zone((days + since).alias(dates.name).cast(pl.Datetime("ms")), zone)
        lost = made.is_null() & (dates.is_not_null() | times.is_not_null())
        return _with_texts(made, _joined(dates, since, times, zone), lost) if lost.any() else made

    def _are_dates(self, name: str, days: pl.Series) -> bool:
        """Tell dates from times, which need no completing; all chunks of a table hold the same."""
        found = bool((days % DAY == 0).all())
        if self._completes and not found:
            raise TimestampError(
                f"{name!r} holds dates and, later, times",
                hint="leave out the column of times of day where the other bears them",
            )
        self._completes = found if self._completes is None else self._completes
        return self._completes

    def _since_midnight(self, times: pl.Series) -> pl.Series:
        """Return milliseconds since midnight, null where a value is no time of day."""
        if times.dtype == pl.Time:
            return times.to_physical() // NS_PER_MS
        if isinstance(times.dtype, pl.Duration):
            return times.cast(pl.Duration("ms")).to_physical()
        if times.dtype.is_float() and (times.drop_nulls() < 1).all() and (times > 0).any():
            return (times * SECONDS_OF_DAY).round().cast(pl.Int64) * SECOND  # as a spreadsheet counts
        texts = _texts(times)
        bare = texts.str.contains(BARE_DIGITS).fill_null(value=False)
        if bare.any():
            return self._of_digits(texts.set(~bare, None)).fill_null(read_clocks(texts)[0])
        return read_clocks(texts)[0]

    def _of_digits(self, texts: pl.Series) -> pl.Series:
        longest = texts.str.len_chars().max()
        assert isinstance(longest, int)  # noqa: S101 - some are digits; for mypy
        digits = HHMM if longest <= HHMM else HHMMSS
        if self._digits == HHMM and digits == HHMMSS:
            raise TimestampError(
                f"{texts.name!r} holds times such as 930 and, later, 93000: are these HHMM or HHMMSS?",
                hint="write times of day with colons, as 09:30:00",
            )
        self._digits = max(digits, self._digits)
        padded = texts.str.zfill(self._digits)
        hours, minutes = (padded.str.slice(at, 2).cast(pl.Int64, strict=False) for at in (0, 2))
        seconds = padded.str.slice(4, 2).cast(pl.Int64, strict=False).fill_null(0)
        return _milliseconds(hours, minutes, seconds)


def _repeated(days: pl.Series, dates: pl.Series, times: pl.Series) -> pl.Series:
    """Return the times of day in `times` where they are whole times of these dates; raise otherwise."""
    try:
        whole = column_to_ms(times)[0]
    except TimestampError:
        whole = days - DAY
    if whole.null_count() < len(whole) and (whole - whole % DAY == days).all():
        return whole - days
    raise TimestampError(
        f"{times.name!r} stands beside the dates {dates.name!r} and holds no times of day, such as "
        f"{str(times.drop_nulls()[0])[:40]!r}",
        hint="write times of day as 09:30 or 09:30:00, or name the column otherwise where it holds none",
    )


def _dates(dates: pl.Series) -> pl.Series:
    """Return dates written YYYYMMDD as texts, which is how times take them; what is none of them is null."""
    if dates.dtype.is_float() or dates.dtype.is_integer():
        numbers = dates.cast(pl.Int64, strict=False)
        others = ~numbers.is_between(EARLIEST_DATE, LATEST_DATE)
        if numbers.count() and 2 * others.sum() <= numbers.count():
            return numbers.set(others.fill_null(value=False), None).cast(pl.String)
    return dates


def _texts(times: pl.Series) -> pl.Series:
    if times.dtype == pl.Object:
        texts = [str(value) if isinstance(value, str | int | time) else None for value in times]
        return pl.Series(times.name, texts, dtype=pl.String).str.strip_chars()
    if times.dtype.is_float():
        times = times.cast(pl.Int64, strict=False)
    return times.cast(pl.String, strict=False).str.strip_chars()


def _milliseconds(hours: pl.Series, minutes: pl.Series, seconds: pl.Series) -> pl.Series:
    made = hours * HOUR + minutes * MINUTE + seconds * SECOND
    return made.set(((minutes > 59) | (seconds > 59) | (made > DAY)).fill_null(value=False), None)  # noqa: PLR2004


def _joined(dates: pl.Series, since: pl.Series, times: pl.Series, zone: str | None) -> pl.Series:
    """Write dates and times of day as texts: whole times, or what was given where it is none."""
    clocks = (since.cast(pl.Datetime("ms")).dt.to_string("%H:%M:%S%.3f")).fill_null(_given(times))
    texts = _given(dates) + " " + clocks + ("" if zone in NAIVE_UTC else f" {zone}")
    return texts.alias(dates.name)


def _given(values: pl.Series) -> pl.Series:
    given = [NOTHING_GIVEN if value is None else str(value) for value in values]
    return pl.Series(values.name, given, dtype=pl.String)


def _with_texts(made: pl.Series, joined: pl.Series, lost: pl.Series) -> pl.Series:
    """Write times as texts, and those that could not be read as they were given."""
    return zoned_texts(made).zip_with(~lost, joined)
