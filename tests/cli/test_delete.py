"""`mdstore delete`: it asks first."""

import json


def test_delete_asks_and_yes_does_not(filled):
    done = filled("delete", "KRW-BTC", "1m", given="n\n", code=1)
    assert "Delete KRW-BTC 1m, 300 rows?" in done.output
    assert "300 rows deleted" in filled("delete", "KRW-BTC", "1m", given="y\n").stdout
    done = filled("delete", "KRW-ETH", "--start", "2025-09-01T01:00", "--yes", "--json")
    assert json.loads(done.stdout) == {"deleted": 140}
    assert "Did you mean KRW-ETH?" in filled("delete", "KRW-ETX", code=1).stderr


def test_the_question_counts_the_rows_that_will_go(filled):
    done = filled("delete", "KRW-BTC", "1m", "--end", "2025-09-01T01:00", given="n\n", code=1)
    assert "Delete what lies in [the beginning, 2025-09-01T01:00) of KRW-BTC 1m (60 rows)?" in done.output
    done = filled("delete", "KRW-BTC", "--start", "2025-09-01T04:50", given="y\n")
    assert "(29 rows)?" in done.output
    assert "29 rows deleted" in done.stdout
    assert "(0 rows)?" in filled("delete", "KRW-BTC", "--end", "2020-01-01", given="n\n", code=1).output
