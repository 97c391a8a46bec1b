"""One answer, one revision: four processes read while another commits at random.

Every commit is drawn from its number, so a reader knows what the candles are after each of them; what it
reads must be the candles after exactly one, and never older than what it read before.
"""

import json
import os
import random
import subprocess
import sys
import textwrap

import polars as pl
import pytest

import mdstore
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

SYMBOLS = ("A", "B", "C")
START, MINUTE, SPAN = 1_756_684_800_000, 60_000, 90

WRITER = """
    import contextlib, sys
    import mdstore
    from tests.support.small import cut_down
    from tests.candles.reads.test_coherence import change

    for size in cut_down():
        size.start()
    with mdstore.open("market_data.sqlite3") as store:
        for number in range(int(sys.argv[1]), int(sys.argv[2])):
            rows, gone = change(number)
            if rows:
                store.write_many(rows, timeframe="1m")
            else:
                with contextlib.suppress(mdstore.NoSuchSeriesError):
                    store.delete(gone[0], "1m", start=gone[1], end=gone[2])
            if number % 97 == 0:
                store.maintenance.compact()
"""
READER = """
    import json, random, sys
    import polars as pl
    import mdstore
    from tests.support.small import cut_down
    from tests.candles.reads.test_coherence import Book, digest

    for size in cut_down():
        size.start()
    commits, seed = int(sys.argv[1]), int(sys.argv[2])
    book, chance, reads, last = Book(commits), random.Random(seed), 0, {}
    with mdstore.open("market_data.sqlite3", memory_bytes=(1 << 20) * (seed % 2)) as store:
        print("ready", flush=True)
        while last.get("all", 0) < commits and reads < 200_000:
            way = chance.choice(["A", "B", "C", "all", "arrow", "scan", "sql"])
            try:
                if way in "ABC":
                    frame = store.candles(way, "1m").with_columns(symbol=pl.lit(way))
                elif way == "all":
                    frame = store.candles(None, "1m")
                elif way == "arrow":
                    frame = pl.DataFrame(store.arrow(None, "1m"))
                elif way == "scan":
                    frame = store.scan(None, "1m").collect()
                else:
                    frame = store.sql("SELECT * EXCLUDE (timeframe) FROM candles ORDER BY symbol, timestamp")
            except mdstore.NoSuchSeriesError:
                continue
            reads += 1
            kind = way if way in "ABC" else "all"
            number = book.number(kind, digest(frame), last.get(kind, 0))
            if number is None:
                print(json.dumps({"wrong": way, "after": last.get(kind, 0)}), flush=True)
                break
            last[kind] = number
        print(json.dumps({"reads": reads, "last": last}), flush=True)
"""


def change(number):
    """Return what commit `number` does: rows to write, or a range to delete."""
    chance = random.Random(number)
    if chance.random() < 0.15 and number % 100:
        first = chance.randrange(SPAN)
        return None, (
            chance.choice(SYMBOLS),
            START + first * MINUTE,
            START + (first + chance.randrange(1, 12)) * MINUTE,
        )
    rows = []
    for symbol in chance.sample(SYMBOLS, chance.randint(1, 3)):
        first = chance.randrange(SPAN)
        places = range(first, min(SPAN, first + chance.choice((1, 1, 2, 30))))
        rows += [(symbol, START + place * MINUTE, number, number, number, number, place) for place in places]
    return rows, None


def digest(frame):
    """Return the candles of A, B and C as one text each way of reading gives alike."""
    rows = zip(
        frame["symbol"].cast(pl.String),
        frame["timestamp"].to_physical(),
        frame["close"],
        frame["volume"],
        strict=True,
    )
    return hash(tuple((s, (t - START) // MINUTE, int(c), int(v)) for s, t, c, v in rows if s in SYMBOLS))


class Book:
    """What the candles are after each commit."""

    def __init__(self, commits):
        self._after = {kind: {} for kind in (*SYMBOLS, "all")}
        state = {symbol: {} for symbol in SYMBOLS}
        for number in range(commits + 1):
            if number:
                self._apply(state, number)
            for kind, found in self._after.items():
                symbols = SYMBOLS if kind == "all" else (kind,)
                rows = tuple((s, place, *state[s][place]) for s in symbols for place in sorted(state[s]))
                found.setdefault(hash(rows), []).append(number)

    def number(self, kind, seen, least):
        """Return the first commit from `least` on after which the candles are what was seen, or None."""
        return next((number for number in self._after[kind].get(seen, ()) if number >= least), None)

    @staticmethod
    def _apply(state, number):
        rows, gone = change(number)
        for symbol, time, close, _, _, _, volume in rows or ():
            state[symbol][(time - START) // MINUTE] = (close, volume)
        if gone:
            symbol, low, high = gone
            for place in [p for p in state[symbol] if low <= START + p * MINUTE < high]:
                del state[symbol][place]


def start(script, folder, *args):
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    # Texts hash alike in every process.
    env = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, args)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=env)


def commit_and_read(folder, commits, readers=4):
    mdstore.open(folder / "market_data.sqlite3").close()
    reading = [start(READER, folder, commits, seed) for seed in range(readers)]
    for reader in reading:
        assert reader.stdout.readline() == "ready\n"
    writer = start(WRITER, folder, 1, commits + 1)
    answers = [json.loads(reader.communicate(timeout=3_000)[0].splitlines()[-1]) for reader in reading]
    assert writer.wait(60) == 0
    writer.stdout.close()
    return answers


def check(answers, commits):
    for answer in answers:
        assert "wrong" not in answer, answer
        assert answer["last"]["all"] == commits
        assert answer["reads"] > 50


@pytest.mark.long
def test_every_answer_is_of_exactly_one_revision(tmp_path):
    check(commit_and_read(tmp_path, 300), 300)


@pytest.mark.long
def test_every_answer_is_of_exactly_one_revision_through_ten_thousand(tmp_path):
    check(commit_and_read(tmp_path, 10_000), 10_000)
