"""Ctrl-C around a commit: what says that it failed is not stored, and no pack that is stored is deleted."""

from contextlib import contextmanager

import pytest

from mdstore.candles.file import log
from tests.support.candles import MINUTE, START, bits, walk
from tests.support.packs import BARS, cells, tiers


def ctrl_c(*_):
    raise KeyboardInterrupt


def test_ctrl_c_while_a_write_waits_for_readers_leaves_nothing_of_it(store, monkeypatch):
    store.write("A", "1m", walk(BARS))
    with store._candles._database.reading() as con:
        con.execute("SELECT * FROM series").fetchall()
        store.write("A", "1m", walk(10, start=START + BARS * MINUTE))  # what the reader keeps in the log
        monkeypatch.setattr(log, "LOG_BYTES", 1)
        store._candles._database.log._reset()
        before = store._candles.revision()
        monkeypatch.setattr(log.time, "sleep", ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            store.write("B", "1m", walk(BARS, seed=1))
        assert store._candles.revision() == before
    monkeypatch.undo()
    assert store.series()["symbol"].to_list() == ["A"]
    store.write("B", "1m", walk(BARS, seed=1))
    assert store.candles("B", "1m").height == BARS
    assert store.maintenance.check() == []


@contextmanager
def interrupted_after_commit(store, monkeypatch):
    """Raise what Ctrl-C raises when the next transaction is in the file, and nobody knows yet."""
    database = store._candles._database
    writing, note = database.writing, database.note

    @contextmanager
    def interrupted_writing():
        with writing() as con:
            yield con
        raise KeyboardInterrupt

    def interrupted_note(*args, **options):
        note(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(database, "writing", interrupted_writing)
        patch.setattr(database, "note", interrupted_note)
        yield


@pytest.mark.parametrize("how", ["write", "seal", "compact"])
def test_ctrl_c_right_after_the_commit_leaves_the_pack_that_was_published(store, monkeypatch, how):
    store.write("A", "1m", walk(BARS))
    if how == "seal":
        for number in range(4):  # too few rows each to be sealed as they are written
            store.write("B", "1m", walk(750, start=START + number * 750 * MINUTE))
    elif how == "compact":
        store.write("B", "1m", walk(BARS))
    work = {
        "write": lambda: store.write("B", "1m", walk(BARS)),
        "seal": store.maintenance.warm,
        "compact": store.maintenance.compact,
    }[how]
    with interrupted_after_commit(store, monkeypatch), pytest.raises(KeyboardInterrupt):
        work()
    assert {cell.pack for cell in cells(store)} <= store._candles._packs.files().keys()
    assert sum(cell.rows for cell in cells(store)) == 2 * BARS
    assert tiers(store, "B", "1m") != ("sqlite",)
    assert bits(store.candles("A", "1m")) == bits(walk(BARS))
    assert store.maintenance.check() == []
