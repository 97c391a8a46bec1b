"""`mdstore sync`: what it fetches, what it says, and how it ends."""

import io
import json
import re
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from rich.console import Console

import mdstore
from mdstore import LocalExchange, LocalMarket
from mdstore.cli.output.sync_progress import SyncProgress
from mdstore.core.timestamps import ms_to_datetime
from mdstore.sources.sync.candle_source import Wait
from mdstore.sources.sync.result import SeriesSync, SyncResult
from mdstore.sources.web.breaker import Breaker
from mdstore.sources.web.host import Manners
from tests.support.command_line import finished, mdstore_process
from tests.support.tiny_server import Reply, TinyServer

MARKETS = [LocalMarket(symbol="KRW-BTC", listed="2025-08-01"), "KRW-ETH", "BTCUSDT"]
SPAN = ("--since", "2025-09-01", "--until", "2025-09-01T10:00")


@pytest.fixture(scope="module")
def url():
    with LocalExchange(MARKETS, now="2025-10-01", limits=None) as exchange:
        yield exchange.url


def test_what_is_missing_is_fetched_and_told_in_a_table(cli, store_of, url):
    done = cli("sync", "upbit", "KRW-BTC", "KRW-ETH", "1m", "1h", *SPAN, "--base-url", url)
    assert re.search(r"symbol +timeframe +bars +inserted +updated +holes +state", done.stdout)
    assert re.search(r"KRW-BTC +1h +10 +10 +0 +done", done.stdout)
    assert re.search(r"in all +1,220 +1,\d\d\d +0 +\d+ no_trade", done.stdout)
    assert re.search(r"1,\d\d\d new, 0 changed, \d+ requests, \d", done.stdout)
    with store_of() as store:
        assert sorted(store) == [(s, bar) for s in ("KRW-BTC", "KRW-ETH") for bar in ("1h", "1m")]
    again = cli("sync", "upbit", "KRW-BTC", "KRW-ETH", "1m", "1h", *SPAN, "--base-url", url)
    assert "4 of 4 series: nothing was missing\n0 new, 0 changed, 0 requests" in again.stdout


def test_patterns_and_all_are_every_market(cli, store_of, url):
    cli("sync", "upbit", "KRW-*", "1d", "--since", "2025-09-01", "--until", "2025-09-05", "--base-url", url)
    cli("sync", "binance", "--all", "1d", "--since", "2025-09-01", "--until", "2025-09-05", "--base-url", url)
    with store_of() as store:
        assert sorted(store) == [("BTCUSDT", "1d"), ("KRW-BTC", "1d"), ("KRW-ETH", "1d")]


def test_a_dry_run_says_bars_pages_and_time_and_makes_no_file(cli, tmp_path, url):
    arguments = ("sync", "upbit", "KRW-BTC", "1m", "--since", "listing", "--until", "2025-09-01")
    done = cli(*arguments, "--dry-run", "--base-url", url)
    assert re.search(r"KRW-BTC +1m +44,640 +224", done.stdout)
    assert (
        "44,640 bars in 224 pages at most, 22 s at 10 requests a second; nothing was fetched" in done.stdout
    )
    assert list(tmp_path.iterdir()) == []


def test_what_fails_is_an_error_with_what_to_do_and_the_others_come(cli, store_of, url):
    done = cli("sync", "upbit", "KRW-BTC", "KRW-ETC", "1h", *SPAN, "--base-url", url, code=1)
    assert "error: KRW-ETC 1h: upbit has no market 'KRW-ETC'" in done.stderr
    assert "Hint: did you mean KRW-ETH?" in done.stderr
    assert "1 of 2 series came whole\n" in done.stderr, "no repeat can help"
    with store_of() as store:
        assert list(store) == [("KRW-BTC", "1h")]


def test_it_is_advised_to_repeat_what_a_repeat_can_help_and_nothing_else(cli, url, monkeypatch):
    advice = "Run the same command again: it asks for what failed"
    for flags in (("KRW-BTC", "1m"), ("KRW-ETC", "1m", *SPAN), ("KRW-BTC", "1m", *SPAN, "--offline")):
        done = cli("sync", "upbit", *flags, "--base-url", url, code=1)
        assert "0 of 1 series came whole\n" in done.stderr, flags
        assert advice not in done.stderr
    monkeypatch.setattr("mdstore.sources.web.host.Breaker", partial(Breaker, seconds=0.2))
    with TinyServer(lambda _: Reply("<html>", status=403)) as server:
        done = cli("sync", "upbit", "KRW-BTC", "1m", *SPAN, "--base-url", server.url, code=1)
    assert advice in done.stderr
    cli("sync", "upbit", "KRW-BTC", "1m", *SPAN, "--base-url", url)


