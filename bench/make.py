"""The files that are measured, made through mdstore itself and kept between runs.

    python -m bench.make --symbols 200 --bars 50000

They lie in $MDSTORE_BENCH_DIR, or else in `mdstore-bench` in the folder for temporary files: 800 MB for the
10,000,000 rows. A file gets its name when it is complete, and the name tells what is in it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

import mdstore
from bench import candles, raw
from mdstore.candles.file import database, migrations
from mdstore.candles.file.bar_digests import sums_of
from mdstore.candles.file.digests import span_of
from mdstore.candles.file.row_hashes import sum_of_rows
from mdstore.candles.file.table_reads import read_range

__all__ = ["Made", "complete", "folder", "make", "remove", "restore"]

SUMS = """
UPDATE digests SET bucket = ?3, candles = CASE WHEN whole THEN ?4 ELSE 0 END,
  series = ?5, cells = ?6, arrivals = ?7
WHERE timeframe = ?1 AND symbol = ?2
"""
NAME = "{symbols}x{bars}-page{page}-schema{schema}.sqlite3"


@dataclass(frozen=True, slots=True)
class Made:
    """A file of `symbols` series with `bars` one-minute candles each."""

    path: Path
    symbols: int
    bars: int

    @property
    def rows(self) -> int:
        """All the candles in it."""
        return self.symbols * self.bars

    @property
    def names(self) -> list[str]:
        """The symbols, sorted."""
        return [candles.symbol(number) for number in range(self.symbols)]

    @property
    def end(self) -> int:
        """The end of every series: the start (ms) of the first bar that is not there."""
        return candles.START + self.bars * candles.MINUTE


def folder() -> Path:
    """Return the folder of the files; it is made if need be."""
    default = Path(tempfile.gettempdir()) / "mdstore-bench"
    chosen = Path(os.environ.get("MDSTORE_BENCH_DIR") or default)
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


def make(symbols: int, bars: int, progress: Callable[[str], None] = lambda _: None) -> Made:
    """Return the file of that size, made now unless it is there already."""
    schema = migrations.MIGRATIONS[-1].version
    name = NAME.format(symbols=symbols, bars=bars, page=database.PAGE_SIZE, schema=schema)
    made = Made(folder() / name, symbols, bars)
    if not made.path.exists():
        _fill(made, progress)
    restore(made)
    return made


def _fill(made: Made, progress: Callable[[str], None]) -> None:
    with complete(made.path) as partial, mdstore.open(partial) as store:
        for number, name in enumerate(made.names):
            store.write(name, "1m", candles.frame(made.bars, seed=number))
            progress(f"making {made.rows:,} candles: {(number + 1) * made.bars:,}")


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """Yield the path of a store's file to be made, which gets its name when all went well."""
    partial = path.with_name(f"{path.stem}.partial.sqlite3")
    remove(partial)
    yield partial
    for file in _with_sides(partial):
        file.rename(path.with_name(path.name + file.name.removeprefix(partial.name)))


def remove(path: Path) -> None:
    """Delete a store's file and what lies beside it, if they are there."""
    for file in _with_sides(path):
        shutil.rmtree(file) if file.is_dir() else file.unlink()


def _with_sides(path: Path) -> list[Path]:
    """Return a file and what lies beside it, such as its packs; the file itself comes last."""
    return sorted(path.parent.glob(f"{path.name}*"), reverse=True)


def restore(made: Made) -> None:
    """Take away what a bench has written behind the end of the series, the raw rows and the counted ones."""
    last = made.end - candles.MINUTE
    with raw.connected(made.path) as con:
        con.execute("BEGIN IMMEDIATE")
        for name in made.names:
            con.execute(
                "DELETE FROM candles WHERE symbol = ? AND timeframe = '1m' AND timestamp > ?", (name, last)
            )
            # Nobody but a bench writes past mdstore; what is deleted so must not stay in a pack.
            if con.changes():
                con.execute(
                    "DELETE FROM cells WHERE symbol = ? AND timeframe = '1m' AND \"end\" > ?",
                    (name, last + 1),
                )
        con.execute(
            "UPDATE series SET rows = ?1, last = ?2, tail_start = NULL, tail_source = NULL, "
            "tail_began = NULL, tail_lags = NULL WHERE rows <> ?1 OR last <> ?2 OR tail_start > ?2",
            (made.bars, last),
        )
        # Else the next run of a bench brings bars that have arrived already.
        con.execute("DELETE FROM arrivals WHERE timeframe = '1m' AND start > ?", (last,))
        for name in made.names:
            _sum_up(con, name, last)
        con.execute("COMMIT")


def _sum_up(con: apsw.Connection, name: str, last: int) -> None:
    """Give a series the digests of what is left, from the bucket of its last bar on."""
    span, key = span_of("1m"), ("1m", name)
    bucket = last // span
    rows = read_range(con, name, "1m", bucket * span, (bucket + 1) * span)
    con.execute(
        "DELETE FROM bucket_digests WHERE timeframe = ? AND symbol = ? AND bucket >= ?", (*key, bucket)
    )
    sums = {
        kind: sum_of_rows(con.execute(f"SELECT * FROM {kind} WHERE timeframe = ? AND symbol = ?", key))
        for kind in ("series", "cells", "arrivals")
    }
    con.execute(SUMS, (*key, bucket, sums_of(rows, span)[bucket], *sums.values()))


def main() -> None:
    """Make a file and print its path."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--bars", type=int, default=50_000)
    wanted = parser.parse_args()
    made = make(wanted.symbols, wanted.bars, lambda text: print(text, end="\r", flush=True))
    print(f"\n{made.path}")


if __name__ == "__main__":
    main()
