"""Recordings of a machine whose clock was off: they play by the exchange's clock, as they came."""

import pytest

from mdstore.errors import FileFormatError
from tests.sources.recordings.test_past_damage import SECONDS, T0, played, trade, written

MINUTE = 60


def recorded(folder, ahead, snapshots=0):
    """Return a recording of a machine whose clock is so many seconds ahead of the exchange's."""
    old = [trade(0, st="SNAPSHOT", ttms=T0 - 86_400_000)] * snapshots
    lines = [*old, *map(trade, SECONDS)]
    seconds = [0] * snapshots + list(SECONDS)
    return written(
        folder,
        [f"{(T0 + (at + ahead) * 1000) * 10**6} {one}\n" for at, one in zip(seconds, lines, strict=True)],
    )


@pytest.mark.parametrize("ahead", [-50 * MINUTE, -10 * MINUTE, -90, 90, 10 * MINUTE, 50 * MINUTE])
def test_its_bars_are_those_of_a_clock_that_is_set(tmp_path, ahead):
    _, bars = played(recorded(tmp_path, 0))
    done, found = played(recorded(tmp_path, ahead))
    assert (done.messages, done.unread) == (80, 0)
    assert found == bars != {}
    assert done.first == (T0 + ahead * 1000) * 10**6, "that is when it was received, by its own clock"


def test_what_was_sent_of_before_says_nothing_of_the_clock(tmp_path):
    _, bars = played(recorded(tmp_path, 0))
    assert played(recorded(tmp_path, 0, snapshots=300))[1] == bars


def test_a_clock_that_is_days_off_is_not_believed(tmp_path):
    with pytest.raises(FileFormatError, match="is not in the future"):
        played(recorded(tmp_path, -86_400))
