"""The law of a ring: it is a deque of rows with timestamps, whatever form the rows had."""

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdstore import (
    Trade,
)
from mdstore.realtime import rings as rings_module
from mdstore.realtime.limits import TICKERS, TRADES
from mdstore.realtime.table import RealtimeTable
from tests.support.doses import dose
from tests.support.realtime import NAMES, NOW, Clock, trade


class Model:
    """Trades of one symbol in the order in which they were kept."""

    def __init__(self, clock, ttl_ms, rows):
        self.clock, self.ttl, self.most = clock, ttl_ms, rows
        self.kept = []

    def push(self, row):
        _, timestamp, *_, key = row
        if timestamp <= self.clock.ms - self.ttl:
            return 0
        if key is not None and any((t[1], t[5]) == (timestamp, key) for t in self.live()):
            return 0
        self.kept.append(row)
        return 1

    def live(self):
        return [row for row in self.kept if row[1] > self.clock.ms - self.ttl][-self.most :]

    def window(self, seconds=None, rows=None):
        found = sorted(self.live(), key=lambda row: row[1])
        if seconds is not None:
            found = [row for row in found if row[1] > self.clock.ms - round(seconds * 1000)]
        return found if rows is None else found[-rows:]

    def latest(self):
        newest = max((row[1] for row in self.live()), default=None)
        return next((row for row in reversed(self.live()) if row[1] == newest), None)


def as_rows(frame):
    names = ("price", "size", "side", "id")
    times = frame["timestamp"].dt.epoch("ms")
    return [("X", t, *values) for t, values in zip(times, frame.select(names).rows(), strict=True)]


def short(monkeypatch):
    """Seal after a few rows, so that a few rows go through everything."""
    monkeypatch.setattr(rings_module, "FEW_ROWS", 2)
    monkeypatch.setattr(rings_module, "MANY_ROWS", 5)
    return replace(TRADES, batch_rows=4)


ROW = st.tuples(
    st.just("X"),
    st.integers(-1200, 50),  # beside the clock
    st.floats(-1e9, 1e9).map(lambda x: x or 0.0),
    st.floats(0, 1e9),
    st.sampled_from(["buy", "sell", None]),
    st.one_of(st.integers(1, 8), st.integers(-(2**63) + 1, 2**63 - 1), st.none()),
)
FORM = st.sampled_from(["tuple", "dict", "row", "list", "frame", "arrow"])
STEP = st.one_of(
    st.tuples(st.just("push"), FORM, st.lists(ROW, min_size=1, max_size=9)),
    st.tuples(st.just("tick"), st.integers(0, 700)),
    st.tuples(st.just("read"), st.none() | st.integers(1, 12), st.none() | st.floats(0.001, 2)),
    st.tuples(st.just("stats")),
)
TYPES = {"side": pl.String, "id": pl.Int64, "price": pl.Float64, "size": pl.Float64}


def push_as(table, form, rows):
    if form == "tuple":
        return [table.push(row) for row in rows]
    if form == "dict":
        return [table.push(dict(zip(NAMES, row, strict=True))) for row in rows]
    if form == "row":
        return [table.push(Trade(*row)) for row in rows]
    if form == "list":
        return table.push(rows)
    frame = pl.DataFrame(rows, schema=NAMES, schema_overrides=TYPES, orient="row")
    return table.push(frame if form == "frame" else frame.to_arrow())


DOSES = pytest.mark.parametrize("examples", [dose(150), pytest.param(2000, marks=pytest.mark.long)])


@DOSES
@pytest.mark.parametrize("rows", [1000, 5, 1])
def test_a_ring_is_a_deque_with_timestamps(monkeypatch, rows, examples):
    small = short(monkeypatch)

    @settings(max_examples=examples)
    @given(st.lists(STEP, max_size=25))
    def law(steps):
        clock = Clock()
        table = RealtimeTable(small, ttl=1.0, rows=rows, clock=clock)
        model = Model(clock, 1000, rows)
        pushed = key = 0
        newest = NOW - 10**6
        for what, *given_ in steps:
            if what == "push":
                form, batch = given_
                batch = [(s, clock.ms + t, *rest) for s, t, *rest in batch]
                if rows < 1000:
                    # Where capacity counts, rows come in order: which of those that are out of it are still
                    # known as duplicates is nobody's business.
                    batch = sorted(batch, key=lambda row: row[1])
                    batch = [(s, max(newest, t), p, z, d, key := key + 1) for s, t, p, z, d, _ in batch]
                    newest = batch[-1][1]
                kept = push_as(table, form, batch)
                expected = [model.push(row) for row in batch]
                assert kept == (expected if isinstance(kept, list) else sum(expected))
                pushed += len(batch)
            elif what == "tick":
                clock.ms += given_[0]
            elif what == "read":
                most, seconds = given_
                assert as_rows(table.window("X", rows=most, seconds=seconds)) == model.window(seconds, most)
                latest, expected = table.latest("X"), model.latest()
                assert (None if latest is None else latest[:6]) == expected
                assert as_rows(table.snapshot()) == ([] if expected is None else [expected])
                long = table.window(None, rows=most, seconds=seconds)
                assert as_rows(long) == model.window(seconds, most)
            else:
                stats = table.stats()
                assert stats["pushed"] == pushed
                assert stats["rows"] <= pushed

    law()


