"""`mdstore freeze | thaw`, and what the other commands make of it."""

import json
import re
from contextlib import closing

import apsw
import polars as pl
import pytest

from tests.support.candles import walk
from tests.support.packs import keep_in_packs

ROWS = "SELECT symbol, timeframe, count(*), sum(close) FROM candles GROUP BY ALL ORDER BY ALL"
READS = (
    ("show", "KRW-BTC", "1m"), ("sql", ROWS), ("gaps",), ("check",), ("export", "-", "KRW-BTC", "1m"),
    ("screen", "close > 0", "-t", "1m"),
)  # fmt: skip


@pytest.fixture
def frozen(filled):
    filled("freeze", "--before", "2030-01-01")
    return filled


def test_candles_are_frozen_and_thawed(filled):
    before = {command: filled(*command).stdout for command in READS}
    told = filled("freeze", "--before", "2030-01-01").stdout
    assert "500 rows of 2 series frozen; 500 are frozen" in told  # and not 24 bars, too few
    assert "`mdstore optimize` gives" in told
    assert {command: filled(*command).stdout for command in READS} == before
    assert "frozen             500" in filled("stats").stdout
    assert "500 rows of 2 series thawed; 0 are frozen" in filled("thaw").stdout
    assert {command: filled(*command).stdout for command in READS} == before
    assert "frozen " not in filled("stats").stdout


def test_symbols_and_a_timeframe_choose(filled):
    found = json.loads(filled("freeze", "KRW-BTC", "-t", "1m", "--before", "2030-01-01", "--json").stdout)
    assert found["series"] == 1
    assert found["rows"] == found["frozen"] > 0
    assert json.loads(filled("thaw", "KRW-BTC", "--json").stdout)["frozen"] == 0
    assert "no candles for" in filled("freeze", "NOPE", "--before", "2030", code=1).stderr
    assert "no candles for" in filled("thaw", "-t", "7m", code=1).stderr


def test_a_timeframe_may_stand_behind_the_symbols_as_elsewhere(filled):
    assert "300 rows of 1 series frozen" in filled("freeze", "KRW-BTC", "1m", "--before", "2030").stdout
    assert "200 rows of 1 series frozen" in filled("freeze", "1m", "--before", "2030").stdout
    assert "300 rows of 1 series thawed; 200 are frozen" in filled("thaw", "KRW-BTC", "1m").stdout
    assert "no candles for" in filled("freeze", "KRW-BTC", "7m", "--before", "2030", code=1).stderr


def test_a_time_has_to_be_given_and_be_one(filled):
    assert "--before" in filled("freeze", code=2).stderr
    assert "error:" in filled("freeze", "--before", "soon", code=1).stderr


def test_a_store_that_is_only_read_freezes_nothing(frozen):
    assert "error:" in frozen("--read-only", "freeze", "--before", "2030", code=1).stderr
    assert "500 are frozen" in frozen("freeze", "--before", "2030-01-01").stdout
    assert json.loads(frozen("--read-only", "stats", "--json").stdout)["frozen_rows"] == 500


def test_a_rebuild_that_would_lose_frozen_bars_says_which_commands_keep_them(filled, store_of):
    filled("freeze", "KRW-BTC", "1m", "--before", "2030-01-01")
    with store_of() as store:
        keep_in_packs(store, ("KRW-BTC", "1m"), (0, 100), (200, 300))
    with closing(apsw.Connection("market_data.sqlite3")) as con:
        con.execute("UPDATE frozen SET bytes = zeroblob(length(bytes))")
    refused = filled("warm", "--rebuild", code=1).stderr
    *exports, delete, imports = re.findall(r"`mdstore ([^`]+)`", refused)
    for export in exports:
        filled(*export.split())
    filled(*delete.split(), "--yes")
    for export in exports:
        filled(*imports.split(), export.split()[1])
    filled("warm", "--rebuild")
    with store_of() as store:
        assert store.candles("KRW-BTC", "1m").equals(pl.concat([walk(300)[:100], walk(300)[200:]]))
