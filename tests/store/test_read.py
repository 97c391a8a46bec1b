"""Reading: ranges, limits, columns, many symbols, both roads, and what is not there."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mdstore
from mdstore import InvalidInputError, NoSuchSeriesError, TimestampError
from mdstore.candles.packs import seal_policy as upkeep
from mdstore.candles.reads import reads as columnar
from mdstore.core.schema import CANDLE, LONG_CANDLE
from tests.support.candles import MINUTE, START, bits, walk
from tests.support.doses import dose

BARS = 300
SYMBOLS = ("KRW-BTC", "KRW-ETH", "KRW-XRP")


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A store of three symbols; the second lacks every third minute."""
    with mdstore.open(tmp_path_factory.mktemp("full") / "market_data.sqlite3") as store:
        for symbol, frame in frames().items():
            store.write(symbol, "1m", frame)
        store.write("KRW-BTC", "1h", walk(5, step=60 * MINUTE))
        yield store


def frames():
    made = {symbol: walk(BARS, seed=seed) for seed, symbol in enumerate(SYMBOLS)}
    made["KRW-ETH"] = made["KRW-ETH"].gather_every(3)
    return made


def expected(symbols, start, end, limit):
    """Filter the full frames by hand."""
    parts = []
    for symbol in sorted(set(symbols)):
        frame = frames()[symbol]
        stamp = frame["timestamp"].to_physical()
        frame = frame.filter((stamp >= (start or 0)) & (stamp < (end or 2**62)))
        frame = frame if limit is None else frame.tail(limit)
        parts.append(frame.select(pl.lit(symbol).alias("symbol"), pl.all()))
    return pl.concat(parts)


@pytest.fixture(params=["sqlite", "packs", "scanner"])
def road(request, full, monkeypatch):
    """Take one road whatever the size: the table alone, packs sealed in this process, or by the scanner."""
    if request.param == "sqlite":
        monkeypatch.setattr(columnar, "ATTEMPTS", 0)
    else:
        rows = 10**9 if request.param == "packs" else -1
        for module, name, value in (
            (columnar, "LOOSE_ROWS", 0), (columnar, "STRAIGHT_ROWS", -1),
            (upkeep, "SCAN_ROWS", rows), (upkeep, "SCAN_ROWS_COLD", rows),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, value)
    full._candles._upkeep.forget_all()
    full._candles._memory.clear()
    return request.param


edges = st.none() | st.integers(START - 5 * MINUTE, START + (BARS + 5) * MINUTE)


@settings(max_examples=dose(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    symbols=st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=4),
    start=edges,
    end=edges,
    limit=st.none() | st.integers(1, BARS + 10),
)
def test_a_range_read_is_a_filtered_full_read_on_every_road(full, road, symbols, **bounds):
    answer = full.candles(symbols, "1m", **bounds)
    wanted = expected(symbols, **bounds)
    assert answer["symbol"].cast(pl.String).to_list() == wanted["symbol"].to_list()
    assert bits(answer) == bits(wanted)
    assert answer.schema["symbol"] == pl.Categorical
    tiers = full.explain(symbols, "1m", **bounds).tiers
    assert tiers == ("sqlite",) if road == "sqlite" else tiers[0] in ("memory", "packs", road)


def test_one_symbol_gives_no_symbol_column_and_the_schema_of_the_contract(full, road):
    table = full.arrow("KRW-BTC", "1m")
    assert table.schema == CANDLE
    assert full.arrow(list(SYMBOLS), "1m").schema == LONG_CANDLE
    assert table.num_rows == BARS
    assert bits(full.candles("KRW-BTC", "1m")) == bits(frames()["KRW-BTC"])
    assert full.candles("KRW-BTC", "1m").schema["timestamp"] == pl.Datetime("ms", "UTC")


def test_an_empty_range_gives_an_empty_frame_of_the_right_schema(full, road):
    empty = full.arrow("KRW-BTC", "1m", start="2030-01-01")
    assert (empty.num_rows, empty.schema) == (0, CANDLE)
    empty = full.arrow(["KRW-BTC", "KRW-ETH"], "1m", start=START, end=START)
    assert (empty.num_rows, empty.schema) == (0, LONG_CANDLE)
    assert full.candles("KRW-BTC", "1m", start="2025-09-02", end="2025-09-01").shape == (0, 6)


