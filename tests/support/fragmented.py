"""Files whose pages lie in disorder: many series fed by time, as a live feed does."""

from contextlib import closing

import apsw
import polars as pl

from tests.support.candles import MINUTE, START, walk

SERIES = 20


def feed(store, *, series=SERIES, bars=600, at_once=20):
    """Write bars of all series, so many at a time."""
    frames = {f"S{number:03d}": walk(bars, seed=number) for number in range(series)}
    for at in range(0, bars, at_once):
        pieces = [
            frame[at : at + at_once].with_columns(symbol=pl.lit(name), timeframe=pl.lit("1m"))
            for name, frame in frames.items()
        ]
        store.write_many(pl.concat(pieces))


def thin_out(store, *, series=SERIES):
    """Delete every other series, which leaves free pages all over the file."""
    for number in range(0, series, 2):
        store.delete(f"S{number:03d}")


def all_rows(path):
    """Return every row of `candles`, as another program sees them."""
    with closing(apsw.Connection(str(path))) as con:
        return con.execute("SELECT * FROM candles ORDER BY symbol, timeframe, timestamp").fetchall()


def names(path):
    """Return the type and name of all that the schema holds."""
    with closing(apsw.Connection(str(path))) as con:
        return sorted(con.execute("SELECT type, name FROM sqlite_schema").fetchall())


def bar(number, value=5.0):
    """Return one bar as a row."""
    return (START + number * MINUTE, value, value + 1, value - 1, value, 1.0)