def test_nothing_is_said_twice(cli, monkeypatch):
    monkeypatch.setattr("mdstore.sources.web.host.Manners", partial(Manners, attempts=1))
    done = cli("sync", "upbit", "KRW-BTC", "1h", *SPAN, "--base-url", "http://127.0.0.1:1", code=1)
    assert done.stderr.startswith("error: KRW-BTC 1h before 2025-09-01 10:00")
    assert "ssl" not in done.stderr
    done = cli("sync", "--check", "upbit", "--base-url", "http://127.0.0.1:2", code=1)
    assert done.stdout.startswith("the markets: 127.0.0.1:")
    assert "ssl" not in done.stdout


def test_a_clock_that_is_off_is_a_warning(cli):
    with LocalExchange(["KRW-BTC"], skew=-1_200.0, limits=None) as exchange:
        since = ["--since", ms_to_datetime(exchange.now() - 3_600_000).isoformat()]
        done = cli("sync", "upbit", "KRW-BTC", "1m", *since, "--base-url", exchange.url)
    assert done.stderr.count("warning: the clock of this machine is 20 min ahead of that of upbit") == 1
    assert "Hint: set this machine's clock, if that is the one that is wrong" in done.stderr


def test_timeframes_may_be_given_as_watch_takes_them(cli, store_of, url):
    cli("sync", "upbit", "KRW-BTC", "-t", "1h", "-t", "1d", *SPAN, "--base-url", url)
    with store_of() as store:
        assert sorted(store) == [("KRW-BTC", "1d"), ("KRW-BTC", "1h")]


def test_rows_that_break_a_rule_end_it_with_1_though_the_others_have_come(cli, store_of):
    with LocalExchange(["KRW-BTC"], now="2025-10-01", limits=None) as exchange:
        exchange.amend("KRW-BTC", "2025-09-01T00:07", high=1.0)
        done = cli("sync", "upbit", "KRW-BTC", "1m", *SPAN, "--base-url", exchange.url, code=1)
    assert "error: KRW-BTC 1m: 1 row broke a rule and came into quarantine" in done.stderr
    with store_of() as store:
        assert len(store.quarantine()) == 1
        assert store.candles("KRW-BTC", "1m").height > 500


def test_json_is_for_programs(cli, url):
    done = cli("sync", "upbit", "KRW-BTC", "1h", *SPAN, "--base-url", url, "--json")
    said = json.loads(done.stdout)
    assert (said["inserted"], said["source"], said["series"][0]["symbol"]) == (10, "upbit", "KRW-BTC")


def test_a_dry_run_says_to_programs_what_its_table_says(cli, url):
    done = cli("sync", "upbit", "KRW-BTC", "KRW-ETH", "1h", *SPAN, "--base-url", url, "--dry-run", "--json")
    said = json.loads(done.stdout)
    assert (said["missing"], said["pages"]) == (20, 2)
    assert [(one["symbol"], one["bars"], one["pages"]) for one in said["series"]] == [
        ("KRW-BTC", 10, 1), ("KRW-ETH", 10, 1),
    ]  # fmt: skip
    assert "state" not in said["series"][0]


def test_nobody_is_asked_where_nobody_is_to_be_asked(cli):
    done = cli("sync", "upbit", "KRW-BTC", "1h", *SPAN, "--offline", code=1)
    assert "nobody is to be asked. Hint: leave out --offline" in done.stderr


@pytest.mark.long
def test_the_check_asks_for_a_little_of_each_kind(cli):
    with LocalExchange(["KRW-BTC"], limits=None) as exchange:
        done = cli("sync", "--check", "upbit", "--base-url", exchange.url)
        assert "three 1m candles: as documented\n" in done.stdout
        assert re.search(r"(\d+) of \1 kinds of requests answered as documented", done.stdout)
        assert len(exchange.requests) < 60
    with LocalExchange(["BTCUSDT"], limits=None) as exchange:  # no market of Upbit's
        done = cli("sync", "--check", "upbit", "--base-url", exchange.url, code=1)
        assert "the markets: no list of objects came" in done.stdout
        assert "three 1m candles: status 404 came" in done.stdout


