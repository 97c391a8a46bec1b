"""Times in a pack tell where a range begins and ends: damaged ones leave no bar out."""

import random
import shutil
from pathlib import Path

import polars as pl
import pytest

import mdstore
from tests.support.candles import MINUTE, START, walk

NAMES = [f"S{number:02}" for number in range(30)]
BARS = 100
ROWS = BARS * len(NAMES)
RANGES = (
    {"start": START + 50 * MINUTE},
    {"start": START + 50 * MINUTE, "limit": 5},
    {"end": START + 50 * MINUTE},
    {"end": START + 50 * MINUTE, "limit": 5},
    {"start": START + 20 * MINUTE, "end": START + 70 * MINUTE, "limit": 60},
)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A store whose bars lie in one pack, and what it has."""
    folder = tmp_path_factory.mktemp("sealed")
    named = [walk(BARS, seed=at).with_columns(symbol=pl.lit(name)) for at, name in enumerate(NAMES)]
    with mdstore.open(folder / "s.sqlite3") as store:
        store.write_many(pl.concat(named), timeframe="1m")
    with mdstore.open(folder / "s.sqlite3", memory_bytes=0) as store:
        found = [store.candles(None, "1m", **bounds) for bounds in RANGES]
        wanted = [pl.DataFrame(one.rows(), one.schema, orient="row") for one in found]
    return folder, wanted


def damage(folder, how, chance):
    """Damage some of the times, which lie under each other before all other columns."""
    (path,) = folder.glob("*-packs/*.arrow")
    data = bytearray(path.read_bytes())
    at = data.index(START.to_bytes(8, "little"))  # of the first bar of the first series
    times = memoryview(data)[at : at + 8 * ROWS].cast("q")
    first = chance.randrange(ROWS)
    for row in range(first, min(first + chance.choice((1, 60, 512)), ROWS)):
        times[row] = {"zero": 0, "late": 2**62, "flip": times[row] ^ 1 << 40}[how]
    times.release()
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["zero", "late", "flip"])
def test_a_range_whose_times_are_damaged_in_the_pack_is_whole(tmp_path, sealed, how):
    chance = random.Random(how)
    for number in range(8):
        folder = Path(shutil.copytree(sealed[0], tmp_path / str(number)))
        damage(folder, how, chance)
        for bounds, wanted in zip(RANGES, sealed[1], strict=True):
            copy = Path(shutil.copytree(folder, tmp_path / "copy"))
            with mdstore.open(copy / "s.sqlite3") as store:
                each = chance.sample(NAMES, len(NAMES))
                alone = {name: store.candles(name, "1m", **bounds) for name in each[:15]}
                for name, found in alone.items():
                    assert found.equals(wanted.filter(symbol=name).drop("symbol"))
                assert store.scan(None, "1m", **bounds).collect().equals(wanted)
            shutil.rmtree(copy)
            copy = Path(shutil.copytree(folder, tmp_path / "copy"))
            with mdstore.open(copy / "s.sqlite3") as store:
                assert store.candles(None, "1m", **bounds).equals(wanted)
            shutil.rmtree(copy)
