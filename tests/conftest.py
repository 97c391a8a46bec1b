"""Fixtures (a store in a folder of its own, Python in a process of its own), and no bounds on time."""

import contextlib
import faulthandler
import functools
import gc
import importlib
import os
import subprocess
import sys
import textwrap
import time

import pytest
import typer.testing
from hypothesis import HealthCheck, settings
from xdist.scheduler import WorkStealingScheduling

import mdstore
from tests.support.doses import dose
from tests.support.paths import ROOT

# How long an example takes says more of the machine than of the code.
settings.register_profile(
    "mdstore", max_examples=dose(100), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("mdstore")

# Typer's runner makes all commands anew for each call, 17 ms: a third of the time of the cases.
typer.testing._get_command = functools.cache(typer.testing._get_command)


def pytest_xdist_auto_num_workers():
    """Run on five workers for two cores: half of the time tests wait, for processes, sockets and the disk."""
    return 5 * (os.cpu_count() or 1) // 2


def pytest_xdist_make_scheduler(config, log):
    """Have workers that are done take over from others: a suite of 330 s takes 260 on two cores."""
    return WorkStealingScheduling(config, log)


def pytest_sessionstart(session):
    """Compile a share of the tests first: in a clean clone, each worker would compile all, 6 s each."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None or session.config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    own, of = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    for path in sorted(ROOT.glob("tests/**/test_*.py"))[own::of]:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # the collection says what is wrong
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def pytest_collection_finish():
    """Take ten thousand collected tests out of what each full collection of garbage walks through."""
    gc.freeze()


def pytest_runtest_call(item):
    """Let a long dose take its time: what bounds the others would end the run."""
    if item.get_closest_marker("long"):
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session", autouse=True)
def _books_of_hosts(tmp_path_factory):
    """What was asked of local exchanges is noted in a folder of the tests, and in no user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        yield


@pytest.fixture
def clock():
    """Tell the time of the machine; a module that needs another time has a `clock` of its own."""
    return time.time


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory):
    """Return the bytes of a store without candles: to copy them takes 1 ms, where to make one takes 5."""
    path = tmp_path_factory.mktemp("empty") / "market_data.sqlite3"
    mdstore.MarketDataStore(path).close()
    return path.read_bytes()


@pytest.fixture
def store(tmp_path, clock, _empty_store):
    path = tmp_path / "market_data.sqlite3"
    path.write_bytes(_empty_store)
    with mdstore.MarketDataStore(path, clock=clock) as store:
        yield store


@pytest.fixture
def python(tmp_path):
    """Run a script in a new process; it sees the package, and `sys.argv[1:]`. Return what it printed."""

    def run(script, *args, check=True, stdin=False, env=None):
        code = textwrap.dedent(script)
        command = [sys.executable, *(["-"] if stdin else ["-c", code]), *map(str, args)]
        done = subprocess.run(
            command,
            input=code if stdin else None,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
        )
        if check:
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()
        return done

    return run


# Folders and modules whose every test is for the whole suite: they start processes, open many files, or play
# many histories. (Single tests carry the marker themselves.)
SLOW = {
    "attack",
    "cases",
    "cli",
    "local_exchange",
    "notebooks",
    "upkeep",
    "test_against_a_model",
    "test_alarms",
    "test_bad_bars",
    "test_binance_archive",
    "test_calendars",
    "test_damage",
    "test_flights",
    "test_old_revisions",
    "test_policies",
    "test_query_advice",
    "test_real_clients",
    "test_recorded_streams",
    "test_ring",
    "test_snapshots",
    "test_source_calls",
    "test_syncing_exchange",
    "test_syncing_interrupted",
    "test_whole_bars",
    "test_window",
}


def pytest_collection_modifyitems(items):
    """Mark what the quick subset leaves out, and which variants of a costly test the suite does."""
    _choose_variants(items)
    for item in items:
        parts = {*item.path.parts[len(ROOT.parts) :], item.path.stem}
        if parts & SLOW:
            item.add_marker(pytest.mark.slow)


def _choose_variants(items):
    """Of a test with `variants(n)`, n parameters are in the suite, evenly spread; the rest are long."""
    tests = {}
    for item in items:
        if item.get_closest_marker("variants"):
            tests.setdefault((item.path, item.originalname), []).append(item)
    for of_one in tests.values():
        (most,) = of_one[0].get_closest_marker("variants").args
        chosen = {index * len(of_one) // most for index in range(most)}
        for index, item in enumerate(of_one):
            if index not in chosen:
                item.add_marker(pytest.mark.long)


@pytest.fixture
def add_source(tmp_path, monkeypatch):
    """Return what installs a package with a source by an entry point: its name, text, and what it names."""

    def add(name, text, opens):
        folder = tmp_path / "installed" / name
        about = folder / f"{name}_exchange-1.0.dist-info"
        about.mkdir(parents=True)
        (folder / f"{name}_exchange.py").write_text(text)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-exchange\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[mdstore.sources]\n{name} = {name}_exchange:{opens}\n")
        monkeypatch.delitem(sys.modules, f"{name}_exchange", raising=False)  # of another test
        monkeypatch.syspath_prepend(folder)

    return add
