"""What a store has in packs: its cells, the tiers that answered, files as other programs make them."""

import contextlib
import sqlite3

import polars as pl

from mdstore.candles.packs.cells import all_cells
from tests.support.candles import walk

BARS = 3_000


def cells(store):
    with store._candles._database.reading() as con:
        return all_cells(con)


def tiers(store, *args, **options):
    return store.explain(*args, **options).tiers


def foreign(path, symbols=5, bars=BARS):
    """Make a file as another program would: the table, and nothing else of ours."""
    from mdstore.candles.file.migrations import MIGRATIONS

    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(MIGRATIONS[0].sql[: MIGRATIONS[0].sql.index(";")])
        rows = walk(bars).with_columns(pl.col("timestamp").to_physical()).rows()
        for number in range(symbols):
            connection.executemany(f"INSERT INTO candles VALUES ('S{number}', '1m', ?, ?, ?, ?, ?, ?)", rows)
        connection.commit()
