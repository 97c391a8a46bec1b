"""Frozen pieces as bytes: what comes out is what went in, to the bit, and small."""

import random
from math import inf, nan

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather

from mdstore.candles.file.frozen_bytes import decoded, encoded, same_bits
from mdstore.core.schema import TIMESTAMP, VALUES, wide_candle
from tests.support.candles import MINUTE, START, walk
from tests.support.real import real

ODD = (0.0, -0.0, nan, inf, -inf, 5e-324, 1.7e308, 2.0**53, 2.0**53 + 2, -(2.0**60), 0.1 + 0.2)


def batch(columns, times=None):
    """Return rows of columns of numbers: five are a candle's."""
    times = pa.array(times or [START + i * MINUTE for i in range(len(columns[0]))], pa.int64()).cast(
        TIMESTAMP
    )
    arrays = [pa.array(list(column), pa.float64()) for column in columns]
    return pa.RecordBatch.from_arrays([times, *arrays], schema=wide_candle(len(columns) - 5))


def candles(frame):
    """Return the columns of a frame as rows."""
    return batch([frame[name].cast(pl.Float64) for name in VALUES])


def bytes_a_row(rows):
    made = encoded(rows, ())
    assert same_bits(decoded(made, ()), rows)
    return len(made) / rows.num_rows


numbers = st.one_of(
    st.sampled_from(ODD),
    st.floats(),
    st.tuples(st.integers(-(10**15), 10**15), st.integers(0, 12)).map(lambda two: two[0] / 10 ** two[1]),
)


@given(st.data())
def test_every_bit_comes_back(data):
    rows = data.draw(st.integers(1, 30))
    extras = data.draw(st.integers(0, 2))
    kinds = [
        data.draw(st.sampled_from([numbers, st.integers(0, 999).map(lambda n: n / 100)])) for _ in range(5)
    ]
    columns = [data.draw(st.lists(kind, min_size=rows, max_size=rows)) for kind in kinds]
    columns += [
        data.draw(st.lists(st.just(nan) | numbers, min_size=rows, max_size=rows)) for _ in range(extras)
    ]
    given_rows, names = batch(columns), ("value", "trades")[:extras]
    assert same_bits(decoded(encoded(given_rows, names), names), given_rows)


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(-8, 8)), min_size=1, max_size=50))
def test_values_that_miss_their_decimals_by_a_few_units_come_back(drawn):
    decimals = pa.array([whole / 10**8 for whole, _ in drawn])
    bits = [bits + off for bits, (_, off) in zip(decimals.view(pa.int64()).to_pylist(), drawn, strict=True)]
    values = pa.array(bits, pa.int64()).view(pa.float64()).to_pylist()
    rows = batch([values] * 5)
    made = encoded(rows, ())
    assert same_bits(decoded(made, ()), rows)
    assert ("close ulps" in pq.read_schema(pa.BufferReader(made)).names) == any(off for _, off in drawn)


def test_a_negative_zero_beside_a_value_that_is_no_decimal_comes_back():
    rows = batch([[0.0, -0.0, 5e-324]] * 5)
    assert same_bits(decoded(encoded(rows, ()), ()), rows)


def test_a_slice_is_packed_as_it_is():
    rows = candles(walk(300))
    assert same_bits(decoded(encoded(rows.slice(17, 90), ()), ()), rows.slice(17, 90))


def test_declared_columns_are_found_by_name_and_lacking_ones_are_no_values():
    rows = batch([[1.0, 2.0]] * 5 + [[nan, 0.25], [3.0, nan]])
    made = encoded(rows, ("value", "trades"))
    assert same_bits(decoded(made, ("trades",)), batch([[1.0, 2.0]] * 5 + [[3.0, nan]]))
    assert same_bits(decoded(made, ("later", "value")), batch([[1.0, 2.0]] * 5 + [[nan, nan], [nan, 0.25]]))
    assert not same_bits(decoded(made, ("value",)), rows)


