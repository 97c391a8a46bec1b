"""Old candles are frozen: every road reads them, writes among them work, and the file is small."""

import random
import threading
from contextlib import closing
from unittest.mock import patch

import apsw
import polars as pl
import pytest

import mdstore
from mdstore import (
    DamagedDataError,
    MaintenanceStoppedError,
    NoSuchSeriesError,
    ReadOnlyError,
    StoreBusyError,
)
from mdstore.candles.file import frozen
from mdstore.candles.packs import seal_policy
from mdstore.candles.upkeep import freezing
from tests.support.candles import MINUTE, START, walk
from tests.support.every_read import every_read, fill
from tests.support.packs import cells

LATER = "2030-01-01"
BARS = 5_000
pytestmark = pytest.mark.usefixtures("small_pieces")


@pytest.fixture
def written(store):
    store.write("A", "1m", walk(BARS), source="somebody", covers="data")
    store.write("B", "1m", walk(40, seed=2))
    return store


def figures(store):
    stats = store.maintenance.stats()
    return stats["frozen_rows"], stats["frozen_bytes"]


def in_candles(path, symbol="A"):
    """Return how many candles another program sees."""
    with closing(apsw.Connection(str(path))) as con:
        return con.execute("SELECT count(*) FROM candles WHERE symbol = ?", (symbol,)).get


def forget_packs(store):
    """Have everything read from the two tables again."""
    store._candles._upkeep._compaction.sweep(young=0.0)
    with store._candles._database.writing() as con:
        con.execute("DELETE FROM cells")
    store._candles._memory.clear()


# --- every road


def test_every_road_reads_what_is_frozen(store, tmp_path):
    fill(store)
    before = every_read(store, tmp_path / "copy.sqlite3")
    found = store.maintenance.freeze(LATER)
    assert (found.rows, found.series) == (6_000, 2)  # but for 40 bars, too few
    assert figures(store)[0] == 6_000
    assert every_read(store, tmp_path / "copy.sqlite3") == before
    forget_packs(store)
    assert every_read(store, tmp_path / "copy.sqlite3") == before
    with mdstore.open(tmp_path / "copy.sqlite3") as copy:
        assert figures(copy)[0] == 6_000
        assert every_read(copy, tmp_path / "second.sqlite3") == before
    assert store.maintenance.thaw().rows == 6_000
    forget_packs(store)
    assert every_read(store, tmp_path / "copy.sqlite3") == before


@pytest.mark.parametrize("seals", [True, False])
def test_a_store_that_is_only_read_reads_what_is_frozen(written, tmp_path, seals):
    before = written.candles("A", "1m")
    written.maintenance.freeze(LATER)
    if not seals:
        forget_packs(written)
    path = written.path
    written.close()
    with mdstore.open(path, read_only=True) as store:
        assert store.candles("A", "1m").equals(before)
        assert store.candles("A", "1m", limit=1_000).equals(before.tail(1_000))
        assert store.maintenance.check() == []
        with pytest.raises(ReadOnlyError):
            store.maintenance.freeze(LATER)
        with pytest.raises(ReadOnlyError):
            store.maintenance.thaw()


@pytest.mark.parametrize("before", [LATER, "2025-09-02"])
def test_the_scanner_seals_what_is_not_frozen_beside_what_is(written, before):
    """DuckDB sees the table `candles` only."""
    whole = written.candles("A", "1m")
    written.maintenance.freeze(before)
    forget_packs(written)
    with patch.object(seal_policy, "SCAN_ROWS", 10), patch.object(seal_policy, "SCAN_ROWS_COLD", 10):
        written.maintenance.warm()
    assert written.maintenance.stats()["loose_rows"] == 0
    assert written.candles("A", "1m").equals(whole)
    assert written.maintenance.check() == []


@pytest.mark.parametrize("rows", [1, 7, 599, 600, 601, 2_000, BARS, BARS + 5])
def test_the_latest_bars_straight_from_the_tables(written, rows):
    whole = written.candles("A", "1m")
    written.maintenance.freeze(START + 3_000 * MINUTE)
    forget_packs(written)
    with patch.object(written._candles._columnar, "_goes_straight", lambda *_: True):
        assert written.candles("A", "1m", limit=rows).equals(whole.tail(rows))
        start, end = START + 700 * MINUTE, START + 2_900 * MINUTE
        there = whole[700:2_900]
        assert written.candles("A", "1m", start=start, end=end, limit=rows).equals(there.tail(rows))


