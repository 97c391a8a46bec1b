"""SQL within bounds: of time, of memory, of what a frame can hold; and Ctrl-C ends the wait at once."""

import subprocess
import sys
from decimal import Decimal

import pytest

import mdstore
from mdstore import InvalidInputError, QueryError, QueryTimeoutError
from mdstore.candles.reads import sql_running
from tests.support.candles import walk
from tests.support.interrupts import interrupted

ENDLESS = "SELECT count(*) FROM range(10000000000) a, range(1000) b WHERE a.range % 7 = b.range"
# Inside of one function DuckDB does not look whether it was interrupted; each takes some seconds.
DEAF = "SELECT length(repeat('x', 80000000)) + length(repeat('y', 80000000)) AS n"
MEMORY = 64 * 2**20


@pytest.fixture
def store(tmp_path):
    with mdstore.open(tmp_path / "market_data.sqlite3", sql_memory_bytes=MEMORY) as store:
        store.write("A", "1m", walk(100))
        yield store


def test_a_query_that_takes_too_long_is_ended_and_says_so(store):
    with pytest.raises(QueryTimeoutError, match=r"longer than 0\.2 seconds") as raised:
        store.sql(ENDLESS, timeout=0.2)
    assert isinstance(raised.value, TimeoutError)
    assert store.sql("SELECT count(*) AS n FROM candles", timeout=60)["n"].to_list() == [100]
    assert sql_running.left_behind() == []


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", True, [1]])
def test_what_is_no_time_to_wait_is_refused(store, timeout):
    with pytest.raises(InvalidInputError, match="timeout="):
        store.sql("SELECT 1", timeout=timeout)


@pytest.mark.slow
def test_a_function_that_does_not_listen_is_left_behind(store, monkeypatch):
    monkeypatch.setattr(sql_running, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(QueryTimeoutError):
        store.sql(DEAF, timeout=0.1)
    (running,) = sql_running.left_behind()
    assert store.sql("SELECT count(*) AS n FROM candles")["n"].to_list() == [100]
    running.join()
    assert sql_running.left_behind() == []


@pytest.mark.slow
def test_ctrl_c_leaves_it_behind_too(store, monkeypatch):
    monkeypatch.setattr(sql_running, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(KeyboardInterrupt):
        interrupted(0.2, lambda: store.sql(DEAF))
    (running,) = sql_running.left_behind()
    assert store.sql("SELECT count(*) AS n FROM candles")["n"].to_list() == [100]
    running.join()


PROGRAM = """
import sys, mdstore
from mdstore.candles.reads import sql_running
sql_running.PATIENCE_SECONDS = 0.1
with mdstore.open(sys.argv[1]) as store:
    for timeout in (0.1, 0.2, 0.4, 0.8):  # a busy machine needs the first of them to get to the query
        try:
            store.sql(sys.argv[2], timeout=timeout)
        except mdstore.QueryTimeoutError:
            if sql_running.left_behind():
                print("timeout", len(sql_running.left_behind()))
                break
"""


@pytest.mark.slow
def test_a_process_ends_well_though_a_query_was_left_behind(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "s.sqlite3"), DEAF],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "timeout 1\n", "")


def test_memory_is_bounded_by_an_option(store):
    with pytest.raises(QueryError, match="more memory than SQL may take") as raised:
        store.sql("SELECT list(i) FROM range(100000000) t(i)")
    assert "sql_memory_bytes" in raised.value.hint.python
    assert store.sql("SELECT count(*) AS n FROM candles")["n"].to_list() == [100]


def test_with_more_memory_the_same_query_is_answered(tmp_path):
    query = "SELECT length(list(i)) AS n FROM range(10000000) t(i)"
    with (
        mdstore.open(tmp_path / "s.sqlite3", sql_memory_bytes=40 * 2**20) as store,
        pytest.raises(QueryError, match="more memory"),
    ):
        store.sql(query)
    with mdstore.open(tmp_path / "s.sqlite3", sql_memory_bytes=2 * 2**30) as store:
        assert store.sql(query)["n"].to_list() == [10_000_000]


