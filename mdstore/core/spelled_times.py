"""Times of texts that are no ISO 8601: each a date, a clock and a zone as `time_spellings` has them.

Day and month are told apart by the column as a whole: a number above 12 in any row settles their order. Where
none does, a date is refused rather than guessed, with both readings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import polars as pl

from mdstore.core.column_names import ZONES
from mdstore.core.excerpts import excerpt
from mdstore.core.time_spellings import CLOCKS, DATES, MONTHS, OF_MONTHS, YEAR_FIRST, Spelling, compiled
from mdstore.core.time_style import TimeStyle
from mdstore.core.zones import by_season, is_zone
from mdstore.errors import Hint, TimestampError

__all__ = ["Read", "localised", "read_clocks", "read_spelled"]

MS_PER_MINUTE, MS_PER_HOUR, MS_PER_DAY = 60_000, 3_600_000, 86_400_000
HALF_DAY = 12
# Two digits of a year, as POSIX reads them.
FIRST_OF_LAST_CENTURY = 69
AFTERNOON = r"(?i)^p|오후|下午|午後"
UTC_NAMES = ("z", "utc", "gmt")
NO_GROUPS = re.compile(r"\((?!\?)")
CLOCK = "|".join(NO_GROUPS.sub("(?:", compiled(spelling.pattern)[0]) for spelling in CLOCKS)
AN_OFFSET = r"(?: ?((?:UTC|GMT)? ?[+-]\d{1,2}(?::?\d\d)?))?"
A_NAME = r"(?: ?([A-Za-z]+(?:/[A-Za-z][A-Za-z_/+\-0-9]*)?))?$"
OFFSET = r"([+-])(\d{1,2}):?(\d\d)?$"
# What does not matter to a time: (what is found, what it becomes)
LIKE = (
    (r"\s*\([^)]*\)$", ""),  # a zone's long name, as JavaScript has it
    (r"^(?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*\b[.,]?\s*", ""),
    (r"(\d)T(\d)", "$1 $2"),
    (r"(:\d\d),(\d)", "$1.$2"),
    (r"\s*,$", ""),
    (r",", " "),
    (r"([A-Za-z]{3})\.", "$1"),
    (r"\s+", " "),
    (r" ?([-/]) ?", "$1"),
    (r"(\d)\. (\d{1,2}:)", "$1 $2"),  # Korean dates end with a point
    (r"(\d) \.", "$1."),
    (r"\. (\d)", ".$1"),
    (r"(\d)\.( |$)", "$1$2"),
)
# Spellings that the same texts fit, by their common expression.
FAMILIES: dict[str, list[str]] = {}
for _one in DATES:
    FAMILIES.setdefault(compiled(_one.pattern)[0], []).append(_one.pattern)


class Read(NamedTuple):
    """Times: milliseconds since 1970, UTC; null where a text is none.

    `whole` is False for times finer than a millisecond, `wall` what the clock of a time's own zone shows
    (null where it has none), `unclear` True for times that these clocks show twice or never.
    """

    ms: pl.Series
    whole: pl.Series
    wall: pl.Series
    unclear: pl.Series


def read_spelled(texts: pl.Series, style: TimeStyle, of: int = 0) -> Read:
    """Read texts that are written in any of the spellings; `style` learns which order day and month have.

    Raises `TimestampError` for a column whose order nothing tells, or that has both. `of` is
    how many rows the column has: where such dates are but some of them, they are null.
    """
    parts = _alike(texts).str.extract_groups(_parts(style.pattern)).struct.unnest()
    dates, clocks, offsets, names = (parts.to_series(at) for at in range(4))
    days, exact = _read_dates(dates, style, of)
    since, whole = read_clocks(clocks)
    shown = days + since.set(clocks.is_null(), 0)
    ms, unclear = _as_moments(shown, offsets, names, style.tz)
    zoned = offsets.is_not_null() | names.is_not_null() | (style.tz is not None)
    return Read(ms, exact & whole, shown.set(~zoned | ms.is_null(), None), unclear)


def read_clocks(clocks: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return times of day as milliseconds since midnight (null for other texts), and which are whole."""
    return _first_fit(clocks.str.replace(",", ".", literal=True), CLOCKS)