def test_as_of_and_revisions_of_frozen_bars(written):
    first = written.candles("A", "1m", limit=BARS)
    then = written.repository.revision()
    written.write("A", "1m", walk(900, seed=3))
    before, origins = written.revisions("A", "1m"), written.provenance()
    written.maintenance.freeze(LATER)
    forget_packs(written)
    assert written.candles("A", "1m", as_of=then).equals(first)
    assert written.revisions("A", "1m").equals(before)
    assert written.provenance().equals(origins)


# --- what goes in


def test_a_write_among_frozen_bars_thaws_those_around_it(written):
    written.maintenance.freeze(LATER)
    whole = written.candles("A", "1m")
    result = written.write("A", "1m", walk(1, start=START + 1_000 * MINUTE, seed=9))
    assert (result.updated, result.inserted) == (1, 0)
    assert figures(written)[0] == BARS - 600
    assert in_candles(written.path) == 600
    changed = written.candles("A", "1m")
    assert changed.height == BARS
    assert not changed.equals(whole)
    assert len(written.revisions("A", "1m")) == 1
    assert written.maintenance.check() == []
    assert written.maintenance.freeze(LATER).rows == 600
    assert written.candles("A", "1m").equals(changed)


def test_what_is_written_as_it_was_thaws_nothing(written):
    written.maintenance.freeze(LATER)
    before = figures(written)
    again = written.write("A", "1m", walk(BARS))
    assert (again.unchanged, again.rows) == (BARS, BARS)
    mixed = pl.concat([walk(500), walk(300, start=START + BARS * MINUTE, seed=5)])
    result = written.write("A", "1m", mixed)
    assert (result.unchanged, result.inserted) == (500, 300)
    assert figures(written) == before


def test_a_new_bar_in_a_hole_of_a_piece_and_one_between_pieces(store):
    bars = walk(2_000)
    gap = bars.filter((pl.int_range(pl.len()) != 100) & ~pl.int_range(pl.len()).is_between(600, 620))
    store.write("A", "1m", gap)
    store.maintenance.freeze(LATER)
    store.write("A", "1m", bars[610:611])
    store.write("A", "1m", bars[100:101])
    store.write("A", "1m", bars)
    assert store.candles("A", "1m").equals(store.candles("A", "1m", end=START + 2_000 * MINUTE))
    assert store.candles("A", "1m").drop("timestamp").equals(bars.drop("timestamp"))
    assert store.maintenance.check() == []


def test_a_conflict_within_frozen_bars_is_refused_and_changes_nothing(written):
    written.maintenance.freeze(LATER)
    before = figures(written)
    twice = pl.concat([walk(1), walk(1, seed=2)])
    with pytest.raises(mdstore.ConflictError):
        written.write("A", "1m", twice)
    kept = {("A", "1m"): [(START, START + MINUTE)]}
    with pytest.raises(mdstore.ConflictError):
        written.write("A", "1m", walk(1, seed=2), keep=kept)
    assert figures(written) == before
    assert in_candles(written.path) == 0


def test_deleting_takes_pieces_and_parts_of_them(written):
    whole = written.candles("A", "1m")
    written.maintenance.freeze(LATER)
    start, end = START + 700 * MINUTE, START + 3_100 * MINUTE
    assert written.delete("A", "1m", start=start, end=end) == 2_400
    assert written.candles("A", "1m").equals(pl.concat([whole[:700], whole[3_100:]]))
    assert figures(written)[0] < BARS - 2_400
    assert written.maintenance.check() == []
    assert written.delete("A") == BARS - 2_400
    assert written.series()["symbol"].to_list() == ["B"]
    assert figures(written) == (0, 0)


def test_a_symbol_with_frozen_bars_gets_another_name(written):
    written.maintenance.freeze(LATER)
    whole, fingerprint = written.candles("A", "1m"), written.fingerprint("A", "1m")
    written.rename("A", "C")
    forget_packs(written)
    assert written.candles("C", "1m").equals(whole)
    assert written.fingerprint("C", "1m") == fingerprint
    assert written.maintenance.check() == []
    assert figures(written)[0] == BARS


