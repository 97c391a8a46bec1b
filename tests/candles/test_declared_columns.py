"""Declared columns in the file and its packs: under digests, sealed, made again, and true after any kill."""

import math
import random
import shutil
import signal
import time
from contextlib import ExitStack, closing

import apsw
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdstore
from mdstore import DamagedDataError, InvalidInputError
from mdstore.candles.file import migrations
from mdstore.candles.file.bar_columns import batch_of as _batch
from mdstore.candles.file.bar_digests import sums_of, sums_of_bars, sums_of_frame
from mdstore.candles.file.digests import BUCKET_BARS
from mdstore.candles.file.row_hashes import MASK, hash_of_bar, hash_of_extra, hash_of_wide_bar, hashes_of_bars
from mdstore.candles.file.wide_rows import positive_zeros, wide
from mdstore.candles.packs import seal_policy
from mdstore.candles.packs.cells import all_cells
from mdstore.candles.packs.pack_files import extras_in
from mdstore.core.schema import CANDLE_COLUMNS
from tests.support.candles import MINUTE, START, walk
from tests.support.processes import start
from tests.support.small import cut_down

BARS = 3_000
SPAN = BUCKET_BARS * MINUTE


def valued(bars, *, seed=0, first=0, **columns):
    """Return bars with values beside them; `columns` says of which so many-th bar each has none."""
    frame = walk(bars, start=START + first * MINUTE, seed=seed)
    for place, (name, gap) in enumerate((columns or {"value": 3}).items()):
        made = [None if at % gap == 1 else at + seed + place / 4 for at in range(first, first + bars)]
        frame = frame.with_columns(pl.Series(name, made, dtype=pl.Float64))
    return frame


def rows(store, symbol="A", *, columns=("value",), **bounds):
    return store.candles(symbol, "1m", columns=[*CANDLE_COLUMNS, *columns], **bounds)


def change(path, sql, *values):
    """Change the file behind the store's back, as damage does or another program."""
    with closing(apsw.Connection(str(path))) as con:
        con.execute(sql, values)
        return con.changes()


def cells_of(store):
    with store._candles._database.reading() as con:
        return [(cell.symbol, cell.rows, extras_in(cell.pack)) for cell in all_cells(con)]


@pytest.fixture
def kept(store):
    store.declare("value", resample="sum")
    store.declare("trades", resample="sum")
    return store


# --- hashes


doubles = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(doubles, st.none() | doubles, st.none() | doubles), min_size=1, max_size=200))
def test_columns_rows_and_frames_have_the_same_hashes(given):
    frame = walk(len(given)).with_columns(
        pl.col("timestamp").to_physical(),
        open=pl.Series([value for value, _, _ in given]),
        value=pl.Series([value for _, value, _ in given], dtype=pl.Float64),
        trades=pl.Series([value for _, _, value in given], dtype=pl.Float64),
    )
    batch = positive_zeros(_batch(frame))
    hashes = [value & MASK for value in hashes_of_bars(batch.columns)]
    assert hashes == [hash_of_wide_bar(row) for row in frame.iter_rows()]
    assert (
        sums_of_frame(frame, SPAN)
        == sums_of(batch, SPAN)
        == sums_of_bars(frame.iter_rows(), SPAN, extras=True)
    )


@given(doubles, doubles)
def test_what_a_bar_lacks_adds_nothing_and_what_it_has_does(one, other):
    bar = (START, 1.0, 2.0, 0.5, 1.5, 3.0)
    assert hash_of_wide_bar((*bar, None, None)) == hash_of_wide_bar((*bar, None)) == hash_of_bar(bar)
    assert hash_of_wide_bar((*bar, one)) != hash_of_bar(bar)
    assert hash_of_wide_bar((*bar, one, None)) != hash_of_wide_bar((*bar, None, one))
    if one + 0.0 != other + 0.0:
        assert hash_of_wide_bar((*bar, one, other)) != hash_of_wide_bar((*bar, other, one))


def test_two_signs_are_not_taken_for_none():
    bar = (START, 1.0, 2.0, 0.5, 1.5, 3.0)
    for value in (1.0, 0.1, 5e-324, 1e300):
        sums = {
            hash_of_wide_bar((*bar, one, other)) + hash_of_wide_bar((START + MINUTE, *bar[1:], third)) & MASK
            for one in (value, -value)
            for other in (value, -value)
            for third in (value, -value)
        }
        assert len(sums) == 8