def localised(times: pl.Series, zone: str) -> tuple[pl.Series, pl.Series]:
    """Return what a zone's clocks show (ms) as moments (ms, UTC), null where they show it twice or never.

    The second series is True there.
    """
    naive = times.cast(pl.Datetime("ms"))
    made = naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null").to_physical()
    return made, made.is_null() & times.is_not_null()


@lru_cache(maxsize=64)
def _parts(pattern: str | None) -> str:
    """Return the expression of a date, a clock, an offset and a zone's name; any date without a pattern.

    An offset follows a clock: 2024-01-02 has none.
    """
    date, groups = (".+?", ()) if pattern is None else compiled(pattern)
    date = f"^({NO_GROUPS.sub('(?:', date)})"
    if "H" in groups or "I" in groups:
        return f"{date}(?:[ ;_-]+({CLOCK}))?{AN_OFFSET}{A_NAME}"
    return f"{date}(?:[ ;_-]+({CLOCK}){AN_OFFSET})?{A_NAME}"


def _alike(texts: pl.Series) -> pl.Series:
    expression = pl.col(texts.name).str.strip_chars()
    for found, becomes in LIKE:
        expression = expression.str.replace_all(found, becomes)
    return texts.to_frame().select(expression).to_series()


# ---- dates


def _read_dates(dates: pl.Series, style: TimeStyle, of: int) -> tuple[pl.Series, pl.Series]:
    if style.pattern is not None:
        return _values(dates, style.pattern)
    made = pl.Series(dates.name, [None] * len(dates), dtype=pl.Int64)
    for expression, family in FAMILIES.items():
        left = dates.set(made.is_not_null(), None)
        if left.null_count() == len(left):
            break
        if left.str.contains(f"^{expression}$").any():
            days = _values(left, family[0])[0] if len(family) == 1 else _settled(left, family, style, of)
            made = made.fill_null(days)
    if made.null_count() == len(made) and dates.count() >= of:
        made = _first_fit(dates, OF_MONTHS)[0]
    return made, pl.repeat(value=True, n=len(made), eager=True)


def _settled(dates: pl.Series, family: Sequence[str], style: TimeStyle, of: int) -> pl.Series:
    """Read dates that several patterns fit, by the order of day and month that the column shows."""
    patterns = {_order(pattern): pattern for pattern in family}
    readings = {order: _values(dates, pattern)[0] for order, pattern in patterns.items()}
    table = pl.DataFrame(readings)
    fits = pl.sum_horizontal(pl.all().is_not_null())
    alone = table.select(fits == 1).to_series()
    differ = pl.max_horizontal(pl.all()) != pl.min_horizontal(pl.all())
    doubtful = table.select((fits > 1) & differ).to_series().fill_null(value=False)
    told = style.told
    told.orders |= {order for order, days in readings.items() if (days.is_not_null() & alone).any()}
    either = int(table.select((fits > 1).sum()).item())
    if doubtful.any() and len(told.orders) != 1 and 2 * either <= of:
        return _first_of(list(readings.values())).set(doubtful, None)
    told.leans |= bool(doubtful.any())
    told.undecided = bool(doubtful.any()) and not told.orders
    if told.undecided:
        raise _doubt(dates, doubtful, patterns, "no row has a number above 12 to tell")
    if told.leans and len(told.orders) > 1:
        raise _doubt(dates, doubtful, patterns, "other rows show both orders")
    order = next(iter(told.orders), None)
    if order == "dm" and _may_begin_with_year(dates, readings[order], patterns[order]):
        raise _doubt(dates, alone, {"dm": patterns[order], "ymd": YEAR_FIRST}, "the year may come first")
    likely = [readings[order]] if order in readings else []
    return _first_of([*likely, *readings.values()])


