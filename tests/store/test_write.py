"""Writing: every form of data, the rules, the counts, and all or nothing."""

import datetime as dt
import decimal
import json

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mdstore
from mdstore import InvalidInputError, TimeframeError, TimestampError, ValidationError
from mdstore.core.inputs import CHUNK
from mdstore.core.timeframe import Timeframe
from tests.support.candles import MINUTE, START, bits, candle_frames, positive_zero, timeframes, walk
from tests.support.doses import dose

NAMES = ("timestamp", "open", "high", "low", "close", "volume")
ROW = (START, 2.0, 3.0, 1.0, 2.5, 10.0)
slow_start = settings(
    max_examples=dose(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def row(**changes):
    return {**dict(zip(NAMES, ROW, strict=True)), **changes}


def forms(frame):
    """Yield the same candles in every form a user may have them in."""
    dicts = frame.to_dicts()
    yield "polars", frame
    yield "lazy", frame.lazy()
    yield "shuffled", frame.sample(fraction=1, shuffle=True, seed=1)
    yield "arrow", frame.to_arrow()
    yield "record batch", frame.to_arrow().to_batches()[0]
    yield (
        "reader",
        pa.RecordBatchReader.from_batches(frame.to_arrow().schema, frame.to_arrow().to_batches(10)),
    )
    yield "pandas", frame.to_pandas()
    yield "pandas by time", frame.to_pandas().set_index("timestamp")
    yield "pandas, unnamed index", frame.to_pandas().set_index("timestamp").rename_axis(None)
    yield "yfinance", frame.rename(str.title).rename({"Timestamp": "Date"}).to_pandas().set_index("Date")
    yield "dicts", dicts
    yield "tuples", frame.rows()
    yield "ccxt", [[int(r[0].timestamp() * 1000), *r[1:]] for r in frame.rows()]
    yield "columns", frame.to_dict(as_series=False)
    yield "numpy", frame.with_columns(pl.col("timestamp").to_physical().cast(pl.Float64)).to_numpy()
    yield "texts", frame.with_columns(pl.all().cast(pl.String))
    yield "generator of frames", (frame.slice(i, 7) for i in range(0, len(frame), 7))
    yield "generator of rows", (row for row in frame.rows())
    yield "generator of dicts", iter(dicts)
    yield (
        "other names",
        frame.rename({"timestamp": "Date", "open": "O", "volume": " Vol "}).with_columns(
            pl.lit(1).alias("Adj Close")
        ),
    )
    yield "upbit", [
        {
            "market": "KRW-BTC",
            "candle_date_time_utc": f"{d['timestamp']:%Y-%m-%dT%H:%M:%S}",
            "opening_price": d["open"], "high_price": d["high"], "low_price": d["low"],
            "trade_price": d["close"], "timestamp": 1, "candle_acc_trade_volume": d["volume"],
        }
        for d in dicts
    ]  # fmt: skip


@pytest.mark.parametrize("form", [name for name, _ in forms(walk(3))])
def test_every_form_of_data_lands_to_the_last_bit(store, form):
    frame = walk(50)
    data = dict(forms(frame))[form]
    result = store.write("KRW-BTC", "1m", data)
    assert (result.inserted, result.rows) == (50, 50)
    assert bits(store.candles("KRW-BTC", "1m")) == bits(frame)


@slow_start
@given(st.data())
def test_what_is_written_is_read_back_bit_for_bit(store, data):
    timeframe = data.draw(timeframes)
    frame = data.draw(candle_frames(timeframe))
    if len(store.series().filter(timeframe=str(timeframe))):
        store.delete("X", timeframe)
    result = store.write("X", timeframe, frame)
    assert result.inserted == result.rows == len(frame)
    if len(frame):
        assert bits(store.candles("X", timeframe)) == bits(positive_zero(frame.sort("timestamp")))


@slow_start
@given(st.data())
def test_an_upsert_is_idempotent_and_counts_what_a_dict_would(store, data):
    bar = Timeframe.parse("1h")
    if len(store.series()):
        store.delete("X")
    model = {}
    for _ in range(data.draw(st.integers(1, 4))):
        batch = data.draw(candle_frames(bar, max_rows=8))
        pool = [row for row in model.values() if data.draw(st.booleans())]
        frame = positive_zero(pl.concat([batch, pl.DataFrame(pool, schema=batch.schema, orient="row")]))
        expected = {"inserted": 0, "updated": 0, "unchanged": 0}
        last = {r[0]: r for r in frame.rows()}
        for key, value in last.items():
            kind = "inserted" if key not in model else "unchanged" if model[key] == value else "updated"
            expected[kind] += 1
        result = store.write("X", bar, frame, on_conflict="last")
        assert {name: getattr(result, name) for name in expected} == expected
        assert result.duplicates == sum(r == last[r[0]] for r in frame.rows()) - len(last)
        assert result.conflicts == sum(r != last[r[0]] for r in frame.rows())
        model.update(last)
        again = store.write("X", bar, frame, on_conflict="last")
        assert (again.inserted, again.updated, again.unchanged) == (0, 0, len(last))
    if model:
        assert store.candles("X", bar).rows() == [model[key] for key in sorted(model)]
        assert store.series().row(0, named=True)["rows"] == len(model)
    assert store.maintenance.check() == []


def test_on_request_the_last_of_a_repeated_time_wins_and_the_others_are_counted(store):
    rows = [row(close=2.0), row(timestamp=START + MINUTE), row(close=2.25)]
    result = store.write("A", "1m", rows, on_conflict="last")
    assert (result.inserted, result.duplicates, result.conflicts) == (2, 0, 1)
    assert store.candles("A", "1m")["close"].to_list() == [2.25, 2.5]


def test_on_request_a_repeat_in_a_later_chunk_wins_too_and_is_counted_once(store):
    first, second = walk(100), walk(100, start=START + 50 * MINUTE, seed=3)
    result = store.write("A", "1m", iter([first, second, second]), on_conflict="last")
    assert (result.inserted, result.updated, result.unchanged) == (150, 0, 0)
    assert (result.duplicates, result.conflicts) == (100, 50)
    expected = pl.concat([first.head(50), second])
    assert bits(store.candles("A", "1m")) == bits(expected)
    assert store.maintenance.check() == []


def test_a_stream_longer_than_a_chunk_is_one_transaction(store):
    bars = CHUNK + 1_000
    taken = []
    result = store.write("A", "1m", walk(bars), progress=taken.append)
    assert result.inserted == bars
    assert taken == [CHUNK, bars]
    bad = walk(bars, start=START + MINUTE).with_columns(
        pl.when(pl.int_range(pl.len()) == bars - 5).then(-1.0).otherwise("volume").alias("volume")
    )
    before, revision = bits(store.candles("A", "1m")), store.series()["revision"].to_list()
    with pytest.raises(ValidationError) as error:
        store.write("A", "1m", bad)
    assert error.value.row == bars - 5
    assert bits(store.candles("A", "1m")) == before
    assert store.series()["revision"].to_list() == revision


def test_an_error_in_the_users_iterator_leaves_nothing(store):
    def chunks():
        yield walk(10)
        raise RuntimeError("the download broke")

    with pytest.raises(RuntimeError, match="download"):
        store.write("A", "1m", chunks())
    assert len(store.series()) == 0
    assert store.sql("SELECT count(symbol) AS n FROM candles")["n"].to_list() == [0]


def test_the_result_says_what_happened(store):
    result = store.write("A", "1m", walk(10))
    assert result.first == dt.datetime(2025, 9, 1, tzinfo=dt.UTC)
    assert result.last == dt.datetime(2025, 9, 1, 0, 9, tzinfo=dt.UTC)
    assert store.write("A", "1m", []) == mdstore.WriteResult()
    assert store.write("A", "1m", walk(0)).rows == 0


def test_one_ulp_is_a_difference(store):
    store.write("A", "1m", [row(close=0.1 + 0.2, open=0.3, low=0.0, high=1.0)])
    result = store.write("A", "1m", [row(close=0.3, open=0.3, low=0.0, high=1.0)])
    assert (result.updated, result.unchanged) == (1, 0)
    assert store.candles("A", "1m")["close"].to_list() == [0.3]


BAD = [
    ({"open": None}, "open", "open is a number"),
    ({"close": float("nan")}, "close", "close is finite"),
    ({"high": float("inf")}, "high", "high is finite"),
    ({"low": "abc"}, "low", "low is a number"),
    ({"low": [1.0]}, "low", "low is a number"),
    ({"low": 2.1}, "low", "low <= open"),
    ({"open": 2.9, "low": 2.6}, "low", "low <= close"),
    ({"high": 1.9}, "high", "open <= high"),
    ({"high": 2.4}, "high", "close <= high"),
    ({"volume": -0.1}, "volume", "volume >= 0"),
    ({"timestamp": START + 1}, "timestamp", "timestamp starts a 1m bar"),
    ({"timestamp": None}, "timestamp", "timestamp is a time"),
    ({"timestamp": 32_503_680_000_000}, "timestamp", "timestamp is not in the future (naive times are UTC)"),
]


@pytest.mark.parametrize(("changes", "column", "rule"), BAD)
def test_a_bad_row_is_named_and_nothing_is_written(store, changes, column, rule):
    good = [row(timestamp=START + i * MINUTE) for i in range(1, 4)]
    with pytest.raises(ValidationError) as caught:
        store.write("KRW-BTC", "1m", [*good, row(**changes)])
    error = caught.value
    assert (error.row, error.column, error.rule, error.bad_rows) == (3, column, rule, 1)
    assert f"row 3 of KRW-BTC 1m: {column} = " in str(error)
    assert "Nothing was written" in str(error)
    assert str(changes[column]) in str(error)
    assert len(store.series()) == 0


@pytest.mark.parametrize(("changes", "column", "rule"), BAD)
def test_quarantine_sets_a_bad_row_aside_with_the_reason(store, changes, column, rule):
    rows = [row(timestamp=START + MINUTE), row(**changes)]
    result = store.write("A", "1m", rows, on_invalid="quarantine")
    assert (result.inserted, result.quarantined, result.rows) == (1, 1, 2)
    aside = store.quarantine().row(0, named=True)
    assert (aside["symbol"], aside["timeframe"], aside["row"]) == ("A", "1m", 1)
    assert (aside["column"], aside["rule"]) == (column, rule)
    assert set(json.loads(aside["record"])) == set(NAMES)
    result = store.write("A", "1m", rows, on_invalid="drop")
    assert (result.unchanged, result.dropped) == (1, 1)
    assert len(store.quarantine()) == 1


def test_the_first_of_several_bad_rows_is_named_and_the_others_are_counted(store):
    rows = [row(timestamp=START + i * MINUTE, volume=-1.0 if i % 2 else 1.0) for i in range(10)]
    with pytest.raises(ValidationError, match="4 more") as caught:
        store.write("A", "1m", rows)
    assert (caught.value.row, caught.value.bad_rows) == (1, 5)


def test_times_off_the_grid_are_floored_on_request(store):
    rows = [row(timestamp="2025-09-01T00:00:59.999"), row(timestamp="2025-09-01T00:01:30", close=2.25)]
    assert store.write("A", "1m", rows, align="floor").inserted == 2
    assert store.candles("A", "1m")["timestamp"].to_physical().to_list() == [START, START + MINUTE]
    assert store.write("A", "1M", rows, align="floor", on_conflict="last").conflicts == 1
    assert store.candles("A", "1M")["close"].to_list() == [2.25]


def test_weeks_start_on_monday_and_months_on_the_first(store):
    assert store.write("A", "1w", [row(timestamp="2025-09-01")]).inserted == 1
    with pytest.raises(ValidationError, match="starts a 1w bar"):
        store.write("A", "1w", [row(timestamp="2025-09-02")])
    with pytest.raises(ValidationError, match="starts a 1M bar"):
        store.write("A", "1M", [row(timestamp="2025-09-02")])


def test_local_time_taken_for_utc_is_noticed(tmp_path):
    with mdstore.MarketDataStore(tmp_path / "s.sqlite3", clock=lambda: START / 1000) as store:
        assert store.write("A", "1m", [row()]).inserted == 1
        assert store.write("A", "1d", [row(timestamp="2025-09-02")]).inserted == 1
        with pytest.raises(ValidationError, match="naive times are UTC"):
            store.write("A", "1m", [row(timestamp="2025-09-01T09:00:00")])


def test_decimals_integers_and_small_floats_are_taken(store):
    rows = [row(open=decimal.Decimal("2.5"), close=2, high=3, low=1, volume=decimal.Decimal("0.1"))]
    store.write("A", "1m", rows)
    assert store.candles("A", "1m").row(0)[1:] == (2.5, 3.0, 1.0, 2.0, 0.1)
    store.write("A", "1m", walk(3).with_columns(pl.col("volume").cast(pl.Float32)))
    assert (
        store.candles("A", "1m")["volume"].to_list()
        == walk(3)["volume"].cast(pl.Float32).cast(pl.Float64).to_list()
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (5, "cannot take int"),
        ("candles.csv", "cannot take str"),
        (None, "cannot take NoneType"),
        ([1, 2], "row 0 is a list of 2"),
        ([(1, 2)], "row 0 is a tuple of 2"),
        ([row(), (1, 2)], "row 1 is a tuple"),
        ([tuple(row().values()), {}], "row 1 is a dict"),
        ({"timestamp": [START]}, "no column for open, high, low, close, volume"),
        ({"timestamp": [START], "open": [1, 2]}, "differ in length"),
        (pd.Series([1.0]), "pandas Series"),
        (pl.Series([1.0]), "cannot take"),
        (pl.DataFrame({"a": [1]}), "the data has"),
    ],
)
def test_data_that_is_no_candles_is_refused(store, data, message):
    with pytest.raises(InvalidInputError, match=message):
        store.write("A", "1m", data)
    assert len(store.series()) == 0


def test_pandas_with_two_levels_of_names_has_tickers_in_one_of_them(store):
    frame = walk(3).to_pandas().set_index("timestamp")
    frame.columns = pd.MultiIndex.from_product([frame.columns, ["AAPL"]])
    store.write("AAPL", "1m", frame)
    assert store.candles("AAPL", "1m").equals(walk(3))
    frame.columns = pd.MultiIndex.from_product([["a", "b"], ["open", "high", "low", "close", "volume"]])[:5]
    with pytest.raises(InvalidInputError, match="xs"):
        store.write("AAPL", "1m", frame)


@pytest.mark.parametrize("symbol", ["", " BTC", "BTC\n", "a\x00b", "x" * 129, None, 5, b"BTC"])
def test_what_cannot_be_a_symbol_is_refused(store, symbol):
    with pytest.raises(InvalidInputError, match="symbol"):
        store.write(symbol, "1m", walk(1))


@pytest.mark.parametrize(
    "symbol", ["KRW-BTC", "BTC/USDT:USDT", "005930.KS", "삼성전자", "O'Neil", 'A"B', "a;--", "%s{}"]
)
def test_any_printable_symbol_is_kept_as_it_is(store, symbol):
    store.write(symbol, "1m", walk(3))
    assert store.series()["symbol"].to_list() == [symbol]
    assert len(store.candles(symbol, "1m")) == 3


def test_bad_options_are_refused_by_name(store):
    for options, error in (
        ({"align": "ceil"}, InvalidInputError),
        ({"on_invalid": "ignore"}, InvalidInputError),
        ({"unit": "minutes"}, TimestampError),
    ):
        with pytest.raises(error, match=next(iter(options))):
            store.write("A", "1m", [tuple(row().values())], **options)
    with pytest.raises(TimeframeError):
        store.write("A", "1x", walk(1))


def long_frame():
    return pl.concat(
        [
            walk(20, seed=seed, step=Timeframe.parse(bar).ms).select(
                pl.lit(symbol).alias("symbol"), pl.lit(bar).alias("timeframe"), pl.all()
            )
            for seed, (symbol, bar) in enumerate([("KRW-BTC", "1m"), ("KRW-ETH", "1m"), ("KRW-BTC", "60m")])
        ]
    )


def test_write_many_lands_a_long_frame_in_any_order(store):
    long = long_frame()
    result = store.write_many(long.sample(fraction=1, shuffle=True, seed=2))
    assert result.inserted == 60
    assert store.series().select("symbol", "timeframe", "rows").rows() == [
        ("KRW-BTC", "1h", 20), ("KRW-BTC", "1m", 20), ("KRW-ETH", "1m", 20)
    ]  # fmt: skip
    expected = long.filter(symbol="KRW-ETH").drop("symbol", "timeframe")
    assert bits(store.candles("KRW-ETH", "1m")) == bits(expected)


def test_write_many_takes_one_timeframe_for_all_rows_and_rows_as_tuples(store):
    long = long_frame().filter(timeframe="1m").drop("timeframe").rename({"symbol": "Ticker"})
    assert store.write_many(long, timeframe="1m").inserted == 40
    assert store.write_many([("X", "1m", *ROW), ("Y", "1h", *ROW)]).inserted == 2
    assert store.write_many([("X", *ROW)], timeframe="1m").unchanged == 1


@pytest.mark.parametrize(
    ("column", "value"), [("symbol", None), ("symbol", " x"), ("timeframe", "9x"), ("timeframe", None)]
)
def test_write_many_names_a_row_whose_key_is_bad(store, column, value):
    long = long_frame().with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(pl.lit(value)).otherwise(column).alias(column)
    )
    with pytest.raises(ValidationError) as caught:
        store.write_many(long)
    assert (caught.value.row, caught.value.column) == (7, column)
    result = store.write_many(long, on_invalid="quarantine")
    assert (result.inserted, result.quarantined) == (59, 1)


