"""What failed is left alone for a delay that grows; where all fails, the source is."""

from hypothesis import given
from hypothesis import strategies as st

from mdstore import ServicePolicies
from mdstore.service.meters import STEPS, Meter, Meters, _bucket, _middle
from mdstore.service.troubles import KEPT, Troubles


class Timer:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_delay_doubles_up_to_a_bound_and_a_success_ends_it():
    timer = Timer()
    troubles = Troubles(ServicePolicies(retry_seconds=1, most_seconds=5, breaker=0), timer)
    assert troubles.of("A") is None
    for delay in (1, 2, 4, 5, 5):
        trouble = troubles.failed("A", "no luck")
        assert troubles.seconds_left(trouble) == delay
        assert troubles.of("A") is trouble
        assert troubles.of("B") is None
        timer.now += delay
        assert troubles.of("A") is None
    troubles.went_well("A")
    assert troubles.seconds_left(troubles.failed("A", "again")) == 1


def test_a_source_that_fails_altogether_is_left_alone_until_it_comes_again():
    timer = Timer()
    troubles = Troubles(ServicePolicies(retry_seconds=1, most_seconds=60, breaker=3), timer)
    for name in "ABC":
        assert troubles.of("D") is None
        troubles.failed(name, "down")
    assert troubles.of("D").error == "3 requests in a row have failed, the last with: down"
    assert troubles.stats() == {"failing": 3, "breaker": troubles.of("D").error}
    timer.now += 1
    assert troubles.of("D") is None  # one may try
    troubles.failed("D", "down")
    assert troubles.seconds_left(troubles.of("E")) == 2  # and the others wait longer
    troubles.went_well("A")
    assert troubles.of("E") is None


def test_so_many_are_remembered():
    troubles = Troubles(ServicePolicies(breaker=0), Timer())
    for number in range(KEPT + 5):
        troubles.failed(number, "down")
    assert troubles.stats()["failing"] == KEPT
    assert troubles.of(0) is None
    assert troubles.of(5) is not None


@given(st.floats(0.25, 1e9))
def test_a_time_is_counted_near_itself(microseconds):
    found = _middle(_bucket(microseconds))
    assert abs(found - microseconds) <= max(0.25, microseconds / (STEPS - 0.5))


@given(st.lists(st.floats(1, 1e6), min_size=1))
def test_percentiles_are_those_of_the_times(times):
    meters = Meters()
    for time in times:
        meters.add("calls", time, rows=2, size=3)
    stats = meters.stats()["calls"]
    assert (stats["calls"], stats["rows"], stats["bytes"]) == (len(times), 2 * len(times), 3 * len(times))
    middle = sorted(times)[(len(times) - 1) // 2]
    assert abs(stats["p50_ms"] * 1000 - middle) <= max(0.5, middle / 3)
    assert stats["p50_ms"] <= stats["p95_ms"] <= stats["p99_ms"]


def test_nothing_counted_is_nothing():
    assert Meter().stats()["p99_ms"] == 0.0
