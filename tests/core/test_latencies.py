"""Histograms of times: percentiles that are right, counts that are exact whoever counts."""

import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.core.latencies import Latencies, LatencyTable

TIMES = st.lists(st.floats(1e-6, 100), min_size=1, max_size=200)


@given(TIMES, st.sampled_from([50, 95, 99]))
def test_a_percentile_is_right_to_five_parts_in_a_hundred(seconds, percent):
    found = Latencies()
    for one in seconds:
        found.add(one)
    exact = sorted(seconds)[max(0, -(-len(seconds) * percent // 100) - 1)]
    assert found.percentile(percent) == pytest.approx(exact, rel=0.051)
    assert found.count == len(seconds)
    assert found.total == pytest.approx(sum(seconds))


@given(st.floats(1e-6, 100), st.sampled_from([50, 95, 99]))
def test_no_percentile_is_longer_than_all_took(seconds, percent):
    found = Latencies()
    found.add(seconds)
    assert found.percentile(percent) <= found.total


@given(TIMES, st.lists(st.floats(1e-6, 100), min_size=1, max_size=9).map(sorted))
def test_how_many_were_within_a_time_is_right_but_for_those_near_it(seconds, bounds):
    found = Latencies()
    for one in seconds:
        found.add(one)
    for bound, count in zip(bounds, found.within(bounds), strict=True):
        surely, perhaps = (sum(one <= bound * factor for one in seconds) for factor in (0.9, 1.1))
        assert surely <= count <= perhaps


def test_no_percentile_of_nothing_and_none_below_the_least():
    found = Latencies()
    assert found.percentile(99) == 0.0
    found.add(0.0)
    assert found.percentile(50) < 1e-6


def test_what_takes_longer_than_all_buckets_is_in_the_last():
    found = Latencies()
    found.add(1e9, 3)
    assert found.count == 3
    assert found.percentile(50) > 80_000


def test_threads_lose_no_count():
    found, each = Latencies(), 20_000
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [found.add(1e-5) for _ in range(each)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert found.count == 4 * each
    assert found.total == pytest.approx(4 * each * 1e-5)


def test_a_table_tells_operations_and_tiers_apart():
    table = LatencyTable()
    began = time.perf_counter()
    for _ in range(3):
        table.add("candles", ("packs", "sqlite"), began)
    table.add("candles", ("memory",), began)
    table.add("write", ("sqlite",), began)
    stats = table.stats()
    assert {name: list(tiers) for name, tiers in stats.items()} == {
        "candles": ["memory", "packs+sqlite"],
        "write": ["sqlite"],
    }
    one = stats["candles"]["packs+sqlite"]
    assert one["count"] == 3
    assert 0 < one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"]
    assert [name for name, *_ in table.items()] == ["candles", "candles", "write"]
