"""Next to nothing is found in what markets really did, and what is injected there is found."""

import datetime as dt
import math
from functools import cache

import polars as pl
import pytest

from mdstore.analysis.quality_checks import disagreements
from mdstore.core.schema import PRICES, VALUES
from mdstore.core.timestamps import column_to_ms
from mdstore.sources.files import read
from tests.support.quality import BAD_TICKS, found, made_of, put, stock, stocks, tf, times_of
from tests.support.real import real


@cache
def recorded(*parts):
    (part,) = read(real(*parts))
    frame = pl.concat(part.frames)
    times = column_to_ms(frame["timestamp"])[0].cast(pl.Datetime("ms", "UTC"))
    return frame.select(times.alias("timestamp"), pl.col(VALUES).cast(pl.Float64)).sort("timestamp")


MARKETS = [
    (("upbit", "BTC_KRW_1m.csv"), "1m", 4, 0),
    (("upbit", "BTC_KRW_1h.csv"), "1h", 5, 11),
    (("freqtrade", "UNITTEST_BTC-1m.feather"), "1m", 0, 7),
    (("freqtrade", "TRX_BTC-5m.feather"), "5m", 0, 0),
    (("freqtrade", "XRP_ETH-1m.feather"), "1m", 0, 0),
]


@pytest.mark.parametrize(("parts", "timeframe", "spikes", "volumes"), MARKETS)
def test_recorded_markets_have_few_findings(parts, timeframe, spikes, volumes):
    result = found(recorded(*parts), timeframe)
    assert len(result.filter(check="spike")) == spikes
    assert len(result.filter(check="volume_outlier")) == volumes
    assert len(result) == spikes + volumes


def test_recorded_stocks_have_few_findings():
    results = pl.concat(found(stock(path), "1d").with_columns(name=pl.lit(path.stem)) for path in stocks())
    counts = dict(results.group_by("check").len().rows())
    # The days 2014-07-17 and 2014-08-01 stand twice in half of the files, with all their values.
    assert counts == {"spike": 3, "volume_outlier": 14, "ohlc": 1, "repeated": 31}
    worst = results.filter(check="spike").sort("value").row(-1, named=True)  # a wrong tick, never traded
    assert (worst["name"], f"{worst['start']:%Y-%m-%d}") == ("AME_data", "2013-10-29")


def test_the_flash_crash_of_coinbase_is_a_spike():
    """On 2017-04-15 someone sold down to 0.06 dollars."""
    result = found(recorded("lean", "daily_btcusd_trade.zip"), "1d").filter(check="spike").sort("value")
    assert f"{result['start'][-1]:%Y-%m-%d}" == "2017-04-15"
    assert result["detail"][-1].startswith("low 0.06 where")


def test_the_one_impossible_candle_among_the_stocks():
    frame = stock(real("sp500", "AOS_data.csv"))
    finding = found(frame, "1d").filter(check="ohlc").row(0, named=True)
    assert finding["start"] == dt.datetime(2014, 5, 19, tzinfo=dt.UTC)
    assert finding["detail"] == "high 23.595 is below open 23.89 and close 24.445"
    assert found(put(frame, "open", i7=None), "1d").filter(check="number")["start"].to_list() == times_of(
        frame, 7
    )


INJECTED = [
    *((parts, timeframe) for parts, timeframe, *_ in MARKETS),
    *((("sp500", f"{name}_data.csv"), "1d") for name in ("AAPL", "ABT", "ACN", "AFL")),
]


@pytest.mark.parametrize(("parts", "timeframe"), INJECTED)
def test_injected_bad_ticks_are_found_in_recorded_bars(parts, timeframe):
    frame = stock(real(*parts)) if parts[0] == "sp500" else recorded(*parts)
    already = set(found(frame, timeframe, most=1000).filter(check="spike")["start"])
    places = range(len(frame) // 12, len(frame) - 1, len(frame) // 12)
    for shift, (name, factor) in enumerate(
        [*(("close", f) for f in BAD_TICKS), ("high", 10), ("low", 0.1), ("open", 2)]
    ):
        rows = [place + shift for place in places if place + shift < len(frame) - 1]
        held = pl.int_range(pl.len()).is_in(rows)
        bad = pl.when(held).then(pl.col(name) * factor).otherwise(name)
        spoiled = frame.with_columns(bad.alias(name))
        if name in ("open", "close"):
            spoiled = spoiled.with_columns(high=pl.max_horizontal(PRICES), low=pl.min_horizontal(PRICES))
        spikes = set(found(spoiled, timeframe, most=1000).filter(check="spike")["start"])
        assert set(times_of(frame, *rows)) <= spikes
        assert len(spikes - already) <= len(rows)


def test_upbit_hours_are_those_its_minutes_make():
    minutes, hours = recorded("upbit", "BTC_KRW_1m.csv"), recorded("upbit", "BTC_KRW_1h.csv")
    made = made_of(minutes, "1m", "1h")
    assert disagreements(hours, made, tf("1m"), tf("1h")).is_empty()
    row = hours["timestamp"].to_list().index(dt.datetime(2025, 9, 10, 12, tzinfo=dt.UTC))
    changed = put(hours, "close", **{f"i{row}": math.nextafter(hours["close"][row], math.inf)})
    (finding,) = disagreements(changed, made, tf("1m"), tf("1h")).rows(named=True)
    assert (finding["check"], finding["severity"], finding["start"]) == (
        "derived",
        "error",
        hours["timestamp"][row],
    )
    gone = hours.filter(pl.int_range(pl.len()) != row)
    assert disagreements(gone, made, tf("1m"), tf("1h"))["check"].to_list() == ["derived_missing"]
