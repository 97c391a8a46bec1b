"""Panels that grow hold what they say: the packs that columns are yet to be made of, and their own memory."""

import time
from unittest.mock import patch

import polars as pl
import pytest

import mdstore
from mdstore.candles.packs.gathered import runs_of
from mdstore.core.time_bounds import FOREVER
from tests.support.candles import MINUTE, START, walk

NAMES = "ABC"
BARS = 60
COUNTED = "SELECT symbol, count(*) AS bars FROM candles WHERE timeframe = '1m' GROUP BY 1 ORDER BY 1"
SUMMED = "SELECT symbol, sum(close) AS close FROM candles WHERE timeframe = '1m' GROUP BY 1 ORDER BY 1"


def minutes(first, count):
    """Return minutes of each series, from one minute of its walk on."""
    frames = [walk(first + count, seed=seed)[first:] for seed in range(len(NAMES))]
    named = zip(NAMES, frames, strict=True)
    return pl.concat([frame.select(pl.lit(name).alias("symbol"), pl.all()) for name, frame in named])


@pytest.fixture
def sealed(tmp_path):
    """A store whose candles lie in one run of one pack."""
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.write_many(minutes(0, BARS), timeframe="1m")
        store.maintenance.warm()
        yield store


def test_a_column_that_is_made_late_is_not_made_of_a_pack_that_is_damaged_by_then(sealed):
    """The query that counts makes no prices of the panel that has grown; they come from the pack later."""
    sealed.sql(COUNTED)
    sealed.write_many(minutes(BARS, 1), timeframe="1m")
    assert sealed.sql(COUNTED)["bars"].to_list() == [BARS + 1] * len(NAMES)
    (pack,) = sealed.packs_path.glob("*.arrow")
    content = bytearray(pack.read_bytes())
    at = content.index(walk(BARS, seed=1)["close"].to_arrow().buffers()[1].to_pybytes())
    with pack.open("r+b") as file:
        file.seek(at)
        file.write(bytes(8))
    found = sealed.sql(SUMMED)
    with mdstore.open(sealed.path, memory_bytes=0) as plain:
        assert found.equals(plain.sql(SUMMED))


def test_what_is_kept_says_all_that_it_holds_of_rows_that_lie_in_no_pack(tmp_path):
    """Without the columns that are put together, such a panel held its rows still, and did not count them."""
    with mdstore.open(tmp_path / "market_data.sqlite3", memory_bytes=8_000) as store:
        kept = store._candles._columnar._memory
        for at in range(0, BARS, 4):  # too few at once to be sealed
            store.write_many(minutes(at, 4), timeframe="1m")
            for _ in range(2):
                assert len(store.candles(None, "1m")) == len(NAMES) * (at + 4)
            panel = kept.get(("1m", None, -FOREVER, FOREVER, None))
            assert panel is None or panel.bytes >= held(panel.long)


@pytest.mark.parametrize("columns", [["close"], None])
def test_what_a_panel_grows_from_is_counted_beside_what_it_has_become(tmp_path, columns):
    """Its rows of a minute ago stay, since columns that nobody has asked for yet are made of them."""
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        for at in range(0, BARS, 4):
            store.write_many(minutes(at, 4), timeframe="1m")
            store.candles(None, "1m", columns=columns)
            store.sql(SUMMED)
        kept = store._candles._columnar._memory
        panel = kept.get(("1m", None, -FOREVER, FOREVER, None))
        assert panel.bytes >= held(panel.long) + panel.long.held
        (candles,) = [value for key, value in kept._values.items() if key[0] == "sql"]
        (long,) = candles.longs.values()
        assert candles.bytes >= held(long) + long.held


def held(long):
    """Return the bytes of the rows that candles are put together of."""
    return sum(batch.nbytes for batch in runs_of(long).batches)


def test_behind_a_panel_of_the_latest_bars_only_these_are_kept(sealed):
    """Of a feed that is played quickly all the rest of the hour was held besides, and copied each minute."""
    time.sleep(0.1)  # what is in a pack of just now is not kept: the clock of files is coarse
    with patch("mdstore.candles.packs.columns.GATHER_ROWS", 0):
        sealed.candles(None, "1m", limit=3)
        for at in range(BARS, BARS + 8):
            sealed.write_many(minutes(at, 1), timeframe="1m")
            found = sealed.candles(None, "1m", limit=3)
        assert found.equals(sealed.candles(list(NAMES), "1m", start=START + (BARS + 5) * MINUTE))
        panel = sealed._candles._columnar._memory.get(("1m", None, -FOREVER, FOREVER, 3))
        assert 3 * len(NAMES) <= panel.new.rows.num_rows <= 4 * len(NAMES)