def test_an_exchange_is_held_to_its_documentation(cli):
    row = {"market": "KRW-BTC", "candle_date_time_utc": "2025-09-03T00:00:30", "trade_price": "[/12]"}
    with TinyServer(lambda _: Reply([row])) as server:
        done = cli("sync", "--check", "upbit", "--base-url", server.url, code=1)
    assert re.search(r"three 1m candles: .*high_price is missing; .*trade_price is '\[/12\]'", done.stdout)


def test_a_check_of_an_exchange_of_which_nothing_is_known(cli):
    pytest.importorskip("ccxt")
    done = cli("sync", "--check", "ccxt:kraken", "--base-url", "http://127.0.0.1:1", code=1)
    assert "known of upbit, binance and binance-futures only. Hint: " in done.stderr


def test_a_source_of_ones_own_is_opened_by_name_and_one_that_is_broken_is_told(cli, add_source):
    text = """
import mdstore

def opens(**_):
    return mdstore.FunctionCoordinator(lambda symbol, timeframe, start, end: [], name="plain")
"""
    add_source("plain", text, "opens")
    add_source("broken", text, "open")
    done = cli("sync", "--check", "plain", code=1)
    assert done.stderr.startswith("error: plain: what it should answer is known of upbit, binance and ")
    for flags in (("A", "1m", *SPAN), ("--check",)):
        done = cli("sync", "broken", *flags, code=1)
        assert "error: the entry point 'broken' of the package broken-exchange" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("upbit", "KRW-BTC"), "name a timeframe at the end"),
        (("upbit", "1m"), "say of which"),
        (("upbit", "--all", "KRW-BTC", "1m"), "--all is every market"),
    ],
)
def test_usage(cli, arguments, said):
    assert said in re.sub(r"[\s│]+", " ", cli("sync", *arguments, code=2).stderr)


def test_errors_have_hints_that_work(cli, url):
    done = cli("sync", "upbitt", "KRW-BTC", "1m", *SPAN, code=1)
    assert "did you mean 'upbit'?" in done.stderr
    done = cli("sync", "upbit", "KRW-BTC", "1m", "--base-url", url, code=1)
    assert "from when on are they wanted? Hint: give --since" in done.stderr
    done = cli("sync", "upbit", "KRW-BTC", "2h", *SPAN, "--base-url", url, code=1)
    assert "Hint: `mdstore show SYMBOL 2h --from 1h` makes them" in done.stderr
    cli("sync", "upbit", "KRW-BTC", "1h", *SPAN, "--base-url", url)
    cli("show", "KRW-BTC", "2h", "--from", "1h")


def test_without_a_terminal_progress_is_a_line_now_and_then(cli, url, monkeypatch):
    monkeypatch.setattr("mdstore.cli.output.sync_progress.LINE_SECONDS", 0.0)
    done = cli("sync", "upbit", "KRW-BTC", "1m", *SPAN, "--base-url", url)
    assert re.search(r"^600 of 600 bars, 3 of 3 pages, 3 requests$", done.stderr, re.MULTILINE)


def started(folder, *arguments):
    def interruptible():  # a shell's & has it ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return mdstore_process(folder, *arguments, preexec_fn=interruptible)


def wait_for(path, symbol="KRW-BTC"):
    for _ in range(600):
        time.sleep(0.05)
        try:
            with mdstore.open(path, create=False, read_only=True) as store:
                if len(store):
                    return
        except mdstore.MarketDataError:
            continue
    pytest.fail("nothing came")


def test_ctrl_c_ends_it_within_a_second_with_what_has_come_and_says_how_to_go_on(tmp_path):
    with LocalExchange(MARKETS, now="2025-10-01") as exchange:
        command = ("sync", "upbit", "KRW-BTC", "1m", "--since", "2025-08-05", "--base-url", exchange.url)
        process = started(tmp_path, *command)
        wait_for(tmp_path / "market_data.sqlite3")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        code, out, err = finished(process)
        took = time.monotonic() - began
        assert code == 130, err
        assert "interrupted. What has come is stored. Run the same command again" in err
        assert re.search(r"[\d,]+ new, 0 changed", out)
        assert took < 5, "a second, on a machine that has nothing else to do"
        with mdstore.open(tmp_path / "market_data.sqlite3") as store:
            rows, missing = (
                len(store.candles("KRW-BTC", "1m")),
                store.missing("KRW-BTC", "1m", start="2025-08-05"),
            )
        assert re.search(rf"^{rows:,} new", out, re.MULTILINE)
        assert missing["bars"].sum() > 0


