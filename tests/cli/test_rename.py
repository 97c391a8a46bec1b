"""`mdstore rename`: another name for a symbol."""

import json


def test_a_symbol_gets_another_name(filled, store_of):
    assert "KRW-BTC is BTCKRW now: 1h, 1m" in filled("rename", "KRW-BTC", "BTCKRW").stdout
    with store_of() as store:
        assert store.series()["symbol"].to_list() == ["BTCKRW", "BTCKRW", "KRW-ETH"]
    done = filled("rename", "BTCKRW", "KRW-BTC", "--json")
    assert json.loads(done.stdout) == {"symbol": "BTCKRW", "name": "KRW-BTC", "timeframes": ["1h", "1m"]}


def test_it_replaces_nothing_and_says_what_to_do(filled, store_of):
    said = filled("rename", "KRW-BTC", "KRW-ETH", code=1).stderr
    assert "something is stored under the name KRW-ETH already. Nothing was changed" in said
    assert "`mdstore delete KRW-ETH`" in said
    assert "mdstore export - KRW-BTC | mdstore import - --symbol KRW-ETH --rename" in said
    text = filled("export", "-", "KRW-BTC").stdout
    filled("import", "-", "--symbol", "KRW-ETH", "--rename", given=text)
    with store_of() as store:
        assert list(store) == [("KRW-BTC", "1h"), ("KRW-BTC", "1m"), ("KRW-ETH", "1h"), ("KRW-ETH", "1m")]
    filled("delete", "KRW-ETH", "--yes")
    filled("rename", "KRW-BTC", "KRW-ETH")
    with store_of() as store:
        assert len(store.candles("KRW-ETH", "1m")) == 300
        assert store.maintenance.check() == []


def test_a_name_that_is_not_there_is_answered_with_the_nearest(filled):
    assert "did you mean KRW-BTC" in filled("rename", "KRW-BTX", "A", code=1).stderr
