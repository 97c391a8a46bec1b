"""Frozen pieces that cannot be unpacked come back of what packs hold, which a rebuild does not throw away."""

import re
from contextlib import closing

import apsw
import polars as pl
import pytest

from mdstore import DamagedDataError
from tests.support.candles import MINUTE, START, walk
from tests.support.packs import cells, keep_in_packs

LATER = "2030-01-01"
BARS = 5_000
pytestmark = pytest.mark.usefixtures("small_pieces")


@pytest.fixture(params=[(), ("value",)], ids=["candles", "declared columns"])
def whole(store, request):
    """Write a series, freeze it with all of it in packs, and return it."""
    frame = walk(BARS)
    for name in request.param:
        store.declare(name, resample="sum")
        frame = frame.with_columns(pl.int_range(pl.len()).cast(pl.Float64).alias(name))
    store.write("A", "1m", frame)
    found = store.candles("A", "1m", columns=("timestamp", "open", "close", *request.param))
    store.maintenance.freeze(LATER)
    return found


def again(store, whole):
    """Read what `whole` was read of, from the two tables."""
    with store._candles._database.writing() as con:
        con.execute("DELETE FROM cells")
    store._candles._memory.clear()
    return store.candles("A", "1m", columns=whole.columns)


def flip(path, *numbers):
    """Flip a bit of frozen pieces, by their number."""
    with closing(apsw.Connection(str(path))) as con:
        starts = [start for (start,) in con.execute("SELECT start FROM frozen ORDER BY start")]
        for number in numbers:
            held = bytearray(con.execute("SELECT bytes FROM frozen WHERE start = ?", (starts[number],)).get)
            held[len(held) // 2] ^= 4
            con.execute("UPDATE frozen SET bytes = ? WHERE start = ?", (bytes(held), starts[number]))
    return starts[numbers[0]]


def test_a_rebuild_takes_from_the_packs_what_cannot_be_unpacked(store, whole):
    """It threw away the only whole copy."""
    flip(store.path, 0, 2, 7)
    assert store.maintenance.warm(rebuild=True) == BARS
    assert store.maintenance.check() == []
    assert again(store, whole).equals(whole)
    assert store.maintenance.stats()["frozen_rows"] == BARS


def test_a_rebuild_takes_over_what_another_program_put_into_a_piece_that_is_mended(store, whole):
    start = flip(store.path, 2)
    with closing(apsw.Connection(str(store.path))) as con:
        con.execute("INSERT INTO candles VALUES ('A', '1m', ?, 7, 7, 7, 7, 7)", (start,))
    store.maintenance.warm(rebuild=True)
    found = again(store, whole)
    assert found.filter(pl.col("close") == 7).height == 1
    assert found.filter(pl.col("close") != 7).equals(
        whole.filter(pl.col("timestamp").dt.epoch("ms") != start)
    )


def test_thawing_takes_from_the_packs_what_cannot_be_unpacked(store, whole):
    """As the hint of the error says, which a write into such bars raises."""
    start = flip(store.path, 2)
    with pytest.raises(DamagedDataError, match=r"store\.maintenance\.thaw\(\)"):
        store.write("A", "1m", walk(1, start=start, seed=5))
    assert len(store.maintenance.check()) == 1
    assert store.maintenance.thaw().rows == BARS
    assert store.maintenance.check() == []
    assert again(store, whole).equals(whole)


def test_a_pack_that_is_damaged_as_well_mends_nothing(store, whole):
    start = flip(store.path, 2)
    for pack in {cell.pack for cell in cells(store)}:
        path = store._candles._packs.folder / f"{pack}.arrow"
        path.write_bytes(bytes(len(path.read_bytes())))
    for call in (store.maintenance.thaw, lambda: store.maintenance.warm(rebuild=True)):
        with pytest.raises(DamagedDataError) as caught:
            call()
        assert caught.value.start <= start < caught.value.end


def test_a_pack_of_other_bars_than_were_written_mends_nothing(store, whole):
    """Its digests are sound, and so is the list of cells: those of the buckets tell."""
    flip(store.path, 2)
    store.write("B", "1m", walk(BARS, seed=8).with_columns(pl.all().exclude("timestamp") * 2))
    place = 'pack, batch, "offset", rows, digests'
    with closing(apsw.Connection(str(store.path))) as con:
        con.execute(
            f"UPDATE cells SET ({place}) = (SELECT {place} FROM cells AS other WHERE other.symbol = 'B') "
            "WHERE symbol = 'A'"
        )
    with pytest.raises(DamagedDataError):
        store.maintenance.thaw(symbols="A")


def test_a_rebuild_is_refused_where_packs_hold_a_part_and_following_the_hint_keeps_it(store, whole):
    keep_in_packs(store, ("A", "1m"), (0, 1_300), (1_500, BARS))
    flip(store.path, 2)
    before = cells(store)
    with pytest.raises(
        DamagedDataError, match=r"400 of 600 are in packs only.* Nothing was changed"
    ) as caught:
        store.maintenance.warm(rebuild=True)
    assert cells(store) == before
    calls = re.findall(r"store\.candles\([^)]+\)", caught.value.hint.python)
    kept = pl.concat([eval(call, {"store": store}) for call in calls])
    (delete,) = re.findall(r"store\.delete\([^)]+\)", caught.value.hint.python)
    eval(delete, {"store": store})
    store.write("A", "1m", kept)
    store.maintenance.warm(rebuild=True)
    assert store.maintenance.check() == []
    at = (pl.col("timestamp").dt.epoch("ms") - START) // MINUTE
    assert again(store, whole).equals(whole.filter(~at.is_between(1_300, 1_500, closed="left")))
