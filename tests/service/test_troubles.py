"""What failed is left alone for a delay that grows; where all fails, the source is."""

from mdstore import ServicePolicies
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
