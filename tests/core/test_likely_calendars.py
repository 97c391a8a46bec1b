"""The calendars that a hint names for a symbol."""

import exchange_calendars
import pytest

from mdstore.core.calendars import ALWAYS
from mdstore.core.likely_calendars import ANY, LIKELY, likely_calendars


@pytest.mark.parametrize("likely", LIKELY, ids=lambda likely: likely.example)
def test_each_pattern_has_an_example(likely):
    assert likely_calendars(likely.example) == likely.calendars


def test_all_are_calendars():
    known = set(exchange_calendars.get_calendar_names())
    assert {name for likely in LIKELY for name in likely.calendars} | set(ANY) <= known
    assert ALWAYS not in ANY


@pytest.mark.parametrize("symbol", ["KRW-BTC", "something of mine", "", "X" * 500])
def test_of_others_several_are_named(symbol):
    assert likely_calendars(symbol) == ANY
