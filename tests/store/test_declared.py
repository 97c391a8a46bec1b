"""Declared columns: kept beside candles, read where they are named, made of shorter bars by their rule."""

import json
import math

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdstore
from mdstore import ConflictError, InvalidInputError, QueryError, ValidationError
from mdstore.analysis.resample import resample
from mdstore.core.timeframe import Timeframe
from tests.support.candles import MINUTE, START, walk
from tests.support.real import real

SIX = ["timestamp", "open", "high", "low", "close", "volume"]


def valued(bars, *, seed=0, start=START, name="value", gaps=3):
    """Return bars with a value beside them that says which they are; each so many-th has none."""
    values = [None if gaps and at % gaps == 1 else at * 10.0 + seed for at in range(bars)]
    return walk(bars, start=start, seed=seed).with_columns(pl.Series(name, values, dtype=pl.Float64))


def values(store, symbol="A", timeframe="1m", name="value", **bounds):
    return store.candles(symbol, timeframe, columns=[name], **bounds)[name].to_list()


@pytest.fixture
def kept(store):
    store.declare("value", resample="sum")
    return store


# --- what is declared


def test_nothing_is_kept_that_is_not_declared(store):
    result = store.write("A", "1m", valued(5))
    assert result.ignored == ("value",)
    with pytest.raises(InvalidInputError, match=r"columns=\['value'\]"):
        store.candles("A", "1m", columns=["value"])
    assert store.declared().is_empty()
    assert store.scan("A", "1m").collect_schema().names() == SIX
    assert store.sql("SELECT * FROM candles").width == 8


def test_a_turnover_in_rows_without_names_is_kept_and_no_count_of_trades(kept):
    kept.declare("trades", resample="sum")
    page = [
        ["1704153600000", "10", "14", "9", "12", "5", "59.5"],
        ["1704153660000", "12", "13", "8", "9", "7", "70.25"],
    ]
    assert kept.write("A", "1m", page).ignored == ()
    assert values(kept) == [59.5, 70.25]
    assert values(kept, name="trades") == [None, None]


def test_declarations_are_listed_replaced_and_taken_back(store):
    store.declare("value", resample="sum", source="acc", symbols=["KRW-*"], timeframes=["60m", "1d"])
    store.declare("oi", resample="last")
    assert store.declared().rows() == [
        ("value", "sum", ["acc"], ["KRW-*"], ["1h", "1d"]), ("oi", "last", [], [], []),
    ]  # fmt: skip
    store.declare("value", resample="mean")
    assert store.declared()["resample"].to_list() == ["mean", "last"]
    store.undeclare("oi")
    assert store.declared()["name"].to_list() == ["value"]
    with pytest.raises(InvalidInputError, match="no column 'valeu' is declared") as caught:
        store.undeclare("valeu")
    assert caught.value.said("python").endswith("Hint: did you mean value?")


@pytest.mark.parametrize(
    "name", ["", "Value", "1st", "a b", "a" * 41, "é", 'x"; DROP TABLE candles', None, 7]
)
def test_a_name_is_a_plain_word(store, name):
    with pytest.raises(InvalidInputError, match="cannot name a column"):
        store.declare(name, resample="sum")
    assert store.declared().is_empty()


@pytest.mark.parametrize(
    "name", ["close", "timestamp", "symbol", "closed", "bars", "filled", "new_value", "row"]
)
def test_a_name_means_nothing_else(store, name):
    with pytest.raises(InvalidInputError, match="it means something else") as caught:
        store.declare(name, resample="sum")
    assert f"source={name!r}" in caught.value.said("python")


def test_the_hint_of_a_name_that_is_no_word_works(store):
    with pytest.raises(InvalidInputError) as caught:
        store.declare("Adj Close", resample="last")
    assert caught.value.said("cli").endswith("Hint: declare 'adj_close'")
    store.declare("adj_close", resample="last")
    store.write("A", "1d", pl.DataFrame({"date": ["2025-09-01"], "open": 1, "high": 2, "low": 1, "close": 2,
                                         "volume": 3, "Adj_Close": 1.5}))  # fmt: skip
    assert values(store, timeframe="1d", name="adj_close") == [1.5]