def test_a_write_inside_a_write_is_refused(store):
    def chunks():
        yield walk(3)
        store.write("B", "1m", walk(3))

    with pytest.raises(InvalidInputError, match="inside a read or write"):
        store.write("A", "1m", chunks())
    assert len(store.series()) == 0
    assert store.write("A", "1m", walk(3)).inserted == 3


def test_reading_while_writing_sees_the_state_before(store):
    store.write("A", "1m", walk(5))
    seen = []

    def chunks():
        yield walk(5, seed=1)
        seen.append(store.candles("A", "1m"))

    store.write("A", "1m", chunks())
    assert bits(seen[0]) == bits(walk(5))
    assert bits(store.candles("A", "1m")) == bits(walk(5, seed=1))


def test_two_names_of_one_timeframe_meet_in_one_series_and_the_last_row_wins(store):
    rows = [
        ("A", name, *ROW[:4], close, 1.0)
        for name, close in (("1h", 2.0), ("60m", 2.25), ("3600s", 2.5), ("1h", 2.75))
    ]
    result = store.write_many(rows, on_conflict="last")
    assert (result.inserted, result.conflicts) == (1, 3)
    assert store.candles("A", "1h")["close"].to_list() == [2.75]


@pytest.mark.parametrize(
    "one", [ROW, list(ROW), row(), {"Date": "2025-09-01", "o": 2, "h": 3, "l": 1, "c": 2.5, "v": 10}]
)
def test_a_single_candle_is_taken_as_it_is(store, one):
    assert store.write("A", "1m", one).inserted == 1
    assert store.candles("A", "1m").row(0)[1:] == (2.0, 3.0, 1.0, 2.5, 10.0)


