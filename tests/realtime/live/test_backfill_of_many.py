"""Holes of many markets: one that cannot be fetched keeps no other waiting, and is not asked for in haste."""

import threading
import time

import polars as pl

from mdstore.realtime.backfill import Backfill, Part
from mdstore.realtime.ranges import Ranges
from mdstore.realtime.rows import Hole

MINUTE = 60_000


class FakeLease:
    """Is beaten while `is_held`."""

    beat_seconds = 0.0

    def __init__(self):
        self.beats, self.is_held, self.is_given_back = 0, True, False

    def beat(self):
        self.beats += 1
        return self.is_held

    def give_back(self):
        self.is_given_back = True


class Live:
    """Has holes until they are filled, and notes what was stored."""

    def __init__(self, *symbols):
        self.holes = [Hole(symbol, "1m", 0, 2 * MINUTE) for symbol in symbols]
        self.stored_ranges, self.told = [], []
        self.ledger = self
        self.leases, self.kept = [], {}
        self.is_taken = lambda: False
        self.done = threading.Event()

    def ended_holes(self, symbols):
        return list(self.holes)

    def fill(self, symbol, timeframe, rows, start, end, *, absent=None, settled=None, source=None):
        self.stored_ranges.append((symbol, start, end, absent))

    def flush(self, timeout):
        pass

    def lease(self, symbol, timeframe):
        if self.is_taken():
            return None
        self.leases.append(FakeLease())
        return self.leases[-1]

    def lacks(self, symbol, timeframe, start, end):
        lacking = Ranges()
        lacking.add(start, end)
        for row in self.kept.get(symbol, []):
            lacking.remove(row[0], row[0] + MINUTE)
        return list(lacking)

    def stored(self, symbol, timeframe, start, end):
        return [row for row in self.kept.get(symbol, []) if start <= row[0] < end]

    def filled(self, symbol, timeframe, start, end, rows):
        left = []
        for hole in self.holes:
            is_it = hole.symbol == symbol
            if not is_it or start >= hole.end or end <= hole.start:
                left.append(hole)
            else:
                ends = ((hole.start, start), (end, hole.end))
                left += [hole._replace(start=low, end=high) for low, high in ends if low < high]
        self.holes = left
        self.told += rows
        if not left:
            self.done.set()


def filled(live, fetch, condition):
    troubles = []
    backfill = Backfill(live, None, 0, fetch, troubles.append)
    backfill.start()
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
    backfill.stop()
    return troubles


def test_one_that_fails_keeps_no_other_waiting():
    live, asked = Live("GONE", "KRW-BTC", "KRW-ETH"), []

    def fetch(symbol, timeframe, start, end):
        asked.append(symbol)
        if symbol == "GONE":
            raise LookupError(symbol)
        return []

    troubles = filled(live, fetch, lambda: [hole.symbol for hole in live.holes] == ["GONE"])
    assert asked[:3] == ["GONE", "KRW-BTC", "KRW-ETH"]
    assert asked.count("KRW-BTC") == asked.count("KRW-ETH") == 1
    assert all(isinstance(error, LookupError) for error in troubles)
    assert troubles[0].__notes__ == ["GONE 1m: fetched again in 1 s"]


def test_where_all_fail_a_round_ends_early():
    live, asked = Live(*(f"S{number}" for number in range(9))), []

    def fetch(symbol, timeframe, start, end):
        asked.append((symbol, time.monotonic()))
        raise ConnectionError

    filled(live, fetch, lambda: len(asked) >= 6)
    assert [symbol for symbol, _ in asked[:6]] == [f"S{number}" for number in range(6)]
    assert asked[3][1] - asked[2][1] >= 0.1  # another round


def test_parts_say_why_bars_are_absent():
    live = Live("KRW-BTC")
    row = (MINUTE, 1.0, 2.0, 0.5, 1.5, 3.0)
    frame = pl.DataFrame([row], schema=["timestamp", "open", "high", "low", "close", "volume"], orient="row")
    parts = [Part(0, MINUTE, [], "before_listing"), Part(MINUTE, 2 * MINUTE, frame, "no_trade")]
    filled(live, lambda *asked: parts, live.done.is_set)
    assert live.stored_ranges == [
        ("KRW-BTC", 0, MINUTE, "before_listing"),
        ("KRW-BTC", MINUTE, 2 * MINUTE, "no_trade"),
    ]
    assert live.told == [row]


