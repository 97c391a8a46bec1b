"""`mdstore optimize`: says why, does it, and says before and after; by schedule until it is told to end."""

import json
import signal

import pytest

import mdstore
from mdstore.optimization import optimizing
from mdstore.optimization.vacuum import Limits, SmartVacuumScheduler
from tests.support.command_line import finished, mdstore_process
from tests.support.fragmented import feed, thin_out


@pytest.fixture
def small(monkeypatch):
    """Have small files be worth it."""
    limits = Limits(free_pages=10, table_pages=10)
    monkeypatch.setattr(
        optimizing, "SmartVacuumScheduler", lambda owner: SmartVacuumScheduler(owner, limits=limits)
    )


@pytest.fixture
def fed(cli, tmp_path):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        feed(store)
        thin_out(store)
    return cli


def test_a_dry_run_says_why_and_does_nothing(fed, small, tmp_path):
    before = (tmp_path / "market_data.sqlite3").read_bytes()
    out = fed("optimize", "--dry-run").stdout
    assert "vacuum: there are many free pages, and it takes not long" in out
    assert "yes free pages: " in out
    assert "  yes analyzed: never (never)" in out
    assert "plan of a range of a series: SEARCH candles USING PRIMARY KEY" in out
    assert "now" in out
    assert "after" not in out
    assert (tmp_path / "market_data.sqlite3").read_bytes() == before
    assert fed("--read-only", "optimize", "--dry-run").stdout.splitlines()[0] == out.splitlines()[0]
    assert "reading only" in fed("--read-only", "optimize", code=1).stderr


def test_a_run_prints_before_and_after(fed, small):
    out = fed("optimize").stdout
    assert "VACUUM, in which nobody else wrote for " in out
    assert "statistics brought up to date" in out
    line = next(line for line in out.splitlines() if line.startswith("free pages"))
    before, after = map(int, line.split()[2:])
    assert before > 10
    assert after == 0
    assert "nothing was done" in fed("optimize").stdout
    assert "is sound" in fed("check").stdout


def test_json_has_all_of_it(fed, small):
    found = json.loads(fed("optimize", "--json").stdout)
    assert found["decision"]["action"] == "vacuum"
    assert {one["name"]: one["met"] for one in found["decision"]["conditions"]}["fragmentation"]
    assert found["after"]["pages"] < found["before"]["pages"]
    assert len(found["done"]) == 2


def test_hours_that_are_none_are_refused(fed):
    assert "no hours of a day" in fed("optimize", "--daemon", "--quiet-hours", "night", code=1).stderr
    assert "no time zone" in fed("optimize", "--daemon", "--tz", "Mars", code=1).stderr


@pytest.mark.variants(1)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_goes_on_until_it_is_told_to_end(fed, tmp_path, number):
    process = mdstore_process(
        tmp_path, "optimize", "--daemon", "--quiet-hours", "observed",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    lines = [process.stderr.readline() for _ in range(2)]
    assert "looking after" in lines[0]
    process.send_signal(number)
    code, _, err = finished(process)
    assert "free pages given back" in "".join(lines) + err or "statistics" in "".join(lines) + err
    assert "Traceback" not in err
    assert code == (0 if number == signal.SIGTERM else 130)
    assert "is sound" in fed("check").stdout
