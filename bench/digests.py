"""What digests cost: a write that carries them on, packs that are made again of rows that are proven, a read.

Each way has a file of its own, of the same candles; the one without digests neither makes nor compares any.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import apsw
import polars as pl
import pyarrow as pa

import mdstore
from bench import candles
from bench.measure import Line, Report, Turn, interleave, verify
from bench.scale import Scale, scratch
from mdstore.candles.file import bar_digests, blocks, digests
from mdstore.candles.file.carried import Carried, Writer
from mdstore.candles.file.table_reads import read_range
from mdstore.candles.writes import bar_changes

__all__ = ["run"]

SERIES = 20
MINUTE = candles.MINUTE
MOST_WRITE, MOST_REBUILD = 1.05, 1.1

Call = Callable[[], object]
Make = Callable[[], Call]


def run(scale: Scale) -> Report:
    """Measure writes, a rebuild of the packs and reads of a series that is fed."""
    report = Report("digests", "What it costs that every row is under a digest")
    with scratch() as folder, mdstore.open(folder / "with.sqlite3") as ours, ExitStack() as rest:
        theirs = rest.enter_context(mdstore.open(folder / "without.sqlite3"))
        for what, make, rounds, most in (
            ("write: one bar", _one, 300, MOST_WRITE),
            ("write: 200 bars, 199 there", _tail, 200, MOST_WRITE),
            ("write: 200 new bars", _page, 200, MOST_WRITE),
            ("write: a correction", _correction, 200, MOST_WRITE),
            ("write: one bar of each of 200 series", _feed, 40, MOST_WRITE),
            ("write: 100,000 bars", partial(_bulk, rows=scale.rows(100_000)), 20, MOST_WRITE),
            (f"packs made again, {SERIES} series", partial(_rebuilt, scale=scale), 9, MOST_REBUILD),
            ("read: latest 1,000 after a new bar", _latest, 200, None),
        ):
            scale.say(what)
            with _off():
                without = make(theirs)
            turns = {"mdstore": _with(make(ours)), "without": _without(without)}
            taken = interleave(turns, scale.rounds(rounds))
            report.lines.append(Line.of_times(what, taken, raw="without", most_ratio=most))
        verify(ours.maintenance.check() == [], "what was written has its digests")
        _sizes(ours.path, report)
    return report


def _sizes(path: Path, report: Report) -> None:
    con = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    sizes: dict[str, int] = dict(con.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))
    con.close()
    share = (sizes["digests"] + sizes["bucket_digests"]) / sizes["candles"]
    report.notes.append(f"The digests take {share:.2%} of the bytes that the candles take.")


@contextmanager
def _off() -> Iterator[None]:
    """Make no digests and compare none."""

    @contextmanager
    def telling(con: Writer, hook: apsw.PreupdateHook | None) -> Iterator[None]:
        con.preupdate_hook(hook)
        try:
            yield
        finally:
            con.preupdate_hook(None)

    def read(
        proof: bar_digests.Proof,
        key: digests.Key,
        start: int,
        end: int,
        _: object = None,
        extras: tuple[str, ...] = (),
    ) -> pa.RecordBatch:
        rows = read_range(proof._con, *key, start, end, extras)
        proof.claim(key, rows, start, end)
        return rows

    def findings(proof: bar_digests.Proof) -> list[None]:
        claims, proof._claims = proof._claims, []
        return [None] * len(claims)

    with ExitStack() as stack:
        for home, name, other in (
            (Writer, "carry", lambda con: setattr(con, "carried", Carried(con))),
            (Writer, "telling", telling),
            *((Carried, name, _nothing) for name in ("add", "remove", "settle")),
            *((digests, name, _nothing) for name in ("prove", "prove_all")),
            (bar_digests.Proof, "read", read),
            (bar_digests.Proof, "findings", findings),
            *(
                (bar_changes, name, _nothing)
                for name in ("sums_of_changes", "sums_of_frame", "sums_of_replaced")
            ),
            (blocks, "content_of", lambda _: 0),
        ):
            stack.enter_context(patch.object(home, name, other))
        yield


def _nothing(*_: object, **__: object) -> dict[int, int]:
    return {}


def _with(make: Make) -> Turn:
    @contextmanager
    def turn() -> Iterator[Call]:
        yield make()

    return turn


def _without(make: Make) -> Turn:
    @contextmanager
    def turn() -> Iterator[Call]:
        with _off():
            yield make()

    return turn


def _one(store: mdstore.MarketDataStore) -> Make:
    minutes = itertools.count(candles.START, MINUTE)

    def make() -> Call:
        row = (next(minutes), 1.5, 2.5, 0.5, 2.25, 3.125)
        return lambda: store.write("ONE", "1m", [row])

    return make


def _tail(store: mdstore.MarketDataStore) -> Make:
    ends, every = itertools.count(200), candles.frame(2_000, seed=3)
    store.write("TAIL", "1m", every.head(199))

    def make() -> Call:
        frame = every.slice(next(ends) - 199, 200)
        return lambda: store.write("TAIL", "1m", frame)

    return make


def _page(store: mdstore.MarketDataStore) -> Make:
    pages, every = itertools.count(), candles.frame(100_000, seed=4)

    def make() -> Call:
        frame = every.slice(next(pages) * 200, 200)
        return lambda: store.write("PAGE", "1m", frame)

    return make


def _correction(store: mdstore.MarketDataStore) -> Make:
    places, every = itertools.count(), candles.frame(100_000, seed=6)
    store.write("WRONG", "1m", every)

    def make() -> Call:
        at = next(places) * 331 % len(every)
        row = (candles.START + at * MINUTE, 1.5, 2.5, 0.5, 2.25, 3.0 + at)
        return lambda: store.write("WRONG", "1m", [row])

    return make


def _feed(store: mdstore.MarketDataStore) -> Make:
    minutes, symbols = itertools.count(candles.START, MINUTE), list(map(candles.symbol, range(200)))

    def make() -> Call:
        row = {"timestamp": next(minutes), "open": 1.5, "high": 2.5, "low": 0.5, "close": 2.25, "volume": 3.0}
        frame = pl.DataFrame([{"symbol": symbol, **row} for symbol in symbols])
        return lambda: store.write_many(frame, timeframe="1m")

    return make


def _bulk(store: mdstore.MarketDataStore, *, rows: int) -> Make:
    numbers, frame = itertools.count(), candles.frame(rows, seed=5)

    def make() -> Call:
        symbol = f"BULK{next(numbers)}"
        return lambda: store.write(symbol, "1m", frame)

    return make


def _rebuilt(store: mdstore.MarketDataStore, *, scale: Scale) -> Make:
    """Lose all packs; then all candles of the file are put into new ones."""
    frame = candles.frame(scale.rows(50_000), seed=7)
    for number in range(SERIES):
        store.write(f"PACK{number}", "1m", frame)

    def make() -> Call:
        store.maintenance.warm()  # the scanner's process is there
        with store._candles._database.writing() as con:
            con.execute("DELETE FROM cells")
        store._candles._memory.clear()
        shutil.rmtree(store.packs_path)
        return store.maintenance.warm

    return make


def _latest(store: mdstore.MarketDataStore) -> Make:
    minutes = itertools.count(candles.START + 2_000_000 * MINUTE, MINUTE)

    def make() -> Call:
        store.write("BULK0", "1m", [(next(minutes), 1.5, 2.5, 0.5, 2.25, 3.125)])
        return lambda: store.candles("BULK0", "1m", limit=1_000)

    return make
