"""Panels that are kept grow by the bars that were written since: they are as they would be read anew."""

import os
import tempfile
from array import array
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import mdstore
from mdstore.candles.reads.grown import Grown
from mdstore.store.requests import request_of
from tests.support.candles import MINUTE, START, walk
from tests.support.doses import dose

NAMES = [f"S{number:02}" for number in range(20)]
BARS = 40
GROWN = "kept, and what was written since"

which = st.lists(st.sampled_from(NAMES), min_size=1, max_size=20, unique=True)
counts = st.integers(1, 3)
KNOWN = ("append", "one by one", "append hours")
UNKNOWN = ("append by another", "correct", "delete", "come late", "a new series", "append turnover")
steps = st.lists(
    st.tuples(st.sampled_from(("append", "one by one", *KNOWN, *UNKNOWN, "seal")), which, counts),
    min_size=1,
    max_size=7,
)
ASKED = (
    {"symbols": None, "limit": 1},
    {"symbols": None, "limit": 5},
    {"symbols": None},
    {"symbols": NAMES[3:19:2], "limit": 2},
    {"symbols": NAMES, "start": START + 10 * MINUTE, "end": START + 45 * MINUTE},
)
QUERIES = (
    "SELECT timeframe, symbol, count(*) AS bars, max(close) AS close FROM candles GROUP BY ALL ORDER BY ALL",
    "SELECT * FROM candles WHERE timeframe = '1m' AND timestamp >= '2025-09-01 00:38' ORDER BY ALL",
)


def named(name, frame):
    return frame.select(pl.lit(name).alias("symbol"), pl.all())


class Feed:
    """A store, another that writes to the same file, and how far each series has come."""

    def __init__(self, path, **options):
        self.store = mdstore.open(path, **options)
        self.other = mdstore.open(path)
        self.plain = mdstore.open(path, memory_bytes=0)
        self.nexts = dict.fromkeys(NAMES, BARS)
        self.new = 0
        frames = [
            walk(BARS, seed=seed).select(pl.lit(name).alias("symbol"), pl.all())
            for seed, name in enumerate(NAMES)
        ]
        self.store.declare("turnover", resample="sum")
        self.store.write_many(pl.concat(frames), timeframe="1m")

    def bars(self, names, count):
        """Return the next bars of series, one of them with a negative zero."""
        parts = []
        for name in names:
            start = START + self.nexts[name] * MINUTE
            self.nexts[name] += count
            zero = pl.when(pl.int_range(pl.len()) == 0).then(-0.0).otherwise("volume").alias("volume")
            parts.append(
                walk(count, start=start).select(pl.lit(name).alias("symbol"), pl.exclude("volume"), zero)
            )
        return pl.concat(parts)

    def play(self, what, names, count):
        store = self.store
        if what in ("append", "append by another"):
            (store if what == "append" else self.other).write_many(self.bars(names, count), timeframe="1m")
        elif what == "append turnover":
            bars = self.bars(names, count).with_columns(turnover=pl.col("volume") + 1)
            store.write_many(bars, timeframe="1m")
        elif what == "append hours":
            for name in names:
                store.write(name, "1h", walk(count, step=60 * MINUTE))
        elif what == "correct":
            store.write(names[0], "1m", walk(2, start=START + (BARS - 1 - count) * MINUTE, seed=count + 77))
        elif what == "delete":
            store.delete(names[0], "1m", start=START + count * MINUTE, end=START + 2 * count * MINUTE)
        elif what == "come late":
            self.nexts[names[0]] += 1
            last = START + self.nexts[names[0]] * MINUTE
            self.nexts[names[0]] += 1
            store.write(names[0], "1m", walk(1, start=last))
            store.write(names[0], "1m", walk(1, start=last - MINUTE))
        elif what == "a new series":
            self.new += 1
            store.write(f"N{self.new}", "1m", walk(count))
        elif what == "seal":
            store.maintenance.warm()
        else:
            for name in names:
                store.write(name, "1m", self.bars([name], count).drop("symbol"))

    def check(self):
        for asked in ASKED:
            found = self.store.candles(timeframe="1m", **asked)
            assert_frame_equal(found, self.plain.candles(timeframe="1m", **asked), check_exact=True)
            assert found.equals(pl.DataFrame(self.store.arrow(timeframe="1m", **asked)).cast(found.schema))

        for query in QUERIES:
            assert_frame_equal(self.store.sql(query), self.plain.sql(query), check_exact=True)

    def close(self):
        for store in (self.store, self.other, self.plain):
            store.close()


