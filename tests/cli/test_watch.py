"""`mdstore watch` in a process of its own, as users run it: lines, JSON, a table, and Ctrl-C."""

import io
import json
import re
import resource
import signal
import time
from collections import Counter

import pytest
from rich.console import Console, Group

import mdstore
from mdstore import LocalExchange, LocalMarket
from mdstore.cli.output.watch import Watched
from mdstore.cli.output.watch_table import WatchTable
from mdstore.errors import Hint
from tests.support.command_line import finished, mdstore_process

pytestmark = pytest.mark.slow
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ KRW-\w+ 1s( [\d.e+-]+){5}( amended)?\n")


@pytest.fixture
def exchange():
    symbols = ("KRW-BTC", "KRW-ETH", "KRW-XRP")
    with LocalExchange(
        [LocalMarket(symbol=one, trades_per_minute=240, silent=0) for one in symbols]
    ) as exchange:
        yield exchange


def watching(folder, exchange, *arguments):
    return mdstore_process(folder, "watch", "upbit", *arguments, "--base-url", exchange.url)


def test_a_line_for_each_bar_that_ends(tmp_path, exchange):
    process = watching(tmp_path, exchange, "KRW-BTC", "KRW-ETH", "-t", "1s", "--record", "raw.gz")
    lines = [process.stdout.readline() for _ in range(8)]
    with mdstore.attach(tmp_path / "market_data.sqlite3") as bot:
        assert bot.trades.latest("KRW-BTC").price > 0
    exchange.fail_sockets()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    code, _, remarks = finished(process)
    assert code == 0
    assert all(LINE.fullmatch(line) for line in lines), lines
    assert "ConnectionClosedError" in remarks
    assert re.search(
        r"watched 2 markets for \d+ s: \d+ messages; \d+ bars stored; 1 reconnect; recorded in raw-", remarks
    )
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        assert len(store.candles("KRW-ETH", "1s")) >= 4
    (recording,) = tmp_path.glob("raw-*.gz")
    played = finished(mdstore_process(tmp_path, "replay", recording))
    assert played[0] == 0
    assert "KRW-BTC" in played[1]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="of Linux")
def test_where_the_disk_takes_nothing_more_it_is_said_what_is_not_stored(tmp_path, exchange):
    process = watching(tmp_path, exchange, "KRW-BTC", "-t", "1s")
    lines = [process.stdout.readline() for _ in range(2)]
    _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1024, most))
    lines += [process.stdout.readline() for _ in range(6)]
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    code, _, remarks = finished(process)
    assert code == 1
    assert all(LINE.fullmatch(line) for line in lines), lines
    last = remarks.splitlines()[-2:]
    assert re.match(
        r"watched 1 market for \d+ s: \d+ messages; \d+ bars stored; \d+ not stored, which a sync", last[0]
    )
    assert re.match("error: .*market_data.sqlite3: the disk failed to read or write", last[1])
    assert "Traceback" not in remarks
    waiting = [
        line for line in remarks.splitlines() if "the disk failed" in line and "fetched again" not in line
    ]
    assert len(waiting) <= 3, "not each time that it is tried"
    assert (
        finished(mdstore_process(tmp_path, "sync", "upbit", "KRW-BTC", "1s", "--base-url", exchange.url))[0]
        == 0
    )
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        stored = {f"{one:%Y-%m-%dT%H:%M:%SZ}" for one in store.candles("KRW-BTC", "1s")["timestamp"]}
    assert {line.split()[0] for line in lines} <= stored


def test_a_timeframe_may_come_last_as_sync_takes_it(tmp_path, exchange):
    process = watching(tmp_path, exchange, "KRW-BTC", "1s")
    line = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert finished(process)[0] == 0
    assert LINE.fullmatch(line), line


def test_json_has_a_line_a_bar(tmp_path, exchange):
    process = watching(tmp_path, exchange, "KRW-*", "-t", "1s", "--json")
    bars = [json.loads(process.stdout.readline()) for _ in range(6)]
    process.terminate()
    assert finished(process)[0] == 0
    assert {bar["symbol"] for bar in bars} == {"KRW-BTC", "KRW-ETH", "KRW-XRP"}
    assert bars[0].keys() == {
        "symbol", "timeframe", "timestamp", "open", "high", "low", "close", "volume", "partial", "amended",
    }  # fmt: skip


def test_mistakes_end_it_at_once(tmp_path, exchange):
    for arguments, said in (
        (("KRW-BTX",), "upbit has no market 'KRW-BTX'"),
        (("KRW-BTC", "-t", "7m"), "upbit has no 7m candles"),
    ):
        code, out, remarks = finished(watching(tmp_path, exchange, *arguments))
        assert (code, out) == (1, "")
        assert said in remarks
        assert "Traceback" not in remarks
    assert not (tmp_path / "market_data.sqlite3").exists()  # nothing was put into it


def test_ctrl_c_ends_it_while_the_exchange_is_asked(tmp_path):
    with LocalExchange(["KRW-BTC"], faults=["stalled"] * 9) as exchange:
        process = watching(tmp_path, exchange, "KRW-BTC")
        end = time.monotonic() + 60
        while not exchange.faults.left < ["stalled"] * 9:  # until it has asked
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        code, out, _ = finished(process)
    assert (code, out) == (130, "")
    assert [one.path for one in exchange.requests] == ["/v1/market/all"]


def test_failures_are_said_in_words_and_with_whatever_is_in_them(store):
    shown = io.StringIO()
    remarks = Console(file=shown, width=200)
    say = Watched(store, Console(file=io.StringIO()), remarks, as_json=False)._say
    say(mdstore.SourceError("no candles [/b] of [bold]X[/]", hint=Hint("store.sync()", "mdstore sync")))
    say(KeyError("x"))
    say(ConnectionRefusedError(111, "Connection refused"))
    say(TimeoutError())
    noted = EOFError("gone")
    noted.add_note("upbit, KRW-BTC: connected to again in 0.5 s")
    say(noted)
    lines = [
        re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ (.*)", one) for one in shown.getvalue().splitlines()
    ]
    assert [one[1] for one in lines] == [
        "no candles [/b] of [bold]X[/]. Hint: mdstore sync",
        "KeyError: 'x'",
        "Connection refused",
        "TimeoutError()",
        "EOFError: gone (upbit, KRW-BTC: connected to again in 0.5 s)",
    ]


@pytest.mark.variants(1)
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_table_fits_the_terminal(store, exchange, width):
    with store.watch("upbit", "KRW-*", "1s", base_url=exchange.url) as watch:
        end = time.monotonic() + 60
        while any(store.live.forming(symbol, "1s") is None for symbol in watch.symbols):
            assert time.monotonic() < end
        table = WatchTable(store, watch, Counter())
        shown = io.StringIO()
        console = Console(file=shown, width=width)
        console.print(Group(table.heading(), table.table(20, width)))
        few = io.StringIO()
        Console(file=few, width=width).print(table.table(3, width))
    lines = shown.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("upbit  1 of 1 connection")
    assert [name for name in ("symbol", "price", "change", "lag", "volume") if name in lines[1]] == (
        ["symbol", "price", "change"]
        + (["lag"] if width >= 60 else [])
        + (["volume"] if width >= 110 else [])
    )
    assert re.match(r"KRW-BTC +1\d\d,\d{3},\d{3} +[+-]\d\.\d\d%", lines[2])
    assert "and 2 more" in few.getvalue()
