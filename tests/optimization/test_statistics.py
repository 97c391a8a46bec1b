"""Statistics of SQLite's planner: when they are brought up to date, and that it is recorded."""

from mdstore.optimization.statistics import StatisticsKeeper
from tests.support.candles import walk


def test_an_empty_store_needs_none(store):
    assert not StatisticsKeeper(store).evaluate().needed


def test_they_are_made_once_and_again_after_growth_and_after_deletions(store):
    keeper = StatisticsKeeper(store)
    store.write("A", "1m", walk(1_000))
    assert [one.met for one in keeper.evaluate().conditions] == [True, True, False]
    assert keeper.run() == "statistics brought up to date"
    assert not keeper.evaluate().needed
    assert store.repository.upkeep.analyzed_rows()["candles"] >= 500
    store.write("B", "1m", walk(200))
    assert not keeper.evaluate().needed
    store.write("B", "1m", walk(400))
    assert [one.met for one in keeper.evaluate().conditions] == [False, True, False]
    keeper.run()
    store.delete("A")
    assert keeper.evaluate().needed
    keeper.run()
    kept = store.repository.upkeep.records("analyze")
    assert [one["rows"] for one in kept] == [1_000, 1_400, 400]


def test_what_sqlite_alone_finds_worth_it_is_said_so(store, monkeypatch):
    """All rules said no, and statistics were brought up to date nonetheless."""
    keeper = StatisticsKeeper(store)
    store.write("A", "1m", walk(1_000))
    keeper.run()
    monkeypatch.setattr(type(store.repository.upkeep), "optimize", lambda _: ["ANALYZE candles"])
    assert keeper.run() == "statistics brought up to date: SQLite has found it worth it"


def test_a_bulk_load_counts_though_it_is_a_small_part(store, monkeypatch):
    from mdstore.optimization import statistics

    monkeypatch.setattr(statistics, "BULK_ROWS", 100)
    keeper = StatisticsKeeper(store)
    store.write("A", "1m", walk(1_000))
    keeper.run()
    store.write("B", "1m", walk(100))
    assert [one.met for one in keeper.evaluate().conditions] == [False, False, True]


def test_plans_of_what_the_store_reads_stay_what_they_are(store):
    for symbol in ("A", "B", "C"):
        store.write(symbol, "1m", walk(2_000))
    upkeep = store.repository.upkeep
    sql = "SELECT close FROM candles WHERE symbol = ? AND timeframe = ? AND timestamp >= ?"
    before = upkeep.plan(sql)
    StatisticsKeeper(store).run()
    assert (
        upkeep.plan(sql)
        == before
        == ("SEARCH candles USING PRIMARY KEY (symbol=? AND timeframe=? AND timestamp>?)",)
    )
