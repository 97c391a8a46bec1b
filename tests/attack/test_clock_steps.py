"""A machine's clock that is set back and forward: what was known at a time stays what it was."""

from hypothesis import given, settings
from hypothesis import strategies as st

import mdstore
from tests.support.candles import START, walk
from tests.support.doses import dose

HOUR = 3_600_000
NOON = START + 12 * HOUR
PAST = START  # bars that ended long before


class Clock:
    """A clock that stands until it is set; in milliseconds."""

    def __init__(self, ms):
        self.ms = ms

    def __call__(self):
        return self.ms / 1000


def opened(folder, clock):
    return mdstore.MarketDataStore(folder / "s.sqlite3", clock=clock)


def bar(close, start=PAST):
    return [(start, 1.0, 10.0, 1.0, float(close), 1.0)]


def closes(store, at):
    return store.candles("X", "1h", as_of=at)["close"].to_list()


def test_what_was_known_is_not_what_came_later_though_the_clock_was_set_back(tmp_path):
    clock = Clock(NOON)
    with opened(tmp_path, clock) as store:
        store.write("X", "1h", bar(2), unit="ms")
        clock.ms = NOON + HOUR
        store.write("X", "1h", bar(9), unit="ms")
        clock.ms = NOON - HOUR
        assert closes(store, NOON + HOUR // 2) == [2.0]
        assert store.candles(["X"], "1h", as_of=NOON + HOUR // 2)["close"].to_list() == [2.0]
        assert store.scan("X", "1h", as_of=NOON + HOUR // 2).collect()["close"].to_list() == [2.0]
        assert closes(store, NOON + HOUR) == [9.0]
        assert closes(store, NOON - 1) == []


def test_a_grid_as_of_a_time_reaches_to_that_time_whatever_the_clock_says(tmp_path):
    clock = Clock(NOON)
    with opened(tmp_path, clock) as store:
        store.write("X", "1h", bar(2), unit="ms")
        asked = {"start": PAST, "end": PAST + 24 * HOUR, "fill": "flat", "as_of": NOON + HOUR}
        seen = []
        for clock.ms in (NOON + 2 * HOUR, NOON - 6 * HOUR):
            seen.append(store.candles("X", "1h", **asked))
        assert seen[0].height == 13
        assert seen[1].equals(seen[0])


def test_a_bar_that_had_ended_does_not_form_again_and_its_past_is_kept(tmp_path):
    clock = Clock(PAST + 2 * HOUR)
    with opened(tmp_path, clock) as store:
        store.write("X", "1h", bar(2), unit="ms")
        then = clock.ms
        clock.ms = PAST + HOUR // 2  # in the middle of the bar, by the clock
        store.write("X", "1h", bar(3), unit="ms")
        store.write("X", "1h", bar(4), unit="ms")
        assert closes(store, then) == [2.0]
        changes = store.revisions("X")
        assert changes["close"].to_list() == [2.0, 3.0]
        assert changes["new_close"].to_list() == [3.0, 4.0]


steps = st.lists(
    st.tuples(st.integers(-5 * HOUR, 5 * HOUR), st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=12
)


@settings(max_examples=dose(30))
@given(steps)
def test_the_past_never_changes_however_the_clock_goes(tmp_path_factory, given_steps):
    """Every state that the store ever had is still told, by its revision, after all that came later."""
    clock = Clock(NOON)
    with opened(tmp_path_factory.mktemp("steps"), clock) as store:
        store.write("X", "1h", walk(6, step=HOUR, start=PAST))
        states = []
        for step, number, close in given_steps:
            clock.ms = max(clock.ms + step, PAST + 7 * HOUR)  # all bars have ended
            store.write("X", "1h", bar(close, PAST + number * HOUR), unit="ms")
            states.append((store._candles.revision(), store.candles("X", "1h")))
        assert [at for at, _ in states] == sorted(at for at, _ in states)
        for at, state in states:
            assert store.candles("X", "1h", as_of=at).equals(state)