def test_a_rule_is_one_of_seven_and_columns_are_sixteen(store):
    with pytest.raises(InvalidInputError, match="resample='median' is no way") as caught:
        store.declare("value", resample="median")
    assert "volume_weighted" in str(caught.value)
    for number in range(16):
        store.declare(f"c{number}", resample="sum")
    store.declare("c3", resample="last")
    with pytest.raises(InvalidInputError, match="16 columns are declared"):
        store.declare("c16", resample="sum")
    store.undeclare("c0")
    store.declare("c16", resample="sum")
    frame = walk(300).with_columns(pl.lit(float(number)).alias(f"c{number}") for number in range(17))
    assert store.write("A", "1m", frame).ignored == ("c0",)
    read = store.candles("A", "1m", columns=[f"c{number}" for number in range(1, 17)])
    assert read.unique().rows() == [tuple(map(float, range(1, 17)))]
    assert store.maintenance.check() == []


@pytest.mark.parametrize("wrong", [{"symbols": 7}, {"source": [""]}, {"timeframes": "7x"}, {"symbols": [3]}])
def test_what_a_declaration_is_of_is_named_rightly(store, wrong):
    with pytest.raises(InvalidInputError):
        store.declare("value", resample="sum", **wrong)
    assert store.declared().is_empty()


# --- what is written


def test_a_column_is_taken_by_its_name_a_known_one_or_its_source(store):
    store.declare("value", resample="sum")
    store.declare("trades", resample="sum", source="Anzahl")
    row = {"open": 1, "high": 2, "low": 1, "close": 2, "volume": 3}
    for at, more in enumerate([{"value": 5}, {"candle_acc_trade_price": 6}, {"Quote_Volume": 7},
                               {"value": 8, "quote_volume": 9}, {"Anzahl": 4}, {" ANZAHL ": 5}]):  # fmt: skip
        store.write("A", "1m", [{"timestamp": START + at * MINUTE, **row, **more}])
    assert values(store) == [5, 6, 7, 8, None, None]
    assert values(store, name="trades") == [None, None, None, None, 4, 5]


def tables():
    frame = valued(6)
    yield "polars", frame
    yield "lazy", frame.lazy()
    yield "arrow", frame.to_arrow()
    yield "batch", frame.to_arrow().combine_chunks().to_batches()[0]
    yield "pandas", frame.to_pandas()
    yield "indexed", frame.to_pandas().set_index("timestamp")
    yield "dicts", frame.to_dicts()
    yield "columns", {name: frame[name].to_list() for name in frame.columns}
    yield "texts", frame.with_columns(pl.col("value").cast(pl.String).fill_null(" "))
    yield "pieces", iter([frame.head(2), frame.slice(2, 2), frame.tail(2)])
    yield "numpy", frame.with_columns(pl.col("timestamp").dt.epoch("ms")).to_numpy(structured=True)


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in tables()])
def test_every_kind_of_data_has_it(kept, data):
    if isinstance(data, pa.Table | pa.RecordBatch):
        assert "value" in data.schema.names
    if not isinstance(data, pd.DataFrame) and getattr(data, "dtype", None) is not None:
        data = data[~pd.isna(data["value"])]  # of NaN in numpy nobody says that it is none
    kept.write("A", "1m", data)
    expected = {at: at * 10.0 for at in range(6) if at % 3 != 1}
    found = kept.candles("A", "1m", columns=["timestamp", "value"]).drop_nulls()
    times = (found["timestamp"].dt.epoch("ms") - START) // MINUTE
    assert dict(zip(times, found["value"], strict=True)) == expected
    assert kept.maintenance.check() == []


