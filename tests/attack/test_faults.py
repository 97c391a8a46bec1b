"""Every write, sync, cut, opening and read may fail: what was acknowledged is there, and nothing half.

An operation is counted through once, then done again and again with a failure at another place each time:
once only (a bad moment), or from there on (a disk that is gone or full). After each the store is opened anew.
"""

import shutil
from collections import Counter
from contextlib import ExitStack
from unittest.mock import patch

import polars as pl
import pytest

import mdstore
from mdstore import MarketDataError
from mdstore.candles.file import log
from tests.support.candles import MINUTE, START, bits, walk
from tests.support.doses import dose
from tests.support.faults import failing_disk
from tests.support.small import cut_down

# APSW tells so of what SQLite goes on without: a log that could not be deleted when the last one left.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
FILE = "s.sqlite3"
PLACES = 10
MODES = [("io", False), ("io", True), ("full", False), ("full", True)]


def valued(bars, *, seed, start=START):
    """Return bars with a declared column, which some of them lack."""
    value = pl.when(pl.int_range(bars) % 3 != 1).then(pl.int_range(bars) + seed / 4)
    return walk(bars, start=start, seed=seed).with_columns(value=value)


def new_bars(store):
    store.write("A", "1m", walk(30, start=START + 60 * MINUTE, seed=5))


def corrections(store):
    bars = valued(5, start=START + 20 * MINUTE, seed=9)
    frames = [bars.with_columns(symbol=pl.lit(name)) for name in "ABC"]
    store.write_many(pl.concat(frames), timeframe="1m", source="again", covers="data")


def one_bar(store):
    store.write("A", "1m", walk(1, start=START + 60 * MINUTE, seed=5))


def read(store):
    store.candles(None, "1m")
    store.candles("C", "1m")


def backup(store):
    store.maintenance.backup(store.path.with_name("copy.sqlite3"), overwrite=True)


# What each leaves where it succeeds: how many rows of A, and what the bars of A at 20 are.
OPERATIONS = {
    "open": lambda store: None,
    "write new bars, seal and merge": new_bars,
    "write corrections": corrections,
    "write one bar, checkpoint": one_bar,
    "delete": lambda store: store.delete("B", start=START, end=START + 10 * MINUTE),
    "read and seal": read,
    "warm": lambda store: store.maintenance.warm(),
    "warm anew": lambda store: store.maintenance.warm(rebuild=True),
    "compact": lambda store: store.maintenance.compact(),
    "backup": backup,
    "check": lambda store: store.maintenance.check(),
    "cover": lambda store: store.cover("A", "1m", start=START, end=START + MINUTE, reason="no_trade"),
}


@pytest.fixture(autouse=True)
def small():
    """Few rows do what millions would; every write cuts the log."""
    with ExitStack() as stack:
        for size in (*cut_down(), patch.object(log, "LOG_BYTES", 1)):
            stack.enter_context(size)
        yield


@pytest.fixture
def template(tmp_path):
    """A store with packs, what is loose, what was corrected, and a log that was left."""
    (tmp_path / "template").mkdir()
    with mdstore.open(tmp_path / "template" / FILE) as store:
        store.declare("value", resample="sum")
        for seed, name in enumerate("ABC"):
            store.write(name, "1m", walk(60, seed=seed) if name == "A" else valued(60, seed=seed))
        store.write("A", "1m", walk(4, seed=4))
        store.write("C", "1m", walk(8, start=START + 60 * MINUTE, seed=4))
    return tmp_path / "template"


def state(store):
    """All that was written, to the last bit."""
    names = store.series()["symbol"].unique(maintain_order=True)
    series = {name: bits(store.candles(name, "1m")) for name in names}
    values = {name: store.candles(name, "1m", columns=["value"])["value"].to_list() for name in names}
    return series, values, len(store.revisions()), store.coverage()["symbol"].len()


def outcome(folder, operation, disk):
    """Do an operation on a store, and say whether it was done; an error must be one of ours."""
    try:
        store = mdstore.open(folder / FILE)
    except MarketDataError:
        return False
    try:
        operation(store)
    except MarketDataError:
        return False
    else:
        return True
    finally:
        disk.rest()
        store.close()


def count(folder, operation):
    """Return how often an operation, and the opening before it, go to the disk."""
    with failing_disk() as disk, mdstore.open(folder / FILE) as store:
        operation(store)
        return disk.done


def places(total, most):
    return (
        range(total) if most is None else sorted({place * total // most for place in range(min(most, total))})
    )


def attack(template, folder, name, most, modes):
    """Fail an operation at so many places in each mode, and return what failed how often."""
    operation, failed, refused = OPERATIONS[name], Counter(), 0
    shutil.copytree(template, folder / "clean")
    with mdstore.open(folder / "clean" / FILE) as store:
        before = state(store)
    total = count(folder / "clean", operation)
    with mdstore.open(folder / "clean" / FILE) as store:
        after = state(store)
    for kind, dead in modes:
        if dead and operation is backup:
            continue  # APSW makes a SystemError of a second error while it gives a copy up
        for place in places(total, most):
            work = folder / f"{kind}-{dead}-{place}"
            shutil.copytree(template, work)
            with failing_disk() as disk:
                disk.fail(place, kind, dead=dead)
                done = outcome(work, operation, disk)
                failed.update(disk.first)
            refused += not done
            with mdstore.open(work / FILE) as store:
                found = state(store)
                where = f"{name}: {kind}, {dead=}, place {place} of {total}"
                assert found == after if done else found in (before, after), where
                assert store.maintenance.check() == [], where
                new_bars(store)  # and it goes on
                assert store.maintenance.check() == [], where
            assert not [file for file in work.iterdir() if file.name.startswith(".")], where
            shutil.rmtree(work)
    return total, failed, refused


@pytest.mark.variants(4)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_failure_of_the_disk_loses_nothing(template, tmp_path, name):
    total, failed, _ = attack(template, tmp_path, name, dose(PLACES), MODES[::3])
    assert total > PLACES
    assert failed


@pytest.mark.long
def test_failures_of_the_disk_at_every_place_lose_nothing(template, tmp_path):
    print(f"\n{'operation':<32}{'places':>8}{'failures':>10}{'refused':>9}  what failed")
    for number, name in enumerate(OPERATIONS):
        (tmp_path / str(number)).mkdir()
        total, failed, refused = attack(template, tmp_path / str(number), name, None, MODES)
        what = ", ".join(f"{count} {what}" for what, count in failed.most_common())
        print(f"{name:<32}{total:>8}{failed.total():>10}{refused:>9}  {what}")