def test_a_hash_is_what_it_was_in_the_files_that_there_are():
    assert hash_of_extra(START, 0.5, 0) == KNOWN
    assert hash_of_extra(START, 0.5, 15, 7) == KNOWN_OF_A_REVISION


KNOWN = 753_746_280_121_126_351
KNOWN_OF_A_REVISION = 2_790_654_678_186_518_430


# --- packs


def test_packs_have_the_columns_of_their_series_and_reads_put_them_together(kept):
    kept.write("A", "1m", walk(BARS))
    kept.write("A", "1m", valued(BARS, first=BARS, value=3))
    kept.write("A", "1m", valued(BARS, first=2 * BARS, trades=2, value=5))
    kept.write("B", "1m", valued(BARS, trades=7))
    assert sorted(cells_of(kept)) == [("A", BARS, 0), ("A", BARS, 1), ("A", BARS, 2), ("B", BARS, 1)]
    expected = pl.concat(
        [walk(BARS), valued(BARS, first=BARS, value=3), valued(BARS, first=2 * BARS, trades=2, value=5)],
        how="diagonal",
    )
    both = ("value", "trades")
    for _ in range(2):
        assert rows(kept, columns=both).equals(expected)
        mixed = kept.candles(None, "1m", columns=["trades", "value"])
        assert mixed["value"].to_list() == [*expected["value"], *[None] * BARS]
        assert mixed["trades"].to_list() == [*expected["trades"], *valued(BARS, trades=7)["trades"]]
        assert kept.candles("B", "1m", columns=["value"])["value"].null_count() == BARS
        kept.maintenance.compact()
        assert sorted(cells_of(kept)) == [("A", 3 * BARS, 2), ("B", BARS, 1)]
        kept._candles._memory.clear()
    kept.maintenance.compact()
    assert kept.maintenance.stats()["dead_pack_bytes"] < 10_000
    assert kept.maintenance.check() == []


def test_lost_and_damaged_packs_are_made_again_with_all_columns(kept):
    kept.write("A", "1m", valued(BARS))
    expected = valued(BARS)  # not what was read: its memory is the file's
    for seed in range(20):
        kept._candles._memory.clear()
        chance = random.Random(seed)
        (pack, *_) = kept.packs_path.iterdir()
        with pack.open("r+b") as file:
            file.seek(place := chance.randrange(pack.stat().st_size))
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1 << chance.randrange(8)]))
        assert rows(kept).equals(expected)
    shutil.rmtree(kept.packs_path)
    kept._candles._memory.clear()
    assert rows(kept).equals(expected)
    assert kept.candles(["A"], "1m", columns=["value"])["value"].equals(expected["value"])
    kept.maintenance.warm(rebuild=True)
    assert rows(kept).equals(expected)
    assert [rest for _, *rest in cells_of(kept)] == [[BARS, 1]]
    assert kept.maintenance.check() == []


def test_a_value_that_changes_takes_its_cell_along(kept):
    kept.write("A", "1m", valued(BARS))
    kept.write("A", "1m", valued(BARS))
    assert len(cells_of(kept)) == 1
    kept.write("A", "1m", walk(BARS))
    assert len(cells_of(kept)) == 1
    other = valued(10, first=100).with_columns(value=pl.lit(0.5))
    assert kept.write("A", "1m", other).updated == 10
    assert cells_of(kept) == []
    assert rows(kept)["value"][100:110].to_list() == [0.5] * 10


def test_many_series_are_sealed_with_and_without_values(kept):
    for at in range(60):
        frame = valued(300, seed=at, value=2 + at % 5) if at % 3 else walk(300, seed=at)
        kept.write(f"S{at:02}", "1m", frame)
    shutil.rmtree(kept.packs_path, ignore_errors=True)
    kept._candles._memory.clear()
    kept.maintenance.warm()
    found = kept.candles(None, "1m", columns=["value"])
    for (symbol,), part in found.group_by("symbol"):
        at = int(str(symbol)[1:])
        expected = valued(300, seed=at, value=2 + at % 5)["value"].to_list() if at % 3 else [None] * 300
        assert part["value"].to_list() == expected
    assert kept.sql("SELECT count(value) AS n FROM candles")["n"].item() == len(found.drop_nulls())
    assert kept.maintenance.check() == []


