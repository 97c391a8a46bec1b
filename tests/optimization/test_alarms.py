"""Alarms: each is raised by what it is about, says what to do, and ends where that is done."""

import shutil
from collections import namedtuple

import pytest

import mdstore
from mdstore.errors import Hint
from mdstore.optimization import performance
from mdstore.optimization.alarms import RULES, Rule, When, alarms
from mdstore.optimization.fragmentation import FragmentationMonitor
from tests.support.candles import walk
from tests.support.fragmented import bar, feed, thin_out

GIB = 1 << 30
Disk = namedtuple("Disk", "total used free")


def small(name):
    """Return the rule of that name for files of any size."""
    (rule,) = (one for one in RULES if one.name == name)
    when = tuple(one for one in rule.when if one.figure not in {"file.pages", "file.free_pages"})
    return (Rule(name, rule.severity, when, rule.says, rule.do),)


def raised(store, rules=RULES):
    return {alarm["name"]: alarm for alarm in store.stats(rules=rules)["alarms"]}


def test_a_sound_store_has_none(store):
    store.write("A", "1m", walk(500))
    store.candles("A", "1m")
    assert store.stats()["alarms"] == []


def test_every_rule_reads_figures_that_the_tree_has(store):
    tree = store.stats()
    for rule in RULES:
        for when in rule.when:
            for figure in filter(None, (when.figure, when.than)):
                branch, name = figure.split(".")
                assert name in tree[branch], figure


def test_a_read_that_does_not_end_pins_the_log_until_it_does(tmp_path, monkeypatch):
    from mdstore.candles.file import log

    monkeypatch.setattr(log, "LOG_BYTES", 200_000)
    monkeypatch.setattr(log, "RETRY_SECONDS", 0.0)
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", walk(10))
        with store.repository._database.reading() as con:
            con.execute("SELECT count(*) FROM candles").fetchall()
            for at in range(3):
                store.write("B", "1m", walk(3_000, seed=at))
            (alarm,) = raised(store).values()
            assert (alarm["name"], alarm["severity"]) == ("log_pinned", "critical")
            assert "reading now: process" in alarm["says"]
            assert "MB and grows" in alarm["says"]
            assert "end that read" in alarm["python"]
        store.write("A", "1m", [bar(11)])  # what it says: the next write shortens the log
        assert raised(store) == {}


def test_a_large_log_is_emptied_by_what_is_said(store, monkeypatch):
    store.write("A", "1m", walk(3_000))
    monkeypatch.setattr(store.repository.upkeep, "log_limit", lambda: 100_000)
    alarm = raised(store)["log_large"]
    assert "reading now: nobody" in alarm["says"]
    assert "store.maintenance.optimize()" in alarm["python"]
    store.maintenance.optimize()
    assert "log_large" not in raised(store)


def test_a_disk_that_is_nearly_full_and_the_packs_that_may_go(store, monkeypatch):
    for number in range(4):
        store.write(f"S{number}", "1m", walk(5_000))
    room = GIB + sum(one.stat().st_size for one in store.packs_path.iterdir()) // 2

    def disk_usage(_):
        packs = sum(one.stat().st_size for one in store.packs_path.glob("*"))
        return Disk(0, 0, room - packs)

    monkeypatch.setattr(performance.shutil, "disk_usage", disk_usage)
    alarm = raised(store)["disk_low"]
    assert "1023." in alarm["says"]
    assert "store.packs_path may be deleted" in alarm["python"]
    shutil.rmtree(store.packs_path)
    assert raised(store) == {}


def test_a_file_that_grows_beyond_its_disk_is_foreseen(store, clock, monkeypatch, tmp_path):
    monitor = FragmentationMonitor(store)
    for day in range(4):
        feed(store, series=day + 1, bars=1_000, at_once=1_000)
        monitor.measure()
        clock.pass_by(days=1)
    growth = store.stats()["growth"]
    assert growth["bytes_per_day"] > 0
    monkeypatch.setattr(
        performance.shutil, "disk_usage", lambda path: Disk(0, 0, int(growth["bytes_per_day"] * 5 + GIB))
    )
    assert "disk_full_soon" not in raised(store)  # a small file on a disk that it fills in years
    monkeypatch.setattr(
        performance.shutil, "disk_usage", lambda path: Disk(0, 0, int(growth["bytes_per_day"] * 5))
    )
    alarm = raised(store)["disk_full_soon"]
    assert "its disk is full in 5 days" in alarm["says"]
    larger = store.maintenance.backup(tmp_path / "larger" / ".." / "copy.sqlite3")
    monkeypatch.setattr(performance.shutil, "disk_usage", lambda path: Disk(0, 0, 1 << 50))
    with mdstore.MarketDataStore(larger, clock=clock) as moved:
        assert raised(moved) == {}


def test_a_hit_rate_that_falls_is_told_and_more_memory_mends_it(tmp_path):
    path = tmp_path / "s.sqlite3"
    names = [f"S{number}" for number in range(8)]
    rule = small("hit_rate_falls")

    def read(store, symbols, times):
        for at in range(times):
            store.candles(symbols[at % len(symbols)], "1m", limit=1_400)
        return store.stats(rules=rule)

    with mdstore.open(path, memory_bytes=500_000, pack_bytes=0) as store:
        for name in names:
            store.write(name, "1m", walk(1_500))
        read(store, names[:1], 1_200)
        assert read(store, names[:1], 1_200)["alarms"] == []
        tree = read(store, names, 1_200)
        (alarm,) = tree["alarms"]
        assert "of the latest reads 0% were in memory, 9" in alarm["says"] or "100% of" in alarm["says"]
        assert "mdstore.open(..., memory_bytes=)" in alarm["python"]
    with mdstore.open(path, memory_bytes=50_000_000, pack_bytes=0) as store:
        read(store, names[:1], 1_200)
        assert read(store, names, 1_200)["alarms"] == []


@pytest.mark.parametrize("name", ["fragmentation", "disorder"])
def test_pages_in_disorder_are_put_right_by_what_is_said(store, name):
    feed(store)
    if name == "fragmentation":
        thin_out(store)
    FragmentationMonitor(store).measure()
    alarm = raised(store, small(name))[name]
    assert "optimize" in alarm["python"]
    assert "mdstore optimize" in alarm["cli"]
    from mdstore.optimization import optimizing
    from mdstore.optimization.vacuum import Limits, SmartVacuumScheduler

    limits = Limits(free_pages=10, table_pages=10)
    optimizing.optimize(store, SmartVacuumScheduler(store, limits=limits))
    assert raised(store, small(name)) == {}


def test_a_rule_of_ones_own_is_one_more_row(store):
    store.write("A", "1m", walk(10))
    mine = Rule(
        "rows", "warning", (When("file.rows", ">=", 10),), "{file[rows]:,} candles", Hint("delete", "delete")
    )
    assert [alarm["says"] for alarm in store.stats(rules=(*RULES, mine))["alarms"]] == ["10 candles"]


def test_what_is_not_known_raises_nothing():
    assert alarms({}) == []
    assert alarms({"file": {"in_order": None, "pages": 10**6}}) == []


def test_names_that_the_system_does_not_tell_are_said_to_be_unknown():
    rule = Rule("r", "warning", (When("a.b", "==", 1),), "{a[who]:names}", Hint("", ""))
    (alarm,) = alarms({"a": {"b": 1, "who": None}}, [rule])
    assert alarm["says"] == "who is not known on this system"
