"""One set of arguments for `candles`, `arrow`, `scan` and `explain`: the same bars by each of them."""

import inspect
import time

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import mdstore
from mdstore import InvalidInputError
from mdstore.core.schema import CANDLE, LONG_CANDLE
from tests.support.candles import MINUTE, START, walk

WAYS = {
    "stored": {},
    "range": {"start": START + MINUTE, "limit": 7, "columns": ["close", "timestamp"]},
    "as of": {"as_of": START},
    "derived": {"derive_from": "1m"},
    "in a zone": {"derive_from": "1m", "tz": "Asia/Seoul", "columns": ["close", "closed"]},
    "filled": {"fill": "flat"},
    "derived and filled": {"derive_from": "1m", "fill": "null", "end": START + 90 * MINUTE},
    "forming": {"include_forming": True},
}


@pytest.fixture
def two(store):
    for symbol, seed in (("A", 1), ("B", 2)):
        frame = walk(100, seed=seed)
        store.write(symbol, "1m", frame.filter(pl.int_range(pl.len()) % 7 != 3))
    return store


@pytest.mark.parametrize("symbols", ["A", ["A", "B"], None], ids=["one", "several", "all"])
@pytest.mark.parametrize("way", WAYS)
def test_candles_arrow_and_scan_are_the_same_bars(two, way, symbols):
    asked = dict(WAYS[way])
    bar = "5m" if "derive_from" in asked else "1m"
    frame = two.candles(symbols, bar, **asked)
    assert_frame_equal(two.scan(symbols, bar, **asked).collect(), frame)
    table = two.arrow(symbols, bar, **asked)
    assert_frame_equal(pl.DataFrame(table), frame)
    known = CANDLE if symbols == "A" else LONG_CANDLE
    for field in table.schema:
        if field.name in known.names:
            assert field.type == known.field(field.name).type
    assert way == "as of" or len(frame)


@pytest.mark.parametrize("way", WAYS)
def test_explain_takes_what_candles_takes(two, way):
    asked = dict(WAYS[way])
    bar = "5m" if "derive_from" in asked else "1m"
    told = two.explain(["A", "B"], bar, **asked)
    assert told.rows == len(two.candles(["A", "B"], bar, **asked))
    assert told.tiers
    words = {"derived": "5m derived from 1m", "in a zone": "cut in Asia/Seoul", "filled": "filled (flat)"}
    assert words.get(way, "") in told.reason
    assert "with what is live" in told.reason or way != "forming"


def test_explain_names_each_road_once_and_all_reads(two):
    told = two.explain("A", "1m", fill="flat", start=START + 50 * MINUTE)
    assert len(told.tiers) == len(set(told.tiers))
    assert told.milliseconds > 0
    assert "filled (flat)" in str(told)


@pytest.mark.parametrize("method", ["candles", "arrow", "explain", "scan"])
def test_what_cannot_go_together_is_refused_by_each(two, method):
    ask = getattr(two, method)
    with pytest.raises(InvalidInputError, match="include_forming"):
        ask("A", "1m", include_forming=True, fill="flat")
    with pytest.raises(InvalidInputError, match="derive_from='1m'"):
        ask("A", "1m", tz="Asia/Seoul")


def test_live_bars_come_by_each_way(two):
    now = time.time_ns() // 1_000_000
    two.live.build("1m", from_start=True)
    two.trades.push(("A", now, 150.0, 1.0))
    frame = two.candles("A", "1m", include_forming=True, limit=1)
    assert frame["close"].to_list() == [150.0]
    assert two.arrow("A", "1m", include_forming=True, limit=1)["close"].to_pylist() == [150.0]
    assert two.scan("A", "1m", include_forming=True, limit=1).collect()["close"].to_list() == [150.0]


def test_methods_of_parts_look_like_the_stores_own():
    for name in ("gaps", "missing", "coverage", "cover", "uncover", "provenance", "revisions", "fingerprint"):
        method = getattr(mdstore.MarketDataStore, name)
        assert method.__doc__
        assert method.__name__ == name
        assert "self" in inspect.signature(method).parameters
    assert (
        inspect.signature(mdstore.MarketDataStore.gaps).parameters["start"].kind
        == inspect.Parameter.KEYWORD_ONLY
    )