@pytest.mark.parametrize("mixed", [False, True], ids=["all have it", "some have it"])
def test_the_scanner_seals_values_of_series_that_all_have_them(kept, monkeypatch, mixed):
    monkeypatch.setattr(seal_policy, "SCAN_ROWS", 0)
    monkeypatch.setattr(seal_policy, "SCAN_ROWS_COLD", 0)
    for at in range(5):
        kept.write(f"S{at}", "1m", walk(300) if mixed and at % 2 else valued(300, value=2 + at, trades=3))
    with kept._candles._database.writing() as con:
        con.execute("DELETE FROM cells")
    kept._candles._memory.clear()
    kept.maintenance.warm()
    assert kept._candles._upkeep.scanned == (not mixed)
    assert sorted(cells_of(kept)) == [(f"S{at}", 300, 0 if mixed and at % 2 else 2) for at in range(5)]
    for at in range(0, 5, 2):
        expected = valued(300, value=2 + at, trades=3)
        assert rows(kept, f"S{at}", columns=("value", "trades")).equals(expected)
    assert kept.maintenance.check() == []


def test_rows_are_made_wider_and_narrower():
    batch = _batch(valued(5).with_columns(pl.col("timestamp").to_physical()))
    assert wide(batch, 1) is batch
    assert wide(batch, 0).num_columns == 6
    assert wide(batch, 3).schema.names[6:] == ["extra 1", "extra 2", "extra 3"]
    assert wide(batch, 3).column(6).to_pylist()[2:4] == batch.column(6).to_pylist()[2:4]
    assert all(map(math.isnan, wide(batch, 3).column(7).to_pylist()))


# --- damage


CHANGES = (
    "UPDATE extras SET value = value + 0.5",
    "UPDATE extras SET value = NULL",
    "UPDATE extras SET trades = 1.0",
    "DELETE FROM extras",
    "UPDATE extras SET timestamp = timestamp + 1",
)
READS = (
    rows,
    lambda store: rows(store, start=START + 29 * MINUTE, end=START + 31 * MINUTE),
    lambda store: store.candles(None, "1m", columns=["value"]),
    lambda store: store.sql("SELECT sum(value) FROM candles"),
)
SEALED = {"sealed": BARS, "loose": 60}


@pytest.mark.parametrize("bars", SEALED.values(), ids=SEALED)
def test_a_value_that_is_not_what_was_written_is_named_and_never_served(kept, bars):
    kept.write("A", "1m", valued(bars))
    at = START + 30 * MINUTE
    for sql in CHANGES:
        with kept._candles._database.reading() as con:
            before = con.execute("SELECT * FROM extras WHERE timestamp = ?", (at,)).fetchone()
        assert change(kept.path, f"{sql} WHERE timestamp = ?", at) == 1
        found = kept.maintenance.check()
        assert found, sql
        assert all(one.startswith("A 1m") for one in found)
        with mdstore.open(kept.path) as other:
            shutil.rmtree(other.packs_path, ignore_errors=True)
            for ask in READS:
                if "trades" not in sql:
                    with pytest.raises(DamagedDataError, match="A 1m"):
                        ask(other)
        change(kept.path, "DELETE FROM extras WHERE timestamp IN (?, ?)", at, at + 1)
        change(kept.path, "INSERT INTO extras VALUES (?, ?, ?, ?, ?)", *before)
        assert kept.maintenance.check() == []
    assert rows(kept).equals(valued(bars))


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("UPDATE declared SET resample = 'last'", "the columns that are declared"),
        ("DELETE FROM declared", "the columns that are declared"),
        ("UPDATE series SET extras = ''", "the catalogue"),
        ("UPDATE series SET extras = 'trades'", "the catalogue"),
        (
            "UPDATE revisions SET data = zeroblob(length(data)) WHERE names = 'value trades'",
            "the earlier values",
        ),
        ("DELETE FROM revisions WHERE names = 'value trades'", "the earlier values"),
        ("UPDATE revisions SET source = 'me' WHERE names = 'value trades'", "the earlier values"),
    ],
)
def test_what_is_known_of_columns_is_under_digests(kept, sql, named):
    kept.write("A", "1m", valued(60))
    kept.write("A", "1m", valued(60, seed=1))
    at = kept.series()["revision"][0] - 1
    assert kept.maintenance.check() == []
    assert change(kept.path, sql)
    with mdstore.open(kept.path) as other:
        assert any(named in finding for finding in other.maintenance.check())
        with pytest.raises(DamagedDataError, match=named):
            rows(other, as_of=at)


