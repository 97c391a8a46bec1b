"""Old candles frozen by themselves: of which age, how often, how many at a time."""

from datetime import timedelta

import pytest

import mdstore
from mdstore import InvalidInputError
from mdstore.optimization.freezing import FROZEN, Freezer
from mdstore.optimization.maintainer import Maintainer
from tests.support.candles import MINUTE, START, walk
from tests.support.waiting import until

DAY = 86_400_000


@pytest.fixture
def filled(store, clock):
    """Four days of minutes, the last of which ends now."""
    clock.now = (START + 4 * DAY) / 1000
    store.write("A", "1m", walk(4 * 1_440))
    store.write("B", "1m", walk(50))
    return store


def frozen(store):
    return store.maintenance.stats()["frozen_rows"]


NO_AGES = ("", "0d", "90", "-3d", "1.5d", "soon", 90, timedelta(), timedelta(-1))


@pytest.mark.parametrize("age", NO_AGES)
def test_what_is_no_age_is_refused_and_the_hint_is_one(filled, age):
    with pytest.raises(InvalidInputError, match=r"freeze_after=.* is no length .*'90d' or '1y'"):
        filled.maintenance.start(freeze_after=age)
    assert not filled.maintenance.is_running
    with pytest.raises(InvalidInputError):
        filled.maintenance.optimize(freeze_after=age)
    for hinted in ("90d", "1y"):
        filled.maintenance.optimize(freeze_after=hinted, dry_run=True)


def test_a_store_that_is_opened_so_freezes_by_age(filled, clock):
    with mdstore.MarketDataStore(
        filled.path, clock=clock, maintenance="auto", freeze_after=timedelta(days=2)
    ) as store:
        until(lambda: store.maintenance._maintainer.rounds)
        assert frozen(store) == 2 * 1_440


def test_an_age_without_upkeep_is_refused_before_there_is_a_file(tmp_path):
    path = tmp_path / "new.sqlite3"
    with pytest.raises(InvalidInputError, match=r'none was asked for.*maintenance="auto"'):
        mdstore.open(path, freeze_after="90d")
    for age in NO_AGES:
        with pytest.raises(InvalidInputError, match=r"freeze_after=.* is no length"):
            mdstore.open(path, freeze_after=age, maintenance="auto")
    assert not path.exists()
    with mdstore.open(path, freeze_after="90d", maintenance="auto") as store:
        assert store.maintenance.is_running


def test_a_dry_run_says_how_much_is_old_enough(filled):
    """It said nothing of it, where the run would have frozen it."""
    found = filled.maintenance.optimize(freeze_after="2d", dry_run=True)
    assert (found.freezes.rows, found.freezes.series) == (2 * 1_440, 1)
    assert "freezing: 2,880 candles of 1 series are old enough" in str(found)
    assert frozen(filled) == 0
    done = filled.maintenance.optimize(freeze_after="2d")
    assert frozen(filled) == done.freezes.rows == 2 * 1_440
    assert filled.maintenance.optimize(freeze_after="2d", dry_run=True).freezes.rows == 0
    assert filled.maintenance.optimize(dry_run=True).freezes is None


def test_once_a_day_what_is_old_enough_and_much_enough(filled, clock):
    freezer = Freezer(filled, 2 * DAY)
    maintainer = Maintainer(filled, freezer=freezer)
    assert freezer.is_due
    assert any("2,880 old candles of 1 series frozen" in text for text in maintainer.look())
    assert frozen(filled) == 2 * 1_440
    assert not freezer.is_due
    clock.now += 12 * 3_600
    maintainer.look()
    assert frozen(filled) == 2 * 1_440
    clock.now += 12 * 3_600  # a day's bars, a thousand and more
    maintainer.look()
    assert frozen(filled) == 3 * 1_440
    clock.now += 12 * 3_600
    assert not freezer.is_due
    clock.now += 9 * 3_600  # 1,260 bars of the next day
    maintainer.look()
    assert frozen(filled) == 3 * 1_440 + 1_260
    assert [record["rows"] for record in filled.repository.upkeep.records(FROZEN)] == [2_880, 1_440, 1_260]


def test_a_few_bars_wait_until_they_are_many(filled, clock):
    freezer = Freezer(filled, 4 * DAY - 1_000 * MINUTE)
    assert freezer.run() == ""
    assert frozen(filled) == 0
    clock.now += 24 * 60
    assert freezer.run() == "1,024 old candles of 1 series frozen"


def test_what_was_frozen_by_age_is_among_the_upkeep_that_is_told(filled):
    assert filled.stats()["maintenance"]["freeze"] is None
    filled.maintenance.optimize(freeze_after="2d")
    assert filled.stats()["maintenance"]["freeze"]["rows"] == 2 * 1_440


def test_what_was_frozen_and_thawed_by_hand_is_too_and_is_not_the_look_of_a_day(filled):
    filled.maintenance.freeze("2025-09-01T12:00")
    assert filled.stats()["maintenance"]["freeze"]["rows"] == 720
    assert filled.stats()["maintenance"]["thaw"] is None
    assert Freezer(filled, 2 * DAY).is_due
    filled.maintenance.thaw()
    done = filled.stats()["maintenance"]["thaw"]
    assert (done["rows"], done["series"]) == (720, 1)
    filled.maintenance.thaw()  # nothing: nothing is told
    assert filled.stats()["maintenance"]["thaw"] == done
    Freezer(filled, 2 * DAY).run()
    filled.maintenance.freeze("2025-09-03T12:00")
    assert not Freezer(filled, 2 * DAY).is_due


def test_nothing_is_frozen_unless_it_is_said(filled):
    Maintainer(filled).look()
    filled.maintenance.optimize()
    assert frozen(filled) == 0
    done = filled.maintenance.optimize(freeze_after=timedelta(days=1)).done
    assert "4,320 old candles of 1 series frozen" in done
    assert frozen(filled) == 3 * 1_440


def test_a_store_that_looks_after_itself_freezes(filled):
    filled.maintenance.start(every=0.01, freeze_after="2d")
    for _ in range(2_000):
        if frozen(filled):
            break
        filled.maintenance._maintainer._stopped.wait(0.01)
    filled.maintenance.stop()
    assert frozen(filled) == 2 * 1_440
    assert filled.candles("A", "1m").height == 4 * 1_440
    assert filled.maintenance.check() == []


def test_the_command_line_takes_an_age(tmp_path):
    from mdstore.cli import app

    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", walk(2_000))
    command = ["-f", str(tmp_path / "s.sqlite3"), "optimize", "--freeze-after", "9d"]
    assert not app(command, standalone_mode=False)
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        assert frozen(store) == 2_000


@pytest.mark.parametrize("every", [None, 0, -1, True, "60"])
def test_what_is_no_time_between_looks_is_refused_and_none_is_not_hinted_at(filled, every):
    with pytest.raises(InvalidInputError, match=r"every=.* give seconds, more than 0$"):
        filled.maintenance.start(every=every)
    with pytest.raises(InvalidInputError, match=r"silence=.* give seconds, more than 0$"):
        filled.watch("upbit", "KRW-BTC", "1m", silence=every)
    assert not filled.maintenance.is_running
