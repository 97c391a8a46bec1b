"""Caches of answers, against cachetools and diskcache alone: put and get of frames of three sizes.

cachetools (`TLRUCache`) keeps a reference to what it is given and hands the same to everybody: whoever writes
to a frame, writes to everybody's. `MemoryCache` copies what it is given and gives each his own. diskcache
keeps pickles.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl
from cachetools import TLRUCache

from bench import candles
from bench.measure import Line, Report, Times, Turn, interleave, ready, verify
from bench.scale import Scale, scratch
from mdstore.cache import CompressedCache, DiskCache, Key, MemoryCache

__all__ = ["run"]

ROWS = (200, 1_000, 50_000)
KEYS = 20
ROUNDS = 40
CALLS = 20  # of one way before the other's turn: single calls of a few us would measure the caches of the CPU
LIMIT = 1 << 30
TTL = 3_600.0
US = 1_000_000
HIT, WITHIN = 30, 3_000  # us: a hit, and one that has to be decompressed

Put = Callable[[Key, pl.DataFrame], object]
Get = Callable[[Key], Any]


def run(scale: Scale) -> Report:
    """Measure each size in memory, compressed and on disk."""
    report = Report("caches", "Caches of answers: put and get of a frame")
    rounds = scale.rounds(ROUNDS)
    with scratch() as folder:
        for rows in ROWS:
            frames = {_key(number): candles.frame(rows, seed=number) for number in range(KEYS)}
            report.lines += _memory(frames, rows, rounds)
            report.lines += _disk(frames, rows, rounds, folder / str(rows))
    report.notes += _notes()
    return report


def _memory(frames: dict[Key, pl.DataFrame], rows: int, rounds: int) -> Iterator[Line]:
    ours = MemoryCache(LIMIT)
    raw: TLRUCache[Key, pl.DataFrame] = TLRUCache(
        LIMIT, ttu=lambda _key, _value, now: now + TTL, getsizeof=pl.DataFrame.estimated_size
    )
    what = f"memory, {rows:,} rows"
    yield from _lines(what, frames, rounds, (_put(ours), ours.get), (raw.__setitem__, raw.get), HIT)
    cold = CompressedCache(LIMIT, ready_bytes=0, large_bytes=0)
    _fill(frames, _put(cold), cold.get, "compressed")
    packed, plain = cold.stats()["bytes"], ours.stats()["bytes"]
    turns = {"mdstore": _turn(frames, cold.get)}
    what = f"compressed, {rows:,} rows: get, {plain / packed:.1f} times the frames"
    yield _line(what, interleave(turns, rounds), WITHIN)


def _disk(frames: dict[Key, pl.DataFrame], rows: int, rounds: int, folder: Path) -> Iterator[Line]:
    ours = DiskCache(folder / "ours", LIMIT)
    with _diskcache(folder / "raw") as raw:
        theirs = (
            None
            if raw is None
            else (lambda key, frame: raw.set(key.query, frame, TTL), lambda key: raw.get(key.query))
        )
        yield from _lines(f"disk, {rows:,} rows", frames, rounds, (_put(ours), ours.get), theirs)


def _line(what: str, times: Times, most: float | None = None) -> Line:
    """Make a line in microseconds."""
    ours = times.median("mdstore") * US
    met, target = (None, "") if most is None else (ours < most, f"< {most:,} us")
    if "raw" not in times.seconds:
        return Line(what, ours, "us", target=target, met=met)
    return Line(what, ours, "us", times.median("raw") * US, times.ratio("mdstore", "raw"), target, met)


def _lines(  # noqa: PLR0917
    what: str,
    frames: dict[Key, pl.DataFrame],
    rounds: int,
    ours: tuple[Put, Get],
    raw: tuple[Put, Get] | None,
    most: float | None = None,
) -> Iterator[Line]:
    ways = {"mdstore": ours} if raw is None else {"mdstore": ours, "raw": raw}
    for name, (put, get) in ways.items():
        _fill(frames, put, get, f"{what}, {name}")
    puts = {
        name: _turn(frames, lambda key, put=put: put(key, frames[key])) for name, (put, _) in ways.items()
    }
    yield _line(f"{what}: put", interleave(puts, rounds))
    gets = {name: _turn(frames, get) for name, (_, get) in ways.items()}
    yield _line(f"{what}: get", interleave(gets, rounds), most)


def _fill(frames: dict[Key, pl.DataFrame], put: Put, get: Get, who: str) -> None:
    for key, frame in frames.items():
        put(key, frame)
    for key, frame in frames.items():
        verify(get(key).equals(frame), f"{who} gives what was put")


def _put(cache: Any) -> Put:
    return lambda key, frame: cache.put(key, frame, TTL)


def _turn(frames: dict[Key, pl.DataFrame], call: Callable[[Key], object]) -> Turn:
    """Time some calls of different keys; the seconds of one."""
    keys = list(frames)[:CALLS]

    def seconds() -> float:
        began = time.perf_counter()
        for key in keys:
            call(key)
        return (time.perf_counter() - began) / len(keys)

    return ready(seconds)


def _key(number: int) -> Key:
    return Key("candles", (candles.symbol(number),), "1m", detail=("limit", 200), revision=number)


@contextmanager
def _diskcache(folder: Path) -> Iterator[Any]:
    """Yield a cache of diskcache; None where it is not installed."""
    cache = None
    with suppress(ImportError):
        import diskcache  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: PLC0415

        cache = diskcache.Cache(str(folder), size_limit=LIMIT)
    try:
        yield cache
    finally:
        if cache is not None:
            cache.close()


def _notes() -> list[str]:
    notes = ["raw: TLRUCache of cachetools for what is in memory, diskcache for what is on disk."]
    try:
        import diskcache  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: F401, PLC0415
    except ImportError:
        notes.append("diskcache is not installed: pip install 'mdstore[bench]'")
    return notes
