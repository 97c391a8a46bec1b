"""Whatever stands in a message: rows, or the typed error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.errors import InvalidInputError
from mdstore.realtime.rows import Depth, Kline, Ticker, Trade
from mdstore.sources.exchanges.binance import BinanceFeed
from mdstore.sources.exchanges.upbit import UpbitFeed
from tests.support.exchange_messages import DAY, KLINE, TRADE, diff, snapshot


@pytest.mark.parametrize("text", ["PONG", "", '{"ty":"trade"', b"\xff\xfe\xfd", "[" * 100_000])
@pytest.mark.parametrize("feed", [UpbitFeed(), BinanceFeed()])
def test_what_is_no_json(feed, text):
    with pytest.raises(InvalidInputError, match="no JSON"):
        feed.rows(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
BASES = [TRADE, KLINE, DAY, diff(1, 2, [("10", "1")]), {"stream": "x@depth5", "data": snapshot(1)}]
UPBIT_BASES = [
    {"ty": "trade", "cd": "K", "ttms": 1, "tp": 1, "tv": 1, "ab": "ASK", "sid": 1},
    {"ty": "orderbook", "cd": "K", "tms": 1, "obu": [{"ap": 2, "bp": 1, "as": 1, "bs": 1}]},
    {"ty": "ticker", "cd": "K", "tms": 1, "tp": 1},
    {
        "ty": "candle.1m",
        "cd": "K",
        "cdttmu": "2025-01-01T00:00:00",
        "op": 1,
        "hp": 1,
        "lp": 1,
        "tp": 1,
        "catv": 1,
    },
]


@given(data=st.data(), base=st.sampled_from([*BASES, *UPBIT_BASES]))
def test_any_value_anywhere_gives_rows_or_the_typed_error(data, base):
    feed = UpbitFeed() if "ty" in base else BinanceFeed()
    key = data.draw(st.sampled_from(sorted(base)), label="key")
    message = base | {key: data.draw(JSON, label="value")}
    try:
        rows = feed.rows(message, 1)
    except InvalidInputError as error:
        assert "binance" in str(error) or "upbit" in str(error)  # noqa: PT017 - either is right
    else:
        assert all(isinstance(row, Ticker | Depth | Trade | Kline) for row in rows)
