"""`mdstore replay`: what is shown of a recording, and which bars are stored."""

import gzip
import json
import re
import signal
import time
from datetime import datetime

import pytest

import mdstore
from tests.support.command_line import finished, mdstore_process


def upbit_recording(folder, minutes=3):
    """Trades and books as a recorder writes them; nothing of it was ever traded."""
    start = 1_756_684_800_000
    lines = []
    for at in range(minutes * 60 + 10):
        stamp = start + at * 1000
        trade = {
            "ty": "trade", "cd": "KRW-BTC", "tms": stamp, "ttms": stamp, "tp": 150_000_000 + at % 7 * 1000,
            "tv": 0.5, "ab": "BID", "sid": stamp * 1000, "st": "REALTIME",
        }  # fmt: skip
        lines.append(f"{stamp * 1_000_000 + 300_000_000} {json.dumps(trade)}\n")
    path = folder / "upbit.ws.gz"
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


def test_replay_shows_each_symbol_and_stores_nothing(cli, tmp_path):
    done = cli("replay", upbit_recording(tmp_path), "-t", "1m")
    assert re.search(r"KRW-BTC +190 +0 +0 +150,000,000 +[▁▂▃▄▅▆▇█]{24} .*300", done.stdout)
    assert "190 messages: 189.0 s of upbit" in done.stderr
    assert not (tmp_path / "market_data.sqlite3").exists()


def test_replay_stores_bars_that_were_seen_from_start_to_end(cli, tmp_path):
    path = upbit_recording(tmp_path)
    assert (
        "2 bars stored; 2 have closed, 1 are forming, 1 were"
        in cli("replay", path, "-t", "1m", "--save").stderr
    )
    frame = json.loads(cli("show", "KRW-BTC", "--json").stdout)
    assert [bar["timestamp"][14:16] for bar in frame] == ["01", "02"]
    assert {bar["volume"] for bar in frame} == {30.0}
    again = json.loads(cli("replay", path, "-t", "1m", "--save", "--json").stdout)
    assert (again["venue"], again["messages"], again["bars_stored"]) == ("upbit", 190, 2)
    assert again["symbols"][0]["price"] == 150_000_000.0


def test_what_replay_cannot_play_leaves_nothing_behind(cli, tmp_path):
    (tmp_path / "no.txt").write_text("hello\n")
    assert "no recorded message" in cli("replay", "no.txt", "-t", "1m", "--save", code=1).stderr
    assert "No such file" in cli("replay", "missing.gz", "-t", "1m", "--save", code=1).stderr
    path = upbit_recording(tmp_path, minutes=0)
    assert "no timeframe" in cli("replay", path, "-t", "7x", "--save", code=1).stderr
    assert "speed" in cli("replay", path, "--speed", "0", code=1).stderr
    assert "say of which --timeframe" in cli("replay", path, "--save", code=2).stderr
    assert "0 bars stored" in cli("replay", path, "-t", "1m", "--save").stderr
    assert not (tmp_path / "market_data.sqlite3").exists()


@pytest.mark.slow
def test_replay_keeps_its_pace_and_ends_on_ctrl_c(tmp_path):
    process = mdstore_process(tmp_path, "replay", upbit_recording(tmp_path), "--speed", "2")
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert code == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert re.search(r"KRW-BTC +\d+ ", out)