def test_columns_are_picked_and_ordered(full, road):
    assert full.candles("KRW-BTC", "1m", columns=["close", "timestamp"]).columns == ["close", "timestamp"]
    assert (
        full.candles("KRW-BTC", "1m", columns="close")["close"].to_list()
        == frames()["KRW-BTC"]["close"].to_list()
    )
    long = full.candles(SYMBOLS, "1m", columns=["close", "symbol"], limit=2)
    assert long.columns == ["close", "symbol"]
    assert long["symbol"].to_list() == [s for s in SYMBOLS for _ in range(2)]
    assert full.candles(SYMBOLS, "1m", columns=["close"]).columns == ["symbol", "close"]
    assert full.arrow(SYMBOLS, "1m", columns=["symbol"]).num_rows == BARS * 2 + BARS // 3


def test_none_is_every_symbol_of_the_timeframe(full, road):
    assert full.candles(None, "1m", limit=1)["symbol"].to_list() == list(SYMBOLS)
    assert full.candles(None, "60m")["symbol"].unique().to_list() == ["KRW-BTC"]


def test_the_latest_bars_come_ascending(full, road):
    latest = full.candles("KRW-ETH", "1m", limit=4)
    assert bits(latest) == bits(frames()["KRW-ETH"].tail(4))
    before = full.candles("KRW-ETH", "1m", end=START + 30 * MINUTE, limit=4)
    assert before["timestamp"].to_physical().to_list() == [START + i * MINUTE for i in (18, 21, 24, 27)]


@pytest.mark.parametrize(
    "start",
    [
        "2025-09-01T00:01",
        "2025-09-01 00:01Z",
        dt.datetime(2025, 9, 1, 0, 1),
        START + MINUTE,
        dt.datetime(2025, 9, 1, 0, 0, 0, 1),
    ],
)
def test_times_in_every_form(full, start):
    stamps = full.candles("KRW-BTC", "1m", start=start, end="2025-09-01T00:03")["timestamp"]
    assert stamps.to_physical().to_list() == [START + MINUTE, START + 2 * MINUTE]


@pytest.mark.parametrize(
    ("symbol", "timeframe", "message"),
    [
        ("BTC/KRW", "1m", "did you mean KRW-BTC"),
        ("KRW-BTX", "1m", "did you mean KRW-BTC"),
        ("krw-btc", "1m", "did you mean KRW-BTC"),
        ("KRW-BTC", "7m", "no candles for KRW-BTC 7m in market_data.sqlite3. Stored for KRW-BTC: 1h, 1m"),
        ("KRW-BTC", "7m", "Hint: 7m can be made of 1m, with derive_from='1m'"),
        ("AAPL", "1d", "3 symbols are stored"),
        (["KRW-BTC", "KRW-EHT"], "1m", "no candles for KRW-EHT 1m.*did you mean KRW-ETH"),
        (None, "1d", "Stored timeframes: 1h, 1m"),
    ],
)
def test_what_is_not_stored_is_named_with_the_nearest_that_is(full, symbol, timeframe, message):
    with pytest.raises(NoSuchSeriesError, match=message):
        full.candles(symbol, timeframe)


def test_an_empty_store_says_how_to_fill_it(store):
    with pytest.raises(NoSuchSeriesError, match="Nothing is stored yet"):
        store.candles("KRW-BTC", "1m")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"limit": 0}, "limit=0"),
        ({"limit": -5}, "limit=-5"),
        ({"limit": 2.5}, "limit=2.5"),
        ({"limit": True}, "limit=True"),
        ({"columns": []}, "columns"),
        ({"columns": ["price"]}, "columns"),
        ({"columns": ["close", "close"]}, "columns"),
        ({"columns": ["symbol"]}, "columns"),
        ({"start": "tomorrow"}, "start: 'tomorrow'"),
        ({"end": 1.5}, "end: "),
        ({"start": pd.NaT}, "start: "),
        ({"start": 2**70}, "start: "),
        ({"limit": 2**63}, "limit="),
        ({"columns": 5}, "columns=5"),
    ],
)
def test_bad_arguments_are_refused_by_name(full, options, error):
    with pytest.raises((InvalidInputError, TimestampError), match=error):
        full.candles("KRW-BTC", "1m", **options)


