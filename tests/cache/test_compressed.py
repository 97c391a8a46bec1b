"""Answers that have cooled: how many the bytes hold, and that they come back."""

import polars as pl
import pytest

import mdstore
from mdstore.cache import CompressedCache, Key, MemoryCache, compressed
from tests.cache.caches import MILLION
from tests.support.real import real

ROWS = 2_000


def key(number):
    return Key("candles", (f"S{number}",), "1m", detail=number)


@pytest.fixture
def minutes():
    """Recorded minutes of KRW-BTC, in pieces of 2,000."""
    frame = pl.read_csv(real("upbit", "BTC_KRW_1m.csv"))
    frame = frame.with_columns(timestamp=60_000 * pl.int_range(pl.len()))
    return [frame.slice(start, ROWS) for start in range(0, frame.height - ROWS, ROWS)]


def held(cache, frames):
    for number, frame in enumerate(frames):
        cache.put(key(number), frame, ttl=1e6)
    return [number for number, frame in enumerate(frames) if _is_held(cache, number, frame)]


def _is_held(cache, number, frame):
    answer = cache.get(key(number))
    assert answer is None or answer.equals(frame)
    return answer is not None


def test_the_same_bytes_hold_twice_as_many_recorded_candles(minutes):
    limit = MILLION
    cache = CompressedCache(limit)
    cooled = held(cache, minutes)
    as_they_are = held(MemoryCache(limit), minutes)
    assert cache.stats()["bytes"] <= limit
    assert len(cooled) >= 2 * len(as_they_are) > 0


def test_what_is_used_most_is_not_lost_to_what_is_put_later():
    """While it is ready it is found there, and must not grow old among the compressed ones meanwhile."""
    cache = CompressedCache(MILLION)
    frames = [pl.DataFrame({"x": range(number, number + 10_000)}) for number in range(100)]
    for number, frame in enumerate(frames):
        cache.put(key(number), frame, ttl=1e6)
        assert cache.get(key(0)).equals(frames[0])
    assert cache.stats()["evicted"] > 0


def test_one_that_has_cooled_is_ready_again_after_it_was_asked_for():
    cache = CompressedCache(4 * MILLION, ready_bytes=200_000)
    frames = [pl.DataFrame({"x": range(number, number + 20_000)}) for number in range(3)]
    for number, frame in enumerate(frames):
        cache.put(key(number), frame, ttl=1e6)
    for number in (0, 1, 2, 0):
        first, second = cache.get(key(number)), cache.get(key(number))
        assert first.equals(frames[number])
        assert first["x"].to_numpy().ctypes.data == second["x"].to_numpy().ctypes.data  # the very same memory
    assert cache.stats()["evicted"] == 0


def test_one_that_is_replaced_while_it_is_warmed_stays_replaced(monkeypatch):
    cache = CompressedCache(4 * MILLION, ready_bytes=0, large_bytes=0)
    old, new = (pl.DataFrame({"x": range(number, number + 20_000)}) for number in (0, 1))
    cache.put(key(0), old, ttl=1e6)
    unpacked = compressed.unpacked

    def slow(form, data):
        monkeypatch.undo()
        cache.put(key(0), new, ttl=1e6)
        return unpacked(form, data)

    monkeypatch.setattr(compressed, "unpacked", slow)
    assert cache.get(key(0)).equals(old)  # asked for before
    assert cache.get(key(0)).equals(new)


def test_small_answers_are_not_compressed_and_have_the_room_of_the_others():
    cache = CompressedCache(800_000)
    for number in range(300):
        cache.put(key(number), pl.DataFrame({"x": range(100)}), ttl=1e6)
    stats = cache.stats()
    assert 650_000 < stats["bytes"] <= 700_000
    assert stats["evicted"] == 300 - stats["entries"] > 0
    first, second = cache.get(key(299)), cache.get(key(299))
    assert first["x"].to_numpy().ctypes.data == second["x"].to_numpy().ctypes.data


@pytest.mark.parametrize("options", [{"ready_bytes": -1}, {"large_bytes": 1.5}])
def test_bytes_that_are_none_are_refused_by_name(options):
    with pytest.raises(mdstore.InvalidInputError, match=next(iter(options))):
        CompressedCache(1_000, **options)