# ---- parts that come one by one


def bar(minute):
    return (minute * MINUTE, 1.0, 2.0, 0.5, 1.5, 3.0)


def test_a_part_is_stored_as_it_comes():
    live = Live("KRW-BTC")

    async def fetch(symbol, timeframe, start, end):
        yield Part(MINUTE, 2 * MINUTE, [bar(1)], "no_trade")
        assert live.stored_ranges == [("KRW-BTC", MINUTE, 2 * MINUTE, "no_trade")]
        yield Part(0, MINUTE, [bar(0)], "no_trade")

    assert filled(live, fetch, lambda: len(live.told) == 2) == []
    assert live.told == [bar(0), bar(1)]  # in their order, though the newest came first


def test_a_failure_keeps_what_came_and_only_the_rest_is_asked_for_again():
    live, asked = Live("KRW-BTC"), []

    async def fetch(symbol, timeframe, start, end):
        asked.append((start, end))
        yield Part(start, start + MINUTE, [bar(start // MINUTE)], "no_trade")
        if start == 0:
            raise ConnectionError("lost")

    troubles = filled(live, fetch, lambda: not live.holes)
    assert asked == [(0, 2 * MINUTE), (MINUTE, 2 * MINUTE)]
    assert live.told == [bar(0), bar(1)]
    assert [str(error) for error in troubles] == ["lost"]


def test_what_is_not_given_is_asked_for_again_without_a_word():
    live, asked = Live("KRW-BTC"), []

    async def fetch(symbol, timeframe, start, end):
        asked.append(time.monotonic())
        if len(asked) > 1:
            yield Part(start, end, [], "no_trade")

    assert filled(live, fetch, lambda: not live.holes) == []
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 1.0


def test_of_a_part_without_rows_nothing_is_stored_and_it_is_not_asked_for_again():
    live, asked = Live("KRW-BTC"), []

    async def fetch(symbol, timeframe, start, end):
        asked.append(start)
        yield Part(0, MINUTE, None)
        yield Part(MINUTE, 2 * MINUTE, [bar(1)], "no_trade")

    filled(live, fetch, lambda: not live.holes)
    assert asked == [0]
    assert live.stored_ranges == [("KRW-BTC", MINUTE, 2 * MINUTE, "no_trade")]


# ---- others that ask for the same series


def test_what_others_have_brought_is_told_and_not_asked_for():
    live, asked = Live("KRW-BTC"), []
    live.kept["KRW-BTC"] = [bar(0)]

    def fetch(symbol, timeframe, start, end):
        asked.append((start, end))
        return [bar(1)]

    filled(live, fetch, lambda: len(live.told) == 2)
    assert asked == [(MINUTE, 2 * MINUTE)]
    assert live.told == [bar(0), bar(1)]
    assert live.stored_ranges == [("KRW-BTC", MINUTE, 2 * MINUTE, None)]


def test_while_another_asks_for_the_series_nothing_is_asked():
    live, asked, refused = Live("KRW-BTC"), [], []
    live.is_taken = lambda: not refused and not refused.append(time.monotonic())
    filled(live, lambda *what: asked.append(time.monotonic()) or [], lambda: not live.holes)
    assert len(asked) == 1
    assert asked[0] - refused[0] >= 1.0


def test_it_is_said_that_the_work_goes_on_and_it_ends_where_another_has_taken_over():
    live, asked = Live("KRW-BTC"), []

    async def fetch(symbol, timeframe, start, end):
        asked.append(start)
        if len(asked) == 1:
            live.leases[0].is_held = False
        for at in range(start, end, MINUTE):
            yield Part(at, at + MINUTE, [bar(at // MINUTE)], "no_trade")

    filled(live, fetch, lambda: not live.holes)
    assert asked == [0, MINUTE]
    assert len(live.leases) == 2
    assert all(lease.beats and lease.is_given_back for lease in live.leases)
