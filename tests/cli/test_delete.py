"""`mdstore delete`: it asks first."""

import json


def test_delete_asks_and_yes_does_not(filled):
    done = filled("delete", "KRW-BTC", "1m", given="n\n", code=1)
    assert "Delete KRW-BTC 1m, 300 rows?" in done.output
    assert "300 rows deleted" in filled("delete", "KRW-BTC", "1m", given="y\n").stdout
    done = filled("delete", "KRW-ETH", "--start", "2025-09-01T01:00", "--yes", "--json")
    assert json.loads(done.stdout) == {"deleted": 140}
    assert "Did you mean KRW-ETH?" in filled("delete", "KRW-ETX", code=1).stderr
