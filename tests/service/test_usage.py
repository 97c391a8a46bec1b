"""What is asked for is kept in the file as it goes: a process that is killed loses little of it."""

import threading

import mdstore
from mdstore import MarketDataService
from mdstore.service import usage as module
from mdstore.service.usage import Usage
from tests.support.candles import walk
from tests.support.processes import start
from tests.support.waiting import until


def kept(store):
    return {(symbol, timeframe): asks for symbol, timeframe, asks in store._candles.most_used(100)}


def timers():
    return [one for one in threading.enumerate() if one.name == "mdstore-usage"]


def test_it_is_kept_after_a_while(store, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.05)
    usage = Usage(store)
    usage.note(["A", "B"], "1m")
    until(lambda: kept(store) == {("A", "1m"): 1.0, ("B", "1m"): 1.0})
    usage.note(["A"], "1m")  # and again, without what was kept before fading each time
    until(lambda: kept(store) == {("A", "1m"): 2.0, ("B", "1m"): 1.0})
    usage.flush()
    until(lambda: timers() == [])


def test_it_is_kept_after_so_many(store, monkeypatch):
    monkeypatch.setattr(module, "ASKS", 100)
    usage = Usage(store)
    for _ in range(99):
        usage.note(["A"], "1m")
    assert kept(store) == {}
    usage.note(["A"], "1m")
    until(lambda: kept(store) == {("A", "1m"): 100.0})
    usage.flush()


def test_while_the_file_is_busy_it_waits_and_stays_bounded(store, monkeypatch):
    monkeypatch.setattr(module, "ASKS", 100)
    monkeypatch.setattr(type(store._candles), "used", lambda *_, **__: False)
    usage = Usage(store)
    for number in range(550):
        usage.note([f"S{number}"], "1m")
        usage.flush()
    assert len(usage._asks) <= 100
    monkeypatch.undo()
    usage.flush()
    assert 0 < len(kept(store)) <= 100


def test_a_store_that_is_only_read_counts_nothing_and_starts_no_thread(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", walk(10))
    with mdstore.open(tmp_path / "s.sqlite3", read_only=True) as store, MarketDataService(store) as service:
        service.get_candle_data("A", "1m")
        assert timers() == []


def test_a_service_that_is_closed_leaves_no_thread_and_a_closed_store_is_no_trouble(store):
    store.write("A", "1m", walk(10))
    with MarketDataService(store) as service:
        service.get_candle_data("A", "1m")
        assert len(timers()) == 1
    until(lambda: timers() == [])
    usage = Usage(store)
    usage.note(["A"], "1m")
    store.close()
    usage._flush_quietly()
    until(lambda: timers() == [])


KILLED = """
    import mdstore, time
    from mdstore.service import usage
    from tests.support.candles import walk

    usage.SECONDS = 0.05
    store = mdstore.open("market_data.sqlite3")
    store.write("A", "1m", walk(10))
    service = mdstore.MarketDataService(store)
    for _ in range(7):
        service.get_candle_data("A", "1m")
    while not store._candles.most_used(1):
        time.sleep(0.01)
    print("kept", flush=True)
    time.sleep(1_000)
"""


def test_a_process_that_is_killed_has_said_what_it_was_asked_for(tmp_path):
    child = start(KILLED, cwd=tmp_path)
    assert child.stdout.readline() == "kept\n"
    child.kill()
    child.wait()
    child.stdout.close()
    with mdstore.open(tmp_path / "market_data.sqlite3") as store, MarketDataService(store) as service:
        assert service.used().select("symbol", "timeframe").rows() == [("A", "1m")]
