"""Filled gaps: the laws of a regular grid, and a model that goes from time to time in plain Python."""

import struct

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdstore import InvalidInputError
from mdstore.analysis.fill import check_fill, filled, filled_long
from mdstore.core.schema import CANDLE_COLUMNS, PRICES, VALUES
from tests.support.candles import MINUTE, START, walk
from tests.support.doses import dose

UTC_MS = pl.Datetime("ms", "UTC")
TINY, HUGE = 5e-324, 1.7976931348623157e308
FLAT, NULL = "flat", "null"

hows = st.sampled_from([FLAT, NULL])
# Half minutes: some are off the grid.
halves = st.lists(st.integers(-8, 40), unique=True, max_size=25).map(sorted)
odd_floats = st.sampled_from([-0.0, 0.0, TINY, -TINY, HUGE, float("inf"), float("nan")])
values = st.one_of(odd_floats, st.floats())
laws = settings(max_examples=dose(60))
symbols = st.sampled_from(["B", "A", "é", "AA", "a", "한"])


def more(bars):
    """Give candles two further columns."""
    return bars.with_columns(closed=pl.lit(value=True), trades=pl.lit(1, pl.UInt16))


EMPTY = more(walk(1)).clear()


@st.composite
def series(draw, *, nulls=False):
    """Draw bars of one series with two further columns."""
    moments = draw(halves)
    cell = st.one_of(st.none(), values) if nulls else values
    columns = {
        name: pl.Series([draw(cell) for _ in moments], dtype=pl.Float64, strict=False) for name in VALUES
    }
    return pl.DataFrame(
        {
            "timestamp": pl.Series([START + half * MINUTE // 2 for half in moments], dtype=pl.Int64).cast(
                UTC_MS
            ),
            **columns,
            "closed": pl.Series([draw(st.booleans()) for _ in moments], dtype=pl.Boolean),
            "trades": pl.Series([draw(st.integers(0, 9)) for _ in moments], dtype=pl.UInt16),
        }
    )


@st.composite
def grids(draw):
    """Draw the starts of minutes, a run of them or some."""
    minutes = draw(
        st.one_of(
            st.tuples(st.integers(-8, 24), st.integers(0, 20)).map(lambda at: list(range(at[0], sum(at)))),
            st.lists(st.integers(-8, 24), unique=True, max_size=20).map(sorted),
        )
    )
    return pl.Series([START + minute * MINUTE for minute in minutes], dtype=pl.Int64)


@st.composite
def panels(draw):
    """Draw bars of several symbols, the grids of these and others, and closes before."""
    parts = draw(st.dictionaries(symbols, series(nulls=True), max_size=4))
    wanted = {symbol: draw(grids()) for symbol in {*parts, *draw(st.sets(symbols, max_size=3))}}
    befores = draw(st.dictionaries(symbols, values, max_size=3))
    return parts, wanted, befores


befores_of_one = st.one_of(st.none(), values)


def exact(rows):
    """Return rows with floats as their bits."""
    return [tuple(struct.pack("<d", x) if isinstance(x, float) else x for x in row) for row in rows]


def long(parts):
    """Put series under each other, sorted by symbol."""
    frames = [
        part.select(pl.lit(symbol, pl.Categorical).alias("symbol"), pl.all())
        for symbol, part in sorted({"": EMPTY, **parts}.items())
    ]
    return pl.concat(frames, how="vertical")


def model(bars, grid, how, before):
    """Fill in plain Python: rows of timestamp (ms), the values, closed, trades, filled."""
    ms = bars.with_columns(pl.col("timestamp").to_physical())
    held = {row[0]: row for row in ms.select(*CANDLE_COLUMNS, "closed", "trades").rows()}
    rows, close = [], before
    for moment in sorted({*held, *grid}):
        if moment in held:
            rows.append((*held[moment], False))
            close = held[moment][4] if held[moment][4] is not None else close
        elif how == NULL or close is None:
            rows.append((moment, *[None] * 5, True, None, True))
        else:
            rows.append((moment, *[close] * 4, 0.0, True, None, True))
    return rows


def in_ms(frame):
    return exact(frame.with_columns(pl.col("timestamp").to_physical()).rows())


def address(column):
    return column.to_arrow().buffers()[1].address


# ---- one series


@laws
@given(series(nulls=True), grids(), hows, befores_of_one)
def test_fills_as_the_model_does(bars, grid, how, before):
    assert in_ms(filled(bars, grid, how, before=before)) == exact(model(bars, grid, how, before))


@laws
@given(series(), grids(), hows, befores_of_one)
def test_what_was_there_comes_through_to_the_bit(bars, grid, how, before):
    kept = filled(bars, grid, how, before=before).filter(~pl.col("filled")).drop("filled")
    assert exact(kept.rows()) == exact(bars.rows())


@laws
@given(series(), grids(), hows)
def test_times_are_the_union_and_columns_stay(bars, grid, how):
    result = filled(bars, grid, how)
    assert result["timestamp"].to_physical().to_list() == sorted({*bars["timestamp"].to_physical(), *grid})
    assert result.schema == pl.Schema({**bars.schema, "filled": pl.Boolean})


@laws
@given(series(), grids(), hows)
def test_filling_again_adds_nothing(bars, grid, how):
    once = filled(bars, grid, how).drop("filled")
    again = filled(once, grid, how)
    assert not again["filled"].any()
    assert exact(again.drop("filled").rows()) == exact(once.rows())


def test_flat_goes_on_from_the_last_close():
    bars = walk(3).gather([1])
    grid = pl.Series([START + minute * MINUTE for minute in range(3)])
    close = bars["close"][0]
    first, _, last = filled(bars, grid, FLAT, before=7.5).drop("timestamp").rows()
    assert first == (7.5, 7.5, 7.5, 7.5, 0.0, True)
    assert last == (close, close, close, close, 0.0, True)


def test_before_the_first_close_all_is_null():
    grid = pl.Series([START])
    assert filled(EMPTY, grid, FLAT).drop("timestamp", "trades").rows() == [(*[None] * 5, True, True)]


def test_a_bar_off_the_grid_stays_and_its_close_counts():
    bars = walk(1, start=START + MINUTE // 2)
    result = filled(bars, pl.Series([START, START + MINUTE]), FLAT)
    assert result["filled"].to_list() == [True, False, True]
    assert result["open"].to_list() == [None, bars["open"][0], bars["close"][0]]


@pytest.mark.parametrize("how", [FLAT, NULL])
def test_nothing_in_nothing_out(how):
    result = filled(EMPTY, pl.Series([], dtype=pl.Int64), how)
    assert result.schema == pl.Schema({**EMPTY.schema, "filled": pl.Boolean})
    assert result.is_empty()


@pytest.mark.parametrize("every", [1, 2])
def test_a_full_series_shares_its_memory(every):
    bars = walk(100)
    result = filled(bars, bars["timestamp"].to_physical().gather_every(every), FLAT)
    assert [address(result[name]) for name in PRICES] == [address(bars[name]) for name in PRICES]
    assert not result["filled"].any()


def test_values_of_other_width_keep_it():
    bars = walk(2).with_columns(pl.col(VALUES).cast(pl.Float32))
    result = filled(bars, pl.Series([START - MINUTE, START + 5 * MINUTE]), FLAT, before=0.5)
    assert result.drop("filled").schema == bars.schema
    assert result["close"][0] == 0.5


# ---- several


@laws
@given(panels(), hows)
def test_several_are_each_alone(panel, how):
    parts, wanted, befores = panel
    bars = long(parts)
    expected = [
        (symbol, *row)
        for symbol in sorted(wanted)
        for row in model(parts.get(symbol, EMPTY), wanted[symbol], how, befores.get(symbol))
    ]
    result = filled_long(bars, wanted, how, befores=befores)
    assert in_ms(result) == exact(expected)
    assert result.schema == pl.Schema({**bars.schema, "filled": pl.Boolean})


def test_a_symbol_without_bars_comes_in_its_place():
    bars = long({"A": more(walk(1)), "C": EMPTY})
    grid = pl.Series([START, START + MINUTE])
    result = filled_long(bars, {"C": grid, "B": grid.head(1), "A": grid}, FLAT, befores={"B": 2.0})
    assert result["symbol"].to_list() == ["A", "A", "B", "C", "C"]
    assert result["close"].to_list() == [walk(1)["close"][0]] * 2 + [2.0, None, None]


@pytest.mark.parametrize(
    "kind", [pl.Categorical(pl.Categories("coins")), pl.Enum(["B", "A", "C"]), pl.String]
)
def test_the_type_of_symbols_stays(kind):
    bars = walk(1).insert_column(0, pl.Series("symbol", ["B"], dtype=kind))
    result = filled_long(bars, {"A": pl.Series([START])}, NULL, befores={})
    assert result.schema["symbol"] == kind
    assert result["symbol"].to_list() == ["A", "B"]


def test_a_full_panel_shares_its_memory():
    parts = {symbol: more(walk(50, seed=at)) for at, symbol in enumerate("AB")}
    bars = long(parts).rechunk()
    wanted = {symbol: part["timestamp"].to_physical() for symbol, part in parts.items()}
    result = filled_long(bars, wanted, FLAT, befores={})
    assert [address(result[name]) for name in PRICES] == [address(bars[name]) for name in PRICES]


# ---- errors


@pytest.mark.parametrize("how", ["linear", "", None, True, ["flat"], 0])
def test_another_word_is_refused_and_the_words_named(how):
    grid = pl.Series([START])
    for call in (
        lambda: check_fill(how),
        lambda: filled(walk(1), grid, how),
        lambda: filled_long(long({}), {"A": grid}, how, befores={}),
    ):
        with pytest.raises(InvalidInputError, match="'flat' or 'null'"):
            call()


def test_the_words_are_taken():
    assert [check_fill(how) for how in (FLAT, NULL)] == [FLAT, NULL]
