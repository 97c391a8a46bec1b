"""Kill -9 at each step of upkeep: nothing is lost, nothing is left half done."""

import signal

import pytest

import mdstore
from tests.support.doses import dose
from tests.support.fragmented import all_rows, bar, feed, names, thin_out
from tests.support.processes import start

pytestmark = pytest.mark.slow

CHILD = """
    import os, signal, sys
    import mdstore
    from mdstore.candles.upkeep import free_pages, rebuild, vacuum

    what, place, name, when, at = sys.argv[1:]
    calls = 0

    def dies(*args, **options):
        global calls
        calls += 1
        if calls == int(at):
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    rebuild.ROWS_PER_STEP, rebuild.MOST_ROWS, free_pages.FIRST_STEP, free_pages.MOST = 400, 400, 2, 2
    vacuum.STEPS = 50
    stop = dies if place == "step" else (lambda: False)
    if place != "step":
        owner = {"rebuild": rebuild, "vacuum": vacuum}[place]
        original = getattr(owner, name)

        def around(*args, **options):
            if when == "before":
                dies()
            done = original(*args, **options)
            if when == "after":
                dies()
            return done

        setattr(owner, name, around)
    with mdstore.open("market_data.sqlite3") as store:
        upkeep = store.repository.upkeep
        print("ready", flush=True)
        {
            "rebuild": lambda: upkeep.rebuild("candles", stop=stop),
            "vacuum": lambda: upkeep.vacuum(stop=stop),
            "incremental": lambda: upkeep.give_back(10_000, stop=stop),
        }[what]()
        print("done", flush=True)
"""
POINTS = [
    *(("rebuild", "step", "-", "-", at) for at in (1, 2, 5, 12, 20)),
    ("rebuild", "rebuild", "_prepare", "before", 1),
    ("rebuild", "rebuild", "_prepare", "after", 1),
    ("rebuild", "rebuild", "_again", "before", 1),
    ("rebuild", "rebuild", "_exchange_roots", "before", 1),
    ("rebuild", "rebuild", "_exchange_roots", "after", 1),
    ("rebuild", "rebuild", "_exchange", "after", 1),
    ("rebuild", "rebuild", "_unhook", "after", 1),
    ("rebuild", "rebuild", "_empty", "after", 1),
    ("rebuild", "rebuild", "_empty", "after", 9),
    ("rebuild", "rebuild", "_drop", "before", 1),
    ("rebuild", "rebuild", "_drop", "after", 1),
    *(("vacuum", "step", "-", "-", at) for at in (1, 2, 40, 200)),
    ("vacuum", "vacuum", "_emptied", "before", 1),
    ("vacuum", "vacuum", "_emptied", "before", 2),
    ("vacuum", "vacuum", "_emptied", "after", 2),
    *(("incremental", "step", "-", "-", at) for at in (1, 2, 4)),
]


@pytest.mark.variants(6)
@pytest.mark.parametrize("point", POINTS, ids=lambda point: "-".join(map(str, point)))
def test_killed_at_a_point(tmp_path, point):
    path = tmp_path / "market_data.sqlite3"
    with mdstore.open(path) as store:
        feed(store, bars=300)
        thin_out(store)
        schema = names(path)
    before = all_rows(path)
    with start(CHILD, *map(str, point), cwd=tmp_path) as child:
        printed = child.stdout.read()
    assert printed == "ready\n"
    assert child.returncode == -signal.SIGKILL
    with mdstore.open(path) as store:
        assert names(path) == schema  # nothing lies beside the table any more
        assert store.maintenance.check() == []
        assert all_rows(path) == before
        store.write("S001", "1m", [bar(5_000)])
        store.repository.upkeep.rebuild("candles")
        assert store.maintenance.check() == []
        assert len(all_rows(path)) == len(before) + 1


WORKER = """
    import sys
    import mdstore
    from tests.support.fragmented import bar

    with mdstore.open("market_data.sqlite3") as store:
        number = 0
        print("ready", flush=True)
        while True:
            store.write(f"S{number % 40:03d}", "1m", [bar(1_000 + number)])
            print(number, flush=True)
            number += 1
"""


@pytest.mark.parametrize("round", range(dose(3)))
def test_a_writer_and_who_puts_in_order_are_killed_at_any_moment(tmp_path, round):  # noqa: A002
    """What the writer was told is written is there."""
    path = tmp_path / "market_data.sqlite3"
    with mdstore.open(path) as store:
        feed(store, bars=300)
        before = len(all_rows(path))
    with (
        start(WORKER, cwd=tmp_path) as writer,
        start(CHILD, "rebuild", "step", "-", "-", str(7 + 9 * round), cwd=tmp_path) as child,
    ):
        child.wait()
        lines = [writer.stdout.readline() for _ in range(20)]
        writer.kill()
        lines += writer.stdout.read().splitlines()
    written = int(lines[-1]) + 1
    with mdstore.open(path) as store:
        assert written <= len(all_rows(path)) - before <= written + 1
        assert store.maintenance.check() == []
