"""Digests: every row is under one from its write on, and what no longer fits is named, not served."""

import math
import shutil
import struct
from contextlib import closing

import apsw
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdstore
from mdstore import DamagedDataError
from mdstore.candles.file import row_hashes
from mdstore.candles.file.bar_columns import batch_of_bars
from mdstore.candles.file.bar_digests import sums_of, sums_of_bars, sums_of_frame
from mdstore.candles.file.digests import BUCKET_BARS, accept, span_of
from mdstore.candles.file.row_hashes import MASK, hash_of_bar, hashes_of_bars, sums_between
from tests.support.candles import MINUTE, START, bits, walk
from tests.support.old_files import make_older

BARS = 3_000
SPAN = BUCKET_BARS * MINUTE


def change(path, sql, *values):
    """Change the file behind the store's back, as damage does or another program."""
    with closing(apsw.Connection(str(path))) as con:
        con.execute(sql, values)


def flip(path, at, symbol="A", column="close"):
    change(
        path,
        f"UPDATE candles SET {column} = {column} + 0.5 WHERE symbol = ? AND timestamp = ?",
        symbol,
        START + at * MINUTE,
    )


def lose_packs(store):
    shutil.rmtree(store.packs_path)
    store._candles._memory.clear()


# --- hashes

doubles = st.floats(allow_nan=False, allow_infinity=False)
bars = st.tuples(st.integers(-(2**62), 2**62), doubles, doubles, doubles, doubles, doubles)


@given(st.lists(bars, min_size=1, max_size=30), st.sampled_from([0, 1, 2**62 - 1]))
def test_columns_and_rows_have_the_same_hashes(given, seed):
    rows = [(bar[0], *(value + 0.0 for value in bar[1:])) for bar in given]  # as SQLite keeps zeros
    hashes = [value & MASK for value in hashes_of_bars(batch_of_bars(rows).columns, seed)]
    assert hashes == [hash_of_bar(bar, seed) for bar in given]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_hashes, "QUICK", False)  # as where Polars has changed what is not for everybody
        assert [value & MASK for value in hashes_of_bars(batch_of_bars(rows).columns, seed)] == hashes
    for many in (True, False):
        between = sums_between(hashes_of_bars(batch_of_bars(rows).columns, seed), many=many)
        for low in range(len(rows) + 1):
            assert between(low, len(rows)) == sum(hashes[low:]) & MASK


def test_a_hash_is_what_it_was_in_the_files_that_there_are():
    assert hash_of_bar((1_756_684_800_000, 100.0, 101.5, 99.25, 101.0, 12.5)) == KNOWN_BAR
    assert row_hashes.hash_of_row(("BTC", "1m", 1, None, b"\x00", 0.5)) == KNOWN_ROW
    assert span_of("1m") == 128 * 60_000
    assert span_of("1M") == 128 * 28 * 86_400_000


KNOWN_BAR = 3_057_288_136_401_932_733
KNOWN_ROW = 514_331_518_279_041_273


