"""Blocks of what bars were: a write adds to them alone, a read goes back as far as it must."""

from functools import partial

import polars as pl
import pytest

import mdstore
from mdstore import DamagedDataError
from mdstore.candles.file import blocks
from mdstore.candles.ledger import revisions
from tests.support.candles import MINUTE, START, walk
from tests.support.clock import Clock
from tests.support.file import change, rows_of

HOUR = 60 * MINUTE
KEY = ("A", "1m")


@pytest.fixture
def clock():
    return Clock((START + 400 * HOUR) / 1000)


@pytest.fixture
def store(path, clock):
    with mdstore.MarketDataStore(path, clock=clock) as store:
        yield store


def rewrite(store, clock, times, bars=300):
    """Rewrite a series so many times, a minute apart; return the revision of each."""
    moments = []
    for number in range(times):
        clock.pass_by(hours=1 / 60)
        store.write("A", "1m", walk(bars, seed=number), source=f"s{number % 3}")
        moments.append(store._candles.revision())
    return moments


def steps_of(store, work):
    """Return how much SQLite does for some work, in hundreds of its steps."""
    con, seen = store._candles._database._writer, []
    con.set_progress_handler(lambda: bool(seen.append(1)), 100)
    try:
        work()
    finally:
        con.set_progress_handler(None)
    return len(seen)


def blocks_of(store, columns="number, first, last, rows, names"):
    return rows_of(store.path, f"SELECT {columns} FROM revisions ORDER BY id")


def test_a_write_does_no_more_with_a_long_history_than_with_a_short_one(store, clock):
    taken = []
    for number in range(120):
        clock.pass_by(hours=1 / 60)
        write = partial(store.write, "A", "1m", walk(300, seed=number), source=f"s{number % 3}")
        taken.append(steps_of(store, write))
    assert sum(taken[-10:]) <= 1.1 * sum(taken[10:20])


def test_a_correction_of_one_bar_does_no_more_after_many_of_others(store, clock):
    store.write("A", "1m", walk(2_000))
    taken = []
    for number in range(300):
        clock.pass_by(hours=1 / 60)
        row = walk(1, start=START + number * 3 * MINUTE, seed=number + 1)
        taken.append(steps_of(store, partial(store.write, "A", "1m", row, source="fix")))
    assert sum(taken[-50:]) <= 1.2 * sum(taken[20:70]) + 2


def test_as_of_shortly_before_reads_only_what_changed_since(store, clock, monkeypatch):
    moments = rewrite(store, clock, 40)
    read = []
    bars = revisions._bars
    monkeypatch.setattr(revisions, "_bars", lambda *given: read.append(given) or bars(*given))
    for back in (1, 5, 39):
        read.clear()
        found = store.candles("A", "1m", as_of=moments[-1 - back])
        assert found.equals(walk(300, seed=39 - back))
        assert len(read) == back


def test_a_long_change_is_cut_so_that_one_bar_needs_no_more_than_a_block(store, clock, monkeypatch):
    bars = 3 * blocks.BLOCK_ROWS
    store.write("A", "1m", walk(bars))
    then = store._candles.revision()
    clock.pass_by(hours=1 / 60)
    store.write("A", "1m", walk(bars, seed=1))
    assert [row[3] for row in blocks_of(store)] == [blocks.BLOCK_ROWS] * 3
    read, one = [], revisions._bars
    monkeypatch.setattr(revisions, "_bars", lambda *given: read.append(given) or one(*given))
    at = START + 5_000 * MINUTE
    found = store.candles("A", "1m", start=at, end=at + MINUTE, as_of=then)
    assert found.equals(walk(bars).slice(5_000, 1))
    assert len(read) == 1


def test_values_come_back_as_they_were_from_bytes():
    times, columns = [3, 1 << 60], [[0.1, -1e308], [5e-324, 2.0]]
    data = blocks.data_of(times, columns)
    assert len(data) == 48
    assert blocks.frame_of("a b", 2, data).rows() == [(3, 0.1, 5e-324), (1 << 60, -1e308, 2.0)]
    with pytest.raises(ValueError, match="47 bytes"):
        blocks.frame_of("a b", 2, data[:-1])