def test_declared_columns_are_frozen_with_their_bars(store):
    store.declare("value", resample="sum")
    store.declare("trades", resample="sum")
    frame = walk(1_500).with_columns(
        value=pl.when(pl.int_range(pl.len()) % 7 == 0).then(pl.int_range(pl.len()) / 4)
    )
    store.write("A", "1m", frame)
    columns = ("timestamp", "close", "value", "trades")
    whole = store.candles("A", "1m", columns=columns)
    store.maintenance.freeze(START + 1_000 * MINUTE)
    with closing(apsw.Connection(str(store.path))) as con:
        assert con.execute("SELECT min(timestamp) FROM extras").get == START + 1_000 * MINUTE
    forget_packs(store)
    assert store.candles("A", "1m", columns=columns).equals(whole)
    store.write("A", "1m", walk(10).with_columns(trades=pl.lit(3.0)))
    changed = store.candles("A", "1m", columns=columns)
    assert changed["trades"].to_list() == [3.0] * 10 + [None] * 1_490
    assert changed["value"].equals(whole["value"])
    assert store.maintenance.check() == []


def test_bars_that_were_given_nothing_but_nulls_of_a_declared_column_leave_no_rows_of_it(store):
    """`check` found values of bars that are not there: no bar had changed, so the series has no values."""
    store.declare("value", resample="sum")
    store.write("A", "1m", walk(1_500))
    store.write("A", "1m", walk(50).with_columns(value=pl.lit(None, pl.Float64)))
    store.maintenance.freeze(LATER)
    assert store.maintenance.check() == []
    with closing(apsw.Connection(str(store.path))) as con:
        assert con.execute("SELECT count(*) FROM extras").get == 0


# --- which, and how


def test_bars_that_have_not_ended_and_short_stretches_stay(tmp_path):
    now = START + 500 * MINUTE + 30_000
    with mdstore.MarketDataStore(tmp_path / "s.sqlite3", clock=lambda: now / 1000) as store:
        store.write("A", "1m", walk(501))
        store.write("B", "1m", walk(63))
        found = store.maintenance.freeze(LATER)
        assert (found.rows, found.series) == (500, 1)
        store.write("A", "1m", walk(1, start=START + 500 * MINUTE, seed=4))
        assert figures(store)[0] == 500


def test_symbols_and_a_timeframe_choose(written):
    written.write("A", "5m", walk(100, step=5 * MINUTE))
    assert written.maintenance.freeze(LATER, symbols="A", timeframe="5m").rows == 100
    assert written.maintenance.freeze(LATER, symbols=["A", "B"]).series == 1
    assert written.maintenance.thaw(timeframe="5m").rows == 100
    for call in (written.maintenance.thaw, lambda **given: written.maintenance.freeze(LATER, **given)):
        with pytest.raises(NoSuchSeriesError, match="NOPE"):
            call(symbols="NOPE")
        with pytest.raises(NoSuchSeriesError, match="7m"):
            call(timeframe="7m")


def test_a_small_piece_is_made_again_with_what_follows(written):
    for bars in (100, 250, 480, 700, 1_000):
        written.maintenance.freeze(START + bars * MINUTE)
        with written._candles._database.reading() as con:
            rows = [one.rows for one in frozen.pieces(con, ("A", "1m"), START, START + BARS * MINUTE)]
        assert sum(rows) == bars
        assert all(one >= 600 for one in rows[:-1])


def test_progress_is_told_and_a_stop_leaves_all_readable(written):
    whole, seen = written.candles("A", "1m"), []
    written.maintenance.freeze(START + 2_000 * MINUTE, progress=lambda *given: seen.append(given))
    assert seen == [(rows, 2_040) for rows in (600, 1_200, 1_800, 2_000)]
    stops = iter([False, False, True])
    with pytest.raises(MaintenanceStoppedError, match="freezing was stopped"):
        written.repository.upkeep.freeze([("A", "1m")], START + BARS * MINUTE, stop=lambda: next(stops))
    assert 2_000 < figures(written)[0] < BARS
    assert written.candles("A", "1m").equals(whole)
    assert written.maintenance.check() == []
    stops = iter([False, True])
    with pytest.raises(MaintenanceStoppedError, match="thawing was stopped"):
        written.repository.upkeep.thaw([("A", "1m")], stop=lambda: next(stops))
    forget_packs(written)
    assert written.candles("A", "1m").equals(whole)


