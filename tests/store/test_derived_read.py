"""Bars put together of shorter ones, as they are read."""

import polars as pl
import pytest

import mdstore
from mdstore import InvalidInputError
from tests.support.candles import MINUTE, START, walk
from tests.support.packs import BARS
from tests.support.real import real


def test_upbits_minutes_make_its_hours(store):
    (minutes,) = real("upbit").glob("*1m*")
    (hours,) = real("upbit").glob("*1h*")
    for file, timeframe in ((minutes, "1m"), (hours, "1h")):
        store.write("KRW-BTC", timeframe, pl.read_csv(file))
    made = store.candles("KRW-BTC", "1h", derive_from="1m", start="2025-09-01", end="2025-09-30")
    own = store.candles("KRW-BTC", "1h", start="2025-09-01", end="2025-09-30")
    assert len(own) == 696
    assert made.drop("volume", "closed", "bars", "of").equals(own.drop("volume"))
    assert ((made["volume"] - own["volume"]).abs() <= 1e-12 * own["volume"]).all()
    assert made["closed"].all()
    latest = store.candles("KRW-BTC", "1h", derive_from="1m", limit=5)
    assert latest["closed"].to_list() == [True] * 4 + [False]
    days = store.resample("KRW-BTC", "1d", source="1m", tz="Asia/Seoul", limit=3)
    assert days["timestamp"].dt.hour().to_list() == [15] * 3
    whole = store.resample("KRW-BTC", "1d", source="1m", tz="Asia/Seoul")
    assert whole.tail(3).equals(days)


def test_derived_bars_of_a_range_are_those_of_the_whole(store):
    for symbol, seed in (("A", 1), ("B", 2)):
        store.write(symbol, "1m", walk(BARS, seed=seed).filter(pl.int_range(BARS) % 7 != 3))
    whole = store.resample(None, "1h", source="1m")
    for options in (
        {"limit": 3},
        {"start": START + 5 * 60 * MINUTE},
        {"end": START + 5 * 60 * MINUTE},
        {"start": START + 90 * MINUTE, "end": START + 400 * MINUTE, "limit": 2},
    ):
        part = store.resample(None, "1h", source="1m", **options)
        times = whole["timestamp"].to_physical()
        expected = whole.filter((times >= options.get("start", 0)) & (times < options.get("end", 2**62)))
        if "limit" in options:
            expected = expected.group_by("symbol", maintain_order=True).tail(options["limit"])
        assert part.equals(expected)
    assert store.candles("A", "1h", derive_from="1m", columns=["close", "closed"]).columns == [
        "close",
        "closed",
    ]
    with pytest.raises(InvalidInputError, match="derive_from"):
        store.candles("A", "1h", tz="Asia/Seoul")


def test_derived_bars_are_screened(store):
    for symbol, seed in (("A", 1), ("B", 2)):
        store.write(symbol, "1m", walk(BARS, seed=seed))
    rows = store.screen("1h", {"close": "close", "n": pl.len()}, bars=10, derive_from="1m").rows
    made = store.resample(None, "1h", source="1m", limit=10)
    assert rows.rows() == [(s, made.filter(symbol=s)["close"][-1], 10) for s in ("A", "B")]
    with pytest.raises(mdstore.NoSuchSeriesError, match="1h can be made of 1m, with derive_from='1m'"):
        store.screen("1h", "close")


def test_bars_that_have_not_ended_are_not_written_as_if_they_had(store):
    store.write("A", "1m", walk(90))
    hours = store.resample("A", "1h", source="1m")
    with pytest.raises(InvalidInputError, match="1 of the rows are bars that have not ended"):
        store.write("A", "1h", hours)
    assert store.write("A", "1h", hours.filter("closed")).inserted == 1


def test_whether_a_derived_bar_has_ended_is_told_in_the_snapshot_of_its_rows(store, monkeypatch):
    from mdstore.candles.repository import CandleRepository

    store.write("A", "1m", walk(14))
    read = CandleRepository.read

    def read_then_another_writes(self, *args, **options):
        answer = read(self, *args, **options)
        store.write("A", "1m", walk(1, start=START + 14 * MINUTE))
        return answer

    monkeypatch.setattr(CandleRepository, "read", read_then_another_writes)
    assert store.candles("A", "5m", derive_from="1m")["closed"].to_list() == [True, True, False]
    assert store.candles("A", "5m", derive_from="1m", limit=2)["closed"].to_list() == [True, True]


def test_a_limit_of_derived_bars_reads_a_bounded_part_whatever_the_others_are(store):
    for symbol, bars, end in (("OLD", BARS, 9_000), ("NEW", 30, 0), ("A", BARS, 0)):
        store.write(symbol, "1m", walk(bars, start=START - (bars + end) * MINUTE))
    whole = store.resample(None, "1h", source="1m")
    for limit in (1, 3, 2**40):
        part = store.resample(None, "1h", source="1m", limit=limit)
        assert part.equals(whole.group_by("symbol", maintain_order=True).tail(min(limit, 1_000)))
