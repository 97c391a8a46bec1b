"""The time a query is given bounds what is done for it beforehand, too: candles are read and put into packs."""

from types import SimpleNamespace

import pytest

from mdstore import InvalidInputError, QueryTimeoutError
from mdstore.candles.packs import seal_policy
from mdstore.candles.reads import reads, sql_running
from tests.support.candles import walk
from tests.support.packs import cells

COUNT = "SELECT count(*) AS n FROM candles"


@pytest.fixture
def stopwatch(monkeypatch):
    """A clock that stands still unless it is set; by it queries are timed."""
    stopwatch = SimpleNamespace(now=0.0)
    monkeypatch.setattr(sql_running, "time", SimpleNamespace(monotonic=lambda: stopwatch.now))
    return stopwatch


def slow(monkeypatch, owner, name, stopwatch):
    """Let each call of a method take a minute; return the list that grows with each."""
    calls, original = [], getattr(owner, name)

    def called(*args, **options):
        calls.append(name)
        stopwatch.now += 60.0
        return original(*args, **options)

    monkeypatch.setattr(owner, name, called)
    return calls


@pytest.fixture
def loose(store, monkeypatch):
    """A store of five series in no pack, each too large to be read along."""
    monkeypatch.setattr(reads, "LOOSE_ROWS", 10)
    monkeypatch.setattr(seal_policy, "BUILD_ROWS", 50)
    for name in "ABCDE":
        store.write(name, "1m", walk(50))
    return store


def test_sealing_for_a_query_ends_at_its_deadline_and_goes_on_with_the_next(loose, monkeypatch, stopwatch):
    groups = slow(monkeypatch, loose._candles._upkeep, "_walk", stopwatch)
    with pytest.raises(QueryTimeoutError, match="longer than 100 seconds"):
        loose.sql(COUNT, timeout=100)
    assert len(groups) == 2
    assert len(cells(loose)) == 2
    assert loose.sql(COUNT, timeout=1_000)["n"].to_list() == [250]
    assert len(groups) == 5


def test_gathering_for_a_query_ends_at_its_deadline(store, monkeypatch, stopwatch):
    for timeframe in ("1m", "3m", "5m", "15m"):
        store.write("A", timeframe, walk(1))
    gathered = slow(monkeypatch, store._candles._columnar, "gather", stopwatch)
    with pytest.raises(QueryTimeoutError):
        store.sql(COUNT, timeout=100)
    assert len(gathered) == 2
    assert store.sql(COUNT)["n"].to_list() == [4]


def test_explain_of_a_query_takes_a_timeout(loose, monkeypatch, stopwatch):
    slow(monkeypatch, loose._candles._upkeep, "_walk", stopwatch)
    with pytest.raises(QueryTimeoutError):
        loose.explain(sql=COUNT, timeout=100)
    assert loose.explain(sql=COUNT, timeout=1_000).rows == 1
    with pytest.raises(InvalidInputError, match="goes with sql="):
        loose.explain("A", "1m", timeout=1)
