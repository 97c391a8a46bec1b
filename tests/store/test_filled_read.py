"""Frames with their holes filled: a regular grid, which cannot be stored."""

import polars as pl
import pytest

import mdstore
from mdstore.sources.files import read
from tests.support.candles import MINUTE, START, walk
from tests.support.holes import DAY, Clock


@pytest.fixture
def clock():
    return Clock(START + 1_000 * DAY)


def test_a_filled_frame_is_a_regular_grid_and_cannot_be_stored(store):
    bars = walk(100).filter(~pl.int_range(pl.len()).is_in([3, 4, 50]))
    store.write("X", "1m", bars)
    flat = store.candles("X", "1m", fill="flat")
    assert flat.columns[-1] == "filled"
    assert flat["timestamp"].to_list() == walk(100)["timestamp"].to_list()
    assert flat.filter(~pl.col("filled")).drop("filled").equals(bars)
    assert flat.filter("filled").select("open", "high", "low", "close", "volume").rows() == [
        (close, close, close, close, 0.0) for close in (bars["close"][2], bars["close"][2], bars["close"][47])
    ]
    assert store.candles("X", "1m", fill="null").filter("filled")["close"].null_count() == 3
    for made in (flat, flat.to_pandas(), flat.to_arrow(), flat.to_dicts(), flat.to_dict(as_series=False)):
        with pytest.raises(mdstore.InvalidInputError, match="fill holes"):
            store.write("X", "1m", made)
    flat.write_csv(store.path.with_name("X-1m.csv"))
    with pytest.raises(mdstore.FileFormatError, match="without fill="):
        list(read(store.path.with_name("X-1m.csv")))
    assert store.write("X", "1m", flat.filter(~pl.col("filled"))).unchanged == 97
    assert store.candles("X", "1m", fill="flat", limit=52)["timestamp"][0] == walk(100)["timestamp"][48]
    assert store.candles("X", "1m", fill="flat", limit=52, columns=["close"]).columns == ["close"]
    # the price before the range is carried into it
    part = store.candles("X", "1m", fill="flat", start=START + 4 * MINUTE, end=START + 7 * MINUTE)
    assert part.row(0)[1:] == (*[bars["close"][2]] * 4, 0.0, True)
    assert len(part) == 3
    early = store.candles("X", "1m", fill="flat", start=START - 2 * MINUTE, end=START + 1 * MINUTE)
    assert early["close"].to_list() == [None, None, bars["close"][0]]
    with pytest.raises(mdstore.InvalidInputError, match="flat"):
        store.candles("X", "1m", fill="linear")
    with pytest.raises(mdstore.InvalidInputError, match="Hint: give a shorter range"):
        store.candles("X", "1m", fill="flat", start="1000-01-01", end="2025-09-02")


def test_filled_symbols_and_derived_bars(store, clock):
    store.write("A", "1m", walk(500).filter(~pl.int_range(pl.len()).is_between(100, 299)))
    store.write("B", "1m", walk(300))
    long = store.candles(None, "1m", fill="null", start=START, end=START + 500 * MINUTE)
    assert long.group_by("symbol", maintain_order=True).agg(pl.len(), pl.col("filled").sum()).rows() == [
        ("A", 500, 200),
        ("B", 500, 200),
    ]
    hours = store.candles("A", "1h", derive_from="1m", fill="flat")
    assert hours["timestamp"].dt.epoch("ms").to_list() == [START + i * 60 * MINUTE for i in range(9)]
    assert hours["filled"].to_list() == [False, False, True, True, True, False, False, False, False]
    assert hours["closed"].to_list() == [True] * 8 + [False]
    days = store.candles(
        "A", "1d", derive_from="1m", tz="Asia/Seoul", fill="null", start="2025-08-30", end="2025-09-04"
    )
    assert days["timestamp"].dt.epoch("ms").to_list() == [
        START - 9 * 60 * MINUTE + i * DAY for i in (-1, 0, 1, 2)
    ] + [START - 9 * 60 * MINUTE + 3 * DAY]
    clock.ms = START + 505 * MINUTE
    store.write("A", "1m", walk(1, start=START + 501 * MINUTE))
    now = store.candles("A", "1m", fill="flat", end="2030-01-01")
    assert now["timestamp"].dt.epoch("ms")[-1] == START + 504 * MINUTE  # the bar that forms is not made up


def test_what_is_filled_ends_where_it_is_asked_to(store, clock):
    store.write("OLD", "1d", walk(3, step=DAY, start=START - 10_000 * DAY))
    store.write("X", "1d", walk(3, step=DAY))
    assert store.candles("X", "1d", end="2010-01-01", fill="null").is_empty()
    assert store.candles("OLD", "1d", start="2001-01-01", fill="flat").is_empty()
    many = store.candles(None, "1d", start=START, end=START + 2 * DAY, fill="flat")
    assert many.select("symbol", "filled").rows() == [
        ("OLD", True),
        ("OLD", True),
        ("X", False),
        ("X", False),
    ]
    assert many["close"][0] == store.candles("OLD", "1d")["close"][-1]
    store.write("Y", "1m", walk(10))
    clock.ms += 60 * MINUTE
    then = store.series().filter(pl.col("symbol") == "Y")["revision"][0]
    past = store.candles("Y", "1m", start=START, end=START + 2_000 * DAY, fill="flat", as_of=then + 1)
    assert past["timestamp"].dt.epoch("ms")[-1] <= then
