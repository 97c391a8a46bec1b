"""`mdstore top`: what the file tells, in a terminal of any size, once or as it changes."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

import mdstore
from mdstore.cli.output import top
from tests.support.candles import walk
from tests.support.command_line import in_widths
from tests.support.fragmented import bar


def test_it_is_printed_once_where_there_is_no_terminal(filled):
    out = filled("top").stdout
    assert filled("top", "--once").stdout.splitlines()[1:] == out.splitlines()[1:]
    assert "524 candles" in out
    assert "3 series" in out
    assert "no alarms" in out
    assert "store.stats() there" in out
    assert "open by process" in out or "not known on this system" in out
    assert not [line for line in out.splitlines() if len(line) > 250]


def test_no_width_breaks_it(filled, monkeypatch):
    for width in in_widths(monkeypatch):
        lines = filled("top", "--once").stdout.splitlines()
        assert max(map(len, lines)) <= width
        assert any("KRW-BTC" in line for line in lines)


def test_json_is_the_tree(filled):
    tree = json.loads(filled("top", "--json").stdout)
    assert tree["file"]["rows"] == 524
    assert tree["alarms"] == []


def test_alarms_say_what_to_do_on_the_command_line(filled, monkeypatch):
    from mdstore.candles.upkeep.file_upkeep import FileUpkeep

    monkeypatch.setattr(FileUpkeep, "log_limit", lambda self: -1)
    out = filled("top", "--once").stdout
    assert "warning: the log has" in out
    assert "`mdstore optimize` empties it" in out


def test_calls_of_this_process_are_shown_where_there_are_some(store, capsys):
    from mdstore.cli.shared.console import to_stdout

    store.write("A", "1m", walk(50))
    store.candles("A", "1m")
    top.print_top(store, to_stdout(), json=False)
    out = capsys.readouterr().out
    assert "hit rate" in out
    assert "store.stats() there" not in out
    assert [line.split()[:3] for line in out.splitlines() if "p50" in line][1] == ["write", "sqlite", "1"]


def test_it_lives_in_a_terminal_and_sees_what_others_write(filled, tmp_path):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mdstore", "top", "--every", "0.2"], cwd=tmp_path, stdin=slave, stdout=slave,
        stderr=slave, env={"PATH": "", "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )  # fmt: skip
    seen, wrote, until = "", False, time.monotonic() + 60
    try:
        while "+7" not in seen and time.monotonic() < until:
            if select.select([master], [], [], 0.1)[0]:
                seen += os.read(master, 65_536).decode(errors="replace")
            if "Ctrl-C ends it" in seen and not wrote:
                with mdstore.open(tmp_path / "market_data.sqlite3") as store:
                    store.write("NEW", "1m", [bar(number) for number in range(7)])
                wrote = True
        assert "NEW 1m" in seen
        assert "+7" in seen
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
        for one in (master, slave):
            os.close(one)


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(-5, "0 s ago"), (600_000, "10 min ago"), (86_400_000 * 9, "9 days ago")]
)
def test_times_are_said_in_words(milliseconds, text):
    assert top._ago(milliseconds) == text