def test_replay_shows_what_it_played_of_a_recording_that_was_cut(cli, tmp_path):
    path = upbit_recording(tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    done = cli("replay", path, "-t", "1m", "--save")
    assert re.search(r"KRW-BTC +1\d\d ", done.stdout)
    assert "the end of upbit.ws.gz is not there, as of a recorder that was killed" in done.stderr
    assert "1 bar stored" in done.stderr
    assert "damaged after line" in cli("replay", path, "--strict", code=1).stderr


def test_replay_goes_on_past_a_line_that_cannot_be_read_and_says_so(cli, tmp_path):
    path = upbit_recording(tmp_path, minutes=4)
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    lines[130] = lines[130][:40] + b"\n"
    path.write_bytes(gzip.compress(b"".join(lines)))
    done = cli("replay", path, "-t", "1m", "--save", code=1)
    assert "249 messages" in done.stderr
    assert "1 place could not be read, and bars that may lack a trade are not whole" in done.stderr
    assert "upbit.ws.gz: line 131: " in done.stderr
    frame = json.loads(cli("show", "KRW-BTC", "--json").stdout)
    assert [bar["timestamp"][14:16] for bar in frame] == ["01", "03"]
    told = json.loads(cli("replay", path, "--json", code=1).stdout)
    assert (told["unread"], told["cut"], told["first_unread"][:23]) == (1, [], "upbit.ws.gz: line 131: ")
    assert "line 131" in cli("replay", path, "--strict", code=1).stderr


def test_replay_by_the_wrong_venue_is_no_success(cli, tmp_path):
    path = upbit_recording(tmp_path)
    assert "are they of binance?" in cli("replay", path, "--venue", "binance", code=1).stderr


# --- the bars that were made -----------------------------------------------------------------------------


def upbit_bars(path, seconds):
    """The bars of a recording by a plain way: lines, groups, first and last."""
    bars = {}
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        trade = json.loads(line.partition(" ")[2])
        start = trade["ttms"] // (seconds * 1000) * seconds * 1000
        bars.setdefault(start, []).append((trade["tp"], trade["tv"]))
    return {
        start: (of[0][0], max(of)[0], min(of)[0], of[-1][0], sum(size for _, size in of))
        for start, of in bars.items()
    }


def test_replay_shows_the_bars_it_made(cli, tmp_path):
    path = upbit_recording(tmp_path)
    done = cli("replay", path, "-t", "1m", "-t", "5s", "-t", "1m", "--json")
    found = json.loads(done.stdout)["bars"]
    for timeframe, seconds in ("1m", 60), ("5s", 5):
        mine = [bar for bar in found if bar["timeframe"] == timeframe]
        truth = upbit_bars(path, seconds)
        times = [round(datetime.fromisoformat(bar["timestamp"]).timestamp() * 1000) for bar in mine]
        assert times == sorted(truth)
        rows = [tuple(bar[name] for name in ("open", "high", "low", "close", "volume")) for bar in mine]
        assert rows == [truth[start] for start in times]
        assert [bar["partial"] for bar in mine] == [True] + [False] * (len(mine) - 1)
        assert [bar["closed"] for bar in mine][:-2] == [True] * (len(mine) - 2)
        assert mine[-1]["closed"] is False
        assert {bar["symbol"] for bar in mine} == {"KRW-BTC"}
    assert [bar["timeframe"] for bar in found] == ["1m"] * 4 + ["5s"] * 38
    assert "bars" not in json.loads(cli("replay", path, "--json").stdout)


def test_replay_prints_the_latest_bars_of_each_timeframe(cli, tmp_path):
    out = cli("replay", upbit_recording(tmp_path), "-t", "1m", "-t", "5s").stdout
    minutes, _, seconds = out.partition("bars of 5s, the latest 20 of 38 (--json has all)\n")
    lines = minutes.partition("bars of 1m\n")[2].splitlines()
    assert lines[0].split() == ["symbol", "timestamp", "open", "high", "low", "close", "volume", "state"]
    assert lines[1].endswith("partial")
    assert re.fullmatch(r"KRW-BTC +2025-09-01 00:01 +150,004,000 +150,006,000 .* 30", lines[2])
    assert lines[4].endswith("forming")
    assert len(seconds.splitlines()) == 21
    assert "2025-09-01 00:03:05" in seconds
    assert "bars of" not in cli("replay", upbit_recording(tmp_path, minutes=0)).stdout


def test_a_bar_that_was_amended_is_shown_once_as_it_is_at_last(cli, tmp_path):
    path = upbit_recording(tmp_path)
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    lines.insert(140, lines.pop(90))  # a trade of the second minute, when that has ended
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    bars = json.loads(cli("replay", path, "-t", "1m", "--json").stdout)["bars"]
    assert [bar["volume"] for bar in bars] == [30.0, 30.0, 30.0, 5.0]


def test_what_a_recorder_wrote_plays_in_order_from_all_of_its_files(cli, tmp_path):
    lines = gzip.decompress(upbit_recording(tmp_path).read_bytes()).decode().splitlines()
    with mdstore.Recorder(tmp_path / "recorded" / "upbit", rotate_bytes=1_000) as recorder:
        for number, line in enumerate(lines):
            received, _, text = line.partition(" ")
            recorder.write(text, int(received))
            if number % 20 == 19:
                recorder.flush()
    files = sorted((tmp_path / "recorded").glob("upbit-*.gz"))
    assert len(files) > 5
    together = json.loads(cli("replay", *reversed(files), "-t", "1m", "--json").stdout)
    assert together == json.loads(cli("replay", tmp_path / "upbit.ws.gz", "-t", "1m", "--json").stdout)
