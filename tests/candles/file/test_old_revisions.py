"""Files whose revisions are a row a bar: they become blocks, with all that they say; damage stays damage."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import apsw
import pytest

import mdstore
from mdstore import DamagedDataError
from mdstore.candles.file.migrations import MIGRATIONS, migrate
from tests.support.candles import MINUTE, START, walk
from tests.support.clock import Clock
from tests.support.old_files import make_older

WRITTEN_BY_7 = Path(__file__).with_name("version_7.sql")
"""What mdstore wrote with schema version 7, rows: corrections of corrections, values of declared columns."""
LATER = START + 60 * 1_440 * MINUTE
REVISIONS_SINCE, DECLARED_SINCE = 3, 5
NEWEST = MIGRATIONS[-1].version
DIES = """
    import os, sys
    import apsw
    from mdstore.candles.file.migrations import migrate
    con = apsw.Connection("old.sqlite3")
    con.set_progress_handler(lambda: os._exit(9), int(sys.argv[1]))
    migrate(con)
"""


def rewritten(path, *, declares=True):
    """Write a file in which bars have changed many times, and return what it says of its past."""
    clock = Clock(LATER / 1000)
    with mdstore.MarketDataStore(path, clock=clock) as store:
        if declares:
            store.declare("value", resample="sum")
        for number in range(6):
            clock.pass_by(hours=1 / 60)
            store.write("A", "1m", walk(900 + number, seed=number), source=f"s{number}")
            store.write("A", "1m", walk(200, start=START + 50 * number * MINUTE), source="feed")
            store.write("B", "1d", walk(40, step=1_440 * MINUTE, seed=number), source=f"s{number}")
            valued = walk(90, seed=number // 3).with_columns(value=walk(90, seed=number)["open"])
            store.write("V", "1m", valued if declares else valued.drop("value"), source="values")
        return said(store, declares=declares)


def said(store, *, declares=True):
    """Return all that a store says of its past."""
    columns = ["timestamp", "close", "value"] if declares else None
    moments = [LATER + number * MINUTE for number in range(8)]
    past = [
        store.candles(symbol, bar, as_of=at, columns=wanted)
        for at in moments
        for symbol, bar, wanted in (("A", "1m", None), ("B", "1d", None), ("V", "1m", columns))
    ]
    return [store.revisions(), store.provenance(), *past]


def same(found, expected):
    return len(found) == len(expected) and all(
        one.equals(other) for one, other in zip(found, expected, strict=True)
    )


def version_of(path):
    with closing(sqlite3.connect(path)) as con:
        return con.execute("SELECT max(version) FROM schema_version").fetchone()[0]


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A file of version 7, and what it says of its past."""
    path = tmp_path_factory.mktemp("old") / "old.sqlite3"
    truth = rewritten(path)
    make_older(path, 7)
    return path, truth


@pytest.fixture
def copy(old, tmp_path):
    """Return a copy of it."""
    return Path(shutil.copy(old[0], tmp_path / "old.sqlite3")), old[1]


def test_a_file_that_version_7_wrote_says_what_it_said(path):
    with closing(apsw.Connection(str(path))) as con:
        migrate(con, MIGRATIONS[:7])
        con.execute(WRITTEN_BY_7.read_text())
        rows = con.execute(
            "SELECT symbol, timestamp, revision, close, source FROM revisions ORDER BY 1, 2, 3"
        )
        revised = rows.fetchall()
    with mdstore.open(path) as store:
        changes = store.revisions()
        times = (changes[name].dt.epoch("ms") for name in ("timestamp", "changed_at"))
        found = zip(changes["symbol"], *times, changes["close"], changes["source"], strict=True)
        assert list(found) == revised
        assert changes.filter(symbol="V")["value"].to_list() == [1.5, 2.5, 2.0, 3.5, 4.0, 4.5]
        assert changes.filter(symbol="V")["trades"].to_list() == [None, None, 1.0, None, 2.0, None]
        kept = store.provenance("A").select("source", "arrived_first").rows()
        assert [source for source, _ in kept] == ["one", "two", "three", "one"]
        before = revised[0][2] - 1
        assert store.candles("A", "1m", as_of=before)["close"].to_list() == [11 + i / 4 for i in range(12)]
        assert store.maintenance.check() == []
        assert store.write("A", "1m", walk(12), source="four").updated == 12
        assert store.candles("A", "1m", as_of=before)["close"].to_list() == [11 + i / 4 for i in range(12)]


