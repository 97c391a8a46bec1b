"""Time zones: what names one, and times of its clocks as moments."""

from __future__ import annotations

import zoneinfo
from functools import lru_cache, partial

import polars as pl

from mdstore.core.column_names import OF_A_SEASON, ZONES
from mdstore.core.did_you_mean import did_you_mean
from mdstore.errors import Hint, InvalidInputError, TimestampError

__all__ = ["by_season", "check_zone", "header_zone", "in_zone", "is_zone", "zoned_texts"]


def check_zone(tz: object) -> str:
    """Return the name of a time zone; raise `InvalidInputError` for what is none."""
    if isinstance(tz, str) and tz.lower() in OF_A_SEASON:
        clocks, fixed = OF_A_SEASON[tz.lower()]
        raise InvalidInputError(
            f"{tz!r} is not one zone all the year: people write it in summer as in winter",
            hint=f"{clocks!r} changes its clocks, {fixed!r} does not",
        )
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


def by_season(letters: str, tz: str | None) -> str | None:
    """Return the zone of letters such as EST where a call says which it is; None where it does not."""
    return tz if tz is not None and tz in OF_A_SEASON.get(letters.lower(), ()) else None


def header_zone(zone: str, tz: str | None = None) -> str:
    """Return a zone that a column says; `tz` is what the call says.

    Raises `TimestampError` where the name says none.
    """
    if (said := by_season(zone, tz)) is not None:
        return said
    if zone in OF_A_SEASON:
        clocks, fixed = OF_A_SEASON[zone]
        raise TimestampError(
            f"a column says that times are of {zone.upper()}, which is not one zone all the year",
            hint=Hint(
                f"tz={clocks!r} where its clocks change, tz={fixed!r} where they do not",
                f"--tz {clocks} where its clocks change, --tz {fixed} where they do not",
            ),
        )
    if zone not in ZONES.values() and "/" not in zone:
        raise TimestampError(
            f"a column says that times are of {zone!r}, which is no zone that is known",
            hint="give UTC, or name the zone as in 'Time (America/New_York)'",
        )
    if not is_zone(zone):
        raise TimestampError(
            f"a column says that times are of {zone!r}, which is no zone",
            hint="name it as in 'Time (America/New_York)'",
        )
    return zone


def in_zone(times: pl.Series, zone: str | None, tz: str | None = None) -> pl.Series:
    """Give naive datetimes a zone, by what a header and the call say.

    Those that its clocks show twice or never are null.
    """
    if zone is None or zone == "UTC":
        return times
    return times.dt.replace_time_zone(header_zone(zone, tz), ambiguous="null", non_existent="null")


def zoned_texts(times: pl.Series) -> pl.Series:
    """Write datetimes as texts, with their offset where they have a zone."""
    assert isinstance(times.dtype, pl.Datetime)  # noqa: S101 - for mypy
    return times.dt.to_string("%Y-%m-%d %H:%M:%S%.3f" + ("" if times.dtype.time_zone is None else "%:z"))


def _near(tz: object) -> str | None:
    """Return a hint: the zone with the nearest name, or else with the nearest city."""
    names = sorted(zoneinfo.available_timezones())
    near = partial(did_you_mean, tz, names, cutoff=0.75, shown=repr)
    return near() or near(alike=lambda name: name.rpartition("/")[2].lower())