def test_candles_of_several_symbols_do_not_land_in_one_series(store):
    long = long_frame().filter(timeframe="1m")
    for data in (long, long.to_pandas(), long.to_dicts(), iter([long.head(20), long.tail(20)])):
        with pytest.raises(InvalidInputError, match=r"2 symbols.*write_many"):
            store.write("KRW-BTC", "1m", data)
    assert len(store.series()) == 0
    assert store.write("BTC", "1m", long.filter(symbol="KRW-BTC"), rename=True).inserted == 20


@pytest.mark.parametrize(
    ("timeframe", "rows", "hint"),
    [
        ("1h", [row(timestamp=START + i * MINUTE) for i in range(10)], "are they 1h bars"),
        (
            "1h",
            [row(), row(timestamp=START + 2 * 60 * MINUTE), row(timestamp=START + MINUTE)],
            "align='floor'",
        ),
        ("1d", [row(timestamp="2025-09-01T09:30+09:00")], "align='floor' stores it under 2025-09-01"),
        (
            "1m",
            [row(timestamp="week 1 of 2025"), row(timestamp="week 2 of 2025")],
            "date_format='%d/%m/%Y %H:%M'",
        ),
    ],
)
def test_the_hint_fits_the_mistake(store, timeframe, rows, hint):
    with pytest.raises(ValidationError, match=hint):
        store.write("A", timeframe, rows)


