"""What comes next of a large file is parsed while the last of it is written, and the import is the same."""

import re
import threading
from contextlib import closing

import polars as pl
import pytest

from mdstore.cli.output import import_ as module
from mdstore.cli.output.import_ import _read_ahead
from mdstore.cli.shared.declared import declared_in
from mdstore.sources.files import csv
from tests.support.ahead import threads, two_cores  # noqa: F401 - a fixture for each test
from tests.support.candles import MINUTE, START, bits, walk

BARS, BYTES = 3_000, 8_000


@pytest.fixture
def small(monkeypatch):
    """Have a file parsed in many small pieces, each worth a thread."""
    monkeypatch.setattr(csv, "BLOCK", BYTES)
    monkeypatch.setattr(csv, "HEAD", BYTES)
    monkeypatch.setattr(module, "AHEAD_ROWS", 1)


def frames(sizes, seen=lambda at: None):
    for at, size in enumerate(sizes):
        seen(at)
        yield pl.DataFrame({"row": range(size)})


def test_the_next_frame_is_parsed_while_the_last_is_used():
    parsed = threading.Event()

    def seen(at):
        if at == 1:
            parsed.set()

    with closing(_read_ahead(frames([10_000] * 3, seen))) as read:
        next(read)
        assert parsed.wait(10)  # though nobody has asked for it
        assert [len(frame) for frame in read] == [10_000] * 2
    assert not threads()


@pytest.mark.parametrize("sizes", [[], [5], [5, 20_000, 3], [10_000], [10_000, 0, 7]])
def test_frames_of_any_size_come_in_their_order(sizes):
    assert [len(frame) for frame in _read_ahead(frames(sizes))] == sizes
    assert not threads()


def test_a_small_file_costs_no_thread_and_is_not_read_at_once():
    where = []
    read = _read_ahead(frames([9_999, 1, 1], lambda at: where.append((at, threading.get_ident()))))
    next(read)
    assert where == [(0, threading.get_ident())]
    assert len(list(read)) == 2
    assert {thread for _, thread in where} == {threading.get_ident()}


def test_a_thread_has_ended_once_the_frames_are_closed():
    release = threading.Event()

    def seen(at):
        if at:
            release.wait(10)

    with closing(_read_ahead(frames([10_000] * 9, seen))) as read:
        next(read)
        assert len(threads()) == 1
        release.set()
    assert not threads()


def texts(bars):
    times = bars["timestamp"].to_physical().alias("timestamp")
    return bars.with_columns(times).write_csv().splitlines(keepends=True)


def test_files_of_many_pieces_land_as_they_are(cli, store_of, tmp_path, small):
    (tmp_path / "A-1m.csv").write_text("".join(texts(walk(BARS))))
    several = [walk(BARS, seed=at).select(pl.lit(f"S{at}").alias("symbol"), pl.all()) for at in (0, 1)]
    (tmp_path / "all-1m.csv").write_text("".join(texts(pl.concat(several))))
    pl.concat(several).write_parquet(tmp_path / "again-1m.parquet")
    said = cli("import", "A-1m.csv", "all-1m.csv", "again-1m.parquet").stdout
    assert re.search(rf"total +{3 * BARS:,} +0 +{2 * BARS:,}", said)
    with store_of() as store:
        assert bits(store.candles("A", "1m")) == bits(walk(BARS))
        assert [bits(store.candles(f"S{at}", "1m")) for at in (0, 1)] == [
            bits(walk(BARS, seed=at)) for at in (0, 1)
        ]
    assert not threads()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("line", ["1,2\n", f"{START + 2_500 * MINUTE},5,9,6,7,1\n"], ids=["ragged", "bad"])
def test_a_bad_line_far_into_a_file_is_named_as_without_threads_and_nothing_is_stored(
    cli, store_of, tmp_path, monkeypatch, line
):
    lines = texts(walk(BARS))
    (tmp_path / "A-1m.csv").write_text("".join([*lines[:2_501], line, *lines[2_502:]]))
    failed = cli("import", "A-1m.csv", code=1)
    monkeypatch.setattr(module, "AHEAD_ROWS", 2 * BARS)
    plain = cli("import", "A-1m.csv", code=1)
    assert re.search(r"\b250[01]\b", failed.stderr)
    assert failed.stderr == plain.stderr
    (tmp_path / "B-1m.csv").write_text("".join(lines))
    cli("import", "B-1m.csv")
    with store_of() as store:
        assert store.series()["symbol"].to_list() == ["B"]
    assert not threads()


def test_an_import_asks_once_what_is_declared(cli, store_of, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "declared_in", lambda store: asked.append(store) or declared_in(store))
    with store_of() as store:
        store.declare("trades", resample="sum")
    for name in "ABC":
        bars = walk(3).with_columns(trades=pl.lit(7.0))
        (tmp_path / f"{name}-1m.csv").write_text("".join(texts(bars)))
    cli("import", "A-1m.csv", "B-1m.csv", "C-1m.csv")
    assert len(asked) == 1
    with store_of() as store:
        assert store.candles(None, "1m", columns=["trades"])["trades"].to_list() == [7.0] * 9