def _first_of(readings: Sequence[pl.Series]) -> pl.Series:
    made = readings[0]
    for other in readings[1:]:
        made = made.fill_null(other)
    return made


def _may_begin_with_year(dates: pl.Series, read: pl.Series, pattern: str) -> bool:
    """Tell dates such as 24/01/02, 24/01/03, which are days of one month rather than of years apart."""
    if "%y" not in pattern:
        return False
    other = _values(dates, YEAR_FIRST)[0]
    return other.null_count() == read.null_count() and _reach(other) < _reach(read)


def _doubt(dates: pl.Series, where: pl.Series, patterns: Mapping[str, str], why: str) -> TimestampError:
    """Return the error that names each reading of a date, and the format that asks for it."""
    text = _example(where, dates)
    read = [
        _values(pl.Series([text]), pattern)[0].cast(pl.Datetime("ms"))[0] for pattern in patterns.values()
    ]
    days = [f"{day:%Y-%m-%d}" for day in read if day is not None]
    formats = [_as_written(pattern, text) for pattern in patterns.values()]
    return TimestampError(
        f"timestamp: {excerpt(text)!r} may be {' or '.join(days)}: {why}"
        if len(days) > 1
        else f"timestamp: {excerpt(text)!r} has day and month in another order than dates before it",
        hint=Hint(
            "say how dates are written: " + " or ".join(f"date_format={one!r}" for one in formats),
            "say how dates are written: " + " or ".join(f"--date-format {one}" for one in formats),
        ),
    )


def _as_written(pattern: str, text: str) -> str:
    """Return a pattern with the separators of a text.

    >>> _as_written("%d-%m-%Y", "01.02.2024")
    '%d.%m.%Y'
    """
    own = iter(re.findall(r"[-/.]", text))
    return re.sub("-", lambda _: next(own, "-"), pattern)


def _order(pattern: str) -> str:
    return "".join(group for group in compiled(pattern)[1] if group in "dm")


def _reach(days: pl.Series) -> int:
    first, last = days.min(), days.max()
    return int(last) - int(first) if isinstance(first, int) and isinstance(last, int) else 0


def _example(where: pl.Series, dates: pl.Series) -> str:
    """Return the first date where something holds; any if it does nowhere."""
    found = dates.filter(where.fill_null(value=False))
    return str((found if len(found) else dates.drop_nulls())[0])


# ---- values of one pattern


def _first_fit(texts: pl.Series, spellings: Sequence[Spelling]) -> tuple[pl.Series, pl.Series]:
    made = pl.Series(texts.name, [None] * len(texts), dtype=pl.Int64)
    whole = made.is_null()
    for spelling in spellings:
        left = texts.set(made.is_not_null(), None)
        if left.null_count() == len(left):
            break
        read, exact = _values(left, spelling.pattern)
        made, whole = made.fill_null(read), whole & exact
    return made, whole


def _values(texts: pl.Series, pattern: str) -> tuple[pl.Series, pl.Series]:
    """Read texts of one pattern: milliseconds since 1970, or since midnight; and where they were whole."""
    expression, groups = compiled(pattern)
    found = texts.str.extract_groups(f"^{expression}$").struct.unnest()
    parts = dict(zip(groups, found.iter_columns(), strict=True))
    since, whole = _since_midnight(parts, len(texts))
    days = _days(parts)
    return (since if days is None else days + since).alias(texts.name), whole


