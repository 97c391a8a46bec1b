"""The past is let go that is older than it is to be kept: what is left is true, and the rest is refused."""

from datetime import timedelta

import pytest

import mdstore
from mdstore import DamagedDataError, HistoryTrimmedError, InvalidInputError
from mdstore.candles.ledger import trimming
from tests.support.candles import MINUTE, START, walk
from tests.support.clock import Clock
from tests.support.file import change, rows_of

DAY = 1_440 * MINUTE
BARS = 50


@pytest.fixture
def clock():
    return Clock((START + 30 * DAY) / 1000)


@pytest.fixture
def store(path, clock):
    with mdstore.MarketDataStore(path, clock=clock) as store:
        yield store


def rewrite(store, clock, days, symbol="A"):
    """Rewrite a series each day; return the moments just behind each write."""
    moments = []
    for number in range(days):
        clock.pass_by(days=1)
        store.write(symbol, "1m", walk(BARS, seed=number), source=f"s{number}")
        moments.append(round(clock.now * 1000))
    return moments


def test_what_is_kept_is_as_before_and_the_rest_is_refused(store, clock):
    moments = rewrite(store, clock, 10)
    provenance = store.provenance()
    assert store.maintenance.trim("3d") == 6 * BARS  # the writes of day 2 to 7 are three days ago or longer
    for number in range(6, 10):
        assert store.candles("A", "1m", as_of=moments[number]).equals(walk(BARS, seed=number))
    for number in range(6):
        for ask in (store.candles, store.fingerprint, lambda *of, **at: store.scan(*of, **at).collect()):
            with pytest.raises(HistoryTrimmedError, match=r"A 1m: what its bars were before 2025-10-08"):
                ask("A", "1m", as_of=moments[number])
    assert store.provenance().equals(provenance)
    assert len(store.revisions()) == 3 * BARS
    assert store.maintenance.check() == []
    assert store.maintenance.trim("3d") == 0


def test_following_the_hint_gives_the_earliest_that_is_known(store, clock):
    moments = rewrite(store, clock, 10)
    store.maintenance.trim(timedelta(days=3))
    with pytest.raises(HistoryTrimmedError) as caught:
        store.candles("A", "1m", as_of=moments[0])
    earliest = caught.value.hint.python.split("'")[1]
    assert earliest in caught.value.hint.cli
    found = store.candles("A", "1m", as_of=earliest)
    assert found.equals(store.candles("A", "1m", as_of=caught.value.since))
    assert found.equals(walk(BARS, seed=6))


def test_bars_that_never_changed_are_known_as_of_any_time(store, clock):
    store.write("A", "1m", walk(BARS + 30))
    then = round(clock.now * 1000)
    rewrite(store, clock, 10)
    store.maintenance.trim("1d")
    window = {"start": START + BARS * MINUTE, "end": START + (BARS + 30) * MINUTE}
    assert store.candles("A", "1m", as_of=then, **window).equals(walk(BARS + 30)[BARS:])
    assert store.candles("A", "1m", as_of=then - DAY).is_empty()  # before they came
    with pytest.raises(HistoryTrimmedError):
        store.candles("A", "1m", as_of=then)


def test_it_is_let_go_again_and_again_in_small_steps(store, clock, monkeypatch):
    monkeypatch.setattr(trimming, "BLOCKS_PER_STEP", 2)
    for day in range(1, 15):
        moments = rewrite(store, clock, 2)
        store.maintenance.trim("4d")
        assert store.candles("A", "1m", as_of=moments[-1]).equals(walk(BARS, seed=1))
        assert store.maintenance.stats()["revisions"] <= 5 * BARS, day
    left = rows_of(store.path, "SELECT number, rows FROM revisions ORDER BY number")
    assert left[0][1] == 0
    assert all(rows == BARS for _, rows in left[1:])
    store.rename("A", "B")
    store.write("B", "1m", walk(5, seed=99))
    store.delete("B", "1m", start=START, end=START + 10 * MINUTE)
    assert store.maintenance.check() == []
    store.maintenance.trim("1h")
    assert store.maintenance.check() == []
    store.delete("B")
    assert store.maintenance.stats()["revisions_since"] == ""


def test_stats_say_what_is_kept(store, clock):
    assert store.maintenance.stats()["revisions"] == 0
    rewrite(store, clock, 6)
    stats = store.maintenance.stats()
    assert (stats["revisions"], stats["revision_bytes"], stats["revisions_since"]) == (
        5 * BARS, 5 * BARS * 48, "",
    )  # fmt: skip
    store.maintenance.trim("2d")
    stats = store.maintenance.stats()
    assert (stats["revisions"], stats["revisions_since"]) == (2 * BARS, "2025-10-05 00:00:00")
    assert store.stats()["file"]["revisions"] == 2 * BARS


def test_a_store_that_is_opened_so_lets_go_by_itself(path, clock):
    with mdstore.MarketDataStore(path, clock=clock, keep_revisions="3d") as store:
        moments = rewrite(store, clock, 12)
        assert store.maintenance.stats()["revisions"] == 3 * BARS
        assert store.candles("A", "1m", as_of=moments[-3]).equals(walk(BARS, seed=9))
    with mdstore.MarketDataStore(path, clock=clock) as store:
        rewrite(store, clock, 12)
        assert store.maintenance.stats()["revisions"] > 12 * BARS


@pytest.mark.parametrize("damage", ["source = 'z'", "data = zeroblob(length(data))"])
def test_a_series_with_damage_keeps_all_and_is_named(store, clock, damage):
    rewrite(store, clock, 6)
    rewrite(store, clock, 1, "B")
    rewrite(store, clock, 3, "B")
    change(store.path, f"UPDATE revisions SET {damage} WHERE symbol = 'A' AND number = 2")
    clock.pass_by(days=10)
    with pytest.raises(DamagedDataError, match=r"A 1m( from .* to .*)?: the earlier values"):
        store.maintenance.trim("1d")
    left = dict(rows_of(store.path, "SELECT symbol, sum(rows) FROM revisions GROUP BY 1"))
    assert left == {"A": 5 * BARS, "B": 0}


@pytest.mark.parametrize("keep", ["", "1", "d", "0d", "-1d", "1m", "1 year", 5, timedelta(0), None])
def test_a_length_of_time_that_is_none_is_refused(store, keep):
    with pytest.raises(InvalidInputError, match=r"keep=.* is no length of time.*'90d' or '1y'"):
        store.maintenance.trim(keep)
    if keep is not None:
        with pytest.raises(InvalidInputError, match="keep_revisions="):
            mdstore.open(store.path.with_name("other.sqlite3"), keep_revisions=keep)
