"""What SQL answers does not depend on the zone and language of the machine; settings hold for every query."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

import mdstore
from tests.support.candles import MINUTE, START, walk

HOUR = 60 * MINUTE
ZONES = ("UTC", "Asia/Seoul", "America/New_York")
DAY = "SELECT count(*) FROM candles WHERE timeframe = '1h' AND "
# Each says what it must give: 96 hours from 2025-09-01T00:00Z on.
CASES = {
    DAY + "timestamp >= '2025-09-02' AND timestamp < '2025-09-03'": [[24]],
    DAY + "timestamp >= DATE '2025-09-02' AND timestamp < DATE '2025-09-03'": [[24]],
    DAY + "timestamp >= TIMESTAMP '2025-09-02 00:00:00' AND '2025-09-03 00:00:00' > timestamp": [[24]],
    DAY + "timestamp BETWEEN '2025-09-02T00:00' AND '2025-09-02T23:00'": [[24]],
    DAY + "timestamp >= TIMESTAMPTZ '2025-09-02 00:00:00' AND timestamp < '2025-09-03'::TIMESTAMPTZ": [[24]],
    DAY + "timestamp >= '2025-09-02 00:00:00+09' AND timestamp < '2025-09-03 00:00:00+09'": [[24]],
    DAY + "timestamp = '2025-09-02 05:00'": [[1]],
    DAY + "timestamp IN ('2025-09-02', '2025-09-03 00:00:00')": [[2]],
    # As the bounds do not see them: a function around the text, or the column.
    DAY + "timestamp >= CAST(concat('2025-09-', '02') AS TIMESTAMPTZ) AND timestamp < '2025-09-03'": [[24]],
    DAY + "timestamp::DATE = DATE '2025-09-02'": [[24]],
    DAY + "date_trunc('day', timestamp) = '2025-09-02'": [[24]],
    DAY + "timestamp::TIMESTAMP >= '2025-09-02' AND timestamp::VARCHAR < '2025-09-03'": [[24]],
    DAY + "hour(timestamp) = 0": [[4]],
    DAY + "extract(dow FROM timestamp) = 2": [[24]],
    "SELECT date_trunc('day', timestamp), count(*) FROM candles GROUP BY 1 ORDER BY 1": [
        [f"2025-09-0{day}T00:00:00+00:00", 24] for day in (1, 2, 3, 4)
    ],
    "SELECT time_bucket(INTERVAL 1 day, timestamp), count(*) FROM candles GROUP BY 1 ORDER BY 1 LIMIT 1": [
        ["2025-09-01T00:00:00+00:00", 24]
    ],
    "SELECT min(timestamp)::TEXT, strftime(max(timestamp), '%d %H'), min(timestamp)::DATE FROM candles": [
        ["2025-09-01 00:00:00+00", "04 23", "2025-09-01"]
    ],
    "SELECT min(timestamp), min(timestamp) AT TIME ZONE 'Asia/Seoul' FROM candles": [
        ["2025-09-01T00:00:00+00:00", "2025-09-01T09:00:00"]
    ],
    "SELECT first, last, TIMESTAMPTZ '2025-09-02 03:00', year(first) FROM series": [
        ["2025-09-01T00:00:00+00:00", "2025-09-04T23:00:00+00:00", "2025-09-02T03:00:00+00:00", 2025]
    ],
    "SELECT make_timestamptz(2025, 9, 1, 0, 0, 0), to_timestamp(0), current_date = now()::DATE": [
        ["2025-09-01T00:00:00+00:00", "1970-01-01T00:00:00+00:00", True]
    ],
}  # fmt: skip
PROGRAM = """
import json, sys, mdstore
with mdstore.open(sys.argv[1]) as store:
    answers = [store.sql(query).rows() for query in json.load(sys.stdin)]
print(json.dumps(answers, default=lambda value: value.isoformat()))
"""


@pytest.fixture(scope="module")
def hours(tmp_path_factory):
    """A file of 96 hours from 2025-09-01 on."""
    path = tmp_path_factory.mktemp("zones") / "market_data.sqlite3"
    assert datetime.fromtimestamp(START / 1000, UTC) == datetime(2025, 9, 1, tzinfo=UTC)
    with mdstore.open(path) as store:
        store.write("A", "1h", walk(96, step=HOUR))
    return path


@pytest.mark.variants(1)
@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "language", ["C", pytest.param("th_TH.UTF-8", marks=pytest.mark.long)]
)  # where ICU counts the years of the Buddha
def test_a_query_answers_alike_in_every_zone(hours, zone, language):
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(hours)],
        input=json.dumps(list(CASES)), capture_output=True, text=True, check=True,
        env={**os.environ, "TZ": zone, "LC_ALL": language, "LANG": language},
    )  # fmt: skip
    assert dict(zip(CASES, json.loads(ran.stdout), strict=True)) == CASES


def test_every_setting_holds_on_the_connection_of_a_query(hours):
    with mdstore.open(hours) as store:
        store.sql("SELECT 1")
        for _ in range(2):
            connection = store._candles._queries._started().query()
            held = connection.execute(
                "SELECT name, value FROM duckdb_settings() WHERE name IN ('TimeZone', 'Calendar', "
                "'asof_loop_join_threshold', 'lock_configuration', 'enable_external_access', "
                "'autoload_known_extensions', 'python_enable_replacements') ORDER BY name"
            ).fetchall()
            connection.close()
            assert dict(held) == {
                "TimeZone": "UTC", "Calendar": "gregorian", "asof_loop_join_threshold": "0",
                "lock_configuration": "true", "enable_external_access": "false",
                "autoload_known_extensions": "false", "python_enable_replacements": "false",
            }  # fmt: skip


def test_joins_as_of_run_by_no_nested_loop(hours):
    with mdstore.open(hours) as store:
        store.sql("SELECT 1")
        connection = store._candles._queries._started().query()
        connection.register("few", store.arrow("A", "1h"))
        plan = connection.execute(
            "EXPLAIN SELECT * FROM few a ASOF JOIN few b ON a.timestamp >= b.timestamp"
        ).fetchall()
        connection.close()
    assert "ASOF_JOIN" in str(plan)
    assert "NESTED_LOOP" not in str(plan)