def test_a_write_without_the_column_leaves_it_and_one_with_a_null_takes_it_away(kept):
    kept.write("A", "1m", valued(6, gaps=0))
    again = walk(6, seed=3)
    assert kept.write("A", "1m", again).updated == 6
    assert values(kept) == [0, 10, 20, 30, 40, 50]
    nulls = again.with_columns(pl.when(pl.col("timestamp").dt.minute() != 2).then(pl.lit(7.0)).alias("value"))
    result = kept.write("A", "1m", nulls)
    assert (result.updated, result.unchanged) == (6, 0)
    assert values(kept) == [7, 7, None, 7, 7, 7]
    assert kept.write("A", "1m", nulls).unchanged == 6
    assert kept.write("A", "1m", again).unchanged == 6
    assert kept.write("A", "1m", walk(1, start=START + 6 * MINUTE)).inserted == 1
    assert values(kept)[-1] is None
    assert kept.maintenance.check() == []


def test_what_came_with_a_bar_and_what_came_later_are_counted_once(kept):
    kept.write("A", "1m", walk(10))
    result = kept.write("A", "1m", valued(12, gaps=0))
    assert (result.inserted, result.updated, result.unchanged) == (2, 10, 0)
    changed = valued(12, gaps=0).with_columns(
        value=pl.when(pl.int_range(pl.len()) == 3).then(0.5).otherwise("value"),
        volume=pl.when(pl.int_range(pl.len()) == 5).then(0.5).otherwise("volume"),
    )
    result = kept.write("A", "1m", changed)
    assert (result.inserted, result.updated, result.unchanged) == (0, 2, 10)


@pytest.mark.parametrize(
    ("value", "rule"),
    [(math.inf, "value is finite"), (-math.inf, "value is finite"), (math.nan, "value is a number"),
     ("many", "value is a number"), ("inf", "value is finite"),
     ([1.0], "value is a number")],
)  # fmt: skip
def test_what_is_no_number_is_refused_or_set_aside(kept, value, rule):
    rows = valued(3, gaps=0).to_dicts()
    rows[1]["value"] = value
    with pytest.raises(ValidationError, match=rule) as caught:
        kept.write("A", "1m", rows)
    assert (caught.value.row, caught.value.column) == (1, "value")
    assert kept.series().is_empty()
    assert kept.write("A", "1m", rows, on_invalid="quarantine").quarantined == 1
    assert kept.quarantine().select("rule", "column").rows() == [(rule, "value")]
    assert "value" in json.loads(kept.quarantine()["record"][0])
    assert values(kept) == [0, 20]


def test_of_nan_pandas_says_that_there_is_none(kept):
    kept.write("A", "1m", valued(6).to_pandas())
    assert values(kept) == [0, None, 20, 30, None, 50]


def test_large_and_small_numbers_and_zeros_are_kept_to_the_bit(kept):
    given = [1e308, 5e-324, -0.0, 0.1 + 0.2, -1e-300, 123_456_789_012_345_678.0]
    kept.write("A", "1m", walk(6).with_columns(value=pl.Series(given)))
    assert values(kept) == given
    kept._candles._memory.clear()
    assert math.copysign(1, values(kept)[2]) == 1
    assert kept.maintenance.check() == []


def test_only_of_the_series_that_are_named(store):
    store.declare("value", resample="sum", symbols=["KRW-*", "X"], timeframes="1m")
    rows = [
        {"symbol": symbol, "timeframe": bar, "timestamp": START, "open": 1, "high": 2, "low": 1, "close": 2,
         "volume": 3, "value": 4.0}
        for symbol in ("KRW-BTC", "BTC-KRW", "X") for bar in ("1m", "1h")
    ]  # fmt: skip
    store.write_many(rows)
    assert store.write("BTC-KRW", "1m", valued(2)).ignored == ("value",)
    assert store.write("KRW-BTC", "1m", valued(2)).ignored == ()
    every = store.candles(None, "1m", columns=["value"])
    assert every.group_by("symbol", maintain_order=True).agg("value").rows() == [
        ("BTC-KRW", [None, None]), ("KRW-BTC", [0.0, None]), ("X", [4.0]),
    ]  # fmt: skip
    assert store.candles(None, "1h", columns=["value"])["value"].to_list() == [None] * 3