def test_by_default_it_is_half_of_the_memory_that_there_is(tmp_path):
    import duckdb

    def bytes_of(text):
        number, unit = text.split()
        return float(number) * 1024 ** ["bytes", "KiB", "MiB", "GiB", "TiB"].index(unit)

    setting = "SELECT current_setting('memory_limit')"
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.sql("SELECT 1")
        ours = bytes_of(store._candles._queries._started().query().execute(setting).fetchone()[0])
    all_of_it = bytes_of(duckdb.connect().execute(setting).fetchone()[0]) / 0.8
    assert ours == pytest.approx(all_of_it / 2, rel=0.02)


@pytest.mark.parametrize("size", [0, 1, 32 * 2**20 - 1, -5, "1GB", True, 1.5])
def test_too_little_memory_is_refused_at_the_door(tmp_path, size):
    with pytest.raises(InvalidInputError, match="sql_memory_bytes="):
        mdstore.open(tmp_path / "s.sqlite3", sql_memory_bytes=size)


def test_a_store_that_is_pickled_keeps_the_bound(store):
    import pickle

    with pickle.loads(pickle.dumps(store)) as again:
        assert again._options["sql_memory_bytes"] == MEMORY


NINES = 10**38 - 1


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (f"{NINES}::HUGEINT", Decimal(NINES)), (f"-{NINES}::HUGEINT", Decimal(-NINES)), ("NULL::HUGEINT", None),
        ("sum(i) FROM range(10) t(i)", Decimal(45)), ("[1::HUGEINT, NULL]", [Decimal(1), None]),
        ("5::UHUGEINT::DECIMAL(38, 0)", Decimal(5)), (f"{10**38}::HUGEINT::VARCHAR", str(10**38)),
        (f"{2**128 - 1}::UHUGEINT::VARCHAR", str(2**128 - 1)), ("'101'::BIT::VARCHAR", "101"),
        ("'01:00:00+09'::TIMETZ::VARCHAR", "01:00:00+09"), ("{'a': [{'b': 2::HUGEINT}]}", {"a": [{"b": Decimal(2)}]}),
        ("[1, 2]::INTEGER[2]", [1, 2]), ("MAP {'a': 3::HUGEINT}", {"a": Decimal(3)}), ("[]::HUGEINT[]", []),
    ],
)  # fmt: skip
def test_what_a_frame_can_hold_comes_as_it_is(store, value, given):
    found = store.sql(f"SELECT {value}").to_series(0).to_list()[0]
    assert (found.to_list() if hasattr(found, "to_list") else found) == given


@pytest.mark.parametrize(
    "value",
    [
        f"{10**38}::HUGEINT", f"-{10**38}::HUGEINT", f"{2**127 - 1}::HUGEINT", f"[1, {10**38}::HUGEINT]",
        f"{{'a': [{{'b': {10**38}::HUGEINT}}]}}", f"MAP {{'a': {10**38}::HUGEINT}}",
        f"(SELECT sum({10**37}::HUGEINT) FROM range(11))", f"[{10**38}::HUGEINT]::HUGEINT[1]",
    ],
)  # fmt: skip
def test_a_whole_number_of_more_than_38_digits_is_refused(store, value):
    with pytest.raises(QueryError, match="column x holds a whole number of more than 38 digits") as raised:
        store.sql(f"SELECT {value} AS x")
    assert "cast it to VARCHAR" in raised.value.hint.python


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("5::UHUGEINT", "UHUGEINT"), (f"{2**128 - 1}::UHUGEINT", "UHUGEINT"), ("[1::UHUGEINT]", "UHUGEINT"),
        ("{'a': MAP {1: 1::UHUGEINT}}", "UHUGEINT"), ("[1]::UHUGEINT[1]", "UHUGEINT"), ("'101'::BIT", "BIT"),
        ("md5_number('x')", "HUGEINT"), ("5::BIGNUM", "BIGNUM"), ("'01:00:00+09'::TIMETZ", "TIME WITH TIME ZONE"),
    ],
)  # fmt: skip
def test_a_type_that_no_frame_has_is_refused_with_a_cast_that_works(store, value, kind):
    with pytest.raises(QueryError, match=kind) as raised:
        store.sql(f"SELECT {value} AS x")
    assert "cast it to" in raised.value.hint.python
    store.sql(f"SELECT ({value})::VARCHAR AS x")
