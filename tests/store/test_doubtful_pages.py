"""What is said of ranges and is doubtful: full pages with a wider `covers`, series that trade again."""

import polars as pl
import pytest

import mdstore
from mdstore.core.page_sizes import BY_EXCHANGE
from tests.support.candles import MINUTE, START, walk

DAY = 1_440
NOW = START + 3 * DAY * MINUTE


@pytest.fixture
def clock():
    return lambda: NOW / 1000


def page(store, rows, at=0, *, start=0, end=DAY, symbol="A", **given):
    """Write a page of `rows` bars from minute `at` on, of a source that was asked for `[start, end)`."""
    covers = (START + start * MINUTE, START + end * MINUTE)
    frame = walk(rows, start=START + at * MINUTE)
    return store.write(symbol, "1m", frame, covers=covers, absent="no_trade", **given)


@pytest.mark.parametrize("at", [0, DAY - 200, 600])
def test_a_full_page_of_a_wider_range_is_warned_of(store, at):
    with pytest.warns(UserWarning, match="A 1m: 200 bars are a full page") as caught:
        result = page(store, 200, at)
    (text,) = result.warnings
    assert str(caught[0].message) == text
    assert caught[0].filename == __file__
    assert "covers= is of 1,240 more before or behind them" in text
    assert "missing(..., page=200) cuts ranges so" in text


def test_ranges_cut_as_it_advises_are_not_warned_of(store):
    asked = 0
    day = {"start": START, "end": START + DAY * MINUTE}
    for start, end, _ in store.missing("A", "1m", **day, page=200).iter_rows():
        first = round((start.timestamp() * 1000 - START) / MINUTE)
        last = round((end.timestamp() * 1000 - START) / MINUTE)
        assert page(store, last - first, first, start=first, end=last).warnings == ()
        asked += 1
    assert asked == 8
    assert len(store.candles("A", "1m")) == DAY
    assert store.missing("A", "1m", **day).is_empty()


@pytest.mark.parametrize("rows", [1, 199, 201, 250])
def test_an_answer_that_is_no_full_page_is_an_answer(store, rows):
    assert page(store, rows).warnings == ()


def test_what_has_not_ended_is_not_lacking(store):
    assert page(store, 200, 3 * DAY - 200, start=3 * DAY - 200, end=5 * DAY).warnings == ()


def test_holes_within_a_page_are_no_sign_of_a_cut(store):
    frame = walk(400)[::2]
    covers = (START, START + 399 * MINUTE)
    assert store.write("A", "1m", frame, covers=covers, absent="no_trade").warnings == ()


def test_each_series_of_a_write_is_looked_at(store):
    rows = [
        (symbol, START + bar * MINUTE, 1, 1, 1, 1, 1)
        for symbol, bars in (("A", 200), ("B", 30))
        for bar in range(bars)
    ]
    with pytest.warns(UserWarning, match="A 1m"):
        result = store.write_many(rows, timeframe="1m", covers=(START, START + DAY * MINUTE))
    assert len(result.warnings) == 1
    assert store.write("C", "1m", walk(200), covers="data").warnings == ()
    assert store.write("D", "1m", walk(200)).warnings == ()


@pytest.mark.parametrize(
    "size", sorted({size for sizes in BY_EXCHANGE.values() for size in sizes if size <= 1_500})
)
def test_every_size_of_the_table_is_found(store, size):
    with pytest.warns(UserWarning, match=f"{size:,} bars are a full page"):
        page(store, size, end=2 * DAY)


# ---- relisted


def later(store):
    return store.missing("A", "1m", start=START).select("bars").to_series().to_list()


def test_a_bar_behind_the_delisting_has_the_series_asked_for_again(store):
    store.write("A", "1m", walk(100), covers="data", source="upbit")
    store.cover("A", "1m", start=START + 100 * MINUTE, reason="after_delisting")
    assert later(store) == []
    store.write("A", "1m", walk(1, start=START + 500 * MINUTE))
    assert later(store) == [3 * DAY - 501]  # from there on; what was between stays said
    gaps = store.gaps("A", "1m", start=START, end=START + 600 * MINUTE)
    assert gaps.select("bars", "reason").rows() == [(400, "after_delisting"), (99, "unknown")]
    assert store.maintenance.check() == []


def test_what_changes_nothing_of_it_leaves_it_said(store):
    store.write("A", "1m", walk(100))
    store.write("B", "1m", walk(100))
    store.cover("A", "1m", start=START + 100 * MINUTE, reason="after_delisting")
    store.write("A", "1m", walk(100))  # again
    store.write("A", "1m", walk(50, seed=2))  # corrected
    store.write("A", "1m", walk(5, start=START - 5 * MINUTE))  # before
    store.write("B", "1m", walk(1, start=START + 500 * MINUTE))  # another
    assert later(store) == []
    store.cover("A", "1m", start=START + 90 * MINUTE, reason="after_delisting")  # over bars that are there
    store.write("A", "1m", walk(106, start=START - 6 * MINUTE))  # those again, and a new one before
    assert later(store) == []


def test_it_counts_wherever_behind_it_the_bar_is_and_however_it_came(store):
    store.write("A", "1m", walk(100), covers="data")
    store.cover("A", "1m", start=START + 100 * MINUTE, reason="after_delisting")
    store.cover("A", "1m", start=START + 300 * MINUTE, end=START + 310 * MINUTE, reason="no_trade")
    frames = [walk(50), walk(2, start=START + 200 * MINUTE), walk(1, start=START + 305 * MINUTE)]
    store.write_many([frame.with_columns(pl.lit("A").alias("symbol")) for frame in frames], timeframe="1m")
    assert sum(later(store)) == 3 * DAY - 202 - 10
    assert store.maintenance.check() == []


def test_a_write_that_fails_takes_nothing_back(store):
    store.write("A", "1m", walk(100), covers="data")
    store.cover("A", "1m", start=START + 100 * MINUTE, reason="after_delisting")
    with pytest.raises(mdstore.ValidationError):
        store.write("A", "1m", [(START + 500 * MINUTE, 5, 4, 3, 4, 1)])
    assert later(store) == []
