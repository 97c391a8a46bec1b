"""A small store file, other programs that change it, and a writer to be killed."""

import hashlib
import sqlite3
from contextlib import closing

import apsw

import mdstore
from tests.support.candles import walk

WRITER = """
    import sys, mdstore
    from tests.support.candles import walk
    with mdstore.open("market_data.sqlite3") as store:
        for number in range(1000):
            store.write(sys.argv[1], "1m", walk(50, start=1_756_684_800_000 + number * 50 * 60_000))
            print(number, flush=True)
"""


def filled(path):
    with mdstore.open(path) as store:
        store.write("A", "1m", walk(10))
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(path, sql):
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


def change(path, sql, *values):
    """Change a file behind the store's back, also while it is open; return how many rows that are."""
    with closing(apsw.Connection(str(path))) as con:
        con.execute(sql, values)
        return con.changes()


def rows_of(path, sql, *values):
    """Return what a statement gives, also while the store is open."""
    with closing(apsw.Connection(str(path))) as con:
        return con.execute(sql, values).fetchall()