def test_one_at_a_time_is_at_it(written):
    with written.repository.upkeep.holding():
        failed = []

        def other():
            try:
                written.maintenance.freeze(LATER)
            except StoreBusyError as error:
                failed.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(failed) == 1


def test_what_changes_while_it_is_packed_is_packed_again(written):
    """A write between the read and the exchange: its values are those that are frozen."""
    original, writes = freezing.encoded, iter([1, 2])

    def meanwhile(rows, names):
        for seed in writes:
            written.write("A", "1m", walk(1, start=START + 5 * MINUTE, seed=seed))
            break
        return original(rows, names)

    with patch.object(freezing, "encoded", meanwhile):
        written.maintenance.freeze(START + 600 * MINUTE)
    whole = written.candles("A", "1m")
    assert figures(written)[0] == 600
    forget_packs(written)
    assert written.candles("A", "1m").equals(whole)
    assert whole["open"][5] == walk(1, seed=2)["open"][0]
    assert written.maintenance.check() == []


def test_what_is_written_all_the_time_is_left_for_another_time(written):
    original, seeds = freezing.encoded, iter(range(1, 100))

    def meanwhile(rows, names):
        written.write("A", "1m", walk(1, start=START, seed=next(seeds)))
        return original(rows, names)

    with patch.object(freezing, "encoded", meanwhile):
        assert written.maintenance.freeze(START + 600 * MINUTE).rows == 0
    assert written.maintenance.freeze(START + 600 * MINUTE).rows == 600


def test_readers_and_writers_go_on_while_it_is_frozen_and_thawed(written):
    ended, wrong = threading.Event(), []

    def read():
        chance = random.Random(1)
        while not ended.is_set():
            at = chance.randrange(BARS - 50)
            got = written.candles("A", "1m", start=START + at * MINUTE, end=START + (at + 50) * MINUTE)
            if got["open"].to_list() != walk(BARS)["open"][at : at + 50].to_list():
                wrong.append(at)

    def write():
        number = 0
        while not ended.is_set():
            written.write("F", "1m", walk(1, start=START + number * MINUTE))
            number += 1

    threads = [threading.Thread(target=work) for work in (read, write)]
    for thread in threads:
        thread.start()
    written.maintenance.freeze(LATER, symbols="A")
    forget_packs(written)
    written.maintenance.thaw()
    ended.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert written.maintenance.check() == []


# --- other programs, and damage


def test_other_programs_see_where_bars_are(written):
    written.maintenance.freeze(START + 700 * MINUTE)
    with closing(apsw.Connection(str(written.path))) as con:
        rows = con.execute("SELECT * FROM frozen_stretches").fetchall()
        assert [row[:5] for row in rows] == [("A", "1m", "2025-09-01 00:00:00", "2025-09-01 11:39:00", 700)]
        assert rows[0][5] == figures(written)[1]
        piece = con.execute("SELECT bytes FROM frozen").get
    assert pl.read_parquet(piece)["timestamp"].dt.timestamp("ms").to_list() == [
        START + at * MINUTE for at in range(700)
    ]


def flip(path, place=0.5):
    with closing(apsw.Connection(str(path))) as con:
        start, held = con.execute(
            "SELECT start, bytes FROM frozen ORDER BY start LIMIT 1 OFFSET 2"
        ).fetchone()
        changed = bytearray(held)
        changed[int(len(changed) * place)] ^= 4
        con.execute("UPDATE frozen SET bytes = ? WHERE start = ?", (bytes(changed), start))
    return start