@given(bars, st.integers(0, 5), st.integers(0, 63))
def test_every_bit_of_a_candle_matters(bar, place, bit):
    words = bytearray(struct.pack("<q5d", *(bar[0], *(value + 0.0 for value in bar[1:]))))
    words[place * 8 + bit // 8] ^= 1 << bit % 8
    changed = struct.unpack("<q5d", words)
    if not math.isnan(changed[place]) and changed[place] != bar[place]:
        assert hash_of_bar(changed) != hash_of_bar(bar)


def test_two_signs_are_not_taken_for_none():
    bar = (START, 1.0, 2.0, 0.5, 1.5, 3.0)
    hashes = set()
    for signs in range(32):
        turned = [-value if signs >> place & 1 else value for place, value in enumerate(bar[1:])]
        hashes.add(hash_of_bar((START, *turned)))
    assert len(hashes) == 32


def test_a_few_rows_and_many_have_the_same_sums():
    frame = walk(1_000).with_columns(pl.col("timestamp").to_physical(), volume=-0.0)
    rows = [tuple(value + 0.0 for value in row[1:]) for row in frame.iter_rows()]
    rows = [(time, *values) for time, values in zip(frame["timestamp"], rows, strict=True)]
    expected = sums_of_bars(rows, SPAN)
    assert sums_of_frame(frame, SPAN) == sums_of(batch_of_bars(rows), SPAN) == expected
    assert isinstance(batch_of_bars(rows), pa.RecordBatch)
    assert len(expected) == len({time // SPAN for time, *_ in rows})


# --- candles


@pytest.mark.parametrize("sealed", [True, False])
def test_a_read_of_a_damaged_file_never_launders_it(store, tmp_path, sealed):
    store.write("A", "1m", walk(BARS))
    store.write("B", "1m", walk(60))
    symbol, at = ("A", 777) if sealed else ("B", 7)
    store.maintenance.backup(tmp_path / "copy.sqlite3")
    flip(tmp_path / "copy.sqlite3", at, symbol)
    for _ in range(2):
        with mdstore.open(tmp_path / "copy.sqlite3") as copy:
            for _ in range(2):
                with pytest.raises(DamagedDataError, match=f"{symbol} 1m from 2025-09-01") as caught:
                    copy.candles(symbol, "1m")
                assert caught.value.series == (symbol, "1m")
                assert caught.value.start <= START + at * MINUTE < caught.value.end
                for ask in (lambda: copy.candles(None, "1m"), lambda: copy.sql("SELECT * FROM candles")):
                    with pytest.raises(DamagedDataError, match=f"{symbol} 1m"):
                        ask()
                (finding,) = copy.maintenance.check()
                assert finding.startswith(f"{symbol} 1m from 2025-09-01")
            other = {"A": "B", "B": "A"}[symbol]
            assert bits(copy.candles(other, "1m")) == bits(store.candles(other, "1m"))


def test_what_is_sound_of_a_damaged_series_is_served(store):
    store.write("A", "1m", walk(BARS))
    lose_packs(store)
    flip(store.path, 777)
    window = {"start": START + 1_000 * MINUTE, "end": START + 2_000 * MINUTE}
    assert bits(store.candles("A", "1m", **window)) == bits(walk(BARS).slice(1_000, 1_000))
    assert bits(store.candles("A", "1m", limit=100)) == bits(walk(BARS).tail(100))
    with pytest.raises(DamagedDataError):
        store.candles("A", "1m", limit=2_500)


def test_packs_serve_what_the_table_has_lost_and_check_names_it(store):
    store.write("A", "1m", walk(BARS))
    flip(store.path, 777)
    assert bits(store.candles("A", "1m")) == bits(walk(BARS))
    assert len(store.maintenance.check()) == 1
    lose_packs(store)
    with pytest.raises(DamagedDataError):
        store.candles("A", "1m")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM candles WHERE timestamp = ?",
        "INSERT INTO candles VALUES ('A', '1m', ? + 1, 1, 2, 0.5, 1.5, 3)",
        "UPDATE candles SET timestamp = timestamp + 1 WHERE timestamp = ?",
    ],
)
def test_rows_that_went_or_came_are_noticed(store, sql):
    store.write("A", "1m", walk(100))
    change(store.path, sql, START + 50 * MINUTE)
    with pytest.raises(DamagedDataError):
        store.candles("A", "1m")


def test_the_hint_of_a_damaged_range_works(store):
    store.write("A", "1m", walk(BARS))
    lose_packs(store)
    flip(store.path, 777)
    with pytest.raises(DamagedDataError, match="delete that range and write it again") as caught:
        store.candles("A", "1m")
    error = caught.value
    store.write("A", "1m", walk(1, start=START + 777 * MINUTE))  # alone does not do: the rest is not known
    assert len(store.maintenance.check()) == 1
    store.delete("A", "1m", start=error.start, end=error.end)
    times = pl.col("timestamp").to_physical()
    store.write("A", "1m", walk(BARS).filter(times.is_between(error.start, error.end, closed="left")))
    assert store.maintenance.check() == []
    assert bits(store.candles("A", "1m")) == bits(walk(BARS))


def test_a_rebuild_takes_what_there_is_for_right(store):
    store.write("A", "1m", walk(BARS))
    lose_packs(store)
    flip(store.path, 777)
    with pytest.raises(DamagedDataError, match=r"warm\(rebuild=True\)"):
        store.candles("A", "1m")
    assert store.maintenance.warm(rebuild=True) == BARS
    assert store.candles("A", "1m")["close"][777] == walk(BARS)["close"][777] + 0.5
    assert store.maintenance.check() == []
    flip(store.path, 777)
    assert len(store.maintenance.check()) == 1


def test_a_damaged_row_that_is_written_over_stays_noticed(store):
    store.write("A", "1m", walk(60))
    flip(store.path, 7)
    store.write("A", "1m", walk(1, start=START + 7 * MINUTE, seed=3))
    assert len(store.maintenance.check()) == 1
    with pytest.raises(DamagedDataError):
        store.candles("A", "1m")


def test_warm_seals_all_others_and_then_says_what_is_damaged(store):
    for symbol in "ABC":
        store.write(symbol, "1m", walk(BARS))
    lose_packs(store)
    with store._candles._database.writing() as con:
        con.execute("DELETE FROM cells")
    flip(store.path, 777, "B")
    with pytest.raises(DamagedDataError, match="B 1m"):
        store.maintenance.warm()
    assert store.maintenance.stats()["sealed_rows"] == 2 * BARS


def test_a_backup_takes_its_packs_along_where_that_is_asked_for(store, tmp_path):
    store.write("A", "1m", walk(BARS))
    for packs in (True, False):
        path = store.maintenance.backup(tmp_path / f"{packs}.sqlite3", packs=packs)
        with mdstore.open(path) as copy:
            assert copy.maintenance.stats()["packs"] == packs
            assert copy.maintenance.check() == []
            assert bits(copy.candles("A", "1m")) == bits(walk(BARS))
    with mdstore.open(tmp_path / "True.sqlite3") as copy:
        flip(copy.path, 777)
        assert bits(copy.candles("A", "1m")) == bits(walk(BARS))


# --- the ledger


def test_the_past_is_not_told_of_damaged_revisions(store):
    store.write("A", "1m", walk(60))
    at = store.series()["revision"][0]
    store.write("A", "1m", walk(3, seed=5))
    assert bits(store.candles("A", "1m", as_of=at)) == bits(walk(60))
    # A bit of the first bar's open.
    change(
        store.path,
        "UPDATE revisions SET data = CAST(substr(data, 1, 24) || x'01' || substr(data, 26) AS BLOB)",
    )
    with pytest.raises(DamagedDataError, match="the earlier values of its bars"):
        store.candles("A", "1m", as_of=at)
    with pytest.raises(DamagedDataError, match="the earlier values of its bars"):
        store.revisions()
    assert len(store.candles("A", "1m")) == 60
    (finding,) = store.maintenance.check()
    assert finding.startswith("A 1m from 2025-09-01 00:00 to 2025-09-01 00:02: the earlier values")


@pytest.mark.parametrize(
    ("sql", "ask", "named"),
    [
        ("UPDATE coverage SET reason = 'no_trade'", lambda s: s.gaps("A", "1m"), "its holes"),
        ("DELETE FROM coverage", lambda s: s.coverage(), "its holes"),
        ("UPDATE arrivals SET source = 'z'", lambda s: s.provenance(), "when its bars came"),
        ("UPDATE arrivals SET arrived = 1", lambda s: s.candles("A", "1m", as_of=START), "when its bars"),
        ("UPDATE series SET rows = rows - 1", lambda s: s.series(), "the catalogue"),
        ("UPDATE series SET last = last + 60000", lambda s: s.candles("A", "1m"), "the catalogue"),
        ("DELETE FROM series", lambda s: s.candles("A", "1m"), "the catalogue"),
        ("INSERT INTO unfinished VALUES ('A', '1m', 0)", lambda s: s.gaps("A", "1m"), "unfinished"),
        ("UPDATE calendars SET calendar = 'XKRX'", lambda s: s.calendars(), "the calendars"),
        ("DELETE FROM quarantine", lambda s: s.quarantine(), "in quarantine"),
        ("UPDATE revision SET revision = revision + 1", lambda s: s.series(), "its revision"),
    ],
)
def test_what_is_known_besides_the_candles_is_proven_where_it_is_told(store, sql, ask, named):
    store.write("A", "1m", walk(20), source="x", covers=(START, START + 30 * MINUTE))
    store.write("A", "1m", walk(3, start=START - 40 * MINUTE), source="y")
    store.set_calendar("X*", "XNYS")
    store.write("A", "1m", walk(3, start=START - 90 * MINUTE).with_columns(high=pl.lit(0.0)),
                on_invalid="quarantine")  # fmt: skip
    assert store.maintenance.check() == []
    change(store.path, sql)
    with mdstore.open(store.path) as other, pytest.raises(DamagedDataError, match=named):
        ask(other)
    assert any(named in finding for finding in store.maintenance.check())


def test_a_list_of_cells_that_is_damaged_costs_speed_not_answers(store):
    store.write("A", "1m", walk(BARS))
    change(store.path, 'UPDATE cells SET "end" = "end" - 60000 * 10')
    with mdstore.open(store.path) as other:
        assert bits(other.candles("A", "1m")) == bits(walk(BARS))
        assert bits(other.candles(None, "1m").drop("symbol")) == bits(walk(BARS))
        assert other.sql("SELECT count(*) AS n FROM candles")["n"].to_list() == [BARS]
        assert ["the list of its cells" in finding for finding in other.maintenance.check()] == [True]


# --- files that are older than digests


@pytest.fixture
def old(store):
    """A file as it was before there were digests, with packs and all; the store is closed."""
    store.write("A", "1m", walk(BARS), source="x", covers="data")
    store.write("A", "1m", walk(2, seed=4))
    store.write("B", "1m", walk(60))
    store.maintenance.warm()
    store.close()
    make_older(store.path, 3)
    return store.path


def test_an_old_file_is_read_at_once_and_under_digests_when_it_is_checked(old):
    with mdstore.open(old) as store:
        assert pending(store) == 2
        assert len(store.candles("A", "1m")) == BARS
        store.write("B", "1m", walk(10, start=START + 60 * MINUTE))
        store.write("NEW", "1m", walk(10))
        assert pending(store) == 2
        assert store.maintenance.check() == []
        assert pending(store) == 0
        assert store.maintenance.check() == []
        flip(old, 7, "B")
        assert len(store.maintenance.check()) == 1


def test_what_is_written_to_an_old_file_is_under_a_digest_at_once(old):
    with mdstore.open(old) as store:
        with store._candles._database.writing() as con:
            con.execute("DELETE FROM cells")
        store.write("B", "1m", walk(1, start=START + 60 * MINUTE))
        flip(old, 30, "B")
        with pytest.raises(DamagedDataError, match="B 1m"):
            store.candles("B", "1m")
        with pytest.raises(DamagedDataError, match="B 1m"):
            store.maintenance.warm()
        assert any(
            finding.startswith("B 1m") or "B 1m from" in finding for finding in store.maintenance.check()
        )


def test_the_digests_of_an_old_files_cells_hold_when_their_pack_is_lost(old):
    """The first read after an update finds a damage of before, where a pack has proven what was there."""
    flip(old, 1_500)
    shutil.rmtree(old.with_name(old.name + "-packs"))
    for _ in range(2):
        with mdstore.open(old) as store:
            with pytest.raises(DamagedDataError, match="A 1m"):
                store.candles("A", "1m")
            assert len(store.maintenance.check()) == 1
            assert pending(store) <= 2


def pending(store):
    with store._candles._database.reading() as con:
        return con.execute("SELECT count(*) FROM digests WHERE NOT whole").get


def test_all_that_a_long_history_adds_up_to_is_what_is_there(store):
    """A digest is the sum over the rows that there are: summed up anew, all come out the same."""
    for number in range(40):
        store.write("A", "1m", walk(7, start=START + number * 3 * MINUTE, seed=number))
    store.write("A", "1m", walk(BARS, start=START + 200 * MINUTE), covers="data")
    store.delete("A", "1m", start=START + 50 * MINUTE, end=START + 1_900 * MINUTE)
    store.write("A", "1m", walk(300, start=START + 100 * MINUTE, seed=9))
    store.delete("A", "1m", start=START + 3_000 * MINUTE)
    with store._candles._database.reading() as con:
        before = kept(con)
    with store._candles._database.writing() as con:
        con.carried.drop()
        accept(con)
    store.maintenance.warm()
    with store._candles._database.reading() as con:
        assert kept(con) == before


def kept(con):
    """Return all digests; where that of the last bucket is kept does not matter."""
    rows = con.execute("SELECT symbol, timeframe, bucket, candles FROM digests").fetchall()
    sums = {}
    for row in (*rows, *con.execute("SELECT symbol, timeframe, bucket, candles FROM bucket_digests")):
        sums[row[:3]] = sums.get(row[:3], 0) + (row[3] or 0)
    columns = "symbol, timeframe, series, coverage, arrivals, replacements, unfinished, revisions"
    small = f"SELECT {columns} FROM digests"
    revised = "SELECT * FROM revisions ORDER BY id"
    return (
        {k: v for k, v in sums.items() if v},
        con.execute(small).fetchall(),
        con.execute(revised).fetchall(),
    )
