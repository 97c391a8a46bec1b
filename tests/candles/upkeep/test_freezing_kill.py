"""Kill -9 at each step of freezing and thawing, by the user and by a write: nothing lost, nothing twice."""

import signal
from contextlib import closing

import apsw
import pytest

import mdstore
from mdstore.candles.file import frozen
from mdstore.candles.upkeep import freezing
from tests.support.candles import MINUTE, START, walk
from tests.support.doses import FULL, dose
from tests.support.processes import start

pytestmark = pytest.mark.slow

BARS = 2_000
CHILD = """
    import os, signal, sys
    import mdstore
    from mdstore.candles.file import frozen, thawing
    from mdstore.candles.upkeep import freezing
    from mdstore.candles.writes import delete, writer
    from tests.support.candles import MINUTE, START, walk

    what, place, when, at = sys.argv[1:]
    calls = 0

    def dies():
        global calls
        calls += 1
        if calls == int(at):
            os.kill(os.getpid(), signal.SIGKILL)

    frozen.PIECE_ROWS, freezing.SPARE_ROWS = 300, 80
    owners = {"freezing": freezing, "frozen": frozen, "thawing": thawing}
    module, _, name = place.partition(".")
    original = getattr(owners[module], name)

    def around(*args, **options):
        if when == "before":
            dies()
        done = original(*args, **options)
        if when == "after":
            dies()
        return done

    setattr(owners[module], name, around)
    with mdstore.open("market_data.sqlite3") as store:
        print("ready", flush=True)
        {
            "freeze": lambda: store.maintenance.freeze("2030-01-01"),
            "thaw": lambda: store.maintenance.thaw(),
            "write": lambda: store.write("A", "1m", walk(900, start=START + 200 * MINUTE, seed=9)),
            "delete": lambda: store.delete("A", start=START + 200 * MINUTE, end=START + 1_100 * MINUTE),
        }[what]()
        print("done", flush=True)
"""
POINTS = [
    *(("freeze", "freezing.encoded", "after", at) for at in (1, 3)),
    *(("freeze", "freezing._exchange", when, at) for when in ("before", "after") for at in (1, 2, 5)),
    *(("freeze", "frozen.forget", when, 2) for when in ("before", "after")),
    *(("freeze", "frozen.insert", when, at) for when in ("before", "after") for at in (1, 4)),
    *(("thaw", "thawing._put_back", when, at) for when in ("before", "after") for at in (1, 3)),
    *(("thaw", "thawing.upsert", when, at) for when in ("before", "after") for at in (1, 3)),
    *(("write", "thawing.upsert", when, at) for when in ("before", "after") for at in (1, 3)),
    *(("delete", "frozen.forget", when, at) for when in ("before", "after") for at in (1, 2, 3)),
]


def everything(path):
    """Return what a store holds, and that each bar is in one table only."""
    with mdstore.open(path) as store:
        assert store.maintenance.check() == []
        rows = store.candles("A", "1m").rows()
        count = store.maintenance.stats()["frozen_rows"]
    with closing(apsw.Connection(str(path))) as con:
        assert con.execute("SELECT count(*) FROM candles").get + count == len(rows)
    return rows


@pytest.mark.parametrize(
    "point", POINTS if FULL else POINTS[::5], ids=lambda point: "-".join(map(str, point))
)
def test_killed_at_a_point(tmp_path, monkeypatch, point):
    monkeypatch.setattr(frozen, "PIECE_ROWS", 300)
    monkeypatch.setattr(freezing, "SPARE_ROWS", 80)
    path = tmp_path / "market_data.sqlite3"
    with mdstore.open(path) as store:
        store.write("A", "1m", walk(BARS))
        if point[0] != "freeze":
            store.maintenance.freeze("2030-01-01")
    before = everything(path)
    with start(CHILD, *map(str, point), cwd=tmp_path) as child:
        printed = child.stdout.read()
    assert printed == "ready\n"
    assert child.returncode == -signal.SIGKILL
    assert everything(path) == before
    with mdstore.open(path) as store:
        store.maintenance.freeze("2030-01-01")
        assert store.maintenance.stats()["frozen_rows"] == BARS
        store.maintenance.thaw()
    assert everything(path) == before


WORKER = """
    import sys
    import mdstore
    from mdstore.candles.file import frozen
    from mdstore.candles.upkeep import freezing
    from tests.support.candles import MINUTE, START, walk

    frozen.PIECE_ROWS, freezing.SPARE_ROWS = 300, 80
    with mdstore.open("market_data.sqlite3", busy_timeout=60) as store:
        print("ready", flush=True)
        number = 0
        while True:
            if sys.argv[1] == "write":
                at = START + number * 37 % 2_000 * MINUTE
                store.write("A", "1m", walk(1, start=at, seed=number + 1))
                print(number, flush=True)
            else:
                store.maintenance.freeze("2030-01-01")
                store.maintenance.thaw()
            number += 1
"""


@pytest.mark.parametrize("round_", range(dose(3)))
def test_a_writer_and_who_freezes_are_killed_at_any_moment(tmp_path, round_):
    """What the writer was told is written is there."""
    path = tmp_path / "market_data.sqlite3"
    with mdstore.open(path) as store:
        store.write("A", "1m", walk(BARS))
    with start(WORKER, "write", cwd=tmp_path) as writer, start(WORKER, "freeze", cwd=tmp_path) as other:
        assert other.stdout.readline() == writer.stdout.readline() == "ready\n"
        lines = [writer.stdout.readline() for _ in range(40 + 11 * round_)]
        other.kill()
        writer.kill()
        lines += writer.stdout.read().splitlines()
    expected = {time: values for time, *values in walk(BARS).rows()}
    for number in range(int(lines[-1]) + 1):
        time, *values = walk(1, start=START + number * 37 % BARS * MINUTE, seed=number + 1).row(0)
        expected[time] = values
    wrong = [row for row in everything(path) if expected[row[0]] != list(row[1:])]
    assert len(wrong) <= 1  # the one that was written when it was killed
