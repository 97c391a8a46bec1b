"""The scheduler: a truth table of its conditions, what it does about them, and that it says why."""

import asyncio
import itertools
import threading
from datetime import UTC, datetime

import pytest

from mdstore import MaintenanceStoppedError
from mdstore.candles.upkeep.vacuum import Room
from mdstore.optimization.quiet_window import QuietWindow
from mdstore.optimization.vacuum import Limits, SmartVacuumScheduler
from tests.optimization.conftest import Clock
from tests.optimization.fake_upkeep import FakeUpkeep, owner
from tests.support.fragmented import feed, thin_out

NIGHT = datetime(2026, 3, 3, 3, 0, tzinfo=UTC).timestamp()


def scheduler(upkeep, **options):
    return SmartVacuumScheduler(owner(upkeep), **options)


def evaluated(upkeep, **options):
    return asyncio.run(scheduler(upkeep, **options).evaluate_vacuum_need())


@pytest.mark.parametrize("space", list(itertools.product((False, True), repeat=4)))
def test_free_pages_ask_for_a_vacuum_only_where_all_four_conditions_are_met(space):
    fragmented, many, rested, quiet = space
    clock = Clock(NIGHT if quiet else NIGHT + 5 * 3_600)
    free = 1_600 if many else 900
    upkeep = FakeUpkeep(clock, pages=free * (5 if fragmented else 10), free=free)
    upkeep.kept["vacuum"] = [{"at": int((clock() - (8 if rested else 6) * 86_400) * 1000)}]
    plan = scheduler(upkeep)
    assert asyncio.run(plan.evaluate_vacuum_need()) is all(space)
    met = {one.name: one.met for one in plan.decision.conditions}
    assert [met[name] for name in ("fragmentation", "free pages", "last VACUUM", "quiet hours")] == list(
        space
    )
    if not all(space):
        assert plan.decision.action == ("incremental" if fragmented else "nothing")


@pytest.mark.parametrize("order", list(itertools.product((False, True), repeat=4)))
def test_disorder_asks_for_order_only_where_all_four_conditions_are_met(order):
    disordered, large, rested, quiet = order
    clock = Clock(NIGHT if quiet else NIGHT + 5 * 3_600)
    upkeep = FakeUpkeep(clock, in_order=0.01 if disordered else 0.9, table_pages=5_000 if large else 500)
    upkeep.kept["rebuild"] = [{"at": int((clock() - (8 if rested else 6) * 86_400) * 1000), "left": 0}]
    assert evaluated(upkeep) is all(order)
    upkeep.seconds = 60.0
    plan = scheduler(upkeep)
    assert plan.evaluate().action == ("rebuild" if all(order) else "nothing")


@pytest.mark.parametrize("guards", list(itertools.product((False, True), repeat=3)))
@pytest.mark.parametrize("disordered", [False, True])
def test_a_vacuum_wants_room_no_long_read_and_not_to_keep_others_waiting(guards, disordered):
    room, free, quick = guards
    upkeep = FakeUpkeep(Clock(NIGHT), free=3_000, in_order=0.1 if disordered else 0.9)
    upkeep.disk, upkeep.log = Room(100, 200 if room else 50), free
    upkeep.seconds = 1.0 if quick else 30.0
    action = scheduler(upkeep).evaluate().action
    if all(guards):
        assert action == "vacuum"
    else:
        assert action == ("rebuild" if disordered and room else "incremental")


def test_the_decision_names_each_condition_with_its_value_and_threshold():
    upkeep = FakeUpkeep(Clock(NIGHT), free=3_000)
    text = str(scheduler(upkeep).evaluate())
    assert text.splitlines()[0] == "vacuum: there are many free pages, and it takes not long"
    assert "  yes fragmentation: 30.0 % (> 15 %)" in text
    assert "  yes free pages: 3,000 (> 1,000)" in text
    assert "  yes last VACUUM: never (>= 7 days ago)" in text
    assert "  yes quiet hours: 03:00:00 (02:00-04:00 UTC)" in text
    assert "  no  leaves of candles in order: 100.0% (< 50%)" in text
    assert "  yes others would wait: 1.0 s (<= 5 s)" in text


def test_asked_for_by_hand_the_time_does_not_matter():
    upkeep = FakeUpkeep(Clock(NIGHT + 5 * 3_600), free=3_000)
    upkeep.record("vacuum", {})
    plan = scheduler(upkeep)
    assert plan.evaluate().action == "incremental"
    assert plan.evaluate(at_once=True).action == "vacuum"
    assert "last VACUUM: 0.0 days ago (no matter, since asked for now)" in str(plan.decision)


def test_the_table_is_only_read_where_that_could_decide():
    clock = Clock(NIGHT + 5 * 3_600)
    upkeep = FakeUpkeep(clock, in_order=0.1)
    plan = scheduler(upkeep)
    assert plan.evaluate(look=False).action == "nothing"
    assert upkeep.looks == 0
    clock.now = NIGHT + 86_400
    assert plan.evaluate(look=False).action == "vacuum"
    assert upkeep.looks == 1


