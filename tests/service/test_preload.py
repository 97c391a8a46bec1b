"""What is asked for often is ready: within a budget, in the order of use, and before a market opens."""

import asyncio
import threading

import pytest

import mdstore
from mdstore import MarketDataService, ServicePolicies
from mdstore.service.preload import Preloaded, keep_ready, preload
from tests.support.candles import walk
from tests.support.upstream import Clock

NAMES = ("A", "B", "C")


@pytest.fixture
def used(tmp_path):
    """A file in which A is asked for most, then C, then B; opened anew, with nothing in memory."""
    with mdstore.open(tmp_path / "s.sqlite3") as store, MarketDataService(store) as service:
        for seed, symbol in enumerate(NAMES):
            store.write(symbol, "1m", walk(1_000 * (seed + 1), seed=seed))
        for symbol, times in (("A", 9), ("B", 2), ("C", 5)):
            for _ in range(times):
                service.get_candle_data(symbol, "1m", count=5)
        store.maintenance.compact()  # packs that are merged later would be read again
        assert service.used().rows() == [("A", "1m", 9.0), ("C", "1m", 5.0), ("B", "1m", 2.0)]
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        yield store


def held(store):
    """Return the symbols that are held in memory; a pack of just now is not trusted yet."""
    return [symbol for symbol in NAMES if store._candles._memory.get(("1m", symbol)) is not None]


def test_what_is_asked_for_most_is_read_until_the_bytes_are_full(used):
    with MarketDataService(used, policies=ServicePolicies(preload_bytes=48 * 3_000)) as service:
        assert service.preload() == Preloaded(2, 3_000, 48 * 3_000, "144,000 bytes are full")
    assert held(used) == ["A", "B"]  # C has no room, and B, which comes behind it, has


def test_everything_fits_or_the_time_is_over(used):
    assert preload(used, ServicePolicies(preload_seconds=1e-9)).series == 0
    assert preload(used, ServicePolicies(), is_over=lambda: True).stopped == "5 s are over"
    assert preload(used, ServicePolicies()) == Preloaded(3, 6_000, 48 * 6_000, "")
    assert held(used) == list(NAMES)


def test_of_bars_that_are_made_what_they_are_made_of_is_read(used):
    used.write("B", "5m", walk(10, step=300_000))
    with MarketDataService(used) as service:
        for _ in range(100):
            for bar in ("1h", "4h"):
                service.get_candle_data("C", bar, derive="1m")
        assert service.used().rows()[0][:2] in {("C", "1h"), ("C", "4h")}
        found = preload(used, ServicePolicies(preload_bytes=48 * 3_000))
        assert found == Preloaded(1, 3_000, 48 * 3_000, "144,000 bytes are full")
    assert "C" in held(used)
    assert preload(used, ServicePolicies()).series == 3


def test_it_is_done_as_the_service_is_made_if_that_is_asked_for(used):
    with MarketDataService(used):
        assert "mdstore-service" not in {thread.name for thread in threading.enumerate()}  # nothing by itself
    with MarketDataService(used, policies=ServicePolicies(preload=True)) as service:
        future = service._tiers.background.submit(asyncio.sleep(0))
        future.result(10)
        for _ in range(1_000):
            if used.maintenance.stats()["memory_entries"] == len(NAMES):
                break
            threading.Event().wait(0.01)
    assert held(used) == list(NAMES)


def test_a_service_that_is_closed_reads_no_further(used):
    asyncio.run(keep_ready(used, ServicePolicies(), lambda: None, lambda: True))
    assert held(used) == []


def test_it_is_done_again_before_a_market_opens(tmp_path, monkeypatch):
    from mdstore.service import preload as module

    clock = Clock(1_756_692_000.0)  # 2025-09-01 11:00 in Seoul: the KRX is open
    slept, done = [], []

    async def sleep(seconds):
        slept.append(seconds)
        clock.now += seconds
        if len(done) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    monkeypatch.setattr(module, "preload", lambda *_: done.append(clock.now))
    with mdstore.MarketDataStore(tmp_path / "s.sqlite3", clock=clock) as store:
        store.set_calendar("*", "XKRX")
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(keep_ready(store, ServicePolicies(), lambda: None))
    # At once, then at five to nine of the next two days (00:00 UTC is 09:00 in Seoul).
    assert done[1:] == pytest.approx([1_756_771_200 - 300 + 300, 1_756_857_600 - 300 + 300], abs=301)


def test_a_file_that_is_busy_once_ends_no_preloading(tmp_path, monkeypatch, caplog):
    from mdstore.service import preload as module

    done, slept = [], []

    def busy_once(*_):
        done.append(len(done))
        if len(done) == 1:
            raise mdstore.StoreBusyError("another is writing")

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    monkeypatch.setattr(module, "preload", busy_once)
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        asyncio.run(keep_ready(store, ServicePolicies(), lambda: None))
    assert (done, slept) == ([0, 1], [module.LOOK_SECONDS])
    assert "another is writing" in caplog.text


def test_what_always_trades_is_preloaded_once(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        asyncio.run(asyncio.wait_for(keep_ready(store, ServicePolicies(), lambda: None), 20))


@pytest.mark.parametrize(
    "wrong", [{"offline": 1}, {"wait_seconds": 0}, {"breaker": -1}, {"reach": 1.5}, {"preload_bytes": True}]
)
def test_policies_are_looked_at(wrong):
    with pytest.raises(mdstore.InvalidInputError, match=next(iter(wrong))):
        ServicePolicies(**wrong)
    with pytest.raises(mdstore.InvalidInputError, match="ServicePolicies"):
        MarketDataService(None, policies={"offline": True})