@settings(max_examples=dose(36))
@given(steps)
def test_what_is_kept_and_grows_is_what_is_read_anew(given_steps):
    with tempfile.TemporaryDirectory() as folder:
        feed = Feed(Path(folder) / "market_data.sqlite3")
        try:
            feed.check()
            for what, names, count in given_steps:
                feed.play(what, names, count)
                feed.check()
            assert feed.store.maintenance.check() == []
        finally:
            feed.close()


# Of so few rows in memory all are put together; of more, columns that are asked for, of what lies in packs.
# Of 20,000 bytes no panel here is kept with its rows, of 9,000 some are not kept at all.
@pytest.mark.parametrize("memory", [1 << 24, 20_000, 9_000])
@settings(max_examples=dose(15))
@given(given_steps=steps)
def test_what_is_put_together_by_the_column_and_grows_is_what_is_read_anew(memory, given_steps):
    with tempfile.TemporaryDirectory() as folder, patch("mdstore.candles.packs.columns.GATHER_ROWS", 30):
        feed = Feed(Path(folder) / "market_data.sqlite3", memory_bytes=memory)
        try:
            for what, names, count in given_steps:
                feed.check()
                feed.play(what, names, count)
            feed.check()
            assert feed.store.maintenance.stats()["memory_bytes"] <= memory
        finally:
            feed.close()


@pytest.fixture
def feed(tmp_path):
    feed = Feed(tmp_path / "market_data.sqlite3")
    yield feed
    feed.close()


@pytest.mark.parametrize("what", KNOWN)
def test_a_panel_grows_without_a_look_at_the_file(feed, what):
    asked = {"symbols": None, "timeframe": "1m", "limit": 5}
    before = feed.store.candles(**asked)
    feed.play(what, NAMES[:7], 2)
    said = feed.store.explain(**asked)
    assert (said.tiers, said.reason) == (("memory",), f"{GROWN} put behind it")
    assert len(before) == 100  # what was handed out before stays as it was
    assert feed.store.candles(**asked)["timestamp"].max() >= before["timestamp"].max()


def test_what_a_panel_grows_by_is_not_memory_of_the_callers(feed):
    asked = {"symbols": None, "timeframe": "1m", "limit": 1}
    feed.store.candles(**asked)
    bar = walk(1, start=START + BARS * MINUTE).to_arrow()
    mine = array("d", bar["close"].to_pylist())
    close = pa.Array.from_buffers(pa.float64(), 1, [None, pa.py_buffer(mine)])
    feed.store.write("S03", "1m", bar.set_column(bar.schema.get_field_index("close"), "close", close))
    mine[0] = -1.0
    assert feed.store.explain(**asked).reason.startswith(GROWN)
    feed.check()


@pytest.mark.parametrize("what", UNKNOWN)
def test_a_panel_does_not_grow_by_what_it_cannot_know(feed, what):
    asked = {"symbols": None, "timeframe": "1m", "limit": 5}
    feed.store.candles(**asked)
    feed.play(what, NAMES[:7], 2)
    assert GROWN not in feed.store.explain(**asked).reason
    feed.check()


def test_a_panel_grows_whose_rows_take_more_than_may_be_kept(tmp_path):
    with patch("mdstore.candles.packs.columns.GATHER_ROWS", 30):
        feed = Feed(tmp_path / "market_data.sqlite3", memory_bytes=20_000)
        try:
            asked = {"symbols": None, "timeframe": "1m", "limit": 30}
            feed.store.candles(**asked)
            for _ in range(3):
                feed.play("append", NAMES, 1)
                assert feed.store.explain(**asked).reason.startswith(GROWN)
            assert_frame_equal(feed.store.candles(**asked), feed.plain.candles(**asked), check_exact=True)
            assert feed.store.maintenance.stats()["memory_bytes"] <= 20_000
        finally:
            feed.close()


