"""`mdstore trim`: what bars were is let go, and said."""

import json

import mdstore
from tests.support.candles import MINUTE, START, walk

DAY = 1_440 * MINUTE


def test_what_is_older_is_let_go_and_said(cli, tmp_path):
    clock = [START / 1000 + 86_400]
    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=lambda: clock[0]) as store:
        for seed in range(3):
            store.write("A", "1m", walk(10, seed=seed))
            clock[0] += 86_400
    assert "all of them" in cli("stats").stdout
    told = json.loads(cli("trim", "--keep", "90d", "--json").stdout)
    assert told["let_go"] == 20
    assert "0 earlier values of bars let go, 0 are kept" in cli("trim", "--keep", "1h").stdout
    assert "since 2025-09-04" in cli("stats").stdout
    done = cli("show", "A", "1m", "--as-of", "2025-09-02T12:00", code=1)
    assert "A 1m: what its bars were before 2025-09-04T00:00:00.000Z is not kept any more" in done.stderr
    earliest = done.stderr.split("--as-of ")[1].split()[0]
    assert cli("show", "A", "1m", "--as-of", earliest, "--json").stdout
    assert "'soon' is no length of time" in cli("trim", "--keep", "soon", code=1).output
