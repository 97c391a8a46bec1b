"""Pages and leaves are counted, records kept, growth told by what arrived."""

import pytest

from mdstore import MaintenanceStoppedError
from mdstore.candles.upkeep import layout, records
from tests.support.fragmented import bar, feed


def test_pages_are_those_of_the_file(fed, upkeep):
    pages = upkeep.pages()
    assert upkeep.log_is_free()
    assert pages.bytes == fed.path.stat().st_size
    assert pages.free == 0


def test_every_page_is_of_some_table(fed, upkeep):
    pages, tables = upkeep.pages(), upkeep.tables()
    # Besides: the schema's own, and those that say where others belong.
    assert pages.count - sum(one.pages for one in tables) in range(1, 4)
    assert {"candles", "series", "digests"} < {one.name for one in tables}
    (candles,) = upkeep.tables(("candles", "nothing"))
    assert candles.leaves < candles.pages
    assert 0 < candles.slack < 0.5


def test_a_measure_can_be_stopped(upkeep, monkeypatch):
    monkeypatch.setattr(layout, "STEPS", 10)
    with pytest.raises(MaintenanceStoppedError):
        upkeep.tables(stop=lambda: True)
    assert upkeep.tables(stop=lambda: False)


def test_records_are_bounded_and_come_oldest_first(upkeep, monkeypatch):
    monkeypatch.setattr(records, "KEPT", 5)
    for number in range(12):
        upkeep.record("measured", {"number": number})
        upkeep.record("other", {"number": -number})
    assert [one["number"] for one in upkeep.records("measured")] == [7, 8, 9, 10, 11]
    assert [one["number"] for one in upkeep.records("other")] == [-7, -8, -9, -10, -11]
    assert upkeep.last("measured")["number"] == 11
    assert upkeep.last("nothing") is None


def test_growth_counts_every_bar_when_it_came(store):
    now = [1_757_000_000.0]
    store = type(store)(store.path.with_name("grown.sqlite3"), clock=lambda: now[0])
    with store:
        feed(store, series=2, bars=300, at_once=300)
        for number in range(100):  # one by one, in as many hours
            now[0] += 3_600
            store.write("S000", "1m", [bar(300 + number)])
        first, second = store.repository.upkeep.growth()
    assert (first.symbol, first.rows, second.rows) == ("S000", 400, 300)
    assert list(first.by_hour.values()) == [300, *[1] * 100]
    assert first.last == int(now[0] * 1000)
    assert len(second.by_hour) == 1
