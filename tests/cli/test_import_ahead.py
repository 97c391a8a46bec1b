"""Files of an import are read ahead in a thread, and nobody can tell: order, errors, Ctrl-C, open files."""

import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from mdstore.cli.output import import_ahead
from mdstore.cli.output.import_ahead import Opened, opened_ahead, read_ahead
from mdstore.errors import FileFormatError
from mdstore.sources.files import read
from mdstore.store import ahead as ahead_module

HEADER = "timestamp,open,high,low,close,volume\n"
T = 1_756_684_800_000


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(ahead_module, "_cores", lambda: 2)


def bars(file, rows=3, price=1.0):
    lines = (f"{T + 60_000 * n},{price},{price},{price},{price},1" for n in range(rows))
    file.write_text(HEADER + "\n".join(lines) + "\n")
    return file


def look(file):
    return Opened(file, lambda: read(file), next)


def threads():
    return [one for one in threading.enumerate() if one.name == "mdstore-ahead"]


def open_files(folder):
    there = Path("/proc/self/fd")
    links = [os.readlink(fd) for fd in there.iterdir() if fd.exists()] if there.exists() else []
    return [link for link in links if link.startswith(str(folder))]


def test_results_come_in_the_order_of_the_files_and_errors_in_their_turn(cli, tmp_path):
    for number in range(9):
        bars(tmp_path / f"S{number}-1m.csv", rows=number + 1)
    (tmp_path / "S3-1m.csv").write_text("no table\n")
    (tmp_path / "S5-1m.csv").write_text(HEADER + f"{T},1,1,2,1,1\n")
    done = cli("import", ".", code=1)
    landed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("S")]
    assert landed == [f"S{number}-1m.csv" for number in (0, 1, 2, 4, 6, 7, 8)]
    assert done.stderr.index("S3-1m.csv") < done.stderr.index("S5-1m.csv")
    assert "7 of 9 files landed whole" in done.stderr
    assert not threads()


def test_files_of_one_run_that_disagree_are_told_by_the_order_in_which_they_landed(cli, tmp_path):
    for number in range(4):
        bars(tmp_path / f"S-1m-{number}.csv", price=1.0 + (number == 2))
    done = cli("import", ".", "-s", "S", "-t", "1m", code=1)
    assert "S-1m-2.csv: S 1m at 2025-09-01T00:00:00Z: open = 2.0 here and 1.0 in S-1m-1.csv" in done.stderr
    assert "3 of 4 files landed whole" in done.stderr


def test_the_next_file_is_opened_while_the_last_is_used(tmp_path):
    seen, second = [], threading.Event()

    def looked(file):
        seen.append((file.stem, threading.current_thread() is threading.main_thread()))
        if file.stem == "B-1m":
            second.set()
        return look(file)

    files = [bars(tmp_path / f"{name}-1m.csv") for name in "ABC"]
    with closing(opened_ahead(files, looked)) as opened:
        first = next(opened)
        assert first.first().symbol == "A"
        assert second.wait(10)  # though nobody has asked for it
        assert [one.first().symbol for one in opened] == ["B", "C"]
    assert seen == [("A-1m", True), ("B-1m", False), ("C-1m", False)]


def test_an_error_of_a_file_is_raised_when_it_is_used(tmp_path):
    files = [bars(tmp_path / "A-1m.csv"), tmp_path / "B-1m.csv", bars(tmp_path / "C-1m.csv")]
    files[1].write_text("no table\n")
    with closing(opened_ahead(files, look)) as opened:
        assert next(opened).first().symbol == "A"
        with pytest.raises(FileFormatError, match="B-1m"):
            next(opened).first()
        assert next(opened).first().symbol == "C"


def test_a_file_that_vanished_is_one_bad_file(tmp_path):
    files = [bars(tmp_path / "A-1m.csv"), tmp_path / "B-1m.csv", bars(tmp_path / "C-1m.csv")]
    opened = list(opened_ahead(files, look))
    with pytest.raises(FileNotFoundError):
        opened[1].first()


@pytest.mark.parametrize("used", [0, 1, 2, 4])
def test_nothing_is_left_open_and_no_thread_runs(tmp_path, used):
    files = [bars(tmp_path / f"S{number}-1m.csv") for number in range(4)]
    opened = opened_ahead(files, look)
    for _ in range(used):
        next(opened).first()
        assert len(open_files(tmp_path)) <= 2
    opened.close()
    assert not open_files(tmp_path)
    assert not threads()
    for file in files:
        file.unlink()


def test_large_files_are_not_opened_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(import_ahead, "AHEAD_BYTES", 1)
    files = [bars(tmp_path / f"S{number}-1m.csv") for number in range(3)]
    with closing(opened_ahead(files, look)) as opened:
        for _ in opened:
            assert not threads()
            assert len(open_files(tmp_path)) <= 1


def test_frames_come_in_order_and_an_error_behind_those_before_it(monkeypatch):
    monkeypatch.setattr(import_ahead, "AHEAD_ROWS", 1)

    def frames():
        for number in range(5):
            yield pl.DataFrame({"a": [number, number]})
        raise FileFormatError("row 10: no")

    got = []
    with pytest.raises(FileFormatError, match="row 10"):
        got.extend(frame["a"][0] for frame in read_ahead(frames()))
    assert got == [0, 1, 2, 3, 4]
    assert not threads()


def test_frames_end_with_their_reader():
    assert list(read_ahead(iter([]))) == []
    frames = [pl.DataFrame({"a": range(n)}) for n in (20_000, 3, 20_000, 0, 20_000)]
    assert [len(frame) for frame in read_ahead(iter(frames))] == [20_000, 3, 20_000, 0, 20_000]
    reading = read_ahead(iter(frames))
    next(reading)
    reading.close()
    assert not threads()


INTERRUPTED = """
import os, signal
from mdstore.cli import main
from mdstore.cli.output import import_
from mdstore.store import ahead
ahead._cores = lambda: 2
land = import_._import_file
def and_press_ctrl_c(store, opened, *rest):
    landed = land(store, opened, *rest)
    if opened.file.name == "S2-1m.csv":
        os.kill(os.getpid(), signal.SIGINT)
    return landed
import_._import_file = and_press_ctrl_c
main()
"""


def test_ctrl_c_between_files_lets_go_of_the_one_that_is_open(tmp_path):
    for number in range(8):
        bars(tmp_path / f"S{number}-1m.csv")
    command = [sys.executable, "-c", INTERRUPTED, "import", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert "interrupted: 3 of 8 files landed, 9 rows. Run the same command again" in done.stderr


def test_no_thread_is_started_by_the_import_of_the_package():
    code = (
        "import threading, mdstore.cli.output.import_, mdstore.cli.output.import_ahead; "
        "print([one.name for one in threading.enumerate()])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "['MainThread']"