@settings(max_examples=dose(150))
@given(st.lists(st.tuples(st.integers(-1200, 50), st.integers(0, 3), st.integers(0, 300)), max_size=40))
def test_states_are_never_older_than_the_newest(steps):
    """Tickers: late ones are dropped, repeated ones, too; what is left is a deque in order."""
    clock = Clock()
    table = RealtimeTable(replace(TICKERS, batch_rows=3), ttl=1.0, clock=clock)
    kept = []
    for at, price, tick in steps:
        timestamp = clock.ms + at
        late = kept and timestamp < kept[-1][0] and kept[-1][0] > clock.ms - 1000
        expired = timestamp <= clock.ms - 1000
        was = table.push(("X", timestamp, float(price)))
        if not late and not expired and (timestamp, price) != (kept[-1] if kept else None):
            kept.append((timestamp, float(price)))
        clock.ms += tick
        live = [row for row in kept if row[0] > clock.ms - 1000]
        window = table.window("X")
        assert list(zip(window["timestamp"].dt.epoch("ms"), window["price"], strict=True)) == live
        assert was in (0, 1)
    stats = table.stats()
    assert stats["pushed"] == len(steps)


def _counted(table):
    """Rows past their TTL are let go sooner or later."""
    stats = table.stats()
    return stats["pushed"], stats["rows"] + stats["expired"], stats["late"], stats["duplicates"]


@pytest.mark.slow
@DOSES
@pytest.mark.parametrize("kind", [TICKERS, TRADES])
def test_a_frame_is_the_same_as_its_rows_one_by_one(monkeypatch, kind, examples):
    monkeypatch.setattr(rings_module, "FEW_ROWS", 3)
    monkeypatch.setattr(rings_module, "MANY_ROWS", 4)
    names = NAMES[:3] if kind is TICKERS else NAMES
    value = st.integers(0, 3).map(float)
    fields = [st.sampled_from("AB"), st.integers(-1100, -900) | st.integers(0, 3), value]
    if kind is TRADES:
        fields += [value, st.sampled_from(["buy", "sell", None]), st.none() | st.integers(1, 4)]
    batches = st.lists(st.lists(st.tuples(*fields), min_size=1, max_size=12), max_size=5)

    @settings(max_examples=examples)
    @given(batches)
    def law(given_):
        clock = Clock()
        one, other = (RealtimeTable(replace(kind, batch_rows=4), ttl=1.0, clock=clock) for _ in range(2))
        for batch in given_:
            rows = [(symbol, clock.ms + at, *rest) for symbol, at, *rest in batch]
            frame = pl.DataFrame(rows, schema=names, schema_overrides=TYPES, orient="row")
            assert sum(one.push(row) for row in rows) == other.push(frame)
            clock.ms += 2
        assert one.window().equals(other.window())
        assert one.snapshot().equals(other.snapshot())
        assert [one.latest(name) for name in "AB"] == [other.latest(name) for name in "AB"]
        assert _counted(one) == _counted(other)

    law()


def test_a_reconnect_repeats_trades_that_are_sealed_and_they_are_known(cache, clock):
    rows = [trade(at // 4 - 1000, key=at) for at in range(3000)]
    cache.trades.push(rows)
    assert cache.trades.push(rows[::-1]) == 0
    assert cache.trades.push(pl.DataFrame(rows, schema=NAMES, orient="row")) == 0
    assert cache.trades.stats()["duplicates"] == 6000
    # The same id at another time is another trade, of an exchange that counts anew.
    assert cache.trades.push(trade(-999, key=0)) == 1