def test_a_range_that_is_deleted_is_cut_out_of_blocks(store, clock):
    moments = rewrite(store, clock, 3)
    store.delete("A", "1m", start=START + 100 * MINUTE, end=START + 200 * MINUTE)
    assert {row[3] for row in blocks_of(store)} == {200}
    for back, at in ((2, moments[0]), (1, moments[1])):
        old = walk(300, seed=2 - back)
        assert store.candles("A", "1m", as_of=at).equals(pl.concat([old[:100], old[200:]]))
    assert store.maintenance.check() == []
    store.delete("A", "1m", start=START, end=START + 100 * MINUTE)
    assert {row[1] for row in blocks_of(store)} == {START + 200 * MINUTE}
    store.delete("A")
    assert blocks_of(store) == []
    assert store.maintenance.check() == []


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM revisions WHERE number = 3",
        "DELETE FROM revisions WHERE number = 1",
        "DELETE FROM revisions WHERE number = (SELECT max(number) FROM revisions)",
        "DELETE FROM revisions",
        "UPDATE revisions SET revision = revision - 1 WHERE number = 3",
        "UPDATE revisions SET first = last WHERE number = 3",
        "UPDATE revisions SET last = first WHERE number = 3",
        "UPDATE revisions SET source = 'z' WHERE number = 3",
        "UPDATE revisions SET rows = 0 WHERE number = 3",
        "UPDATE revisions SET names = '' WHERE number = 3",
        "UPDATE revisions SET symbol = 'B' WHERE number = 3",
        "UPDATE revisions SET number = 99 WHERE number = 3",
        "UPDATE revisions SET data = zeroblob(length(data)) WHERE number = 3",
        "UPDATE revisions SET digest = digest + 1 WHERE number = 3",
        "UPDATE revisions SET content = content + 1 WHERE number = 3",
        "UPDATE digests SET revisions = revisions - 1 WHERE symbol = 'A'",
        "UPDATE digests SET revisions = 0 WHERE symbol = 'A'",
        "UPDATE replacements SET source = 'z'",
    ],
)
def test_whatever_is_changed_in_them_is_noticed(store, clock, damage):
    moments = rewrite(store, clock, 6)
    assert change(store.path, damage)
    findings = store.maintenance.check()
    assert findings
    assert all(one.startswith(("A 1m", "B 1m")) for one in findings)
    asks = [lambda: store.provenance("A", "1m")] if "replacements" in damage else [
        lambda: store.candles("A", "1m", as_of=moments[0]), store.revisions
    ]  # fmt: skip
    for ask in asks:
        with pytest.raises(DamagedDataError, match="A 1m"):
            ask()
    assert store.candles("A", "1m").equals(walk(300, seed=5))
    store.maintenance.warm(rebuild=True)
    assert store.maintenance.check() == []


def test_what_lies_behind_the_damage_is_served(store, clock):
    moments = rewrite(store, clock, 6)
    change(store.path, "UPDATE revisions SET data = zeroblob(length(data)) WHERE number = 2")
    assert store.candles("A", "1m", as_of=moments[2]).equals(walk(300, seed=2))
    with pytest.raises(DamagedDataError):
        store.candles("A", "1m", as_of=moments[1])


def test_who_replaced_bars_is_one_row_however_often_they_were(store, clock):
    rewrite(store, clock, 30)
    assert rows_of(store.path, "SELECT count(*) FROM replacements") == [(1,)]
    clock.pass_by(hours=1 / 60)
    notes = store.write("A", "1m", walk(100, start=START + 50 * MINUTE, seed=77), source="other").notes
    assert notes == ("A 1m: 100 bars from s2 replaced by other values",)
    found = store.provenance("A").select("source", (pl.col("end") - pl.col("start")).dt.total_minutes())
    assert found.rows() == [("s2", 50), ("other", 100), ("s2", 150)]
    store.delete("A", "1m", start=START + 60 * MINUTE, end=START + 70 * MINUTE)
    assert [row[0] for row in store.provenance("A").select("source").rows()] == ["s2", "other", "s2"]
    assert store.maintenance.check() == []


def test_a_block_that_is_missing_is_noticed_by_whoever_goes_past_it_alone(store, clock):
    moments = rewrite(store, clock, 6)
    change(store.path, "DELETE FROM revisions WHERE number = 3")
    assert store.candles("A", "1m", as_of=moments[4]).equals(walk(300, seed=4))
    for number in (3, 2):
        with pytest.raises(DamagedDataError, match="A 1m: the earlier values"):
            store.candles("A", "1m", as_of=moments[number])


def test_negative_zeros_among_bars_of_which_some_change_are_under_their_digests(store):
    bars = walk(300)
    store.write("A", "1m", bars)
    zeros = bars.with_columns(volume=pl.when(pl.int_range(300) % 3 > 0).then(-0.0).otherwise("volume"))
    assert store.write("A", "1m", zeros).updated == 198  # the volume of two was 0.0
    assert store.write("A", "1m", zeros).unchanged == 300
    assert store.maintenance.check() == []