def test_any_program_reads_the_prices():
    """Polars, DuckDB and pyarrow see decimals, and the times as times."""
    import duckdb

    frame = pl.DataFrame({name: [100.25, 99.5] for name in VALUES})
    made = encoded(candles(frame), ())
    seen = pl.read_parquet(made)
    assert seen["close"].cast(pl.Float64).to_list() == [100.25, 99.5]
    assert seen["timestamp"].dt.timestamp("ms").to_list() == [START, START + MINUTE]
    table = pq.read_table(pa.BufferReader(made))
    with duckdb.connect() as con:
        con.register("piece", table)
        assert con.execute("SELECT sum(close)::DOUBLE FROM piece").fetchone() == (199.75,)
    assert table.schema.field("close").type == pa.decimal128(18, 2)


RECORDED = ("UNITTEST_BTC-1m", "XRP_ETH-1m", "XRP_ETH-5m", "TRX_BTC-5m")


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_crypto_market_takes_less_than_fifteen_bytes_a_row(name):
    """Among them two whose values are off by a unit or two in the last place."""
    frame = pl.from_arrow(feather.read_table(real("freqtrade", f"{name}.feather"), memory_map=False))
    assert bytes_a_row(candles(frame)) < 15


def test_upbit_takes_less_than_fifteen_bytes_a_row_and_a_walk_in_cents_less_than_eight():
    assert bytes_a_row(candles(pl.read_csv(real("upbit", "BTC_KRW_1m.csv")))) < 15
    from bench.candles import frame

    assert bytes_a_row(candles(frame(16_384, 1))) < 8


def test_stocks_take_less_than_twenty_bytes_a_row():
    for file in sorted(real("sp500").glob("*.csv"))[:20]:
        stock = pl.read_csv(file).drop_nulls()
        if len(stock) > 1_000:
            assert bytes_a_row(candles(stock)) < 20, file.name


def adjusted(every):
    """Return a walk in cents times a factor, which changes after so many bars."""
    from bench.candles import frame

    bars, chance = frame(16_384, 1), random.Random(3)
    factors = [1.0]
    while len(factors) * every < len(bars):
        factors.append(factors[-1] * (1 - chance.random() / 100))
    factor = pl.Series([factors[at // every] / 3 for at in range(len(bars))])
    prices = pl.col("open", "high", "low", "close")
    return candles(bars.with_columns(prices * factor, pl.col("volume") / factor))


@pytest.mark.parametrize(("every", "most"), [(16_384, 15), (1_000, 20)])
def test_adjusted_prices_take_less_than_twenty_bytes_a_row(every, most):
    """They are no decimals, and took 29 to 31 as binary fractions."""
    assert bytes_a_row(adjusted(every)) < most


def test_bits_say_what_they_are_to_other_programs():
    rows = adjusted(1_000)
    table = pq.read_table(pa.BufferReader(encoded(rows, ())))
    assert "close" not in table.column_names
    assert table["close bits"].combine_chunks().view(pa.float64()).equals(rows.column(4))
    assert (table["close bits"].to_numpy().view("f8") == rows.column(4).to_numpy()).all()


def test_pieces_of_before_come_back():
    """They had what fits no decimals as binary fractions, bytes split into streams."""
    rows = batch([[0.1, nan, -0.0, 1 / 3]] * 6)
    columns = {"timestamp": rows.column(0), **dict(zip((*VALUES, "value"), rows.columns[1:], strict=True))}
    out = pa.BufferOutputStream()
    pq.write_table(
        pa.table(columns), out, compression="zstd", use_dictionary=False, write_statistics=False,
        column_encoding={name: "BYTE_STREAM_SPLIT" for name in columns if name != "timestamp"},
        store_schema=False,
    )  # fmt: skip
    made = out.getvalue().to_pybytes()
    assert same_bits(decoded(made, ("value",)), rows)
    assert same_bits(decoded(encoded(rows, ("value",)), ("value",)), rows)