@pytest.mark.parametrize("place", [0.0, 0.01, 0.5, 0.99])
def test_damage_is_named_and_following_the_hint_mends_it(written, place):
    whole = written.candles("A", "1m")
    written.maintenance.freeze(LATER)
    forget_packs(written)
    start = flip(written.path, place)
    with pytest.raises(DamagedDataError) as caught:
        written.candles("A", "1m")
    assert caught.value.start <= start < caught.value.end
    (finding,) = written.maintenance.check()
    assert finding.startswith("A 1m from 2025-09-01")
    sound = written.candles("A", "1m", end=START + 600 * MINUTE)
    assert sound.equals(whole[:600])
    with pytest.raises(DamagedDataError):
        written.write("A", "1m", walk(1, start=start, seed=5))
    with pytest.raises(DamagedDataError):
        written.maintenance.thaw()
    # "or delete that range and write it again"
    written.delete("A", "1m", start=caught.value.start, end=caught.value.end)
    written.write("A", "1m", walk(BARS))
    assert written.candles("A", "1m").equals(whole)
    assert written.maintenance.check() == []


def test_a_piece_of_another_series_with_a_sound_digest_is_noticed(written):
    written.write("C", "1m", walk(BARS, seed=7))
    written.maintenance.freeze(LATER)
    forget_packs(written)
    with closing(apsw.Connection(str(written.path))) as con:
        con.execute(
            "UPDATE frozen SET (digest, bytes) = (SELECT digest, bytes FROM frozen AS other "
            "WHERE other.symbol = 'C' AND other.start = frozen.start) WHERE symbol = 'A'"
        )
    with pytest.raises(DamagedDataError):
        written.candles("A", "1m")
    assert len(written.maintenance.check()) == 1
    assert written.candles("C", "1m").height == BARS


def frozen_bytes_of(store, symbol):
    with store._candles._database.reading() as con:
        return frozen.held(con, (symbol, "1m"))[1]


def test_two_damaged_pieces_are_two_findings(written):
    written.maintenance.freeze(LATER)
    with closing(apsw.Connection(str(written.path))) as con:
        for chosen in ("IN (SELECT start FROM frozen LIMIT 2 OFFSET 3)", "= (SELECT max(start) FROM frozen)"):
            con.execute(f"UPDATE frozen SET digest = zeroblob(8) WHERE start {chosen}")
    findings = written.maintenance.check()
    assert [text.split(": the candles")[0] for text in findings] == [
        "A 1m from 2025-09-02 05:52 to 2025-09-03 03:11", "A 1m from 2025-09-04 06:56 to 2025-09-04 13:19"
    ]  # fmt: skip


def test_all_but_a_piece_that_cannot_be_unpacked_is_taken_for_right(written):
    """`warm(rebuild=True)` goes on with the others, says which is left, and a deletion of that ends it."""
    whole = written.candles("A", "1m")
    written.write("Z", "1m", walk(BARS, start=START + BARS * MINUTE))
    written.maintenance.freeze(LATER)
    forget_packs(written)
    flip(written.path)
    with pytest.raises(DamagedDataError, match=r"A 1m from 2025-09-01") as caught:
        written.maintenance.warm(rebuild=True)
    assert "rebuild" not in str(caught.value)  # that would help nobody
    start, end = caught.value.start, caught.value.end
    at = pl.col("timestamp").dt.epoch("ms")
    others = whole.filter(~at.is_between(start, end, closed="left"))
    assert sum(cell.rows for cell in cells(written)) == len(others) + 40 + BARS
    assert written.candles("A", "1m", end=start).equals(others.filter(at < start))
    assert written.candles("A", "1m", start=end).equals(others.filter(at >= end))
    with pytest.raises(DamagedDataError):
        written.candles("A", "1m")
    (finding,) = written.maintenance.check()
    assert finding.startswith("A 1m from 2025-09-01")
    written.delete("A", "1m", start=start, end=end)
    assert written.maintenance.check() == []
    assert written.candles("A", "1m").equals(others)
    written.write("A", "1m", whole)
    assert written.candles("A", "1m").equals(whole)
    assert written.maintenance.check() == []


def test_all_but_a_piece_that_cannot_be_unpacked_is_thawed(written):
    whole = written.candles("A", "1m")
    written.maintenance.freeze(LATER)
    forget_packs(written)
    flip(written.path)
    with pytest.raises(DamagedDataError, match=r"A 1m from 2025-09-01") as caught:
        written.maintenance.thaw()
    at = pl.col("timestamp").dt.epoch("ms")
    assert in_candles(written.path) == BARS - 600
    assert written.candles("A", "1m", start=caught.value.end).equals(whole.filter(at >= caught.value.end))