def test_a_bar_that_comes_twice_with_other_values_is_a_conflict(kept):
    twice = pl.concat([valued(3, gaps=0), valued(3, gaps=0).tail(1).with_columns(value=0.25)])
    with pytest.raises(ConflictError, match=r"value = 20.0 and 0.25") as caught:
        kept.write("A", "1m", twice)
    assert caught.value.names[-1] == "value"
    assert (caught.value.earlier[-1], caught.value.later[-1]) == (20.0, 0.25)
    with pytest.raises(ConflictError, match=r"value = 20.0 and 0.25"):
        kept.write("A", "1m", iter([twice.head(3), twice.tail(1)]))
    with pytest.raises(ConflictError, match=r"value = 20.0 and None"):
        kept.write(
            "A", "1m", iter([twice.head(3), twice.tail(1).with_columns(value=pl.lit(None, pl.Float64))])
        )
    assert kept.series().is_empty()
    for data in (twice, iter([twice.head(3), twice.tail(1)])):
        assert kept.write("A", "1m", data, on_conflict="last").conflicts == 1
        assert values(kept) == [0, 10, 0.25]
    assert kept.write("B", "1m", pl.concat([valued(3), valued(3)])).duplicates == 3


def test_a_range_that_is_kept_keeps_its_values_and_takes_those_that_are_missing(kept):
    kept.write("A", "1m", valued(6))
    keep = {("A", "1m"): [(START, START + 6 * MINUTE)]}
    fuller = valued(6).with_columns(pl.col("value").fill_null(99.0))
    assert kept.write("A", "1m", fuller, keep=keep).updated == 2
    with pytest.raises(ConflictError, match=r"stored with other values: value = 99.0 and 1.0") as caught:
        kept.write("A", "1m", fuller.with_columns(value=pl.lit(1.0)).slice(1, 1), keep=keep)
    assert caught.value.stored
    assert values(kept) == [0, 99, 20, 30, 99, 50]


def test_the_columns_of_exchanges_are_known_by_their_places_and_as_people_write_numbers(store):
    for name in ("value", "trades"):
        store.declare(name, resample="sum")
    quoted = ["1", "2", "1", "2", "3", START + 59_999, "4.5", 7, "0.5", "0.75", "0"]  # as Binance answers
    kline = [START, *quoted]
    assert store.write("A", "1m", [kline]).inserted == 1
    assert store.candles("A", "1m", columns=["value", "trades"]).rows() == [(4.5, 7.0)]
    times = ["2025-09-01 00:00", "2025-09-01 00:01", "2025-09-01 00:02"]
    prices = {name: ["1,010.5"] * 3 for name in ("open", "high", "low", "close", "volume")}
    rows = {"timestamp": times, **prices, "turnover": ["1,234,567.5", "1.2M", "-"]}
    store.write("B", "1m", rows)
    assert values(store, "B") == [1_234_567.5, 1_200_000.0, None]


# --- what is read


