"""One answer, one moment: readers while another process rewrites everything in single transactions."""

import time

import polars as pl
import pytest

import mdstore
from mdstore.candles.packs import seal_policy as upkeep
from mdstore.candles.reads import reads as columnar
from tests.support.candles import walk
from tests.support.doses import dose
from tests.support.processes import start

pytestmark = pytest.mark.slow

BARS = 2_000
LEAST = 6  # rounds of reads, however slow the machine
SEEN = {}  # the revision that each number was seen with
# Each transaction writes its own number into every candle of every symbol, and adds a symbol now and then.
REWRITER = f"""
    import sys
    import polars as pl
    import mdstore
    from tests.support.candles import walk

    bars = walk({BARS})
    with mdstore.open("market_data.sqlite3") as store:
        for number in range(1, 100_000):
            symbols = [f"S{{i}}" for i in range(3 + number // 10)]
            parts = [bars.select(pl.lit(s).alias("symbol"), pl.all()) for s in symbols[:3] + symbols[-1:]]
            store.write_many(pl.concat(parts).with_columns(volume=pl.lit(float(number))), timeframe="1m")
            print(number, flush=True)
"""
SELF_JOIN = """
    SELECT min(least(a.volume, b.volume)) AS low, max(greatest(a.volume, b.volume)) AS high
    FROM candles a JOIN candles b USING (timestamp) WHERE a.symbol = 'S0' AND b.symbol = 'S2'
"""
WITH_SERIES = """
    SELECT c.low, c.high, s.changed FROM
      (SELECT min(volume) AS low, max(volume) AS high FROM candles WHERE symbol = 'S1') c,
      (SELECT max(revision) AS changed FROM series) s
"""


def one_number(store, wrong):
    """Read in every way; note answers that hold more than one transaction's numbers."""
    for symbols in (["S0", "S1", "S2"], "S1"):
        seen = store.candles(symbols, "1m", columns=["volume"])["volume"]
        if seen.min() != seen.max():
            wrong.append((symbols, seen.min(), seen.max()))
    low, high = store.sql(SELF_JOIN).row(0)
    if low != high:
        wrong.append(("self join", low, high))
    low, high, revision = store.sql(WITH_SERIES).row(0)
    if low != high or SEEN.setdefault(low, revision) != revision or SEEN[low] != max(SEEN.values()):
        wrong.append(("series", low, high, revision))


def every_symbol(store, wrong):
    """A symbol that was added must come with the numbers of its transaction."""
    latest = store.candles(None, "1m", limit=1, columns=["symbol", "volume"])
    number = int(latest.filter(symbol="S0")["volume"][0])
    expected = 3 if number == 0 else max(3 + number // 10, 3)
    if len(latest) != expected:
        wrong.append(("symbols", number, len(latest)))


def read_while_another_writes(path, seconds, monkeypatch):
    wrong, rounds = [], 0
    SEEN.clear()
    with mdstore.open(path) as store:
        parts = [walk(BARS).select(pl.lit(f"S{i}").alias("symbol"), pl.all()) for i in range(3)]
        store.write_many(pl.concat(parts).with_columns(volume=0.0), timeframe="1m")
        child = start(REWRITER, cwd=path.parent)
        child.stdout.readline()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline or rounds < LEAST:
            rows = -1 if rounds % 2 else 10**9
            monkeypatch.setattr(upkeep, "SCAN_ROWS", rows)
            monkeypatch.setattr(upkeep, "SCAN_ROWS_COLD", rows)
            monkeypatch.setattr(columnar, "LOOSE_ROWS", (0, 2_000, 10**9)[rounds % 3])
            one_number(store, wrong)
            every_symbol(store, wrong)
            rounds += 1
        child.kill()
        child.wait()
        child.stdout.close()
    assert wrong == []


def test_an_answer_is_of_one_moment(tmp_path, monkeypatch):
    read_while_another_writes(tmp_path / "market_data.sqlite3", dose(6), monkeypatch)


@pytest.mark.long
def test_an_answer_is_of_one_moment_for_minutes(tmp_path, monkeypatch):
    read_while_another_writes(tmp_path / "market_data.sqlite3", 180, monkeypatch)
