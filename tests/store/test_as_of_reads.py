"""`as_of=` wherever bars are read: a screen and longer bars of the past are those of what was known then."""

import json
import time

import pytest

import mdstore
from tests.support.candles import START, walk


@pytest.fixture
def revised(store):
    """A and B 1m as they were first; then A changed, and went on; C came later. Return the time between."""
    store.write("A", "1m", walk(120))
    store.write("B", "1m", walk(120, seed=2))
    time.sleep(0.01)
    between = time.time_ns() // 1_000_000
    time.sleep(0.01)
    store.write("A", "1m", walk(120, seed=5))
    store.write("A", "1m", walk(60, start=START + 120 * 60_000))
    store.write("C", "1m", walk(120, seed=3))
    return store, between


def test_a_screen_of_the_past(revised, tmp_path):
    store, between = revised
    what = {"last": "close", "top": "highest(high, 60)"}
    with mdstore.open(tmp_path / "then.sqlite3") as then:
        then.write("A", "1m", walk(120))
        then.write("B", "1m", walk(120, seed=2))
        expected = then.screen("1m", what).rows
        hours = then.screen("1h", what, derive_from="1m").rows
    assert store.screen("1m", what, as_of=between, symbols=["A", "B"]).rows.rows() == expected.rows()
    assert store.screen("1m", what, as_of=between).rows.rows()[:2] == expected.rows()
    assert "C" not in store.screen("1m", what, as_of=between).rows["symbol"]
    assert (
        store.screen("1h", what, derive_from="1m", as_of=between, symbols=["A", "B"]).rows.rows()
        == hours.rows()
    )
    assert store.screen("1m", what).rows.rows()[0] != expected.rows()[0]


def test_longer_bars_of_the_past(revised, tmp_path):
    store, between = revised
    with mdstore.open(tmp_path / "then.sqlite3") as then:
        then.write("A", "1m", walk(120))
        expected = then.resample("A", "1h", source="1m")
    got = store.resample("A", "1h", source="1m", as_of=between)
    assert got.drop("closed").equals(expected.drop("closed"))
    assert not store.resample("A", "1h", source="1m").equals(expected)


@pytest.mark.slow
def test_a_screen_of_the_past_on_the_command_line(revised, python):
    store, between = revised
    moment = f"{between}"
    script = "import sys; from mdstore.cli import main; sys.argv[0] = 'mdstore'; main()"
    found = json.loads(
        python(script, "-f", store.path, "screen", "close", "-t", "1m", "--as-of", moment, "--all", "--json")
    )
    rows = found["rows"] if isinstance(found, dict) else found
    assert [row["symbol"] for row in rows] == ["A", "B"]
    assert rows[0]["close"] == walk(120)["close"][-1]
