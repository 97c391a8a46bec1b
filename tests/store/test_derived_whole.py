"""What the store knows of bars that never were makes the bars derived from the others whole."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

import mdstore
from tests.support.candles import MINUTE, START, walk

HOUR = 60 * MINUTE


def at(minutes):
    return datetime.fromtimestamp(START / 1000, UTC) + timedelta(minutes=minutes)


def bars_of(made):
    return made.select("bars", "of").rows()


def without(frame, *minutes):
    return frame[[row for row in range(len(frame)) if row not in minutes]]


def test_holes_that_nobody_explains_are_missing_and_those_without_a_trade_are_not(store):
    store.write("A", "1m", without(walk(180), 5, 6, 70, 71, 72, 130))
    assert bars_of(store.resample("A", "1h", source="1m")) == [(58, 60), (57, 60), (59, 60)]
    store.cover("A", "1m", start=at(60), end=at(120), reason="no_trade")
    made = store.resample("A", "1h", source="1m")
    assert bars_of(made) == [(58, 60), (57, 57), (59, 60)]
    assert made.columns[-3:] == ["closed", "bars", "of"]
    store.cover("A", "1m", start=at(6), end=at(7), reason="exchange_down")
    store.cover("A", "1m", start=at(130), end=at(131), reason="fetch_failed")
    assert bars_of(store.resample("A", "1h", source="1m")) == [(58, 59), (57, 57), (59, 60)]
    store.uncover("A", "1m", start=at(60), end=at(120))
    assert bars_of(store.resample("A", "1h", source="1m"))[1] == (57, 60)


def test_a_listing_in_the_middle_of_a_day_makes_the_day_whole(store):
    store.write("A", "1h", walk(28, start=START + 20 * HOUR, step=HOUR))
    days = store.candles("A", "1d", derive_from="1h")
    assert days.select("closed", "bars", "of").rows() == [(True, 4, 24), (True, 24, 24)]
    store.cover("A", "1h", start=None, end=at(20 * 60), reason="before_listing")
    assert bars_of(store.candles("A", "1d", derive_from="1h")) == [(4, 4), (24, 24)]
    assert bars_of(store.candles("A", "1d", derive_from="1h", limit=1)) == [(24, 24)]


def test_what_was_said_later_is_not_known_as_of_before(tmp_path):
    now = [START / 1000 + 10 * 3600]
    with mdstore.MarketDataStore(tmp_path / "s.sqlite3", clock=lambda: now[0]) as store:
        store.write("A", "1m", without(walk(120), 5))
        now[0] += 3600
        store.cover("A", "1m", start=at(5), end=at(6), reason="no_trade")
        before = store.candles("A", "1h", derive_from="1m", as_of=at(10 * 60 + 30))
        assert bars_of(before) == [(59, 60), (60, 60)]
        assert bars_of(store.candles("A", "1h", derive_from="1m")) == [(59, 59), (60, 60)]


def test_of_several_symbols_each_goes_by_its_own(store):
    for seed, (symbol, gone) in enumerate((("A", 5), ("B", 6), ("C", 200))):
        store.write(symbol, "1m", without(walk(120, seed=seed), gone))
    store.cover("B", "1m", start=at(0), end=at(60), reason="no_trade")
    made = store.candles(None, "1h", derive_from="1m").with_columns(pl.col("symbol").cast(pl.String))
    assert made.select("symbol", "bars", "of").rows() == [
        ("A", 59, 60), ("A", 60, 60), ("B", 59, 59), ("B", 60, 60), ("C", 60, 60), ("C", 60, 60),
    ]  # fmt: skip


def test_an_hour_that_is_filled_in_holds_no_bar_of_those_it_could(store):
    store.write("A", "1m", without(walk(240), *range(60, 120)))
    made = store.candles("A", "1h", derive_from="1m", fill="flat")
    assert made.select("filled", "closed", "bars", "of").rows() == [
        (False, True, 60, 60), (True, True, 0, 60), (False, True, 60, 60), (False, True, 60, 60),
    ]  # fmt: skip
    store.cover("A", "1m", start=at(60), end=at(120), reason="no_trade")
    for symbols in ("A", ["A"]):
        made = store.candles(symbols, "1h", derive_from="1m", fill="null")
        assert bars_of(made)[1] == (0, 0)
        assert made.columns[-4:] == ["closed", "bars", "of", "filled"]


def test_a_week_is_closed_on_friday_where_the_calendar_says_so(store):
    pytest.importorskip("exchange_calendars")
    friday = datetime(2025, 9, 5, tzinfo=UTC)
    days = [(friday - timedelta(days=back), 1, 1, 1, 1, 1) for back in range(4, -1, -1)]
    for symbol in ("KRX:005930", "UPBIT:KRW-BTC"):
        store.write(symbol, "1d", days)
    store.set_calendar("KRX:*", "XKRX")
    made = store.candles(None, "1w", derive_from="1d")
    assert made.select("closed", "bars", "of").rows() == [(True, 5, 5), (False, 5, 7)]


def test_columns_are_picked_and_screens_see_none_of_them(store):
    store.write("A", "1m", walk(180))
    assert store.candles("A", "1h", derive_from="1m", columns=["of", "close"]).columns == ["of", "close"]
    assert store.arrow("A", "1h", derive_from="1m").column_names[-3:] == ["closed", "bars", "of"]
    store.screen("1h", "close > 0", derive_from="1m")
    with pytest.raises(mdstore.QueryError, match="of"):
        store.screen("1h", "of > 0", derive_from="1m")
    with pytest.raises(mdstore.InvalidInputError):
        store.candles("A", "1m", columns=["of"])
    assert store.candles("A", "1m", derive_from="1m")["of"].to_list() == [1] * 180
