"""`mdstore cover`: why bars are missing is said, and taken back."""

import json

import pytest

from mdstore.core.hole_reasons import STATED


def reasons_of(cli, *arguments):
    return [(row["reason"], row["bars"]) for row in json.loads(cli("gaps", *arguments, "--json").stdout)]


def test_why_bars_are_missing_is_said_and_taken_back(holes):
    hour = ("--start", "2025-09-01T20:30", "--end", "2025-09-01T20:40")
    said = holes("cover", "KRW-ETH", *hour, "--reason", "no_trade", "--source", "me")
    assert said.stdout == "KRW-ETH 1m from 2025-09-01 20:30 up to 2025-09-01 20:40: no_trade (said by me)\n"
    assert reasons_of(holes, "KRW-ETH", *hour) == [("no_trade", 10)]
    back = holes("cover", "KRW-ETH", "1m", *hour, "--take-back")
    assert back.stdout == "KRW-ETH 1m from 2025-09-01 20:30 up to 2025-09-01 20:40: taken back\n"
    assert reasons_of(holes, "KRW-ETH", *hour) == [("unknown", 10)]
    asked = holes("cover", "KRW-ETH", "60s", *hour).stdout
    assert asked.endswith(": asked for, and there is no more; why is unknown\n")
    assert json.loads(holes("gaps", "KRW-ETH", *hour, "--json").stdout)[0]["asked"]
    facts = json.loads(
        holes("cover", "KRW-ETH", "--end", "2020-01-01", "--reason", "before_listing", "--json").stdout
    )
    assert facts == {
        "symbol": "KRW-ETH", "timeframe": "1m", "start": None, "end": "2020-01-01T00:00:00+00:00",
        "reason": "before_listing", "source": None,
    }  # fmt: skip
    assert json.loads(holes("cover", "KRW-ETH", *hour, "--take-back", "--json").stdout)["taken_back"]


def test_what_is_covered_must_be_stored_or_said_to_be_new(holes):
    end = ("--end", "2025-09-01", "--reason", "before_listing")
    for timeframe in ([], ["1m"]):
        error = holes("cover", "KRW-ETX", *timeframe, *end, code=1).stderr
        assert "no candles of KRW-ETX" in error
        assert "Did you mean KRW-ETH? Hint: --new" in error
    assert "no candles of KRW-ETH 1d" in holes("cover", "KRW-ETH", "1d", *end, code=1).stderr
    assert "KRW-ETX" in holes("cover", "KRW-ETX", "1m", *end[:2], "--take-back", code=1).stderr
    new = holes("cover", "KRW-ETX", "1d", *end, "--new").stdout
    assert new == "KRW-ETX 1d up to 2025-09-01: before_listing\n"
    asked = ("--missing", "--start", "2025-08-30", "--end", "2025-09-02", "--json")
    assert [row["bars"] for row in json.loads(holes("gaps", "KRW-ETX", "1d", *asked).stdout)] == [1]


def test_mistakes_in_what_is_covered(holes):
    at = ("--start", "2025-09-01")
    assert "several timeframes" in holes("cover", "KRW-SOL", *at, code=1).stderr
    assert "--start, --end or both" in holes("cover", "KRW-ETH", code=2).output
    assert "--new needs a timeframe" in holes("cover", "X", *at, "--new", code=2).output
    assert "neither --reason" in holes("cover", "KRW-ETH", *at, "--take-back", "--source", "x", code=2).output
    assert "Invalid value" in holes("cover", "KRW-ETH", *at, "--reason", "bored", code=2).output
    assert "start: 'when'" in holes("cover", "KRW-ETH", "--start", "when", code=1).stderr
    assert "source '': say" in holes("cover", "KRW-ETH", *at, "--source", "", code=1).stderr
    for back in ([], ["--take-back"]):
        empty = holes("cover", "KRW-ETH", *at, "--end", "2025-09-01", *back, code=1).stderr
        assert "the range from 2025-09-01 to 2025-09-01 is empty" in empty


@pytest.mark.parametrize("reason", STATED)
def test_every_reason_that_can_be_stated_is_taken(holes, reason):
    hour = ("--start", "2025-09-01T20:30", "--end", "2025-09-01T20:40")
    holes("cover", "KRW-ETH", *hour, "--reason", reason)
    assert reasons_of(holes, "KRW-ETH", "--all", *hour) == [(reason, 10)]


def test_many_symbols_are_covered_at_once_and_taken_back(holes):
    hour = ("--start", "2025-09-01T20:30", "--end", "2025-09-01T20:40")
    said = holes("cover", "KRW-ETH", "KRW-SOL", "1m", *hour, "--reason", "exchange_down")
    assert said.stdout == "2 symbols 1m from 2025-09-01 20:30 up to 2025-09-01 20:40: exchange_down\n"
    for symbol in ("KRW-ETH", "KRW-SOL"):
        assert reasons_of(holes, symbol, "1m", *hour) == [("exchange_down", 10)]
    back = json.loads(holes("cover", "--all", "-t", "1m", *hour, "--take-back", "--json").stdout)
    assert [row["symbol"] for row in back] == ["KRW-ETH", "KRW-SOL"]
    assert all(row["taken_back"] for row in back)
    for symbol in ("KRW-ETH", "KRW-SOL"):
        assert reasons_of(holes, symbol, "1m", *hour) == [("unknown", 10)]


def test_of_many_symbols_one_that_is_not_stored_is_refused_and_nothing_said(holes):
    hour = ("--start", "2025-09-01T20:30", "--end", "2025-09-01T20:40", "--reason", "no_trade")
    for symbols in (("KRW-ETH", "KRW-ETX", "1m"), ("KRW-ETH", "KRW-SOL", "1h")):
        assert "Hint: --new" in holes("cover", *symbols, *hour, code=1).stderr
    assert reasons_of(holes, "KRW-ETH", *hour[:4]) == [("unknown", 10)]
    assert "say of which: symbols, or --all" in holes("cover", *hour, code=2).output
    assert "say of which" in holes("cover", "KRW-ETH", "--all", *hour, code=2).output
    assert "several timeframes are stored: 1m, 1h" in holes("cover", "--all", *hour, code=1).stderr
