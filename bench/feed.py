"""A minute-by-minute feed, and what keeping the columns up costs in it.

Each minute one bar of every series is written and the latest of all are read, on two stores in turns: one
seals as it likes, the other is kept from it. Sealing and merging are also timed from inside: a store that
never seals reads more and more rows from its table, so that the difference of the two alone would flatter us.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any
from unittest.mock import patch

import apsw
import polars as pl

import mdstore
from bench import raw
from bench.data import minutes
from bench.measure import Line, verify
from bench.peers import bare
from bench.scale import Scale
from mdstore.candles.packs.merging import Compaction
from mdstore.candles.packs.seal_policy import Upkeep

__all__ = ["feed"]

DAY = 1_440  # bars of each series that the feed finds
MINUTES = 300  # the bars of a series are sealed once in 256 minutes
MOST_MS = 5.0
UPKEEP = ((Upkeep, "seal_hands"), (Upkeep, "seal"), (Compaction, "merge"))


@dataclass(slots=True)
class _Side:
    """One of the two stores, with the seconds of each minute's write and read."""

    store: mdstore.MarketDataStore
    writes: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)

    def minute(self, rows: pl.DataFrame) -> None:
        """Write a minute and read the latest bars, which are what was written."""
        begun = time.perf_counter()
        self.store.write_many(rows, timeframe="1m")
        written = time.perf_counter()
        latest = self.store.candles(None, "1m", limit=1)
        self.reads.append(time.perf_counter() - written)
        self.writes.append(written - begun)
        verify(latest["close"].equals(rows["close"]), "the latest bars are those just written")

    @property
    def ms(self) -> float:
        """The mean of a minute; so work that is done once in hours counts with the time it takes."""
        return (fmean(self.writes) + fmean(self.reads)) * 1000


def feed(folder: Path, scale: Scale) -> tuple[list[Line], list[str]]:
    """Feed both stores, and return lines and notes."""
    data = minutes(scale.symbols, DAY + MINUTES)
    rows = bare.everything(data.frames.items()).sort("timestamp", "symbol")
    inside: list[float] = []
    straight: list[float] = []
    with ExitStack() as stack:
        sealed, loose = (
            stack.enter_context(_store(folder, name, rows, scale)) for name in ("sealed", "loose")
        )
        con = stack.enter_context(raw.connected(sealed.store.path, reader=True))
        for number in range(MINUTES):
            scale.say(f"feeding minute {number + 1} of {MINUTES}")
            minute = rows.slice((DAY + number) * scale.symbols, scale.symbols)
            turns = [(_timed(inside), sealed), (_unsealed(), loose)]
            for context, side in turns if number % 2 else reversed(turns):
                with context:
                    side.minute(minute)
            straight.append(_read_table(con, list(data.frames), minute))
        _verify(data.rows, DAY * scale.symbols, sealed, loose)
        lines = _lines(scale.symbols, sealed, loose, fmean(straight), sum(inside) / MINUTES)
        return lines, _notes(sealed, loose)


def _read_table(con: apsw.Connection, names: list[str], rows: pl.DataFrame) -> float:
    """Read the latest bars straight from the table by its key, and return the seconds."""
    begun = time.perf_counter()
    found = [con.execute(raw.LATEST, (name, 1)).fetchone() for name in names]
    latest = pl.DataFrame(found, raw.COLUMNS, orient="row")
    taken = time.perf_counter() - begun
    verify(latest["close"].equals(rows["close"]), "the table gives the latest bars")
    return taken


@contextmanager
def _store(folder: Path, name: str, rows: pl.DataFrame, scale: Scale) -> Iterator[_Side]:
    """Open a store that has a day of history, sealed as it was written."""
    with mdstore.open(folder / f"{name}.sqlite3") as store:
        store.write_many(rows.head(DAY * scale.symbols), timeframe="1m")
        store.maintenance.warm()
        yield _Side(store)


def _verify(rows: int, history: int, sealed: _Side, loose: _Side) -> None:
    for side in (sealed, loose):
        verify(side.store.maintenance.stats()["rows"] == rows, "every row of the feed is stored")
    verify(int(sealed.store.maintenance.stats()["sealed_rows"]) > history, "the one store seals")
    verify(int(loose.store.maintenance.stats()["sealed_rows"]) == history, "the other does not")
    everything = [side.store.candles(None, "1m") for side in (sealed, loose)]
    verify(everything[0].equals(everything[1]), "both give the same")


def _lines(symbols: int, sealed: _Side, loose: _Side, straight: float, upkeep: float) -> list[Line]:
    extra, inside, target = sealed.ms - loose.ms, upkeep * 1000, f"< {MOST_MS:g} ms"
    read, table = fmean(sealed.reads) * 1000, straight * 1000
    return [
        Line(f"a minute of {symbols} series, written and read; raw never seals", sealed.ms, "ms", loose.ms,
             sealed.ms / loose.ms),
        Line("the difference, amortised", extra, "ms", target=target, met=extra < MOST_MS),
        Line("sealing and merging alone, amortised", inside, "ms", target=target, met=inside < MOST_MS),
        Line("the read alone; raw is the table by its key", read, "ms", table, read / table),
    ]  # fmt: skip


def _notes(sealed: _Side, loose: _Side) -> list[str]:
    parts = (
        f"{name}: write {fmean(side.writes) * 1000:.2f} ms, read {fmean(side.reads) * 1000:.2f} ms "
        f"(longest {max(side.reads) * 1000:.1f} ms)"
        for name, side in (("sealed", sealed), ("never sealed", loose))
    )
    return [f"Means over {len(sealed.writes)} minutes; {'; '.join(parts)}."]


@contextmanager
def _unsealed() -> Iterator[None]:
    """Keep stores from sealing what they have read, and from merging."""
    with (
        patch.object(Upkeep, "seal_hands", lambda *_: 0),
        patch.object(Compaction, "merge", lambda *_: None),
    ):
        yield


@contextmanager
def _timed(seconds: list[float]) -> Iterator[None]:
    """Add to `seconds` what upkeep takes meanwhile; parts of it call each other, and the outermost counts."""
    running = False

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal running
            if running:
                return work(*given, **named)
            running, begun = True, time.perf_counter()
            try:
                return work(*given, **named)
            finally:
                running = False
                seconds.append(time.perf_counter() - begun)

        return call

    with ExitStack() as stack:
        for owner, name in UPKEEP:
            stack.enter_context(patch.object(owner, name, timed(getattr(owner, name))))
        yield