def test_every_read_has_it_where_it_is_named(kept):
    kept.write("A", "1m", valued(400))
    kept.write("B", "1m", walk(5))
    kept.write("C", "1m", valued(400, seed=1))
    expected = {
        "A": valued(400)["value"].to_list(),
        "B": [None] * 5,
        "C": valued(400, seed=1)["value"].to_list(),
    }
    assert kept.candles("A", "1m").columns == SIX
    assert kept.candles(None, "1m").columns == ["symbol", *SIX]
    assert kept.candles("A", "1m", columns=["value", "close"]).columns == ["value", "close"]
    for symbols in ("A", "B", ["A"], ["B", "C"], None):
        names = expected if symbols is None else [symbols] if isinstance(symbols, str) else symbols
        wanted = [value for name in names for value in expected[name]]
        table = kept.arrow(symbols, "1m", columns=["timestamp", "value"])
        assert table["value"].to_pylist() == wanted
        assert table.schema.field("value").type == pa.float64()
        lazy = kept.scan(symbols, "1m")
        assert lazy.collect_schema()["value"] == pl.Float64
        assert lazy.select("value").collect()["value"].to_list() == wanted
        found = lazy.filter(pl.col("value") > 100).select(pl.col("value").sum()).collect().item()
        assert found == sum(value for value in wanted if value is not None and value > 100)
        assert kept.candles(symbols, "1m", columns=["value"])["value"].to_list() == wanted
    tail = kept.candles(["A", "B"], "1m", columns=["value"], limit=2)["value"].to_list()
    assert tail == [*expected["A"][-2:], None, None]
    assert kept.explain("A", "1m", columns=["value"]).rows == 400


def test_a_declared_column_is_one_of_sql(kept):
    kept.declare("trades", resample="sum")
    assert kept.sql("SELECT value, trades FROM candles").schema == {"value": pl.Float64, "trades": pl.Float64}
    kept.write("A", "1m", valued(400))
    kept.write("B", "1h", walk(3, step=60 * MINUTE))
    found = kept.sql(
        "SELECT symbol, count(value) AS n, sum(value) AS v, max(trades) AS t FROM candles GROUP BY ALL"
    )
    assert found.sort("symbol").rows() == [
        ("A", 267, sum(filter(None, valued(400)["value"])), None),
        ("B", 0, None, None),
    ]
    assert kept.sql("SELECT * FROM candles").columns == ["symbol", "timeframe", *SIX, "value", "trades"]
    with pytest.raises(QueryError, match="valeu"):
        kept.sql("SELECT valeu FROM candles")


def test_a_screen_ranks_by_it(kept):
    days = pl.datetime_range(pl.datetime(2025, 8, 1), pl.datetime(2025, 8, 30), "1d", time_zone="UTC")
    for seed, symbol in enumerate("ABC"):
        kept.write(symbol, "1d", valued(30, seed=seed, gaps=0).with_columns(timestamp=days))
    kept.write("N", "1d", walk(3, step=86_400_000, start=START - 3 * 86_400_000))
    for what in (
        "sma(value, 3)",
        {"v": "value.rolling_mean(3)"},
        pl.col("value").rolling_mean(3),
        ["value > 280"],
    ):
        rows = kept.screen("1d", what).rows
        ranked = rows.sort(rows.columns[1], "symbol", descending=True, nulls_last=True)["symbol"].to_list()
        assert ranked == ["C", "B", "A", "N"]
    by_function = kept.screen("1d", lambda bars: bars["value"].sum()).rows
    assert by_function["value"].to_list() == [4350.0, 4380.0, 4410.0, 0.0]
    weekly = kept.screen("1w", "value", derive_from="1d").rows
    assert weekly.filter(pl.col("symbol") == "A")["value"].item() == sum(range(240, 300, 10))
    with pytest.raises(QueryError, match="valu"):
        kept.screen("1d", "valu > 3")


def test_bars_that_are_made_have_it(kept):
    kept.write("A", "1m", valued(10))
    hourly = kept.candles("A", "1h", derive_from="1m", columns=["timestamp", "value", "closed"])
    assert hourly["value"].to_list() == [0 + 20 + 30 + 50 + 60 + 80 + 90]
    assert kept.resample("A", "1h", source="1m").columns == [*SIX, "closed", "bars", "of"]
    assert kept.resample("A", "5m", source="1m", columns=["value"])["value"].to_list() == [50, 280]
    kept.write("A", "1m", valued(1, start=START + 12 * MINUTE, gaps=0))
    flat = kept.candles("A", "1m", fill="flat", columns=["value", "close", "filled"]).tail(3)
    assert flat["value"].to_list() == [None, None, 0]
    assert flat["filled"].to_list() == [True, True, False]
    both = kept.candles("A", "5m", derive_from="1m", fill="null", columns=["value", "of", "filled"])
    assert both["value"].to_list() == [50, 280, 0]
    assert kept.candles("A", "5m", derive_from="1m", columns="value")["value"].to_list() == [50, 280, 0]
    picked = (name for name in ("timestamp", "close"))
    assert kept.candles("A", "5m", derive_from="1m", columns=picked).columns == ["timestamp", "close"]
    forming = kept.candles("A", "1m", include_forming=True, columns=["value", "closed"])
    assert forming["value"].to_list() == kept.candles("A", "1m", columns=["value"])["value"].to_list()
    every = kept.candles(None, "1m", include_forming=True, columns=["value", "partial"])
    assert every.columns == ["symbol", "value", "partial"]


