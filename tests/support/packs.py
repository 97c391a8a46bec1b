"""What a store has in packs: its cells, the tiers that answered, files as other programs make them."""

import contextlib
import sqlite3

import polars as pl

from mdstore.candles.packs.cells import all_cells
from mdstore.candles.packs.seal_policy import Loose
from tests.support.candles import MINUTE, START, walk

BARS = 3_000


def cells(store):
    with store._candles._database.reading() as con:
        return all_cells(con)


def tiers(store, *args, **options):
    return store.explain(*args, **options).tiers


def keep_in_packs(store, key, *reaches):
    """Have packs hold no bars of a series but those from one minute of `walk` to another, as a budget may."""
    with store._candles._database.writing() as con:
        con.execute("DELETE FROM cells")
    store._candles._memory.clear()
    pieces = [
        Loose(*key, START + first * MINUTE, START + end * MINUTE, end - first) for first, end in reaches
    ]
    assert store._candles._upkeep.seal(pieces) == sum(piece.rows for piece in pieces)


def foreign(path, symbols=5, bars=BARS):
    """Make a file as another program would: the table, and nothing else of ours."""
    from mdstore.candles.file.migrations import MIGRATIONS

    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(MIGRATIONS[0].sql[: MIGRATIONS[0].sql.index(";")])
        rows = walk(bars).with_columns(pl.col("timestamp").to_physical()).rows()
        for number in range(symbols):
            connection.executemany(f"INSERT INTO candles VALUES ('S{number}', '1m', ?, ?, ?, ?, ?, ?)", rows)
        connection.commit()