def test_a_row_set_aside_twice_is_kept_once(store):
    bad = [row(volume=-1.0), row(volume=-1.0, timestamp=START + MINUTE)]
    for _ in range(2):
        assert store.write("A", "1m", bad, on_invalid="quarantine").quarantined == 2
    assert len(store.quarantine()) == 2


def test_named_rows_are_taken_by_their_names(store):
    named = walk(5).select("timestamp", "close", "high", "low", "open", "volume")
    for data in (
        list(named.to_pandas().itertuples(index=False)),
        named.with_columns(pl.col("timestamp").to_physical()).to_numpy(structured=True),
    ):
        store.write("A", "1m", data)
        assert bits(store.candles("A", "1m")) == bits(walk(5))


def test_a_leading_none_is_no_end(store):
    with pytest.raises(InvalidInputError, match="NoneType"):
        store.write("A", "1m", [None, ROW])


def test_numbers_that_would_wrap_around_are_no_times(store):
    for stamp in (2**61 + 1_704_067_200, -(2**61)):
        with pytest.raises(ValidationError, match="timestamp is a time"):
            store.write("A", "1m", [row(timestamp=stamp)], unit="s")


def test_a_timeframe_that_the_data_contradicts_is_refused(store):
    with pytest.raises(InvalidInputError, match="the data says"):
        store.write_many(long_frame().filter(timeframe="60m"), timeframe="1m")
    assert store.write_many(long_frame().filter(timeframe="60m"), timeframe="1h").inserted == 20


