"""`store.keep`: longer bars stay what the shorter ones make, and what an exchange gave stays its own."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdstore
from mdstore.errors import InvalidInputError, ReadOnlyError, TimeframeError
from tests.support.candles import MINUTE, START, walk
from tests.support.fake_exchange import FakeExchange, at, bars
from tests.support.upstream import Clock

HOUR = 60 * MINUTE


def whole(store, symbol, timeframe, of):
    made = store.candles(symbol, timeframe, derive_from=of)
    return made.filter(pl.col("closed") & (pl.col("bars") >= pl.col("of"))).drop("closed", "bars", "of")


def test_what_is_there_is_made_at_once_and_what_comes_with_its_write(store):
    minutes = walk(400)
    store.write("A", "1m", minutes[:130])
    assert store.keep("1h", of="1m") == 2
    assert store.candles("A", "1h").equals(whole(store, "A", "1h", "1m"))
    for low in range(130, 400, 17):
        store.write("A", "1m", minutes[low : low + 17])
        assert store.candles("A", "1h").equals(whole(store, "A", "1h", "1m")), low
    assert len(store.candles("A", "1h")) == 6
    assert store.provenance("A", "1h")["source"].to_list() == ["derived"]
    assert store.verify("A").filter(pl.col("severity") == "error").is_empty()


def test_a_minute_that_is_corrected_changes_its_hour_which_is_a_revision(store):
    store.write("A", "1m", walk(180))
    store.keep("1h", of="1m")
    before = store.candles("A", "1h")
    store.write("A", "1m", [(at(70), 100, 999, 1, 100, 7)], source="exchange")
    after = store.candles("A", "1h")
    assert after["high"].to_list() == [before["high"][0], 999, before["high"][2]]
    assert store.revisions("A", "1h").select("new_high", "source").rows() == [(999, "derived")]
    assert after.equals(whole(store, "A", "1h", "1m"))


def test_hours_of_an_exchange_stay_and_take_the_place_of_derived_ones(store):
    minutes = walk(240)
    store.write("A", "1h", [(at(60), 1, 9, 1, 2, 3)], source="exchange")
    store.write("A", "1m", minutes[:180])
    assert store.keep("1h", of="1m") == 2
    assert store.candles("A", "1h")["high"][1] == 9
    store.write("A", "1h", [(at(120), 1, 8, 1, 2, 3)], source="exchange")
    store.write("A", "1m", [(at(65), 100, 999, 1, 100, 7), (at(125), 100, 999, 1, 100, 7)])
    store.write("A", "1m", minutes[180:])
    assert store.candles("A", "1h")["high"].to_list()[1:3] == [9, 8]
    assert len(store.candles("A", "1h")) == 4
    found = store.verify("A").filter(pl.col("timeframe") == "1h")
    assert found["bars"].sum() == 2, "and verify says that they differ from what the minutes make"


def test_an_hour_is_stored_once_it_is_whole(store):
    store.keep("1h", of="1m")
    minutes = walk(180)
    store.write("A", "1m", minutes.filter(pl.int_range(len(minutes)) != 30))
    assert store.candles("A", "1h")["timestamp"].dt.epoch("ms").to_list() == [at(60), at(120)]
    store.write("A", "1m", minutes[30:31])
    assert len(store.candles("A", "1h")) == 3
    quiet = walk(180, seed=1).filter(~pl.int_range(180).is_in([59, 61]))
    store.write("B", "1m", quiet, covers=(at(0), at(180)), absent="no_trade")
    assert store.candles("B", "1h").equals(whole(store, "B", "1h", "1m"))
    assert len(store.candles("B", "1h")) == 3


def test_longer_ones_are_made_of_longer_ones(store):
    store.keep("1h", of="1m")
    store.keep("1d", of="1h")
    store.write("A", "1m", walk(3 * 1_440))
    assert len(store.candles("A", "1d")) == 3
    assert store.candles("A", "1d").equals(whole(store, "A", "1d", "1h"))


def test_only_symbols_that_fit_are_kept_and_declared_columns_come_along(store):
    store.declare("value", resample="sum")
    rows = walk(120).with_columns(value=pl.lit(2.0))
    store.keep("1h", of="1m", symbols="KRW-*")
    store.write("KRW-A", "1m", rows)
    store.write("USD-A", "1m", rows)
    assert ("USD-A", "1h") not in store
    assert store.candles("KRW-A", "1h", columns=["value"])["value"].to_list() == [120.0, 120.0]


def test_a_sync_keeps_them_current(tmp_path):
    clock = Clock.behind(300)
    source = FakeExchange({("A", "1m"): bars(600, without=(59, 100))}, clock, page=100)
    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock) as store:
        store.keep("1h", of="1m")
        store.sync(source, "A", "1m", since=START)
        assert len(store.candles("A", "1h")) == 5
        clock.at(601)
        store.sync(source, "A", "1m")
        assert len(store.candles("A", "1h")) == 10
        assert store.candles("A", "1h").equals(whole(store, "A", "1h", "1m"))


def test_what_cannot_be_kept_is_refused(store, tmp_path):
    for longer, shorter in (("1m", "1h"), ("1h", "1h"), ("1h", "7m")):
        with pytest.raises(TimeframeError, match="cannot be made of"):
            store.keep(longer, of=shorter)
    with pytest.raises(InvalidInputError, match="no symbols"):
        store.keep("1h", of="1m", symbols=[])
    store.write("A", "1m", walk(5))
    with mdstore.open(store.path, read_only=True) as reader, pytest.raises(ReadOnlyError):
        reader.keep("1h", of="1m")


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 700), st.integers(1, 99), st.booleans(), st.integers(0, 3)),
        min_size=1, max_size=8,
    ),
    st.integers(0, 8),
)  # fmt: skip
def test_in_the_end_they_are_what_the_minutes_make(writes, keep_at):
    """The law: of whatever minutes come, in whatever order, before `keep` and after it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mdstore.open(Path(folder) / "market_data.sqlite3") as store,
    ):
        for place, (low, length, covered, seed) in enumerate(writes):
            if place == keep_at:
                store.keep("15m", of="1m")
            rows = walk(1_000, seed=seed)[low : low + length]
            said = {"covers": (at(low - 20), at(low + length + 20)), "absent": "no_trade"} if covered else {}
            store.write("A", "1m", rows, **said)
        store.keep("15m", of="1m")
        made = whole(store, "A", "15m", "1m")
        there = store.candles("A", "15m") if ("A", "15m") in store else made.clear()
        assert there.equals(made)