RULES = {
    "sum": lambda pairs: math.fsum(x for x, _ in pairs),
    "last": lambda pairs: pairs[-1][0],
    "first": lambda pairs: pairs[0][0],
    "max": lambda pairs: max(x for x, _ in pairs),
    "min": lambda pairs: min(x for x, _ in pairs),
    "mean": lambda pairs: math.fsum(x for x, _ in pairs) / len(pairs),
    "volume_weighted": lambda pairs: (
        math.fsum(x * v for x, v in pairs) / total
        if (total := math.fsum(v for _, v in pairs))
        else math.fsum(x for x, _ in pairs) / len(pairs)
    ),
}


@given(
    st.lists(
        st.tuples(st.none() | st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, 2.5])), min_size=1, max_size=40
    )
)
def test_the_rules_are_those_of_plain_arithmetic(rows):
    bars = walk(len(rows)).with_columns(
        volume=pl.Series([volume for _, volume in rows]),
        **{rule: pl.Series([value for value, _ in rows], dtype=pl.Float64) for rule in RULES},
    )
    made = resample(bars, Timeframe.parse("1m"), Timeframe.parse("7m"), extras={rule: rule for rule in RULES})
    assert made.columns == [*SIX, *RULES, "closed", "bars", "of"]
    groups = {}
    for at, pair in enumerate(rows):
        groups.setdefault((START + at * MINUTE) // (7 * MINUTE), []).append(pair)
    for row, pairs in zip(made.iter_rows(named=True), groups.values(), strict=True):
        known = [(value, volume) for value, volume in pairs if value is not None]
        for rule, arithmetic in RULES.items():
            expected = arithmetic(known) if known else None
            assert row[rule] == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-6))


def test_undeclared_it_is_neither_read_nor_written_and_there_again_when_declared(kept):
    kept.write("A", "1m", valued(300, gaps=0))
    kept.undeclare("value")
    with pytest.raises(InvalidInputError):
        kept.candles("A", "1m", columns=["value"])
    assert kept.sql("SELECT * FROM candles").width == 8
    assert kept.write("A", "1m", valued(3, seed=1)).ignored == ("value",)
    kept.maintenance.warm(rebuild=True)
    kept.declare("value", resample="last")
    assert values(kept) == [at * 10.0 for at in range(300)]
    assert kept.maintenance.check() == []


def test_a_fingerprint_is_of_the_columns_that_are_named(kept):
    kept.write("A", "1m", valued(50))
    before = kept.fingerprint("A", "1m")
    both = kept.fingerprint("A", "1m", columns=[*SIX, "value"])
    assert mdstore.fingerprint(kept.candles("A", "1m", columns=[*SIX, "value"])) == both
    at = kept.series()["revision"][0]
    kept.write("A", "1m", valued(50, gaps=0))
    assert kept.fingerprint("A", "1m") == before
    assert kept.fingerprint("A", "1m", columns=[*SIX, "value"]) != both
    assert kept.fingerprint("A", "1m", columns=[*SIX, "value"], as_of=at) == both


# --- the past