def test_pandas_as_it_comes(store):
    frame = walk(4).to_pandas()
    frame["note"] = ["x", 1, None, b"y"]
    frame["close"] = frame["close"].astype(object)
    assert store.write("A", "1m", frame).inserted == 4
    frame.loc[1, "close"] = "abc"
    with pytest.raises(ValidationError, match="close = abc"):
        store.write("A", "1m", frame)
    with pytest.raises(InvalidInputError, match="several columns are named close"):
        store.write("A", "1m", pd.concat([frame, frame[["close"]]], axis=1))
    with pytest.raises(ValidationError, match="timestamp is a time"):
        store.write("A", "1m", [row(), row(timestamp=pd.NaT)])


def test_bytes_are_no_price(store):
    with pytest.raises(ValidationError, match="open is a number"):
        store.write("A", "1m", walk(3).with_columns(open=pl.lit(b"1")))


def test_a_kept_bar_is_not_changed_and_the_hint_says_how_it_may(store):
    bar = ("2024-01-02T10:00", 1, 1, 1, 1, 1)
    store.write("F", "1h", [bar])
    other = [(bar[0], 2, 2, 2, 2, 2)]
    keep = {("F", "60m"): [("2024-01-02", None)]}
    with pytest.raises(mdstore.ConflictError, match="is stored with other values") as caught:
        store.write("F", "1h", other, keep=keep)
    assert caught.value.stored
    assert "leave this range out of keep=" in caught.value.hint.python
    assert "on_conflict" not in caught.value.hint.python
    assert store.write("F", "1h", other, keep={("F", "60m"): [("2024-01-03", None)]}).updated == 1
