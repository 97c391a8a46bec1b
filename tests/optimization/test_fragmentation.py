"""The monitor: what share is free, what lies in order, what comes when, and where that leads."""

import asyncio
from datetime import UTC, datetime

import polars as pl
import pytest

import mdstore
from mdstore.optimization.fragmentation import FragmentationMonitor
from tests.support.candles import walk
from tests.support.fragmented import bar, feed, thin_out


@pytest.fixture
def monitor(store):
    return FragmentationMonitor(store)


def test_the_ratio_is_the_free_pages_of_all_in_percent(store, monitor):
    feed(store)
    assert monitor.check_fragmentation_ratio() == 0.0
    thin_out(store)
    with store.repository._database.reading() as con:
        utilisation = con.execute("""
            SELECT (page_count - freelist_count) * 100.0 / page_count
            FROM pragma_page_count(), pragma_freelist_count()
        """).get
    assert monitor.check_fragmentation_ratio() == pytest.approx(100 - utilisation)
    assert monitor.check_fragmentation_ratio() > 15


def test_the_ratio_is_blind_to_what_a_live_feed_does_and_the_layout_is_not(store, monitor):
    feed(store)
    assert monitor.check_fragmentation_ratio() == 0.0
    layout = monitor.layout()
    assert layout.columns == ["name", "pages", "leaves", "in_order", "slack"]
    assert layout["pages"].is_sorted(descending=True)
    assert layout.row(0)[0] == "candles"
    assert monitor.layout("candles")["in_order"].item() < 0.5
    store.repository.upkeep.rebuild("candles")
    assert monitor.layout("candles")["in_order"].item() > 0.9


def test_a_table_that_is_not_there_is_said_to_be(store, monitor):
    with pytest.raises(mdstore.InvalidInputError, match="no table or index 'candels'") as caught:
        monitor.layout("candels")
    assert caught.value.hint.python == "did you mean 'candles'?"
    with pytest.raises(mdstore.InvalidInputError, match="no table or index 'first'"):  # of several, the first
        monitor.layout("candles", "first", *(f"other {number}" for number in range(9)))
    with pytest.raises(mdstore.InvalidInputError) as caught:
        monitor.layout("nothing of the kind")
    assert {"candles", "revisions"} < {*caught.value.hint.cli.removeprefix("they are ").split(", ")}


def test_insert_patterns_tell_what_grows_and_what_rests(store, monitor, clock):
    store.write("COLD", "1d", walk(40, step=86_400_000, start=1_600_041_600_000))
    clock.pass_by(days=40)
    store.write("WARM", "1m", walk(100))
    clock.pass_by(days=3)
    for number in range(120):  # a bar an hour for five days
        clock.pass_by(hours=1)
        store.write("HOT", "1m", [bar(number)])
    store.write("HOT", "1m", [bar(119, 9.0)])  # a change is no growth
    frame = asyncio.run(monitor.monitor_insert_patterns())
    assert frame.schema["last_arrival"] == pl.Datetime("ms", "UTC")
    assert frame.select("symbol", "rows", "temperature").rows() == [
        ("COLD", 40, "cold"),
        ("HOT", 120, "hot"),
        ("WARM", 100, "warm"),
    ]
    cold, hot, warm = frame.rows(named=True)
    assert sum(cold["per_day"]) == 0
    assert hot["per_day"][-5:] == [24] * 5
    assert sum(warm["per_day"]) == 100
    assert (cold["growth_per_day"], warm["growth_per_day"]) == (0.0, 0.0)
    assert hot["growth_per_day"] == 24.0
    assert hot["last_arrival"] == datetime.fromtimestamp(clock.now, UTC)


def test_patterns_of_an_empty_store_are_an_empty_frame(monitor):
    frame = asyncio.run(monitor.monitor_insert_patterns())
    assert frame.is_empty()
    assert frame.columns[0] == "symbol"


def test_history_is_kept_and_a_straight_line_leads_on(store, monitor, clock):
    sizes = []
    for day in range(5):
        feed(store, series=day + 1, bars=1_000, at_once=1_000)
        sizes.append(monitor.measure()["bytes"])
        clock.pass_by(days=1)
    history = monitor.history()
    assert history["bytes"].to_list() == sizes
    assert history["candles"].is_between(0, 1).all()
    assert history.columns == ["at", "bytes", "pages", "free", "candles"]
    trend = monitor.trend()
    assert (trend.measures, trend.days, trend.bytes_now) == (5, 4.0, sizes[-1])
    growth = (sizes[-1] - sizes[0]) / 4
    assert trend.bytes_per_day == pytest.approx(growth, rel=0.2)
    assert trend.forecast(10) == round(sizes[-1] + 10 * trend.bytes_per_day)
    with mdstore.open(store.path, read_only=True) as reader:
        other = FragmentationMonitor(reader)
        assert other.trend() == trend
        other.measure()  # is not kept
        assert other.history().equals(history)


def test_without_a_measure_there_is_no_trend(monitor):
    assert monitor.history().is_empty()
    assert monitor.trend().bytes_per_day == 0.0