def test_every_goes_on_until_ctrl_c(tmp_path):
    with LocalExchange(["KRW-BTC"], limits=None) as exchange:
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 120))
        command = (
            "sync",
            "upbit",
            "KRW-BTC",
            "1s",
            "--since",
            since,
            "--every",
            "1s",
            "--base-url",
            exchange.url,
        )
        process = started(tmp_path, *command)
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        code, _, err = finished(process)
        assert code == 130
        assert all(re.search(r"\d new, \d+ changed, \d+ requests?, ", line) for line in lines), (lines, err)


def test_every_with_an_end_that_is_over_is_refused_and_the_hint_helps(cli):
    with LocalExchange(["KRW-BTC"], now="2025-10-01", limits=None) as exchange:
        command = ["sync", "upbit", "KRW-BTC", "1d", "--since", "2025-09-01", "--until", "2025-09-05"]
        command += ["--base-url", exchange.url]
        said = " ".join(cli(*command, "--every", "1m", code=1).stderr.split())
        assert "it is to go on every 1m, and 2025-09-05 00:00:00+00:00, up to when bars are wanted" in said
        assert "leave out --every, or --until" in said
        assert "4 new" in cli(*command).stdout


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_every_round_is_a_line_of_json_for_programs(tmp_path, end):
    with LocalExchange(["KRW-BTC"], limits=None) as exchange:
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 60))
        process = started(
            tmp_path, "sync", "upbit", "KRW-BTC", "1s", "--since", since, "--every", "1s", "--json",
            "--base-url", exchange.url,
        )  # fmt: skip
        rounds = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(end)
        code, out, _ = finished(process)
        assert code == (130 if end is signal.SIGINT else -signal.SIGTERM)
        rounds += map(json.loads, out.splitlines())
    assert {(one["source"], one["series"][0]["symbol"]) for one in rounds} == {("upbit", "KRW-BTC")}
    assert rounds[0]["inserted"] > 0
    assert all("T" in one["ended"] for one in rounds)
    assert sorted(one["ended"] for one in rounds) == [one["ended"] for one in rounds]


def test_a_line_of_a_round_stands_by_itself_in_a_terminal():
    out = io.StringIO()
    result = SyncResult("upbit", [SeriesSync("KRW-BTC", "1m", missing=10, state="at work")])
    screen = Console(file=out, force_terminal=True, width=100)
    with SyncProgress(screen, rounds=lambda one: print("round of", one.source, file=out)) as progress:
        progress(result)
        result.is_over = True
        progress(result)
        drawn, _, _ = out.getvalue().partition("round of upbit\n")
        assert drawn.endswith("\r\x1b[1A\x1b[2K\x1b[1A\x1b[2K"), "both lines of the bar are taken away before"


def test_a_log_says_once_that_a_host_is_waited_for_and_once_that_it_is_over(monkeypatch):
    now, out = [0.0], io.StringIO()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    result = SyncResult("upbit", [SeriesSync("KRW-BTC", "1m", missing=10, state="at work")])
    with SyncProgress(Console(file=out, width=200)) as progress:
        for left in (60, 30):
            for second in range(left):
                now[0] += 1
                result.wait = Wait("upbit", "upbit has failed again and again", left - second)
                progress(result)
            result.wait = None
            progress(result)
    lines = out.getvalue().splitlines()
    waits = [line.partition("waits: ")[2] for line in lines]
    assert waits == [
        "upbit has failed again and again, 60 s", "", "upbit has failed again and again, 30 s", "",
    ]  # fmt: skip


def test_it_is_drawn_in_a_terminal(tmp_path, url):
    command = [sys.executable, "-m", "mdstore", "sync", "upbit", "KRW-BTC", "1m", *SPAN, "--base-url", url]
    drawn = subprocess.run(
        ["script", "-qec", " ".join(command), "/dev/null"], cwd=tmp_path, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert drawn.returncode == 0
    assert "new, 0 changed" in drawn.stdout
