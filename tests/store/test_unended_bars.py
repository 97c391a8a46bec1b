"""Bars that were stored before they had ended are not `closed`, whatever is made of them."""

from datetime import UTC, datetime

import polars as pl
import pytest

import mdstore
from mdstore import Kline, MarketDataService
from tests.support.candles import MINUTE, START, walk
from tests.support.realtime import Clock

BARS = 20
NOW = START + (BARS - 1) * MINUTE + 30_000  # half of the last minute is over


class Watch:
    """A clock of the store that is set."""

    def __init__(self, ms):
        self.ms = ms

    def __call__(self):
        return self.ms / 1000


@pytest.fixture
def watch():
    return Watch(NOW)


@pytest.fixture
def clock(watch):
    return watch


@pytest.fixture
def half(store, watch):
    """Twenty minutes of A and B, the last of which is half over as it comes; the fifth of B was so, too."""
    store.realtime.clock = Clock(NOW)
    store.write("A", "1m", walk(BARS))
    watch.ms = START + 4 * MINUTE + 30_000
    store.write("B", "1m", walk(5, seed=1))
    watch.ms = NOW
    store.write("B", "1m", walk(BARS, seed=1).filter(pl.int_range(pl.len()) != 4))
    return store


def closed(frame, *names):
    return frame.select("closed", *names).rows()


def test_a_bar_that_was_stored_before_it_ended_is_not_closed(half):
    frame = half.candles("A", "1m", include_forming=True)
    assert frame["closed"].to_list() == [True] * (BARS - 1) + [False]
    assert not frame["partial"].any()
    long = half.candles(None, "1m", include_forming=True)
    assert long.filter(~pl.col("closed")).select(pl.col("symbol").cast(pl.String), "timestamp").rows() == [
        ("A", minute(BARS - 1)), ("B", minute(4)), ("B", minute(BARS - 1))
    ]  # fmt: skip
    assert closed(half.candles("B", "1m", include_forming=True, columns=["closed"], limit=1)) == [(False,)]


def minute(number):
    return datetime.fromtimestamp((START + number * MINUTE) / 1000, UTC)


def test_it_is_not_while_nobody_has_stored_it_again_and_then_it_is(half, watch):
    watch.ms += MINUTE
    half.realtime.clock = Clock(watch.ms)
    assert not half.candles("A", "1m", include_forming=True)["closed"][-1]
    half.write("A", "1m", walk(BARS))
    assert half.candles("A", "1m", include_forming=True)["closed"].all()


def test_longer_bars_with_one_in_them_are_not_closed(half):
    for more in ({}, {"include_forming": True}):
        a, b = (half.candles(symbol, "5m", derive_from="1m", **more) for symbol in "AB")
        assert closed(a, "bars") == [(True, 5), (True, 5), (True, 5), (False, 5)]
        assert closed(b, "bars") == [(False, 5), (True, 5), (True, 5), (False, 5)]
        both = half.candles(["A", "B"], "5m", derive_from="1m", **more)
        assert closed(both) == closed(pl.concat([a, b]))
        assert closed(half.candles("B", "1m", derive_from="1m", tz="Asia/Seoul", **more))[4] == (False,)
    half.write("B", "1m", walk(5, seed=1))
    assert closed(half.resample("B", "5m", source="1m"))[0] == (True,)


def test_what_is_kept_of_shorter_bars_waits_for_whole_ones(half, watch):
    half.keep("5m", of="1m", symbols=["A", "B"])
    assert [len(half.candles(symbol, "5m")) for symbol in "AB"] == [3, 2]
    watch.ms += 2 * MINUTE
    half.write("B", "1m", walk(BARS + 1, seed=1))
    assert len(half.candles("B", "5m")) == 4


def test_the_live_bar_that_has_ended_takes_its_place(half, watch):
    """It was hidden by what the file had of its first half."""
    whole = (START + (BARS - 1) * MINUTE, 10.0, 12.0, 9.0, 11.0, 77.0)
    half.live.update(Kline("A", "1m", *whole, closed=True))
    frame = half.candles("A", "1m", include_forming=True)
    assert frame.select("close", "volume", "closed", "partial").row(-1) == (11.0, 77.0, True, False)
    five = half.candles("A", "5m", derive_from="1m", include_forming=True)
    assert closed(five, "close")[-1] == (True, 11.0)
    half.write("A", "1m", walk(BARS, seed=3).filter(pl.int_range(pl.len()) < BARS - 1))
    assert half.candles("A", "1m", include_forming=True)["volume"][-1] == 77.0


def test_a_service_says_so_too_and_which_tiers_gave_bars(half):
    with MarketDataService(half) as service:
        for symbols in ("A", ["A", "B"]):
            frame = service.get_candle_data(symbols, "1m", include_forming=True).frame
            assert frame.filter(~pl.col("closed")).height == (1 if symbols == "A" else 3)
        answer = service.get_candle_data("A", "1m", count=5, include_forming=True)
        assert "live" not in answer.about.tiers  # the bar that is not closed is a stored one
        half.live.update(Kline("A", "1m", START + BARS * MINUTE, 5.0, 6.0, 4.0, 5.5, 1.0, closed=False))
        assert service.get_candle_data("A", "1m", count=1, include_forming=True).about.tiers == ("live",)
        two = service.get_candle_data("A", "1m", count=2, include_forming=True)
        assert two.about.tiers == ("memory", "live")
        made = service.get_candle_data("B", "5m", derive="1m").frame
        assert closed(made, "bars") == [(False, 5), (True, 5), (True, 5)]
        made = service.get_candle_data("B", "5m", derive="1m", include_forming=True).frame
        assert closed(made, "bars") == [(False, 5), (True, 5), (True, 5), (False, 5)]


def test_it_goes_by_what_is_proven(half):
    import apsw

    con = apsw.Connection(str(half.path))
    con.execute("DELETE FROM unfinished")
    con.close()
    with pytest.raises(mdstore.DamagedDataError, match="the marks of unfinished bars"):
        half.candles("A", "1m", include_forming=True)
