"""Volumes are added up as exchanges do, in decimals: a live bar is the fetched one, to the last digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.realtime.live import LiveCandles
from mdstore.realtime.rows import Trade
from tests.support.live import MINUTE, T0

UNITS = 10**8


def volume_of(sizes, times):
    live = LiveCandles()
    live.build("1m", from_start=True)
    session = live.session("made up", ["A"], volume_digits=8, silence=None)
    for number, (size, at) in enumerate(zip(sizes, times, strict=True)):
        session.push([Trade("A", T0 + at, 1.0, size / UNITS, "buy", number)])
    session.push([Trade("A", T0 + MINUTE + 3_000, 1.0, 1.0, "buy", len(sizes))])
    (bar,) = [bar for bar in live.bars("A", "1m") if bar[6]]
    return bar[5]


def test_many_large_sizes_add_up_to_their_decimal_sum():
    sizes = [19_125_542_083_429 + number * 7_919 for number in range(240)]  # 4.6e7 coins in all
    assert volume_of(sizes, range(0, 24_000, 100)) == sum(sizes) / UNITS


@pytest.mark.parametrize("unit", [33_108_465_375_674, 30_000_000_000_007])
def test_so_do_those_of_which_each_is_no_float(unit):
    for count in range(90, 130, 3):
        sizes = [unit + number % 2 for number in range(count)]
        assert volume_of(sizes, range(0, 10 * count, 10)) == sum(sizes) / UNITS


@given(
    st.lists(st.tuples(st.integers(1, 10**13), st.integers(0, 1_900)), min_size=1, max_size=120),
    st.sampled_from([1, 1_000, 10**7]),
)
def test_in_whatever_order_they_come(trades, most):
    sizes = [max(1, size // most) for size, _ in trades]
    assert volume_of(sizes, [at for _, at in trades]) == sum(sizes) / UNITS
