"""The terminal chart: what is drawn is where the prices are, whatever the prices are."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from mdstore.reports.text_chart import candlestick, chart, columns_for, digits


def candles(rows, *, step=timedelta(minutes=1), volume=1.0):
    times = [datetime(2025, 9, 1, tzinfo=UTC) + i * step for i in range(len(rows))]
    frame = pl.DataFrame(rows, schema=["open", "high", "low", "close"], orient="row").cast(pl.Float64)
    return frame.with_columns(pl.Series("timestamp", times), pl.lit(volume).alias("volume"))


def body(text):
    """Return the lines of the chart itself, without their axis."""
    return [line.partition("┤" if "┤" in line else "│")[2] for line in text.split("\n")[1:-2]]


def test_a_rising_and_a_falling_candle_stand_where_their_prices_are():
    text = candlestick(candles([(1, 4, 0, 3), (3, 4, 2, 2)]), title="X 1m", width=40, height=8)
    assert text == (
        "X 1m  last 2  +100.00 %, 2 bars\n"
        "4 ┤│  │\n"
        "  │┃  ┃\n"
        "2 ┤┃  ┃\n"
        "  │┃\n"
        "0 ┤│\n"
        "  └┬─────\n"
        "   2025-09-01 00:00"
    )


def test_a_candle_without_a_range_is_still_seen():
    for rows in ([(5, 5, 5, 5)], [(5, 5, 5, 5)] * 3, [(0, 0, 0, 0)]):
        lines = body(candlestick(candles(rows), height=9))
        assert sum(line.count("╹") + line.count("╻") for line in lines) == len(rows)


@pytest.mark.parametrize(("bars", "each"), [(65, 1), (200, 3), (10_000, 132)])
def test_more_bars_than_columns_are_put_together_and_the_caption_says_so(bars, each):
    rows = [(1 + i % 7, 9, 0, 2 + i % 5) for i in range(bars)]
    text = candlestick(candles(rows), width=80, height=20)
    caption = text.split("\n")[0]
    assert f"{bars:,} bars" in caption
    assert (f"{each:,} to a candle" in caption) == (each > 1)
    assert max(map(len, text.split("\n"))) <= 80


def test_bars_put_together_keep_first_open_extremes_and_last_close():
    quiet = [(5, 5, 5, 5)] * 298
    text = candlestick(candles([*quiet, (5, 9, 5, 5), (5, 5, 1, 2)]), width=40, height=11)
    last = "".join(line[33:34] for line in body(text))
    assert last == "│││╽┃┃┃│"


def test_volume_is_drawn_below_when_there_is_room():
    assert "█" in candlestick(candles([(1, 2, 0, 1)] * 5), height=12)
    assert "█" not in candlestick(candles([(1, 2, 0, 1)] * 5), height=11)
    assert "█" not in candlestick(candles([(1, 2, 0, 1)] * 5, volume=0.0), height=12)


def test_labels_tell_close_prices_apart():
    text = candlestick(candles([(1.0001, 1.0004, 1.0, 1.0002)] * 9), height=12)
    assert "1.0002" in text
    assert "1.0004" in text
    assert "173,500,000" in candlestick(candles([(173.4e6, 173.6e6, 173e6, 173.5e6)] * 9), height=20)
    assert "0.00002820" in candlestick(candles([(2.82e-5, 2.83e-5, 2.81e-5, 2.82e-5)] * 9), height=20)


def test_the_caption_says_over_what_the_price_changed_as_far_as_there_is_room():
    frame = candles([(100, 110, 90, 99)] * 7)
    captions = {
        width: candlestick(frame, title="KRW-BTC 1m", width=width).split("\n")[0] for width in (80, 40, 30)
    }
    assert captions[80] == "KRW-BTC 1m  last 99  -1.00 % over these 7 bars"
    assert captions[40] == captions[30] == "KRW-BTC 1m  last 99  -1.00 %, 7 bars"
    long = candlestick(candles([(100, 110, 90, 99)] * 7_000), title="KRW-BTC 1m", width=80).split("\n")[0]
    assert long == "KRW-BTC 1m  last 99  -1.00 % over these 7,000 bars, 95 to a candle"


def test_no_bars_and_tiny_sizes():
    assert candlestick(candles([]).head(0), title="X 1m") == "X 1m  no bars"
    assert candlestick(candles([(1, 2, 0, 1)]), width=1, height=1).count("\n") == 7


def test_days_are_labelled_by_their_date_and_minutes_by_their_time():
    rows = [(1, 2, 0, 1)] * 60
    assert candlestick(candles(rows, step=timedelta(days=1))).split("\n")[-1].split()[:2] == [
        "2025-09-01",
        "2025-09-13",
    ]
    assert "2025-09-01 00:00" in candlestick(candles(rows)).split("\n")[-1]
    assert "2025-09-01 00:00:59" not in candlestick(candles(rows, step=timedelta(seconds=1))).split("\n")[-1]


def test_colours_on_a_terminal_only():
    drawn = chart(candles([(1, 2, 0, 2), (2, 2, 0, 1)]), title="X", width=40, height=8)

    def printed(**options):
        console = Console(width=80, **options)
        with console.capture() as capture:
            console.print(drawn)
        return capture.get()

    coloured = printed(force_terminal=True, color_system="standard")
    assert "\x1b[32m" in coloured
    assert "\x1b[31m" in coloured
    assert "\x1b[3" not in printed(force_terminal=True, color_system="standard", no_color=True)
    assert "\x1b" not in printed(force_terminal=False)


prices = st.floats(allow_nan=False, allow_infinity=False)


@given(
    rows=st.lists(st.tuples(prices, prices, prices, prices), min_size=1, max_size=200),
    width=st.integers(0, 200),
    height=st.integers(0, 60),
)
@example(rows=[(0.0, 0.0, 0.0, 5e-324)], width=80, height=20)  # its half is zero
@example(rows=[(-1.7e308, -1.7e308, -1.7e308, 1.7e308)], width=80, height=20)
def test_any_candles_fit_into_any_size(rows, width, height):
    ordered = [(row[0], max(row), min(row), row[3]) for row in rows]
    lines = candlestick(candles(ordered), width=width, height=height).split("\n")
    assert len(lines) == max(height, 8)
    assert max(map(len, lines[1:-1])) <= max(width, 24)


@pytest.mark.slow
@given(width=st.integers(30, 300))
def test_columns_for_is_what_fits_without_putting_together(width):
    frame = candles([(123_456.7, 123_999.9, 123_000.1, 123_500.0)] * columns_for(width))
    assert "to a candle" not in candlestick(frame, width=width)


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([150_803_000.0], 0),
        ([0.0000282, 0.00002817], 8),
        ([1.5, 2.25], 2),
        ([0.1 + 0.2], 10),
        ([0.0], 0),
        ([], 0),
    ],
)
def test_digits(values, decimals):
    assert digits(values) == decimals
