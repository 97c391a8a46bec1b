"""What Python shows of a store and its results: short, and what state it is in."""

import pytest

import mdstore
from tests.support.candles import walk


def test_a_store_shows_its_state(store):
    path = str(store.path)
    assert repr(store) == f"MarketDataStore({path!r})"
    store.write("A", "1m", walk(5))
    store.close()
    assert repr(store) == f"MarketDataStore({path!r}, closed)"
    with mdstore.open(path, read_only=True) as looked_at:
        assert repr(looked_at) == f"MarketDataStore({path!r}, read_only=True)"


def test_its_parts_show_whose_they_are(store):
    assert repr(store.maintenance) == f"<maintenance of {store.path.name}>"
    assert repr(store.live) == "<LiveCandles: 0 series, 0 bars forming>"


def test_a_result_shows_what_is_not_nothing(store):
    shown = repr(store.write("A", "1m", walk(5)))
    assert shown.startswith("WriteResult(inserted=5, updated=0, unchanged=0, first=datetime")
    assert "conflicts" not in shown
    assert (
        repr(mdstore.WriteResult(dropped=2)) == "WriteResult(inserted=0, updated=0, unchanged=0, dropped=2)"
    )


@pytest.mark.parametrize("wrong", [("15m",), (15, "x")])
def test_a_timeframe_is_made_of_a_text_by_parse(wrong):
    with pytest.raises(mdstore.TimeframeError, match=r"is no bar length.*Timeframe\.parse") as caught:
        mdstore.Timeframe(*wrong)
    assert "Timeframe.parse" not in caught.value.said("cli")
    assert str(mdstore.Timeframe.parse("15m")) == "15m"