def test_a_number_of_numpys_is_a_limit(full):
    assert len(full.candles("KRW-BTC", "1m", limit=np.int64(5))) == 5


def test_symbols_that_are_none_are_refused(full):
    with pytest.raises(InvalidInputError, match="symbols=5"):
        full.candles(5, "1m")


def test_an_empty_list_of_symbols_is_refused(full):
    with pytest.raises(InvalidInputError, match="empty"):
        full.candles([], "1m")


def test_symbols_with_quotes_pass_on_every_road(store, road):
    for symbol in ("O'Neil", 'A"B', "a;--", "%s{}", "삼성전자"):
        store.write(symbol, "1m", walk(3))
        assert bits(store.candles(symbol, "1m", limit=2)) == bits(walk(3).tail(2))
    assert len(store.candles(None, "1m")) == 15


def test_a_scan_leaves_no_view_behind(full, road):
    full.candles(SYMBOLS, "1m")
    with full._candles._database.reading() as con:
        assert con.execute("SELECT count(*) FROM sqlite_schema WHERE name GLOB 'scan_*'").get == 0


def test_a_busy_writer_does_not_hold_up_a_large_read(store, monkeypatch):
    monkeypatch.setattr(columnar, "LOOSE_ROWS", 0)
    monkeypatch.setattr(columnar, "STRAIGHT_ROWS", -1)
    store.write("A", "1m", walk(50))
    explained = []

    def chunks():
        yield walk(50, seed=5)
        explained.append(store.explain("A", "1m"))
        explained.append(store.sql("SELECT close FROM candles WHERE symbol = 'A' ORDER BY timestamp"))

    store.write("A", "1m", chunks())
    assert (explained[0].tiers, explained[0].reason) == (
        ("sqlite",),
        "nothing could be sealed: somebody writes",
    )
    assert explained[1]["close"].to_list() == walk(50)["close"].to_list()


def test_explain_names_the_tiers_rows_and_time(full, road):
    explanation = full.explain("KRW-BTC", "1m", limit=10)
    first = {"sqlite": ("sqlite",), "packs": ("packs",), "scanner": ("scanner", "packs")}[road]
    assert (explanation.tiers, explanation.rows) == (first, 10)
    assert explanation.milliseconds > 0
    assert f"by {' + '.join(first)}" in str(explanation)
    with pytest.raises(InvalidInputError, match="timeframe"):
        full.explain("KRW-BTC")


def test_series_lists_what_is_stored(full):
    series = full.series()
    assert series.select("symbol", "timeframe", "rows").rows()[0] == ("KRW-BTC", "1h", 5)
    one = series.filter(symbol="KRW-ETH").row(0, named=True)
    assert (one["first"], one["rows"]) == (dt.datetime(2025, 9, 1, tzinfo=dt.UTC), BARS // 3)
    assert 0 < series["bytes"].sum() <= full.path.stat().st_size + 10**6


def test_delete_takes_a_range_a_series_or_a_symbol(store):
    store.write("A", "1m", walk(10))
    store.write("A", "1h", walk(10, step=60 * MINUTE))
    assert store.delete("A", "1m", start=START + 2 * MINUTE, end=START + 4 * MINUTE) == 2
    assert store.series().filter(timeframe="1m")["rows"].to_list() == [8]
    assert store.delete("A", "1m", end=START + 5 * MINUTE) == 3
    row = store.series().filter(timeframe="1m").row(0, named=True)
    assert row["first"] == dt.datetime(2025, 9, 1, 0, 5, tzinfo=dt.UTC)
    assert store.delete("A") == 15
    assert len(store.series()) == 0
    with pytest.raises(NoSuchSeriesError):
        store.delete("A")
    assert store.maintenance.check() == []


def test_arrow_tables_go_to_pandas_and_polars(full):
    table = full.arrow("KRW-BTC", "1m", limit=3)
    assert isinstance(table, pa.Table)
    assert table.to_pandas()["close"].to_list() == frames()["KRW-BTC"]["close"].tail(3).to_list()