def test_what_another_program_has_left_is_found(kept):
    kept.write("A", "1m", valued(60))
    change(kept.path, "INSERT INTO extras (symbol, timeframe, timestamp, value) VALUES ('A', '1m', 7, 1)")
    change(kept.path, "INSERT INTO extras (symbol, timeframe, timestamp, trades) VALUES ('Z', '1m', 7, 1)")
    found = kept.maintenance.check()
    assert any("values of trades, of which the catalogue does not know" in one for one in found)
    assert next(one for one in found if "1 bars that are not there" in one).startswith("A 1m")
    kept.maintenance.warm(rebuild=True)
    assert rows(kept).equals(valued(60))


# --- older files, copies, other processes


@pytest.fixture
def before(tmp_path):
    """A file as it was before columns could be declared, with all that a store keeps; it is closed."""
    path = tmp_path / "market_data.sqlite3"
    with closing(apsw.Connection(str(path))) as con:
        migrations.migrate(con, migrations.MIGRATIONS[:4])
    return path


def test_a_file_of_the_version_before_is_migrated_with_its_digests(before):
    with closing(apsw.Connection(str(before))) as con:
        con.execute("INSERT INTO series VALUES ('A', '1m', 0, 60000, 2, 7, 0, 'x', 7, x'00000000')")
        con.execute("INSERT INTO series VALUES ('B', '1m', 0, 60000, 2, 7, NULL, NULL, NULL, NULL)")
        kept = migrations.hash_of_row
        for symbol in "AB":
            row = con.execute("SELECT * FROM series WHERE symbol = ?", (symbol,)).fetchone()
            con.execute(
                "INSERT INTO digests (symbol, timeframe, series) VALUES (?, '1m', ?)", (symbol, kept(row))
            )
        con.execute(
            "UPDATE series SET rows = 3 WHERE symbol = 'B'"
        )  # damage, which a migration must not hide
        con.execute(
            "INSERT INTO candles VALUES ('A', '1m', 0, 1, 2, 1, 2, 3), ('A', '1m', 60000, 1, 2, 1, 2, 3)"
        )
        migrations.migrate(con)
        assert con.execute("SELECT extras FROM series").fetchall() == [("",), ("",)]
    with mdstore.open(before) as store, store._candles._database.reading() as con:
        assert mdstore.candles.file.catalogue.find(con, "A", "1m").rows == 2
        with pytest.raises(DamagedDataError, match="B 1m: the entry in the catalogue"):
            mdstore.candles.file.catalogue.find(con, "B", "1m")


def test_a_backup_has_declarations_values_and_what_they_were(kept, tmp_path):
    kept.write("A", "1m", valued(BARS))
    at = kept.series()["revision"][0]
    kept.write("A", "1m", valued(BARS, seed=1))
    for packs in (True, False):
        copy = tmp_path / f"copy{packs}.sqlite3"
        kept.maintenance.backup(copy, packs=packs)
        with mdstore.open(copy) as other:
            assert other.declared().equals(kept.declared())
            assert rows(other).equals(rows(kept))
            assert rows(other, as_of=at).equals(valued(BARS))
            assert other.maintenance.check() == []


def test_a_symbol_that_is_renamed_takes_its_values_and_what_they_were_along(kept):
    kept.write("A", "1m", valued(BARS))
    at = kept.series()["revision"][0]
    kept.write("A", "1m", valued(60, seed=1))
    kept.rename("A", "B")
    expected = pl.concat([valued(60, seed=1), valued(BARS).slice(60)])
    assert rows(kept, "B").equals(expected)
    assert rows(kept, "B", as_of=at).equals(valued(BARS))
    assert kept.revisions("B", "1m")["new_value"].drop_nulls().len() == 40
    kept.write("A", "1m", valued(5, trades=2))
    assert kept.maintenance.check() == []


def test_of_a_series_without_values_that_were_written_as_nulls_nothing_is_left_behind(store):
    store.declare("value", resample="sum")
    store.write("A", "1m", walk(40))
    again = walk(40).with_columns(value=pl.lit(None, pl.Float64))
    assert store.write("A", "1m", again).unchanged == 40
    store.delete("A", "1m", start=START, end=START + 20 * MINUTE)
    assert store.maintenance.check() == []
    store.delete("A")
    assert store.maintenance.check() == []


