"""A small store file, other programs that change it, and a writer to be killed."""

import hashlib
import sqlite3

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
