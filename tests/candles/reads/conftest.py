"""A store for queries, and DuckDB alone to compare its answers with."""

import duckdb
import polars as pl
import pytest

import mdstore
from tests.support.candles import MINUTE, walk

SYMBOLS = ("A", "B", "C")


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A store of three symbols in minutes and hours."""
    with mdstore.open(tmp_path_factory.mktemp("sql") / "market_data.sqlite3") as store:
        for seed, symbol in enumerate(SYMBOLS):
            store.write(symbol, "1m", walk(120, seed=seed))
            store.write(symbol, "1h", walk(48, seed=seed, step=60 * MINUTE))
        yield store


@pytest.fixture(scope="module")
def plain(full):
    """DuckDB over the same candles in memory, to compare answers with."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        parts = [
            full.candles(None, bar).select(
                pl.col("symbol").cast(pl.String), pl.lit(bar).alias("timeframe"), pl.exclude("symbol")
            )
            for bar in ("1m", "1h")
        ]
        every = pl.concat(parts).to_arrow()  # noqa: F841 - DuckDB finds it by name
        connection.execute("CREATE TABLE candles AS SELECT * FROM every")
        yield connection
