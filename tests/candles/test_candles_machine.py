"""The columnar tier against a dict, in two processes: whatever is done, every answer is the model's.

With candles alone, and with a declared column beside them. `pytest -m long` runs many more and longer
histories.
"""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

import apsw
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import mdstore
from mdstore import DamagedDataError
from mdstore.candles.file.frozen import pieces
from mdstore.candles.packs.cells import all_cells
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.time_bounds import FOREVER
from tests.support.candles import MINUTE, START
from tests.support.doses import dose
from tests.support.paths import ROOT
from tests.support.small import cut_down

SYMBOLS = ("A", "B", "C")
TWICE = """
SELECT count(*) FROM frozen JOIN candles USING (symbol, timeframe)
WHERE candles.timestamp >= frozen.start AND candles.timestamp < frozen."end"
"""
SPAN = 120
ROW = struct.Struct("<q5d")

CHILD = """
    import json, sys
    import mdstore
    from tests.support.small import cut_down
    from tests.candles.test_candles_machine import bars, rows_of

    for change in cut_down():
        change.start()
    store = None
    for line in sys.stdin:
        name, *args = json.loads(line)
        answer = None
        if name == "open":
            store = mdstore.open(args[0])
        elif name == "close":
            store.close()
        elif name == "write":
            store.write(args[0], "1m", bars(*args[1:]))
        elif name == "delete":
            store.delete(args[0], "1m", start=args[1], end=args[2])
        elif name == "compact":
            store.maintenance.compact()
        elif name == "warm":
            store.maintenance.warm()
        elif name == "freeze":
            store.maintenance.freeze(args[1], symbols=args[0])
        elif name == "thaw":
            store.maintenance.thaw()
        elif name == "read":
            bounds = dict(zip(("start", "end", "limit", "columns"), args[1:]))
            answer = rows_of(store.candles(args[0], "1m", **bounds))
        print(json.dumps(answer), flush=True)
"""


def bars(first, count, step, seed, value=None):
    """Return bars that tell where they are and who wrote them; with a `value` for "all" or "some" of them."""
    places = range(first, min(first + count * step, SPAN), step)
    gaps = {"all": SPAN, "some": 3}.get(value)
    more = {"value": [None if place % gaps == 1 else place + seed / 512 for place in places]} if gaps else {}
    return pl.DataFrame(
        {
            "timestamp": [START + place * MINUTE for place in places],
            **{name: [float(seed)] * len(places) for name in ("open", "high", "low")},
            "close": [float(seed)] * len(places),
            "volume": [place + seed / 1024 for place in places],
            **more,
        },
        schema_overrides={"timestamp": pl.Int64} | dict.fromkeys(more, pl.Float64),
    )


def rows_of(frame):
    """Return rows as lists that JSON keeps exactly."""
    values = frame.with_columns(pl.col("timestamp").to_physical())
    return [list(row) for row in values.rows()]


class Other:
    """The store in another process."""

    def __init__(self):
        import textwrap

        root = ROOT
        path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
        self._child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def __call__(self, *request):
        print(json.dumps(request), file=self._child.stdin, flush=True)
        return json.loads(self._child.stdout.readline())

    def end(self):
        self._child.communicate()


@pytest.fixture(scope="module")
def other():
    process = Other()
    yield process
    process.end()


symbols = st.sampled_from(SYMBOLS)
places = st.integers(-2, SPAN + 2)
edges = st.none() | places


def time_of(place):
    return None if place is None else START + place * MINUTE