def test_what_is_deleted_leaves_nothing_behind(kept):
    kept.write("A", "1m", valued(BARS, value=3, trades=4))
    kept.write("A", "1m", valued(BARS, seed=1, value=3))
    kept.delete("A", "1m", start=START + 100 * MINUTE, end=START + 900 * MINUTE)
    assert kept.maintenance.check() == []
    assert rows(kept)["value"].drop_nulls().len() == len(valued(BARS, value=3)["value"].drop_nulls()) - 533
    kept.delete("A")
    assert kept.maintenance.check() == []
    with kept._candles._database.reading() as con:
        for table in ("extras", "revisions", "replacements"):
            assert con.execute(f"SELECT count(*) FROM {table}").get == 0
    kept.write("A", "1m", valued(60, trades=2))
    assert kept.candles("A", "1m", columns=["value"])["value"].null_count() == 60
    assert kept.maintenance.check() == []


def test_what_another_process_declares_is_known_at_once(store, python):
    store.write("A", "1m", walk(BARS))
    assert len(store.candles("A", "1m")) == BARS
    python("""
        import mdstore
        from tests.candles.test_declared_columns import valued
        with mdstore.open("market_data.sqlite3") as store:
            store.declare("value", resample="sum")
            store.write("A", "1m", valued(10, first=5))
    """, env={"PYTHONPATH": "."} | paths())  # fmt: skip
    assert rows(store)["value"].drop_nulls().len() == 7
    assert store.scan("A", "1m").collect_schema().names()[-1] == "value"
    store.write("A", "1m", valued(20, first=5))
    assert rows(store)["value"].drop_nulls().len() == 14
    python("""
        import mdstore
        with mdstore.open("market_data.sqlite3") as store:
            store.undeclare("value")
    """)
    with pytest.raises(InvalidInputError):
        rows(store)
    assert store.maintenance.check() == []


def paths():
    from tests.support.paths import ROOT

    return {"PYTHONPATH": str(ROOT)}


# --- kill -9


WORKER = """
    import random, sys
    import mdstore
    from tests.candles.test_declared_columns import valued
    from tests.support.small import cut_down

    for size in cut_down():
        size.start()
    chance = random.Random(int(sys.argv[1]))
    with mdstore.open("market_data.sqlite3") as store:
        store.declare("value", resample="sum")
        number = len(store.series()) and int(store.candles("N", "1m")["volume"][0])
        while True:
            number += 1
            first, count = chance.randrange(200), chance.randrange(1, 60)
            bars = valued(count, seed=number, first=first, value=10_000)
            store.write("A", "1m", bars.with_columns(volume=float(number)))
            store.write("N", "1m", valued(1).with_columns(volume=float(number)))
            print(number, first, count, flush=True)
            upkeep = store.maintenance
            read = lambda: store.candles(None, "1m", columns=["value"])
            chance.choice([upkeep.compact, upkeep.warm, read])()
"""


def kill_at_random(folder, rounds, seed):
    """Kill a writer again and again: a bar and its value are always of one write."""
    chance, told = random.Random(seed), 0
    for number in range(rounds):
        child = start(WORKER, str(number), cwd=folder)
        lines = [child.stdout.readline()]
        time.sleep(chance.random() * 0.4)
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines()
        child.wait()
        child.stdout.close()
        told = max([told, *(int(line.split()[0]) for line in lines if line.strip())])
        with ExitStack() as stack:
            for size in cut_down():
                stack.enter_context(size)
            store = stack.enter_context(mdstore.open(folder / "market_data.sqlite3"))
            found = rows(store)
            places = (found["timestamp"].dt.epoch("ms") - START) // MINUTE
            expected = [
                None if place % 10_000 == 1 else place + volume
                for place, volume in zip(places, found["volume"], strict=True)
            ]
            assert found["value"].to_list() == expected
            assert found["volume"].max() >= told - 1
            store.maintenance.warm()
            assert store.maintenance.check() == []


@pytest.mark.slow
@pytest.mark.long
def test_kills_at_random_moments_part_no_value_from_its_bar(tmp_path):
    kill_at_random(tmp_path, 6, 1)


@pytest.mark.long
def test_many_kills_at_random_moments_part_no_value_from_its_bar(tmp_path):
    kill_at_random(tmp_path, 300, 2)
