"""Limits are kept, faults happen, and all of it is in the log."""

import gzip
import json
import subprocess
import sys
import time
from http.client import HTTPException
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdstore
from mdstore import LocalExchange, LocalMarket
from mdstore.sources import local_exchange
from mdstore.sources.local_exchange.faults import FAULTS, Faults
from mdstore.sources.local_exchange.limits import Allowance
from mdstore.sources.local_exchange.request_log import most_in_a_second
from tests.support.asking import ask, klines, minutes

NOW = "2025-09-01T12:00:30"


def burst(exchange, times, asking=minutes, **query):
    return [asking(exchange, **query) for _ in range(times)]


def test_ten_a_second_and_a_group_are_answered():
    with LocalExchange(now=NOW, limits={"patience": 1000}) as exchange:
        burst(exchange, 60, count=1)
        ask(exchange, "/v1/market/all")
        log = exchange.requests
    answered = [one for one in log if one.status == 200 and one.group == "candles"]
    seconds = {int(one.at) for one in answered}
    assert all(sum(int(one.at) == second for one in answered) <= 10 for second in seconds)
    assert {one.status for one in log} == {200, 429}
    assert log[-1].status == 200  # another group
    assert most_in_a_second(log, "candles") > 10


def test_what_is_left_is_said():
    with LocalExchange(now=NOW) as exchange:
        time.sleep(1 - time.monotonic() % 1)
        left = [one.headers["Remaining-Req"] for one in burst(exchange, 3, count=1)]
    assert left == [f"group=candles; min=600; sec={left}" for left in (9, 8, 7)]


def test_who_goes_on_is_banned_each_time_for_longer():
    with LocalExchange(now=NOW, limits={"upbit_per_second": 1, "patience": 2, "ban": 0.2}) as exchange:
        found = []
        begun = time.monotonic()
        while len([one for one in found if one.status == 418]) < 400 and time.monotonic() < begun + 3:
            found.append(minutes(exchange, count=1))
    bans = [one for one in found if one.status == 418]
    assert {one.status for one in found} == {200, 429, 418}
    assert bans[0].json["error"]["name"] == "too_many_requests"
    assert "Blocked for" in bans[0].json["error"]["message"]


@given(st.lists(st.tuples(st.floats(0, 0.4), st.integers(1, 3)), max_size=60))
def test_no_window_ever_has_more_than_is_allowed(asked):
    now = [0.0]
    allowance = Allowance(5, window=1, patience=3, ban=0.5, clock=lambda: now[0])
    seen = {}
    for pause, weight in asked:
        now[0] += pause
        if allowance.ask(weight).status == 200:
            seen[int(now[0])] = seen.get(int(now[0]), 0) + weight
    assert all(used <= 5 for used in seen.values())


