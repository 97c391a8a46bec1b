"""`mdstore sql`: what it refuses in words of the command line, and how a query of too long a time ends."""

import os
import signal
import subprocess
import sys

import pytest

from tests.candles.reads.test_sql_limits import DEAF

pytestmark = pytest.mark.slow
ENDLESS = "SELECT count(*) FROM range(10000000000) a, range(1000) b WHERE a.range % 7 = b.range"


@pytest.fixture
def sql(tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "mdstore", "sql", *arguments],
            check=False, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip

    subprocess.run([sys.executable, "-c", "import mdstore; mdstore.open().close()"], check=True, cwd=tmp_path)
    return run


@pytest.mark.variants(1)
@pytest.mark.parametrize("query", [ENDLESS, DEAF])
def test_a_query_ends_after_its_time(sql, query):
    done = sql("--timeout", "0.3", query)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: the query took longer than 0.3 seconds")
    assert "Traceback" not in done.stderr


def test_a_time_that_is_none_is_refused(sql):
    done = sql("--timeout", "0", "SELECT 1")
    assert done.returncode == 1
    assert "timeout" in done.stderr


def test_it_speaks_as_the_command_line_does(sql):
    done = sql("DELETE FROM candles")
    assert "SQL only reads here, and this is DELETE" in done.stderr
    assert "`mdstore import` and `mdstore delete` change candles" in done.stderr
    done = sql("FROM prices")
    assert "there is no table prices. Hint: the tables are candles, series and quarantine" in done.stderr
    assert "of what is live" not in done.stderr


@pytest.mark.parametrize(
    "query", [ENDLESS, pytest.param(DEAF.replace("80000000", "2000000000"), marks=pytest.mark.long)]
)
def test_ctrl_c_ends_it(sql, tmp_path, query):
    started = subprocess.Popen(
        [sys.executable, "-m", "mdstore", "sql", query],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )  # fmt: skip
    try:
        started.wait(2)
    except subprocess.TimeoutExpired:
        started.send_signal(signal.SIGINT)
    out, err = started.communicate()
    assert (started.returncode, out) == (130, "")
    assert err == "interrupted\n"