class Machine(RuleBasedStateMachine):
    """Histories of one file."""

    other = None
    columns = CANDLE_COLUMNS

    @initialize()
    def begin(self):
        self.stack = ExitStack()
        for change in cut_down():
            self.stack.enter_context(change)
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "market_data.sqlite3"
        self.store = mdstore.open(self.path)
        if "value" in self.columns:
            self.store.declare("value", resample="sum")
        self.other("open", str(self.path))
        self.model = {symbol: {} for symbol in SYMBOLS}
        self.seed = 0
        self.damaged = False

    def wanted(self, symbol, start, end, limit):
        return self.within(symbol, time_of(start), time_of(end), limit)

    def within(self, symbol, start, end, limit):
        times = sorted(
            t for t in self.model[symbol] if (start is None or t >= start) and (end is None or t < end)
        )
        return [[t, *self.model[symbol][t]] for t in (times if limit is None else times[-limit:])]

    @rule(
        here=st.booleans(),
        symbol=symbols,
        first=st.integers(0, SPAN - 1),
        count=st.integers(1, 60),
        step=st.integers(1, 3),
        value=st.sampled_from([None, "all", "some"]),
    )
    def write(self, *, here, symbol, first, count, step, value):
        self.seed += 1
        value = value if "value" in self.columns else None
        frame = bars(first, count, step, self.seed, value)
        if here:
            self.store.write(symbol, "1m", frame)
        else:
            self.other("write", symbol, first, count, step, self.seed, value)
        known = self.model[symbol]
        for t, *values in rows_of(frame):
            kept = known.get(t, (None,) * 6)[5:] if value is None and "value" in self.columns else ()
            known[t] = (*values, *kept)

    @rule(symbol=symbols, data=st.data())
    def write_again_what_is_there(self, symbol, data):
        known = sorted(self.model[symbol])
        if known:
            some = known[data.draw(st.integers(0, len(known) - 1)) :][:20]
            with self.store._candles._database.reading() as con:
                cells = all_cells(con)
            rows = [dict(zip(self.columns, (t, *self.model[symbol][t]), strict=True)) for t in some]
            result = self.store.write(symbol, "1m", rows)
            assert (result.unchanged, result.updated, result.inserted) == (len(some), 0, 0)
            with self.store._candles._database.reading() as con:
                assert all_cells(con) == cells

    @rule(here=st.booleans(), symbol=symbols, start=places, length=st.integers(1, 40))
    def delete(self, here, symbol, start, length):
        if not self.model[symbol]:
            return
        bounds = time_of(start), time_of(start + length)
        if here:
            self.store.delete(symbol, "1m", start=bounds[0], end=bounds[1])
        else:
            self.other("delete", symbol, *bounds)
        self.model[symbol] = {
            t: row for t, row in self.model[symbol].items() if not bounds[0] <= t < bounds[1]
        }

    @rule(here=st.booleans())
    def compact(self, here):
        self.store.maintenance.compact() if here else self.other("compact")

    @rule(here=st.booleans())
    def warm(self, here):
        self.store.maintenance.warm() if here else self.other("warm")

    @rule(here=st.booleans(), symbol=symbols, before=places)
    def freeze(self, here, symbol, before):
        if not self.model[symbol]:
            return
        if here:
            self.store.maintenance.freeze(time_of(before), symbols=symbol)
        else:
            self.other("freeze", symbol, time_of(before))

    @rule(here=st.booleans())
    def thaw(self, here):
        self.store.maintenance.thaw() if here else self.other("thaw")
        assert self.store.maintenance.stats()["frozen_rows"] == 0

    def frozen(self, symbol):
        with self.store._candles._database.reading() as con:
            return pieces(con, (symbol, "1m"), -FOREVER, FOREVER)

    @rule()
    def evict(self):
        total = sum(self.store._candles._packs.files().values())
        self.store._candles._compaction._keep_budget(total // 2, wait=True)
        assert sum(self.store._candles._packs.files().values()) <= max(total // 2, 0) + 4_000

    @rule()
    def reopen(self):
        self.store.close()
        self.store = mdstore.open(self.path, memory_bytes=0 if self.seed % 3 == 0 else 1 << 20)

    @rule(how=st.sampled_from(["folder", "file", "cut", "flip"]), seed=st.integers(0, 2**32))
    def damage(self, how, seed):
        folder, chance = self.store.packs_path, random.Random(seed)
        files = sorted(folder.glob("*.arrow"), key=lambda f: f.stat().st_mtime_ns) if folder.exists() else []
        if not files:
            return
        self.damaged = True
        file = chance.choice(files)
        if how == "folder":
            shutil.rmtree(folder)
        elif how == "file":
            file.unlink()
        elif how == "cut":
            os.truncate(file, chance.randrange(file.stat().st_size))
        else:
            with file.open("r+b") as pack:
                pack.seek(place := chance.randrange(file.stat().st_size))
                byte = pack.read(1)[0]
                pack.seek(place)
                pack.write(bytes([byte ^ 1 << chance.randrange(8)]))

    @rule(symbol=symbols, data=st.data())
    def damage_the_table(self, symbol, data):
        """Change a price behind the store's back: it is named, and never served or taken for right."""
        pieces = self.frozen(symbol)
        known = [t for t in sorted(self.model[symbol]) if not any(one.start <= t < one.end for one in pieces)]
        if not known:
            return
        time = data.draw(st.sampled_from(known))
        has_value = "value" in self.columns and self.model[symbol][time][-1] is not None
        where = ("extras", "value") if has_value and data.draw(st.booleans()) else ("candles", "close")
        self.change(symbol, time, *where, "+")
        try:
            (finding,) = self.findings()
            assert finding.startswith(f"{symbol} 1m from "), finding
            for bounds in ({}, {"limit": 3}, {"start": time, "end": time + 1}):
                start, end, limit = map(bounds.get, ("start", "end", "limit"))
                with suppress(DamagedDataError):
                    got = rows_of(self.store.candles(symbol, "1m", columns=self.columns, **bounds))
                    assert got == self.within(symbol, start, end, limit)
            assert self.findings() == [finding]
        finally:
            self.change(symbol, time, *where, "-")

    @rule(symbol=symbols, data=st.data())
    def damage_what_is_frozen(self, symbol, data):
        """Change a byte of a piece behind the store's back: likewise."""
        pieces = self.frozen(symbol)
        if not pieces:
            return
        piece = data.draw(st.sampled_from(pieces))
        flip = data.draw(st.integers(0, 7))
        self.flip(symbol, piece, flip)
        try:
            (finding,) = self.findings()
            assert finding.startswith(f"{symbol} 1m from "), finding
            for bounds in ({}, {"limit": 3}, {"start": piece.start, "end": piece.end}):
                start, end, limit = map(bounds.get, ("start", "end", "limit"))
                with suppress(DamagedDataError):
                    got = rows_of(self.store.candles(symbol, "1m", columns=self.columns, **bounds))
                    assert got == self.within(symbol, start, end, limit)
            try:
                self.store.maintenance.thaw(symbols=symbol)
            except DamagedDataError:
                assert self.findings() == [finding]
            else:  # packs hold all of the piece
                assert self.findings() == []
        finally:
            self.flip(symbol, piece, flip)

    def flip(self, symbol, piece, place):
        con = apsw.Connection(str(self.path))
        key = (symbol, piece.start)
        held = con.execute("SELECT bytes FROM frozen WHERE symbol = ? AND start = ?", key).fetchone()
        if held is not None:  # else it was thawed before the damage was found in another
            changed = bytearray(held[0])
            changed[len(changed) * place // 8] ^= 1
            con.execute("UPDATE frozen SET bytes = ? WHERE symbol = ? AND start = ?", (bytes(changed), *key))
        con.close()

    def findings(self):
        """Return what `check` says but of packs, which other steps damage."""
        return [text for text in self.store.maintenance.check() if ": the pack " not in text]

    def change(self, symbol, time, table, column, sign):
        con = apsw.Connection(str(self.path))
        sql = f"UPDATE {table} SET {column} = {column} {sign} 0.25 WHERE symbol = ? AND timestamp = ?"
        con.execute(sql, (symbol, time))
        con.close()

    @rule(here=st.booleans(), symbol=symbols, start=edges, end=edges, limit=st.none() | st.integers(1, 50))
    def read(self, here, symbol, start, end, limit):
        if not self.model[symbol]:
            return
        args = time_of(start), time_of(end), limit
        if here:
            bounds = {"start": args[0], "end": args[1], "limit": limit, "columns": self.columns}
            got = rows_of(self.store.candles(symbol, "1m", **bounds))
        else:
            got = self.other("read", symbol, *args, self.columns)
        assert got == self.wanted(symbol, start, end, limit)

    @rule(
        start=edges,
        end=edges,
        limit=st.none() | st.integers(1, 50),
        how=st.sampled_from(["frame", "arrow", "scan"]),
    )
    def read_all(self, start, end, limit, how):
        there = [symbol for symbol in SYMBOLS if self.model[symbol]]
        if not there:
            return
        bounds = {"start": time_of(start), "end": time_of(end), "limit": limit, "columns": self.columns}
        if how == "frame":
            frame = self.store.candles(None, "1m", **bounds)
        elif how == "arrow":
            frame = pl.DataFrame(self.store.arrow(there, "1m", **bounds))
        else:
            frame = self.store.scan(there, "1m", **bounds).filter(pl.col("symbol") == there[0]).collect()
            there = there[:1]
        assert rows_of(frame.drop("symbol")) == [
            row for symbol in there for row in self.wanted(symbol, start, end, limit)
        ]
        assert frame["symbol"].cast(pl.String).to_list() == [
            symbol for symbol in there for _ in self.wanted(symbol, start, end, limit)
        ]

    @rule(start=places)
    def query(self, start):
        moment = f"epoch_ms({time_of(start)})::TIMESTAMPTZ"
        value = "value" if "value" in self.columns else "volume"
        got = self.store.sql(
            f"SELECT symbol, count(*) AS n, sum({value}) AS v FROM candles "
            f"WHERE timestamp >= {moment} GROUP BY ALL ORDER BY ALL"
        )
        expected = []
        for symbol in SYMBOLS:
            rows = self.wanted(symbol, start, None, None)
            if rows:
                values = [row[-1] for row in rows if row[-1] is not None]
                expected.append((symbol, len(rows), sum(values) if values else None))
        assert [(s, n, pytest.approx(v)) for s, n, v in got.rows()] == expected

    @invariant()
    def what_is_frozen_is_in_one_table_only(self):
        if hasattr(self, "store"):
            for symbol in SYMBOLS:
                inside = [
                    t for one in self.frozen(symbol) for t in self.model[symbol] if one.start <= t < one.end
                ]
                assert sum(one.rows for one in self.frozen(symbol)) == len(inside)
            con = apsw.Connection(str(self.path))
            assert con.execute(TWICE).get == 0
            con.close()

    @invariant()
    def cells_are_true(self):
        if hasattr(self, "store"):
            with self.store._candles._database.reading() as con:
                cells = all_cells(con)
            for cell in cells:
                assert cell.start < cell.end
                inside = [t for t in self.model[cell.symbol] if cell.start <= t < cell.end]
                assert cell.rows == len(inside)

    def teardown(self):
        if not hasattr(self, "store"):
            return
        for symbol in SYMBOLS:
            if self.model[symbol]:
                got = rows_of(self.store.candles(symbol, "1m", columns=self.columns))
                assert got == self.wanted(symbol, None, None, None)
        if self.damaged:
            self.store.maintenance.warm(rebuild=True)
        assert self.store.maintenance.check() == []
        self.other("close")
        self.store.close()
        self.stack.close()
        shutil.rmtree(self.folder)


def run(other, examples, steps, columns):
    kind = type("OneFile", (Machine,), {"other": staticmethod(other), "columns": columns})
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
        # Not shrunk: with a process beside it that takes longer than a run may.
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(kind, settings=chosen)


COLUMNS = (CANDLE_COLUMNS, (*CANDLE_COLUMNS, "value"))


@pytest.mark.slow
@pytest.mark.parametrize("columns", COLUMNS, ids=["candles", "a declared column"])
def test_every_history_reads_as_the_model(other, columns):
    run(other, dose(40), 30, columns)


@pytest.mark.long
@pytest.mark.parametrize("columns", COLUMNS, ids=["candles", "a declared column"])
def test_every_long_history_reads_as_the_model(other, columns):
    run(other, 1_500, 80, columns)