def _days(parts: Mapping[str, pl.Series]) -> pl.Series | None:
    if not {"Y", "y"} & parts.keys():
        return None
    month = parts["m"] if "m" in parts else _month(parts["b"])
    columns = pl.DataFrame(
        [
            (parts["Y"] if "Y" in parts else _century(parts["y"]) + parts["y"]).alias("y"),
            month.alias("m"),
            (parts["d"] if "d" in parts else pl.repeat("1", len(month), eager=True)).alias("d"),
        ]
    )
    texts = columns.select(pl.format("{}-{}-{}", "y", "m", "d")).to_series()
    return texts.str.to_date("%Y-%m-%d", strict=False).cast(pl.Int64) * MS_PER_DAY


def _month(names: pl.Series) -> pl.Series:
    lower = names.str.to_lowercase()
    by_letters = (
        lower.str.slice(0, letters).replace_strict(MONTHS, default=None, return_dtype=pl.Int64)
        for letters in (4, 3)
    )
    return pl.select(pl.coalesce(*by_letters)).to_series().cast(pl.String)


def _century(years: pl.Series) -> pl.Series:
    late = years.cast(pl.Int64) >= FIRST_OF_LAST_CENTURY
    return late.replace_strict([True, False], ["19", "20"], default=None, return_dtype=pl.String)


def _since_midnight(parts: Mapping[str, pl.Series], rows: int) -> tuple[pl.Series, pl.Series]:
    """Return milliseconds since midnight, null for what no clock shows, and where they were whole."""
    zeros = pl.repeat(0, rows, dtype=pl.Int64, eager=True)
    hours, minutes, seconds = (
        parts[name].cast(pl.Int64) if name in parts else zeros for name in ("H", "M", "S")
    )
    if "I" in parts:
        afternoon = parts["p"].str.contains(AFTERNOON).cast(pl.Int64) if "p" in parts else 0
        hours = parts["I"].cast(pl.Int64) % HALF_DAY + afternoon * HALF_DAY
    made = hours * MS_PER_HOUR + minutes * MS_PER_MINUTE + seconds * 1000
    made = made.set(((minutes > 59) | (seconds > 59) | (made > MS_PER_DAY)).fill_null(value=False), None)  # noqa: PLR2004
    if "f" not in parts:
        return made, (zeros == 0)
    fraction = parts["f"].str.pad_end(9, "0").cast(pl.Int64)
    return made + fraction // 1_000_000, (fraction % 1_000_000 == 0).fill_null(value=True)


# ---- zones


def _as_moments(
    shown: pl.Series, offsets: pl.Series, names: pl.Series, tz: str | None
) -> tuple[pl.Series, pl.Series]:
    """Return what clocks show as moments, and which of them their zone shows twice or never."""
    ms = shown - _minutes(offsets) * MS_PER_MINUTE
    unclear = pl.Series([False]).new_from_index(0, len(shown))
    known = {name: _zone(name) or by_season(name, tz) for name in names.drop_nulls().unique()}
    zones = (
        names.replace_strict(list(known), list(known.values()), return_dtype=pl.String) if known else names
    )
    ms = ms.set(names.is_not_null() & zones.is_null(), None)
    if tz is not None:
        zones = zones.set(names.is_null() & offsets.is_null(), tz)
    for zone in zones.drop_nulls().unique():
        if zone == "UTC":
            continue
        here = (zones == zone).fill_null(value=False)
        moments, lost = localised(shown.set(~here, None), zone)
        ms, unclear = moments.zip_with(here, ms), unclear | lost
    return ms, unclear


def _zone(name: str) -> str | None:
    """Return the zone of a name behind a time; None where it is no one zone all the year, as EST."""
    if name.lower() in UTC_NAMES:
        return "UTC"
    return ZONES.get(name.lower()) or (name if "/" in name and is_zone(name) else None)


def _minutes(offsets: pl.Series) -> pl.Series:
    parts = offsets.str.extract_groups(OFFSET).struct.unnest()
    hours, minutes = (parts.to_series(at).cast(pl.Int64).fill_null(0) for at in (1, 2))
    sign = parts.to_series(0).eq("-").fill_null(value=False).cast(pl.Int64) * -2 + 1
    return (hours * 60 + minutes) * sign
