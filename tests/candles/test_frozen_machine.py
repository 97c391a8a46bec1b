"""Frozen and thawed stores against a dict: whatever is frozen, every answer is the model's.

`test_candles_machine` freezes, too, among all that goes on in two processes; here little else is done, so
many histories reach into pieces from all sides.
"""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

import mdstore
from mdstore.candles.file.bar_places import count_bars, next_bar, nth_bar
from mdstore.candles.file.frozen import pieces
from mdstore.core.time_bounds import FOREVER
from tests.candles.test_candles_machine import SPAN, bars, rows_of, time_of
from tests.support.doses import dose
from tests.support.small import cut_down

COLUMNS = ("timestamp", "open", "high", "low", "close", "volume", "value")
places = st.integers(-2, SPAN + 2)


class Machine(RuleBasedStateMachine):
    """Histories of one series."""

    @initialize()
    def begin(self):
        self.stack = ExitStack()
        for change in cut_down():
            self.stack.enter_context(change)
        self.folder = Path(tempfile.mkdtemp())
        self.store = mdstore.open(self.folder / "s.sqlite3")
        self.store.declare("value", resample="sum")
        self.name, self.model, self.seed, self.fingerprint = "A", {}, 0, None
        self.write(first=0, count=60, step=1, value="some")

    @rule(
        first=st.integers(0, SPAN - 1),
        count=st.integers(1, 40),
        step=st.integers(1, 3),
        value=st.sampled_from([None, "all", "some"]),
    )
    def write(self, first, count, step, value):
        self.seed += 1
        frame = bars(first, count, step, self.seed, value)
        result = self.store.write(self.name, "1m", frame)
        new = [t for t, *_ in rows_of(frame) if t not in self.model]
        assert (result.inserted, result.updated) == (len(new), len(frame) - len(new))
        for t, *values in rows_of(frame):
            kept = self.model.get(t, (None,) * 6)[5:] if value is None else ()
            self.model[t] = (*values, *kept)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), extras=st.booleans())
    def write_again_what_is_there(self, data, extras):
        """Nothing is thawed by what is as it was."""
        known = sorted(self.model)
        some = known[data.draw(st.integers(0, len(known) - 1)) :][:30]
        names = COLUMNS if extras else COLUMNS[:-1]
        rows = [dict(zip(names, (t, *self.model[t]), strict=False)) for t in some]
        before = self.frozen()
        result = self.store.write(self.name, "1m", rows)
        assert (result.unchanged, result.rows) == (len(some), len(some))
        assert self.frozen() == before

    @precondition(lambda self: self.model)
    @rule(start=places, length=st.integers(1, 30))
    def delete(self, start, length):
        gone = self.within(start, start + length)
        bounds = {"start": time_of(start), "end": time_of(start + length)}
        assert self.store.delete(self.name, "1m", **bounds) == len(gone)
        for t, *_ in gone:
            del self.model[t]

    @precondition(lambda self: self.model)
    @rule(before=places)
    def freeze(self, before):
        fingerprint = self.store.fingerprint(self.name, "1m")
        self.store.maintenance.freeze(time_of(before))
        pieces = self.frozen()
        left = [
            t for t in self.model if t < time_of(before) and not any(p.start <= t < p.end for p in pieces)
        ]
        assert len(left) <= len(pieces) + 1  # single bars between pieces, and before the first
        assert self.store.fingerprint(self.name, "1m") == fingerprint

    @precondition(lambda self: self.model)
    @rule()
    def thaw(self):
        self.store.maintenance.thaw()
        assert self.frozen() == []

    @precondition(lambda self: self.model)
    @rule()
    def rename(self):
        old, self.name = self.name, "B" if self.name == "A" else "A"
        self.store.rename(old, self.name)

    @rule()
    def without_packs(self):
        """What was sealed is read from the tables again."""
        path = self.store.path
        packs = self.store.packs_path
        self.store.close()
        shutil.rmtree(packs, ignore_errors=True)
        self.store = mdstore.open(path)

    @precondition(lambda self: self.model)
    @rule(start=st.none() | places, end=st.none() | places, limit=st.none() | st.integers(1, 50))
    def read(self, start, end, limit):
        bounds = {"start": time_of(start), "end": time_of(end), "limit": limit, "columns": COLUMNS}
        got = rows_of(self.store.candles(self.name, "1m", **bounds))
        assert got == self.within(start, end)[-limit if limit else 0 :]

    @precondition(lambda self: self.model)
    @rule(start=places, length=st.integers(0, 60), number=st.integers(0, 40))
    def ask_where_bars_are(self, start, length, number):
        low, high = time_of(start), time_of(start + length)
        times = [t for t, *_ in self.within(start, start + length)]
        key = (self.name, "1m")
        with self.store._candles._database.reading() as con:
            assert count_bars(con, key, low, high) == len(times)
            assert nth_bar(con, key, low, high, number) == dict(enumerate(times)).get(number)
            latest = nth_bar(con, key, low, high, number, latest=True)
            assert latest == dict(enumerate(reversed(times))).get(number)
            found = next_bar(con, key, low)
        assert (found is None) == (max(self.model) < low)
        assert found is None or low <= found <= min(t for t in self.model if t >= low)

    @invariant()
    def it_is_sound(self):
        if hasattr(self, "store"):
            assert self.store.maintenance.check() == []
            for one in self.frozen():
                assert one.rows == sum(one.start <= t < one.end for t in self.model)
                assert {one.start, one.end - 1} <= self.model.keys()

    def frozen(self):
        with self.store._candles._database.reading() as con:
            return pieces(con, (self.name, "1m"), -FOREVER, FOREVER)

    def within(self, start, end):
        low, high = (
            (-FOREVER if start is None else time_of(start)),
            (FOREVER if end is None else time_of(end)),
        )
        return [[t, *self.model[t]] for t in sorted(self.model) if low <= t < high]

    def teardown(self):
        if not hasattr(self, "store"):
            return
        if self.model:
            assert rows_of(self.store.candles(self.name, "1m", columns=COLUMNS)) == self.within(None, None)
            assert self.store.series()["first"].dt.timestamp("ms").to_list() == [min(self.model)]
            assert self.store.series()["last"].dt.timestamp("ms").to_list() == [max(self.model)]
        self.store.close()
        shutil.rmtree(self.folder)
        self.stack.close()


def histories(examples, steps):
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )
    run(Machine, settings=chosen)


@pytest.mark.slow
def test_every_history_reads_as_the_model():
    histories(dose(45), 25)


@pytest.mark.long
def test_every_long_history_reads_as_the_model():
    histories(1_000, 60)
