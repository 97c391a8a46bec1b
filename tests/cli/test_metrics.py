"""`mdstore metrics`: printed, served, and as a file that is whole whenever it is read."""

import re
import signal
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.support.command_line import finished, mdstore_process


def names(text):
    return {one.name for one in parse(text)}


def test_they_are_printed(filled):
    assert "mdstore_candles" in names(filled("metrics").stdout)


def test_a_file_is_written_whole_and_nothing_is_left_beside_it(filled, tmp_path):
    filled("metrics", "--textfile", "mdstore.prom")
    assert "mdstore_candles" in names((tmp_path / "mdstore.prom").read_text())
    assert [one.name for one in tmp_path.glob("mdstore.prom*")] == ["mdstore.prom"]


def test_what_cannot_be_written_is_refused(filled, tmp_path):
    assert "ends in .prom" in filled("metrics", "--textfile", "mdstore.txt", code=1).stderr
    assert "cannot be opened" in filled("metrics", "--textfile", "nowhere/mdstore.prom", code=1).stderr
    (tmp_path / "market_data.sqlite3").rename(tmp_path / "s.prom")
    assert "is the store itself" in filled("-f", "s.prom", "metrics", "--textfile", "s.prom", code=1).stderr


def test_a_port_that_is_taken_is_refused_with_what_to_do(filled, tmp_path):
    process = mdstore_process(tmp_path, "metrics", "--port", "0")
    try:
        port = re.search(r":(\d+)/", process.stderr.readline())[1]
        assert "give another --port" in filled("metrics", "--port", port, code=1).stderr
    finally:
        process.terminate()
        finished(process)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_they_are_served_until_it_is_told_to_end(filled, tmp_path, number):
    process = mdstore_process(
        tmp_path, "metrics", "--port", "0",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    address = process.stderr.readline().split(";")[0]
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert "mdstore_candles" in names(answer.read().decode())
    process.send_signal(number)
    code, _, err = finished(process)
    assert "Traceback" not in err
    assert code == (0 if number == signal.SIGTERM else 130)


def test_the_file_is_whole_whenever_it_is_read(filled, tmp_path):
    path = tmp_path / "mdstore.prom"
    process = mdstore_process(tmp_path, "metrics", "--textfile", path, "--every", "0.1")
    seen = set()
    try:
        while len(seen) < 4:
            if path.exists():
                text, made = path.read_text(), path.stat().st_ino
                assert text.endswith("\n")
                assert {"mdstore_candles", "mdstore_alarm"} <= names(text)
                seen.add(made)
    finally:
        process.terminate()
        code, _, err = finished(process)
    assert (code, err) == (0, "")