@pytest.mark.variants(2)
@pytest.mark.parametrize("version", range(1, NEWEST))
def test_a_file_of_any_version_keeps_what_it_has_of_the_past(tmp_path, version):
    path, declares = tmp_path / "old.sqlite3", version >= DECLARED_SINCE
    truth = rewritten(path, declares=declares)
    with mdstore.open(path) as store:
        candles = store.candles("A", "1m")
    make_older(path, version)
    with mdstore.open(path) as store:
        assert store.candles("A", "1m").equals(candles)
        assert store.maintenance.check() == []
        if version >= REVISIONS_SINCE:
            assert same(said(store, declares=declares), truth)


@pytest.mark.long
def test_killed_at_any_moment_the_file_is_of_one_version_or_the_other(copy, python):
    path, truth = copy
    seen = set()
    for steps in (1, 300, 1_000, 3_000, 10_000, 20_000, 30_000, 50_000, 100_000, 1_000_000):
        python(DIES, str(steps), check=False)
        seen.add(version_of(path))
        with closing(sqlite3.connect(path)) as con:
            assert con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            left = con.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'old%'").fetchall()
            assert left == []
    assert seen == {7, NEWEST}
    with mdstore.open(path) as store:
        assert same(said(store), truth)
        assert store.maintenance.check() == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE revisions SET close = close + 1 WHERE symbol = 'A' AND timestamp % 7 = 0",
        "DELETE FROM revisions WHERE symbol = 'A' AND timestamp = (SELECT min(timestamp) FROM revisions)",
        "DELETE FROM revisions WHERE symbol = 'A'",
        "UPDATE revisions SET source = 'z' WHERE symbol = 'A' AND timestamp % 9 = 0",
        "UPDATE bucket_digests SET revisions = revisions + 1 WHERE symbol = 'A'",
    ],
)
def test_what_was_damaged_stays_damaged(copy, damage):
    path, truth = copy
    with closing(sqlite3.connect(path)) as con, con:
        assert con.execute(damage).rowcount
    with mdstore.open(path) as store:
        for ask in (
            lambda: store.revisions("A"),
            lambda: store.provenance("A", "1m"),
            lambda: store.candles("A", "1m", as_of=LATER + MINUTE),
        ):
            with pytest.raises(DamagedDataError, match="A 1m"):
                ask()
        assert store.revisions("B").equals(truth[0].filter(symbol="B"))
        findings = store.maintenance.check()
        assert any("A 1m: the earlier values" in one for one in findings)
        assert all(one.startswith("A 1m") for one in findings)


def test_a_price_that_is_no_number_stays_damaged(copy):
    path, _ = copy
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("PRAGMA writable_schema = ON")
        con.execute("UPDATE sqlite_schema SET sql = replace(sql, 'STRICT, ', '') WHERE name = 'revisions'")
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("UPDATE revisions SET close = x'00' WHERE symbol = 'A' AND timestamp % 7 = 0")
    with mdstore.open(path) as store:
        with pytest.raises(DamagedDataError, match="A 1m: the earlier values"):
            store.revisions("A")
        assert len(store.revisions("B")) > 0


def test_a_view_of_somebodys_own_that_does_not_fit_is_no_hindrance(copy):
    path, truth = copy
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("CREATE VIEW broken AS SELECT lost FROM nowhere")
        con.execute("CREATE VIEW mine AS SELECT close FROM revisions")
    with mdstore.open(path) as store:
        assert same(said(store), truth)
