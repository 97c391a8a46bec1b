"""`mdstore screen`: which symbols are found, and what cannot be told of others."""

import json

import mdstore


def test_screen_finds_the_symbols_for_which_a_condition_holds(filled, tmp_path):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        held = store.screen("1m", ["close > sma(close, 20)", "close / close.shift(1) - 1"]).rows
    condition, change = held.columns[1:]
    options = ("--timeframe", "1m", condition, change)
    found = json.loads(filled("screen", *options, "--json").stdout)
    assert found == held.filter(condition).drop(condition).rows(named=True)
    every = json.loads(filled("screen", *options, "--json", "--all").stdout)
    assert every == held.rows(named=True)
    done = filled("screen", "count(close)", "-t", "1m", "-n", "50")
    assert done.stdout.split() == ["symbol", "count(close)", "KRW-BTC", "50", "KRW-ETH", "50"]
    assert "2 symbols of 2" in done.stderr
    assert "KRW-BTC" not in filled("screen", "close.last()", "-t", "1m", "-s", "KRW-ETH").stdout


def test_screen_says_what_it_cannot_tell_and_which_symbols_end_earlier(filled):
    done = filled("screen", "close > sma(close, 250)", "-t", "1m")
    assert "cannot be told for 1 symbol, for want of bars" in done.stderr
    assert (
        "1 symbol ends earlier than the others: KRW-ETH 2025-09-01 03:19, not 2025-09-01 04:59" in done.stderr
    )
    weekly = filled("screen", "count(close)", "-t", "2h", "--from", "1m")
    assert weekly.stdout.split()[2:] == ["KRW-BTC", "3", "KRW-ETH", "2"]


def test_screen_says_what_is_wrong_with_a_condition(filled):
    assert "did you mean rolling_mean" in filled("screen", "close.rolling_men(3)", "-t", "1m", code=1).stderr
    assert "several timeframes" in filled("screen", "close > 1", code=1).stderr
    assert "not known" in filled("screen", "__import__(close)", "-t", "1m", code=1).stderr