def test_what_lies_in_the_stretch_of_a_piece_that_cannot_be_unpacked_does_not_hold_the_others_up(written):
    written.maintenance.freeze(LATER)
    forget_packs(written)
    start = flip(written.path)
    with closing(apsw.Connection(str(written.path))) as con:
        con.execute("INSERT INTO candles VALUES ('A', '1m', ?, 1, 1, 1, 1, 1)", (start,))
    with pytest.raises(DamagedDataError, match="A 1m from") as caught:
        written.maintenance.warm(rebuild=True)
    assert len(written.candles("A", "1m", end=caught.value.start)) > 0
    written.delete("A", "1m", start=caught.value.start, end=caught.value.end)
    assert written.maintenance.check() == []


def test_what_is_damaged_is_not_frozen(written):
    with closing(apsw.Connection(str(written.path))) as con:
        con.execute("UPDATE candles SET close = close + 1 WHERE timestamp = ?", (START + 5 * MINUTE,))
    written.write("Z", "1m", walk(700, seed=8))
    with pytest.raises(DamagedDataError, match="A 1m from"):
        written.maintenance.freeze(LATER)
    assert figures(written) == (700, frozen_bytes_of(written, "Z"))  # the others are


def test_candles_that_another_program_has_put_into_a_frozen_stretch(written):
    """They are not served, not lost, and what `warm(rebuild=True)` takes for right."""
    whole = written.candles("A", "1m")
    written.maintenance.freeze(LATER)
    forget_packs(written)
    with closing(apsw.Connection(str(written.path))) as con:
        con.execute("INSERT INTO candles VALUES ('A', '1m', ?, 1, 2, 0.5, 1.5, 3)", (START + 4_900 * MINUTE,))
    assert written.candles("A", "1m").equals(whole)
    assert any("the catalogue says" in text for text in written.maintenance.check())
    written.write("A", "1m", walk(80, start=START + BARS * MINUTE))
    with pytest.raises(DamagedDataError):  # else the piece would be made again, and theirs deleted
        written.maintenance.freeze(LATER)
    assert in_candles(written.path) == 81
    written.maintenance.warm(rebuild=True)
    assert written.maintenance.check() == []
    taken = written.candles("A", "1m")
    assert taken.height == BARS + 80
    assert taken["close"][4_900] == 1.5
    assert taken[:4_900].equals(whole[:4_900])


def test_a_file_that_is_frozen_is_small_after_a_vacuum(tmp_path):
    from bench.candles import frame

    with mdstore.open(tmp_path / "s.sqlite3") as store:
        for seed in range(3):
            store.write(f"S{seed}", "1m", frame(20_000, seed))
        before = store.maintenance.stats()["sqlite_bytes"]
        with patch.object(frozen, "PIECE_ROWS", 16_384):
            store.maintenance.freeze("2024-01-01")
        store.repository.upkeep.vacuum()
        assert store.maintenance.stats()["sqlite_bytes"] < before / 5
        assert store.maintenance.check() == []


def test_what_is_listed_of_a_frozen_series_is_what_it_takes(store):
    """It was a share by rows, as if each took as much as one that is not frozen."""
    for name in "AB":
        store.write(name, "1m", walk(20_000, seed=ord(name)))
    alike = store.series()["bytes"].to_list()
    assert alike[0] == alike[1]
    store.maintenance.freeze(LATER, symbols="A")
    store.repository.upkeep.vacuum()
    packed, plain = store.series()["bytes"].to_list()
    assert packed < 20 * 20_000
    assert plain > 60 * 20_000
    assert 0.95 < (packed + plain) / store.maintenance.stats()["sqlite_bytes"] <= 1.0
    store.write("A", "1m", walk(1, start=START + 20_000 * MINUTE))
    assert 0 < store.series()["bytes"][0] - packed < 10_000
    store.maintenance.thaw()
    assert store.series()["bytes"][0] > 60 * 20_000