@pytest.mark.parametrize("columns", [["turnover"], ["symbol"], ["close", "symbol"], ["turnover", "low"]])
def test_some_columns_of_a_panel_that_grows(feed, columns):
    with patch("mdstore.candles.packs.columns.GATHER_ROWS", 30):
        feed.store.maintenance.warm()
        for _ in range(3):
            feed.play("append", NAMES, 1)
            found = feed.store.candles(None, "1m", columns=columns)
            assert found.equals(feed.plain.candles(None, "1m", columns=columns))
            assert found.equals(
                pl.DataFrame(feed.store.arrow(None, "1m", columns=columns)).cast(found.schema)
            )


def test_what_is_kept_without_its_rows_stays_without_them(feed):
    with patch("mdstore.candles.packs.columns.GATHER_ROWS", 30):
        feed.store.maintenance.warm()
        feed.play("append", NAMES, 1)
        panel = feed.store._candles._columnar.read(request_of(None, "1m")).panel()
        kept = Grown.of(panel, made=0.0)
        assert panel.long.frame.height == len(NAMES) * (BARS + 1)
        light = kept.light()
        assert light.answer().frame.equals(panel.long.frame)
        assert (light.long.held, light.bytes) == (0, light.light_bytes)
        assert kept.bytes > light.bytes


def test_columns_that_no_reader_has_asked_for_are_not_counted_as_memory(feed):
    with patch("mdstore.candles.packs.columns.GATHER_ROWS", 30):
        feed.store.maintenance.warm()
        feed.play("append", NAMES, 1)
        feed.store.gaps(None, "1m")
        times = feed.store.maintenance.stats()["memory_bytes"]
        assert feed.store.candles(None, "1m")["close"].len() == len(NAMES) * (BARS + 1)
        rows = len(NAMES) * (BARS + 1)
        assert feed.store.maintenance.stats()["memory_bytes"] == times + rows * (5 * 8 + 2 * 4)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_puts_columns_together_without_polars(python, tmp_path):
    out = python(
        """
        import os, sys, time
        import polars as pl
        import mdstore
        from mdstore.candles.packs import columns
        from tests.support.candles import MINUTE, START, walk

        columns.GATHER_ROWS = 30
        names = [f"S{number:02}" for number in range(20)]

        def bars(count, first):
            rows = walk(count, start=START + first * MINUTE)
            return pl.concat([rows.select(pl.lit(name).alias("symbol"), pl.all()) for name in names])

        store = mdstore.open(sys.argv[1])
        store.write_many(bars(40, 0), timeframe="1m")
        asked = {"columns": ["symbol", "timestamp"]}
        store.maintenance.warm()
        time.sleep(0.1)  # what is in a pack of just now is not kept: the clock of files is coarse
        for first in (40, 41, 42):
            store.write_many(bars(1, first), timeframe="1m")
            store.arrow(None, "1m", **asked)
        store.write_many(bars(1, 43), timeframe="1m")
        store.arrow(None, "1m", **asked)
        assert store.explain(None, "1m").reason.startswith("kept")
        read, write = os.pipe()
        child = os.fork()
        if not child:
            table = store.arrow(None, "1m")
            os.write(write, str(hash(tuple(table["close"].to_pylist()))).encode())
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        with mdstore.open(sys.argv[1], memory_bytes=0) as plain:
            wanted = hash(tuple(plain.arrow(None, "1m")["close"].to_pylist()))
        print(status, os.read(read, 100).decode() == str(wanted))
        """,
        tmp_path / "s.sqlite3",
    )
    assert out == "0 True"


def test_a_damaged_bar_behind_the_cells_of_one_of_many_series_is_not_served(feed, tmp_path):
    """Those bars are read and proven together; the one that is wrong is named."""
    feed.store.maintenance.warm()
    feed.play("append", NAMES, 1)
    feed.close()
    import apsw

    con = apsw.Connection(str(tmp_path / "market_data.sqlite3"))
    con.execute("UPDATE candles SET close = close + 0.05 WHERE symbol = 'S07' AND volume = 0")
    con.close()
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        with pytest.raises(mdstore.DamagedDataError, match="S07 1m from"):
            store.candles(None, "1m")
        assert len(store.candles("S08", "1m")) == BARS + 1
