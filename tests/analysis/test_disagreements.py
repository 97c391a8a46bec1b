"""Bars held against the shorter bars that they are made of."""

import math

import polars as pl
import pytest

from mdstore.analysis.quality_checks import disagreements
from mdstore.analysis.resample import resample
from mdstore.core.schema import VALUES
from tests.support.quality import calm, made_of, put, tf, times_of


def judged(stored, minutes, **options):
    return disagreements(stored, made_of(minutes, "1m", "1h"), tf("1m"), tf("1h"), **options)


def hours_of(minutes):
    return resample(minutes, tf("1m"), tf("1h")).filter("closed").drop("closed", "bars", "of")


def test_bars_agree_with_those_they_are_made_of():
    minutes = calm()
    assert len(hours_of(minutes)) == 10
    assert judged(hours_of(minutes), minutes).is_empty()


@pytest.mark.parametrize("name", VALUES)
def test_a_difference_is_an_error_that_names_the_column(name):
    minutes = calm()
    hours = hours_of(minutes)
    stored = put(hours, name, i4=hours[name][4] * 1.5)
    (finding,) = judged(stored, minutes).rows(named=True)
    assert (finding["check"], finding["severity"], finding["bars"]) == ("derived", "error", 1)
    assert (finding["start"], finding["end"]) == tuple(times_of(hours, 4, 5))
    assert finding["value"] == pytest.approx(1 / 3)
    assert finding["detail"] == f"{name} {stored[name][4]:,} is {hours[name][4]:,} by 60 1m bars"


def test_volumes_may_differ_in_the_last_digits_and_prices_may_not():
    minutes = calm()
    hours = hours_of(minutes)
    assert judged(put(hours, "volume", i4=hours["volume"][4] * (1 + 9e-10)), minutes).is_empty()
    assert len(judged(put(hours, "volume", i4=hours["volume"][4] * (1 + 2e-9)), minutes)) == 1
    assert len(judged(put(hours, "low", i4=math.nextafter(hours["low"][4], 0)), minutes)) == 1


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_no_number_differs(value):
    minutes = calm()
    for name in VALUES:
        assert judged(put(hours_of(minutes), name, i4=value), minutes)["severity"].to_list() == ["error"]


@pytest.mark.parametrize(("by", "text"), [(1, "the next"), (-1, "those before")])
@pytest.mark.parametrize("gap", [0, 5])
def test_bars_that_are_all_one_bar_off_are_one_error(by, text, gap):
    """Weeks from Sunday that were moved to the Monday before: each was known before it began."""
    minutes = calm(1_200)
    hours = hours_of(minutes)
    minutes = minutes.filter((minutes["timestamp"].dt.minute() >= gap) | (gap == 0))
    moved = hours.with_columns(hours["timestamp"].dt.offset_by("-1h" if by > 0 else "1h"))
    (finding,) = judged(moved, minutes).rows(named=True)
    assert (finding["check"], finding["severity"], finding["value"]) == ("shifted", "error", by)
    which = f"bars are {text} of those that 1m bars make: stored one bar too"
    assert finding["detail"].startswith(f"{finding['bars']} {which} {'early' if by > 0 else 'late'}")
    assert finding["bars"] in (19, 20)


def test_bars_of_another_exchange_are_not_shifted():
    minutes = calm(1_200)
    other = hours_of(minutes).with_columns(pl.col("open", "high", "low", "close") * 1.001)
    assert set(judged(other, minutes)["check"]) == {"derived"}


def test_bars_of_few_source_bars_may_differ():
    minutes = calm()
    hours = hours_of(minutes)
    gappy = minutes[:250].vstack(minutes[280:])
    (finding,) = judged(hours, gappy).rows(named=True)
    assert (finding["severity"], finding["start"]) == ("info", hours["timestamp"][4])
    assert finding["detail"].endswith("by 30 of 60 1m bars")


def test_a_bar_that_is_still_forming_is_not_compared():
    minutes = calm(590)
    assert judged(put(hours_of(calm()), "close", i9=1.0), minutes).is_empty()


def test_a_missing_bar_between_stored_ones_is_a_warning():
    minutes = calm()
    hours = hours_of(minutes)
    (finding,) = judged(hours[:3].vstack(hours[4:]), minutes).rows(named=True)
    assert (finding["check"], finding["severity"]) == ("derived_missing", "warning")
    assert (finding["start"], finding["end"]) == tuple(times_of(hours, 3, 4))
    close, volume = hours["close"][3], hours["volume"][3]
    assert finding["detail"] == f"not stored; 60 1m bars make it: close {close:,}, volume {volume:,}"


def test_bars_beyond_the_stored_ones_or_of_few_source_bars_are_not_missing():
    minutes = calm()
    hours = hours_of(minutes)
    assert judged(hours[2:7], minutes).is_empty()
    gappy = minutes[:200].vstack(minutes[210:])
    assert judged(hours[:3].vstack(hours[4:]), gappy).is_empty()
    assert judged(hours, minutes[:180].vstack(minutes[240:])).is_empty()  # stored, but without source
    assert judged(hours[:0], minutes).is_empty()


def test_errors_are_kept_before_infos():
    minutes = calm()
    hours = hours_of(minutes)
    gappy = minutes[:59].vstack(minutes[60:])
    stored = put(hours, "close", i0=1e9, i3=math.nextafter(hours["close"][3], 0), i5=hours["close"][5] * 2)
    result = judged(stored, gappy, most=1)
    assert result["severity"].to_list() == ["error", "error"]
    assert result["start"].to_list() == times_of(hours, 0, 5)
    assert result["detail"][0] == "... and 2 more"
