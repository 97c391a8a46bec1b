"""What the local exchange has traded: the same for the same seed, and all of it made of the minutes."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdstore
from mdstore.core.timestamps import to_ms
from mdstore.sources.local_exchange.trades_of_bar import Bar, Minute
from mdstore.sources.local_exchange.truth import LocalMarket, Truth
from tests.support.real import real

DAY = ("2025-09-01", "2025-09-02")


def truth(**about):
    return Truth([LocalMarket(symbol="KRW-BTC", **about), "BTCUSDT"], seed=7)


def test_the_same_seed_has_traded_the_same():
    one, other = (truth().bars("KRW-BTC", "1m", *DAY) for _ in range(2))
    assert one.equals(other)
    assert not one.equals(Truth(["KRW-BTC"], seed=8).bars("KRW-BTC", "1m", *DAY))


def test_bars_do_not_depend_on_what_was_asked_for_before():
    whole = truth().bars("KRW-BTC", "1m", *DAY)
    parts = [truth().bars("KRW-BTC", "1m", f"2025-09-01T{hour:02d}:00", f"2025-09-01T{hour + 1:02d}:00")
             for hour in range(23)]  # fmt: skip
    last = truth().bars("KRW-BTC", "1m", "2025-09-01T23:00", "2025-09-02")
    assert pl.concat([*parts, last]).equals(whole)


def test_generated_bars_are_candles(store):
    for symbol in ("KRW-BTC", "BTCUSDT"):
        bars = truth().bars(symbol, "1m", *DAY).select("timestamp", "open", "high", "low", "close", "volume")
        assert store.write(symbol, "1m", bars, unit="ms").inserted == len(bars) > 1380
    assert store.verify().filter(pl.col("severity") == "error").is_empty()


def test_upbit_has_minutes_without_a_trade_and_binance_has_none():
    there = {symbol: len(truth().bars(symbol, "1m", *DAY)) for symbol in ("KRW-BTC", "BTCUSDT")}
    assert 1440 * 0.96 < there["KRW-BTC"] < 1440
    assert there["BTCUSDT"] == 1440


def test_every_missing_minute_has_a_reason():
    down = ("2025-09-01T03:00", "2025-09-01T04:00")
    market = LocalMarket(symbol="KRW-BTC", listed="2025-09-01T01:00", delisted="2025-09-01T22:00")
    exchange = Truth([market], seed=7, maintenance=[down])
    there = set(exchange.bars("KRW-BTC", "1m", *DAY)["timestamp"])
    reasons = {at: exchange.reason("KRW-BTC", at) for at in range(to_ms(DAY[0]), to_ms(DAY[1]), 60_000)}
    assert there == {at for at, reason in reasons.items() if reason is None}
    count = pl.Series(list(reasons.values())).value_counts()
    found = dict(count.iter_rows())
    assert (found["before_listing"], found["after_delisting"], found["exchange_down"]) == (60, 120, 60)
    assert 5 < found["no_trade"] < 60


@pytest.mark.variants(3)
@pytest.mark.parametrize("timeframe", ["5m", "1h", "4h", "1d", "1w", "1M", "12M"])
def test_longer_bars_are_those_that_the_store_makes_of_the_minutes(store, timeframe):
    span = ("2024-11-20", "2025-02-10") if timeframe in ("1w", "1M", "12M") else DAY
    exchange = truth(listed="2024-12-01")
    minutes = exchange.bars("KRW-BTC", "1m", *span)
    store.write(
        "KRW-BTC", "1m", minutes.select("timestamp", "open", "high", "low", "close", "volume"), unit="ms"
    )
    made = store.candles("KRW-BTC", timeframe, derive_from="1m")
    given = exchange.bars("KRW-BTC", timeframe, span[0], span[1])
    there = pl.col("timestamp").dt.timestamp("ms").is_in(given["timestamp"].implode())
    made = made.filter(there)
    for name in ("open", "high", "low", "close"):
        assert made[name].to_list()[:-1] == given[name].to_list()[:-1]
    assert made["volume"].to_list()[:-1] == pytest.approx(given["volume"].to_list()[:-1], rel=1e-12)


def test_recorded_hours_are_the_exchanges_own():
    frame = pl.read_csv(next(real("upbit").glob("*1m*")), try_parse_dates=True)
    frame = frame.rename({frame.columns[0]: "timestamp"})
    hours = pl.read_csv(next(real("upbit").glob("*1h*")), try_parse_dates=True)
    hours = hours.rename({hours.columns[0]: "timestamp"})
    exchange = Truth([LocalMarket(symbol="KRW-BTC", candles=frame)])
    made = exchange.bars("KRW-BTC", "1h", "2025-09-01", "2025-09-29")
    own = hours.with_columns(pl.col("timestamp").dt.timestamp("ms")).join(
        made, on="timestamp", suffix="_made"
    )
    assert len(own) == 28 * 24
    for name in ("open", "high", "low", "close"):
        assert (own[name] == own[f"{name}_made"]).all()
    assert ((own["volume"] / own["volume_made"] - 1).abs() < 1e-9).all()
    assert exchange.reason("KRW-BTC", to_ms("2025-08-31")) == "before_listing"


def test_the_exchange_corrects_a_minute():
    exchange = truth()
    before = exchange.bars("KRW-BTC", "1m", "2025-09-01", "2025-09-01T00:01")
    exchange.amend("KRW-BTC", "2025-09-01", {"volume": 5.0})
    after = exchange.bars("KRW-BTC", "1m", "2025-09-01", "2025-09-01T00:01")
    assert (after["volume"].item(), after["close"].item()) == (5.0, before["close"].item())
    with pytest.raises(mdstore.InvalidInputError, match="before_listing"):
        exchange.amend("KRW-BTC", "2020-01-01", {"volume": 5.0})


PRICES = st.integers(1, 10**6).map(float)


@given(
    st.lists(PRICES, min_size=4, max_size=4),
    st.integers(1, 10**12),
    st.integers(1, 3000),
    st.floats(0, 0.999),
)
def test_trades_add_up_to_their_minute(prices, units, trades, phase):
    low, *ends, high = sorted(prices)
    bar = Bar(1_756_684_800_000, ends[0], high, low, ends[1], units / 10**8, 0.0, 0)
    minute = Minute(bar, trades, 0, phase)
    every = range(minute.count)
    paid = [minute.price(number) for number in every]
    assert (paid[0], max(paid), min(paid), paid[-1]) == bar[1:5]
    assert sum(minute.size(number) for number in every) == pytest.approx(bar.volume)
    times = [minute.time(number) for number in every]
    assert times == sorted(times)
    assert bar.timestamp <= times[0]
    assert times[-1] < bar.timestamp + 60_000
    assert minute.part(0, minute.count) == bar


def test_a_bar_forms_trade_by_trade():
    exchange, start = truth(), to_ms("2025-09-01T00:10")
    whole = exchange.bars("KRW-BTC", "1m", start, start + 60_000).row(0)
    volumes = []
    for now in range(start, start + 60_001, 5_000):
        rows = exchange.bars("KRW-BTC", "1m", start, start + 60_000, now=now).rows()
        volumes += [row[5] for row in rows]
        assert all(row[3] >= whole[3] and row[2] <= whole[2] for row in rows)
    assert volumes == sorted(volumes)
    assert volumes[0] < volumes[-1] == whole[5]


def test_seconds_are_made_of_the_same_trades():
    exchange, start = truth(trades_per_minute=300), to_ms("2025-09-01T00:10")
    seconds = exchange.bars("KRW-BTC", "1s", start, start + 600_000)
    minutes = exchange.bars("KRW-BTC", "1m", start, start + 600_000)
    made = seconds.group_by(pl.col("timestamp") // 60_000 * 60_000, maintain_order=True).agg(
        pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last()
    )
    assert made.rows() == minutes.select(made.columns).rows()
    assert seconds["volume"].sum() == pytest.approx(minutes["volume"].sum())
