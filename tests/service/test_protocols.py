"""Each implementation fits its protocol: by what it has here, by its types in `project/public_types`."""

import pytest

import mdstore


def test_the_store_and_what_holds_its_rows_fit(store):
    assert isinstance(store, mdstore.MarketDataStorage)
    for part in (store._candles, store.tickers, store.orderbooks, store.trades, store.realtime):
        assert isinstance(part, mdstore.Repository)
    assert not isinstance(5, mdstore.MarketDataStorage)


@pytest.mark.parametrize(
    "name", ["MarketDataStorage", "Repository", "SmartRouter", "Coordinator", "DataCache"]
)
def test_the_names_of_the_interfaces_are_public(name):
    assert getattr(mdstore, name)._is_protocol