def test_weight_is_counted_by_the_minute():
    limits = {"spot_weight": 10, "weight_window": 3600, "patience": 1}
    with LocalExchange(now=NOW, limits=limits) as exchange:
        found = burst(exchange, 8, klines, limit=1)
        assert [one.status for one in found] == [200] * 5 + [429, 418, 418]
        assert [one.headers["X-MBX-USED-WEIGHT-1M"] for one in found[:5]] == ["2", "4", "6", "8", "10"]
        assert int(found[5].headers["Retry-After"]) >= 1
        assert found[5].json["code"] == found[6].json["code"] == -1003
        assert "banned until" in found[6].json["msg"]
        futures = ask(exchange, "/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=1000)
        assert futures.headers["X-MBX-USED-WEIGHT-1M"] == "5"


def fault(kind, asking=minutes, **about):
    with LocalExchange(now=NOW, faults=[kind], **about) as exchange:
        answer = asking(exchange)
        assert [one.fault for one in exchange.requests] == [kind]
        assert exchange.faults.left == []
        whole = asking(exchange)
        assert whole.status == 200 or kind == "maintenance"
        return answer, whole


@pytest.mark.parametrize("kind", ["429", "418", "500", "502", "503"])
@pytest.mark.parametrize("asking", [minutes, klines])
def test_statuses(kind, asking):
    answer, _ = fault(kind, asking)
    assert answer.status == int(kind)


def test_maintenance_lasts():
    answer, after = fault("maintenance")
    assert (answer.status, after.status) == (503, 503)


def test_a_page_of_html_with_status_200():
    answer, _ = fault("html")
    assert answer.status == 200
    assert answer.body.startswith(b"<!DOCTYPE html>")
    assert fault("empty_html")[0].body == b""


def test_a_truncated_page_is_no_json():
    answer, whole = fault("truncated", lambda exchange: minutes(exchange, to="2025-09-01T12:00:00Z"))
    assert answer.body == whole.body[: len(whole.body) // 2]
    with pytest.raises(json.JSONDecodeError):
        answer.json  # noqa: B018


def test_rows_are_duplicated_reordered_and_lost():
    def asking(exchange):
        return minutes(exchange, to="2025-09-01T12:00:00Z")

    twice, whole = fault("duplicated", asking)
    assert len(twice.json) == 200
    assert len({row["timestamp"] for row in twice.json}) == 199
    mixed, _ = fault("reordered", asking)
    assert mixed.json != whole.json
    assert sorted(map(str, mixed.json)) == sorted(map(str, whole.json))
    short, _ = fault("short_page", asking)
    assert short.json == whole.json[: len(short.json)]
    assert len(short.json) < 200


def test_a_late_answer():
    begun = time.monotonic()
    fault("slow", limits={"slow": 0.3})
    assert time.monotonic() - begun >= 0.3


def test_an_answer_that_never_comes():
    with LocalExchange(now=NOW, faults=["stalled"]) as exchange, pytest.raises(TimeoutError):
        minutes(exchange, timeout=0.3)


def test_an_answer_that_breaks_off():
    with (
        LocalExchange(now=NOW, faults=["dropped"]) as exchange,
        pytest.raises((HTTPException, ConnectionError)),
    ):
        minutes(exchange)


def test_a_plan_has_every_fault_so_often_as_it_says_and_then_none():
    plan = Faults(seed=3, times=2, every=2)
    met = [plan.next(rows=True) for _ in range(500)]
    assert sorted(one for one in met if one) == sorted(FAULTS * 2)
    assert plan.left == []
    again = Faults(seed=3, times=2, every=2)
    assert [again.next(rows=True) for _ in range(500)] == met
    with pytest.raises(mdstore.InvalidInputError, match="'fire' is none of 429"):
        Faults(["fire"])


def test_clocks_differ_and_the_exchange_stands_still():
    down = [("2025-09-01T12:00", "2025-09-01T12:01")]
    with LocalExchange(now=NOW, maintenance=down) as exchange:
        assert minutes(exchange).status == 503
    with LocalExchange(now=NOW, maintenance=down, skew=60) as exchange:
        found = [row["candle_date_time_utc"] for row in minutes(exchange, count=3).json]
    assert found == ["2025-09-01T12:01:00", "2025-09-01T11:59:00", "2025-09-01T11:58:00"]


def test_the_log_says_who_asked_for_what():
    with LocalExchange(now=NOW) as exchange:
        ask(exchange, "/v1/candles/days", market="KRW-BTC", count=3, headers={"User-Agent": "me/1"})
        (one,) = exchange.requests
    assert (one.path, one.query, one.agent, one.rows) == (
        "/v1/candles/days",
        {"market": "KRW-BTC", "count": "3"},
        "me/1",
        3,
    )
    assert abs(one.at - time.monotonic()) < 60


def test_answers_are_compressed_for_those_who_take_it():
    with LocalExchange(now=NOW) as exchange:
        packed = minutes(exchange, headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert len(json.loads(gzip.decompress(packed.body))) == 200
        assert "Content-Encoding" not in minutes(exchange).headers


def test_a_correction_is_served():
    with LocalExchange(now=NOW, limits=None) as exchange:
        at = minutes(exchange, count=2).json[1]
        exchange.amend("KRW-BTC", at["candle_date_time_utc"], volume=77.0)
        assert minutes(exchange, count=2).json[1]["candle_acc_trade_volume"] == 77.0


def test_it_is_started_once_and_ends():
    exchange = LocalExchange(["KRW-BTC"], now=NOW).start()
    with pytest.raises(mdstore.InvalidInputError, match="has been started"):
        exchange.start()
    port = int(exchange.url.rpartition(":")[2])
    with pytest.raises(mdstore.InvalidInputError, match="could not start"):
        LocalExchange(["KRW-BTC"], port=port).start()
    exchange.stop()
    with pytest.raises(OSError, match="refused"):
        urlopen(exchange.url)


async def _asked():
    async with LocalExchange([LocalMarket(symbol="KRW-BTC")], now=NOW) as exchange:
        return exchange.url


def test_it_is_started_from_a_coroutine():
    import asyncio

    assert asyncio.run(_asked()).startswith("http://127.0.0.1:")


def test_it_is_a_process_that_ends_with_its_parent():
    command = [sys.executable, "-m", "mdstore.sources.local_exchange", "KRW-T*3", "BTCUSDT", "--now", NOW]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        url = json.loads(process.stdout.readline())["url"]
        with urlopen(f"{url}/v1/market/all") as answer:
            assert [row["market"] for row in json.load(answer)] == ["KRW-T000", "KRW-T001", "KRW-T002"]
        with urlopen(f"{url}/local/requests") as answer:
            assert [(one["path"], one["status"]) for one in json.load(answer)] == [("/v1/market/all", 200)]
        process.stdin.close()
        assert process.wait(10) == 0


def test_what_the_docstring_names_is_where_it_says():
    for name in ("Faults", "SocketFaults", "Rules"):
        assert f"`{name}`" in LocalExchange.__doc__
        assert getattr(local_exchange, name).__doc__
    assert "are in `mdstore.sources.local_exchange`" in " ".join(LocalExchange.__doc__.split())


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"bogus": 1}, "limits: 'bogus' is none of upbit_per_second, spot_weight"),
        ({"upbit_per_secnd": 1}, "did you mean 'upbit_per_second'?"),
        ({"upbit_per_second": "10"}, "limits: upbit_per_second='10' is no number from 0 on, or None"),
        ({"ban": None}, "limits: ban=None is no number from 0 on$"),
        ({"spot_weight": -1}, "spot_weight=-1 is no number"),
    ],
)
def test_limits_that_there_are_not_are_refused(limits, said):
    with pytest.raises(mdstore.InvalidInputError, match=said):
        LocalExchange(["KRW-BTC"], limits=limits)