def test_the_same_file_in_each_zone_is_vacuumed_in_its_own_night():
    for zone, hour in (("UTC", 2), ("Asia/Seoul", 17), ("America/New_York", 7)):
        for at in range(24):
            clock = Clock(datetime(2026, 3, 3, at, 30, tzinfo=UTC).timestamp())
            upkeep = FakeUpkeep(clock, free=3_000)
            window = QuietWindow.parse("02:00-04:00", zone)
            assert evaluated(upkeep, window=window) is (at in (hour, hour + 1)), (zone, at)


def test_the_quietest_hours_are_looked_for_once_a_day(store, clock, monkeypatch):
    clock.now = NIGHT
    for hour in range(24 * 8):  # nothing comes from 05:00 to 07:00
        clock.pass_by(hours=1)
        if (hour + 4) % 24 not in (5, 6):
            store.write(
                "A", "1h", [(1_700_000_000_000 // 3_600_000 * 3_600_000 + hour * 3_600_000, 1, 1, 1, 1, 1)]
            )
    plan = SmartVacuumScheduler(store, window=None)
    plan.evaluate()
    quiet = {one.name: one for one in plan.decision.conditions}["quiet hours"]
    assert quiet.threshold == "05:00-07:00 UTC (observed)"
    looks = []
    monkeypatch.setattr(plan._monitor, "rows_by_hour", lambda: looks.append(1) or {})
    plan.evaluate()
    assert looks == []
    clock.pass_by(days=1)
    plan.evaluate()
    assert looks == [1]


def test_pages_that_a_rebuild_has_left_are_not_given_back_by_themselves():
    clock = Clock(NIGHT)
    upkeep = FakeUpkeep(clock, in_order=0.01)
    upkeep.seconds = 60.0
    plan = scheduler(upkeep)
    plan.act(plan.evaluate())
    assert upkeep.done == [("rebuild", "candles")]
    clock.pass_by(hours=1)
    assert plan.evaluate().action == "nothing"  # 9,000 of 19,000 pages are free, for candles to come
    upkeep.count, upkeep.free = upkeep.count + 6_000, upkeep.free + 6_000  # a large deletion
    assert plan.evaluate().action == "incremental"
    plan.act(plan.decision)
    assert upkeep.done[-1] == ("incremental", 6_000 - 25_000 * 5 // 100)
    upkeep.seconds = 1.0
    clock.pass_by(days=8, hours=-1)
    assert plan.evaluate().action == "vacuum"
    assert "VACUUM, in which nobody else wrote for 1.00 s" in plan.act(plan.decision)
    assert plan.evaluate().action == "nothing"


def test_the_limits_are_the_callers():
    upkeep = FakeUpkeep(Clock(NIGHT), pages=1_000, free=100)
    assert not evaluated(upkeep)
    assert evaluated(upkeep, limits=Limits(fragmentation=5, free_pages=50))


def test_a_real_file_is_found_fragmented_and_made_small(store, clock):
    feed(store)
    thin_out(store)
    plan = SmartVacuumScheduler(store, limits=Limits(free_pages=10, table_pages=10))
    clock.now = NIGHT + 30 * 86_400
    assert asyncio.run(plan.evaluate_vacuum_need())
    assert plan.decision.action == "vacuum"
    plan.act(plan.decision)
    assert not asyncio.run(plan.evaluate_vacuum_need())
    assert store.repository.upkeep.pages().free == 0
    assert store.maintenance.check() == []


def test_coroutines_give_back_vacuum_and_rebuild(store):
    feed(store)
    thin_out(store)
    plan = SmartVacuumScheduler(store.repository)

    async def all_of_them():
        return await plan.incremental_vacuum(pages=7), await plan.rebuild(), await plan.vacuum()

    given, rows, seconds = asyncio.run(all_of_them())
    assert (given, rows) == (7, 6_000)
    assert seconds > 0
    kept = store.repository.upkeep
    assert kept.last("incremental")["pages"] == 7
    assert kept.last("rebuild")["rows"] == 6_000
    assert kept.last("vacuum")["pages"] == kept.pages().count
    assert store.maintenance.check() == []


def test_a_cancelled_coroutine_has_stopped_when_it_ends(store):
    feed(store)
    plan = SmartVacuumScheduler(store)
    before = threading.active_count()

    async def cancelled():
        task = asyncio.create_task(plan.rebuild())
        while not store.repository.upkeep.is_busy:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, MaintenanceStoppedError)):
            await task
        assert not store.repository.upkeep.is_busy

    asyncio.run(cancelled())
    assert threading.active_count() <= before + 1  # asyncio's own threads rest
    assert store.maintenance.check() == []
    assert asyncio.run(plan.rebuild()) == 12_000
