"""Time zones: what names one, and times of its clocks as moments."""

from __future__ import annotations

import zoneinfo
from functools import lru_cache, partial

import polars as pl

from mdstore.core.column_names import ZONES
from mdstore.core.did_you_mean import did_you_mean
from mdstore.errors import InvalidInputError, TimestampError

__all__ = ["check_zone", "header_zone", "in_zone", "is_zone", "zoned_texts"]


def check_zone(tz: object) -> str:
    """Return the name of a time zone; raise `InvalidInputError` for what is none."""
    if isinstance(tz, str) and is_zone(tz):
        return tz
    raise InvalidInputError(
        f"{tz!r} is no time zone: give its IANA name, such as 'Asia/Seoul'", hint=_near(tz)
    )


@lru_cache(maxsize=256)
def is_zone(name: str) -> bool:
    """Tell whether a text names a time zone, for Polars."""
    try:
        pl.Series([0]).cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone(name)
    except (pl.exceptions.PolarsError, UnicodeError):
        return False
    return bool(name)


def header_zone(zone: str) -> str:
    """Return a zone that a column's name or rows say; raise `TimestampError` where it is none."""
    if zone not in ZONES.values() and "/" not in zone:
        raise TimestampError(
            f"a column says that times are of {zone.upper()}, which is not one zone all the year",
            hint="give UTC, or name the zone as in 'Time (America/New_York)'",
        )
    if not is_zone(zone):
        raise TimestampError(
            f"a column says that times are of {zone!r}, which is no zone",
            hint="name it as in 'Time (America/New_York)'",
        )
    return zone


def in_zone(times: pl.Series, zone: str | None) -> pl.Series:
    """Give naive datetimes a zone; those that its clocks show twice or never are null."""
    if zone is None or zone == "UTC":
        return times
    return times.dt.replace_time_zone(header_zone(zone), ambiguous="null", non_existent="null")


def zoned_texts(times: pl.Series) -> pl.Series:
    """Write datetimes as texts, with their offset where they have a zone."""
    assert isinstance(times.dtype, pl.Datetime)  # noqa: S101 - for mypy
    return times.dt.to_string("%Y-%m-%d %H:%M:%S%.3f" + ("" if times.dtype.time_zone is None else "%:z"))


def _near(tz: object) -> str | None:
    """Return a hint: the zone with the nearest name, or else with the nearest city."""
    names = sorted(zoneinfo.available_timezones())
    near = partial(did_you_mean, tz, names, cutoff=0.75, shown=repr)
    return near() or near(alike=lambda name: name.rpartition("/")[2].lower())
