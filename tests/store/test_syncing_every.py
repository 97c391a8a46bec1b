"""A sync that goes on with each bar, up to some time: it ends then, and is refused where that is over."""

import pytest

from mdstore.errors import InvalidInputError
from tests.support.fake_exchange import FakeExchange, at, bars
from tests.support.upstream import Clock


@pytest.fixture
def clock():
    return Clock.behind(1_000)


def test_up_to_a_time_that_is_over_it_is_refused_and_the_hint_helps(store, clock):
    source = FakeExchange({("A", "1m"): bars(1_000)}, clock)
    span = {"since": at(0), "until": at(900)}
    with pytest.raises(InvalidInputError, match=r"go on every 1m, and .* up to when .* is over") as refused:
        store.sync(source, "A", "1m", every="1m", **span)
    assert refused.value.hint.python == "leave out every=, or until="
    assert source.requests == 0
    assert store.sync(source, "A", "1m", **span).inserted == 900


def test_up_to_a_time_that_is_to_come_it_ends_then(store, clock):
    source, rounds = FakeExchange({("A", "1s"): bars(300, step=1_000)}, clock, settles=0), []
    clock.at(100, step=1_000)

    def progress(now):
        if now.is_over:
            rounds.append(now.inserted)
            clock.at(100 + 50 * len(rounds), step=1_000)

    result = store.sync(source, "A", "1s", since=at(0), until=at(0) + 150_000, every="1s", progress=progress)
    assert len(store.candles("A", "1s")) == 150
    assert (len(rounds), result.inserted) == (2, rounds[1])
