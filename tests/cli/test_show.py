"""`mdstore show`: the latest bars and their chart, in any terminal."""

import json
import re

import pytest

import mdstore
from tests.support.command_line import finished, mdstore_process

WIDTHS = [40, 60, 80]


@pytest.fixture
def coins(cli, tmp_path):
    """As `cli`, with Korean prices that fill a line."""
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        rows = [(f"2025-09-01T00:{i:02}", 173_400_000, 173_623_000, 173_223_000, 173_500_000, 1.51931528)
                for i in range(30)]  # fmt: skip
        store.write("KRW-BTC", "1m", rows)
    return cli


def test_show_prints_table_and_chart(filled):
    done = filled("show", "KRW-ETH", "-n", "3")
    assert "KRW-ETH 1m" in done.stdout
    assert "┃" in done.stdout
    assert re.findall(r"2025-09-01 03:1\d", done.stdout)[-3:] == [
        "2025-09-01 03:17",
        "2025-09-01 03:18",
        "2025-09-01 03:19",
    ]
    assert "┃" not in filled("show", "KRW-ETH", "--no-chart").stdout


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_is_ever_cut(coins, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = coins("show", "KRW-BTC", "--no-chart").stdout
    assert len(re.findall(r"2025-09-01 00:2\d.* 173,500,000(?: |$)", shown, re.MULTILINE)) == 10
    lacking = {40: "open, high, low,", 60: "open, volume;"}
    assert f"no room here for {lacking[width]}" in shown if width in lacking else "no room" not in shown
    assert max(map(len, shown.splitlines()[:11])) <= width
    query = coins("sql", "SELECT * FROM candles").stdout
    whole = r"KRW-BTC +1m +2025-09-01 00:00 +173400000 +173623000 +173223000 +173500000 +1\.51931528$"
    assert re.search(whole, query, re.MULTILINE)


def test_midnight_is_a_time_of_day_among_times_of_day(filled):
    assert "2025-09-01 00:00 " in filled("show", "KRW-BTC", "1h", "--end", "2025-09-01T01:00").stdout
    assert "2025-09-01 00:00" in filled("sql", "FROM candles ORDER BY timestamp", "-n", "9").stdout
    assert "00:00" not in filled("sql", "SELECT TIMESTAMP '2025-09-01' AS day").stdout


def test_a_range_without_bars_says_which_there_are(filled):
    out = filled("show", "KRW-ETH", "--start", "2030-01-01").stdout
    assert out == ("no bars of KRW-ETH 1m in this range; stored are 2025-09-01 00:00 to 2025-09-01 03:19\n")


def test_the_chart_is_as_wide_as_the_terminal(filled, monkeypatch):
    monkeypatch.setenv("COLUMNS", "180")
    assert "over these 166 bars" in filled("show", "KRW-BTC", "1m").stdout


@pytest.mark.variants(1)
@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["show", "KRW-ETH"], ["show", "KRW-ETH", "--json"], ["series"]])
def test_a_terminal_without_unicode_gets_what_it_can_write(filled, tmp_path, monkeypatch, arguments):
    filled("series")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    code, out, err = finished(mdstore_process(tmp_path, *arguments))
    assert (code, "Traceback" in err) == (0, False), err
    assert out.isascii()
    assert ("+#" in out.replace(" ", "") or "|" in out) == (arguments == ["show", "KRW-ETH"])


def test_show_json_is_exact(filled, tmp_path):
    rows = json.loads(filled("show", "KRW-ETH", "--limit", "300", "--json").stdout)
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        frame = store.candles("KRW-ETH", "1m")
    assert [row["close"] for row in rows] == frame["close"].to_list()
    assert rows[0]["timestamp"] == "2025-09-01T00:00:00+00:00"


def test_show_asks_which_timeframe_and_suggests_symbols(filled):
    done = filled("show", "KRW-BTC", code=1)
    assert "several timeframes of KRW-BTC are stored: 1h, 1m" in done.stderr
    assert "Did you mean KRW-BTC?" in filled("show", "krw-btx", code=1).stderr
    assert "error:" in filled("show", "KRW-BTX", "1m", code=1).stderr
    assert "is no timeframe" in filled("show", "KRW-BTC", "7x", code=1).stderr
    assert "no bars" in filled("show", "KRW-ETH", "--start", "2030-01-01").stdout
    assert "start" in filled("show", "KRW-ETH", "--start", "whenever", code=1).stderr


def test_prices_have_the_digits_they_need(cli, tmp_path):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.write(
            "KRW-BTC", "1d", [("2025-09-01", 150_700_000, 150_803_000, 150_640_000, 150_803_000, 1.51931528)]
        )
        store.write("ADABTC", "1d", [("2025-09-01", 0.0000282, 0.00002821, 0.00002817, 0.00002818, 85342.7)])
    assert re.search(
        r"150,700,000 +150,803,000 +150,640,000 +150,803,000 +1\.51931528", cli("show", "KRW-BTC").stdout
    )
    assert re.search(r"0\.00002820 +0\.00002821 +0\.00002817 +0\.00002818", cli("show", "ADABTC").stdout)


def test_local_times_are_shown(filled):
    shown = filled("show", "KRW-BTC", "1m", "--tz", "Asia/Seoul", "-n", "2").stdout
    assert re.findall(r"^2025-09-01 \d\d:\d\d", shown, re.MULTILINE) == [
        "2025-09-01 13:58",
        "2025-09-01 13:59",
    ]
    assert "times of Asia/Seoul" in shown
    assert "2025-09-01 04:" not in shown  # nor in the chart
    rows = json.loads(filled("show", "KRW-BTC", "1m", "--tz", "America/New_York", "-n", "1", "--json").stdout)
    assert rows[0]["timestamp"] == "2025-09-01T00:59:00-04:00"
    days = filled("show", "KRW-BTC", "1d", "--from", "1h", "--tz", "Asia/Seoul", "--no-chart").stdout
    assert re.findall(r"^(2025-09-0\d 00:00)", days, re.MULTILINE) == ["2025-09-01 00:00", "2025-09-02 00:00"]
    assert "did you mean 'Asia/Seoul'" in filled("show", "KRW-BTC", "1m", "--tz", "Asia/Soul", code=1).stderr
