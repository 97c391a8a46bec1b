"""Page sizes from 4 to 64 KiB: the choice of PAGE_SIZE in mdstore, made once for the life of a file.

Larger pages make a shallower tree, less space lost and longer runs to read; a live feed pays for them, since
each series' newest page goes to the log whole for a single new candle. So both are here: files written a
series at a time, and files fed minute by minute, whose pages are filled and split in another order.

Reads are of the table, since packs have no pages; writes are all of `store.write`, its packs included.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import polars as pl

import mdstore
from bench import candles, raw, table
from bench.chart import Curve, chart
from bench.make import remove
from bench.measure import Grid, Report, Times, Turn, interleave, ready, verify
from bench.scale import Scale, scratch
from mdstore.candles.file import database

__all__ = ["run"]

SIZES = (4_096, 8_192, 16_384, 32_768, 65_536)
SERIES = 20
FED_SERIES, FED_MINUTES = 50, 3_000
FED_AT_ONCE = 10  # minutes in a transaction; the order of the keys is what matters here, not the commits
CHOSEN = str(database.PAGE_SIZE)


def run(scale: Scale) -> Report:
    """Measure writes, reads and space at every page size; ratios are to the page size in use."""
    report = Report("page_size", f"Page sizes, against {database.PAGE_SIZE:,} bytes")
    bars = scale.rows(50_000)
    bulk = {candles.symbol(number): candles.frame(bars, seed=number) for number in range(SERIES)}
    fed = _fed(scale.rows(FED_MINUTES))
    with scratch() as folder, ExitStack() as stack:
        files = [_File(folder, size) for size in SIZES]
        measured: dict[str, Times] = {}
        measured[f"write {SERIES * bars:,} rows"] = _writes(files, bulk, scale)
        for file in files:
            file.write_fed(fed)
        measured["a fed series by APSW, file not in memory"] = _cold(files, scale)
        for file in files:
            file.open(stack, bars)
        measured |= _reads(files, bars, scale)
        measured["upsert of 200 candles, 1 new"] = _tails(files, bars, scale)
        measured[f"1 new candle of each of {FED_SERIES} series"] = _minutes(files, len(fed), scale)
    report.grid = _grid(measured, files)
    _picture(measured, report)
    return report


@dataclass
class _File:
    """The files of one page size: `bulk` written a series at a time, `fed` minute by minute."""

    folder: Path
    page: int
    per_row: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.page)

    @property
    def bulk(self) -> Path:
        return self.folder / f"bulk-{self.page}.sqlite3"

    @property
    def fed(self) -> Path:
        return self.folder / f"fed-{self.page}.sqlite3"

    def write_bulk(self, rows: dict[str, pl.DataFrame]) -> None:
        with patch.object(database, "PAGE_SIZE", self.page), mdstore.open(self.bulk) as store:
            for name, frame in rows.items():
                store.write(name, "1m", frame)

    def write_fed(self, minutes: list[pl.DataFrame]) -> None:
        with patch.object(database, "PAGE_SIZE", self.page), mdstore.open(self.fed) as store:
            for rows in minutes:
                store.write_many(rows, timeframe="1m")

    def open(self, stack: ExitStack, bars: int) -> None:
        """Open both files, after a look at their pages and rows."""
        for kind, path, rows in (("bulk", self.bulk, SERIES * bars), ("fed", self.fed, 0)):
            with raw.connected(path) as con:
                verify(con.pragma("page_size") == self.page, "the file has the pages it should have")
                stored = con.execute("SELECT sum(rows) FROM series").get
                verify(stored == (rows or stored), "every row is there")
                self.per_row[kind] = con.pragma("page_count") * self.page / stored
            setattr(self, f"{kind}_store", stack.enter_context(mdstore.open(path)))

    bulk_store: mdstore.MarketDataStore = field(init=False)
    fed_store: mdstore.MarketDataStore = field(init=False)


def _fed(minutes: int) -> list[pl.DataFrame]:
    """Return batches of a live feed: a few minutes of every series, in the order of time."""
    rows = pl.concat(
        candles.frame(minutes, seed=number).with_columns(pl.lit(candles.symbol(number)).alias("symbol"))
        for number in range(FED_SERIES)
    ).sort("timestamp", maintain_order=True)
    step = FED_SERIES * FED_AT_ONCE
    return [rows.slice(at, step) for at in range(0, len(rows), step)]


def _writes(files: list[_File], rows: dict[str, pl.DataFrame], scale: Scale) -> Times:
    def turn(file: _File) -> Turn:
        @contextmanager
        def written() -> Iterator[Callable[[], object]]:
            remove(file.bulk)
            yield lambda: file.write_bulk(rows)

        return written

    return interleave({file.name: turn(file) for file in files}, scale.rounds(3))


def _cold(files: list[_File], scale: Scale) -> Times:
    """Time the first read of a series whose pages are all over the file, from the disk where it can be."""

    def turn(file: _File) -> Turn:
        @contextmanager
        def cold() -> Iterator[Callable[[], object]]:
            _forget(file.fed)
            with raw.connected(file.fed, reader=True) as con:
                yield lambda: raw.latest(con, candles.symbol(FED_SERIES // 2), 10**6)

        return cold

    return interleave({file.name: turn(file) for file in files}, scale.rounds(15))


def _forget(path: Path) -> None:
    """Ask the system to drop a file from its cache; only Linux has a way to ask."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _reads(files: list[_File], bars: int, scale: Scale) -> dict[str, Times]:
    name = candles.symbol(SERIES // 2)
    whole = table.stretches([name], bars, candles.START + bars * candles.MINUTE)

    def every(rounds: int, read: Callable[[mdstore.MarketDataStore], object]) -> Times:
        turns = {file.name: ready(lambda file=file: read(file.bulk_store)) for file in files}
        return interleave(turns, scale.rounds(rounds))

    for file in files:
        verify(table.same(file.bulk_store, whole), "APSW and the scanner give the same series")
    return {
        "latest 1,000": every(100, lambda store: table.latest(store, name, 1_000)),
        "a whole series by APSW": every(7, lambda store: table.by_apsw(store, whole)),
        "a whole series by scanner": every(15, lambda store: table.by_scanner(store, whole)),
    }


def _tails(files: list[_File], bars: int, scale: Scale) -> Times:
    name, rounds = candles.symbol(0), scale.rounds(40)
    rows = candles.frame(bars + rounds + 1, seed=0)

    def turn(file: _File) -> Turn:
        ends = itertools.count(bars + 1)

        @contextmanager
        def upserted() -> Iterator[Callable[[], object]]:
            latest = rows.slice(next(ends) - 200, 200)
            yield lambda: file.bulk_store.write(name, "1m", latest)

        return upserted

    return interleave({file.name: turn(file) for file in files}, rounds)


def _minutes(files: list[_File], batches: int, scale: Scale) -> Times:
    row = {"timeframe": "1m", "open": 1.5, "high": 2.5, "low": 0.5, "close": 2.25, "volume": 3.125}

    def turn(file: _File) -> Turn:
        times = itertools.count(candles.START + batches * FED_AT_ONCE * candles.MINUTE, candles.MINUTE)

        @contextmanager
        def fed() -> Iterator[Callable[[], object]]:
            now = next(times)
            names = [candles.symbol(number) for number in range(FED_SERIES)]
            rows = pl.DataFrame([{"symbol": name, "timestamp": now, **row} for name in names])
            yield lambda: file.fed_store.write_many(rows)

        return fed

    return interleave({file.name: turn(file) for file in files}, scale.rounds(40))


def _grid(measured: dict[str, Times], files: list[_File]) -> Grid:
    grid = Grid(["ratio by page size", "in use", *(f"{file.page:,}" for file in files)])
    for what, times in measured.items():
        ratios = [f"{times.ratio(file.name, CHOSEN):.2f}" for file in files]
        grid.rows.append([what, f"{times.median(CHOSEN) * 1000:.2f} ms", *ratios])
    for kind, words in (("bulk", "written by series"), ("fed", "fed by minutes")):
        used = {file.name: file.per_row[kind] for file in files}
        ratios = [f"{value / used[CHOSEN]:.2f}" for value in used.values()]
        grid.rows.append([f"bytes a row, {words}", f"{used[CHOSEN]:.1f} B", *ratios])
    return grid


def _picture(measured: dict[str, Times], report: Report) -> None:
    curves = [
        Curve(what, [(float(size), times.ratio(str(size), CHOSEN)) for size in SIZES])
        for what, times in measured.items()
    ]
    title = f"Time by page size, against {database.PAGE_SIZE:,}"
    report.pictures["page_size.svg"] = chart(title, "page size", "ratio", curves)