def test_as_of_and_revisions_tell_what_values_were(kept):
    kept.write("A", "1m", walk(6), source="bars")
    kept.write("B", "1m", walk(2))
    times = [kept.series()["revision"].max()]
    for frame in (valued(6), valued(6).with_columns(value=pl.lit(1.5)), walk(6, seed=2)):
        kept.write("A", "1m", frame, source="values")
        times.append(kept.series()["revision"].max())
    none, first, second = [None] * 6, valued(6)["value"].to_list(), [1.5] * 6
    for at, expected in zip(times, (none, first, second, second), strict=True):
        assert values(kept, as_of=at) == expected
        assert kept.candles(None, "1m", columns=["value"], as_of=at)["value"].to_list() == [
            *expected,
            None,
            None,
        ]
        bars = kept.candles("A", "1m", columns=["close", "value"], as_of=at, limit=2)
        assert bars["close"].to_list() == walk(6, seed=2 if at == times[-1] else 0)["close"].to_list()[-2:]
        assert bars["value"].to_list() == expected[-2:]
    changes = kept.revisions("A", "1m")
    assert changes.columns[-2:] == ["value", "new_value"]
    at_zero = changes.filter(pl.col("timestamp").dt.epoch("ms") == START)
    assert at_zero.select("value", "new_value").rows() == [(None, 0.0), (0.0, 1.5), (1.5, 1.5)]
    assert (at_zero["close"] == at_zero["new_close"]).to_list() == [True, True, False]
    assert set(at_zero["source"]) == {"values"}
    assert kept.maintenance.check() == []
    kept.delete("A", "1m", start=START, end=START + 3 * MINUTE)
    assert kept.maintenance.check() == []
    assert values(kept) == [1.5] * 3
    assert len(kept.revisions("A", "1m")) == 3 + 3 + 2


def test_a_bar_that_forms_has_no_past(tmp_path):
    now = [START / 1000 + 90]
    with mdstore.MarketDataStore(tmp_path / "s.sqlite3", clock=lambda: now[0]) as store:
        store.declare("value", resample="sum")
        store.write("A", "1m", valued(2, gaps=0))
        store.write("A", "1m", valued(2, gaps=0).with_columns(value=pl.lit(5.0)))
        assert store.revisions("A", "1m")["timestamp"].dt.epoch("ms").to_list() == [START]
        now[0] += 60
        store.write("A", "1m", valued(2, gaps=0).with_columns(value=pl.lit(6.0)))
        assert len(store.revisions("A", "1m")) == 2
        store.write("A", "1m", valued(2, gaps=0).with_columns(value=pl.lit(7.0)))
        assert len(store.revisions("A", "1m")) == 4
        assert store.maintenance.check() == []


# --- recorded data


def pages(bar):
    return [
        json.loads(path.read_text()) for path in sorted(real("smtm").glob(f"upbit_{bar}_20200220_17*.json"))
    ]


def test_turnover_of_bars_that_are_made_is_the_exchanges_own(store):
    """Upbit's own names, newest first: 1m put together against Upbit's 3m."""
    store.declare("value", resample="sum")
    for bar in ("1m", "3m"):
        for page in pages(bar):
            store.write("KRW-BTC", bar, page, rename=True)
    first = pages("1m")[0]
    by_time = {one["candle_date_time_utc"]: one["candle_acc_trade_price"] for one in first}
    stored = store.candles("KRW-BTC", "1m", columns=["timestamp", "value"])
    assert {f"{at:%Y-%m-%dT%H:%M:%S}": value for at, value in stored.iter_rows()} == by_time
    own = store.candles("KRW-BTC", "3m", columns=["timestamp", "value", "volume"])
    made = store.candles("KRW-BTC", "3m", derive_from="1m", columns=["timestamp", "value", "volume"])
    both = own.join(made, on="timestamp", suffix="_made")
    assert len(both) == 60
    for row in both.iter_rows(named=True):
        assert row["value_made"] == pytest.approx(row["value"], rel=1e-12)
    assert store.maintenance.check() == []
