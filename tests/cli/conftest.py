"""Fixtures: the command line in this process, in an empty folder or beside a store with something in it."""

from functools import partial

import polars as pl
import pytest
from typer.testing import CliRunner

import mdstore
from mdstore.cli import app
from tests.support.candles import MINUTE, START, walk
from tests.support.command_line import FOREIGN
from tests.support.real import real


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """Run a command in an empty folder, in this process; a traceback fails the test."""
    monkeypatch.chdir(tmp_path)
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, code=0, given=None):
        done = CliRunner().invoke(app, list(map(str, arguments)), input=given, prog_name="mdstore")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done

    return run


@pytest.fixture
def filled(cli, tmp_path):
    """As `cli`, with KRW-BTC 1m and 1h and KRW-ETH 1m stored."""
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.write("KRW-BTC", "1m", walk(300))
        store.write("KRW-BTC", "1h", walk(24, start=1_756_684_800_000, step=3_600_000))
        store.write("KRW-ETH", "1m", walk(200, seed=1))
    return cli


@pytest.fixture
def store_of(cli, tmp_path):
    """Return the store that the commands will see."""
    return lambda: mdstore.open(tmp_path / "market_data.sqlite3")


@pytest.fixture
def holes(cli, store_of):
    """As `cli`, with KRW-ETH 1m (holes of three reasons), KRW-SOL 1m (half of it missing) and 1h."""
    bars = walk(2000)
    with store_of() as store:
        store.write("KRW-ETH", "1m", pl.concat([bars[:600], bars[800:1200], bars[1260:]]), source="bot")
        _say(store, 600, 800, "exchange_down")
        _say(store, 1200, 1230, "fetch_failed")
        store.write("KRW-SOL", "1m", pl.concat([bars[:500], bars[1500:1550], bars[1551:1600]]))
        hours = store.candles("KRW-SOL", "1h", derive_from="1m", end="2025-09-01T08:00")
        store.write("KRW-SOL", "1h", hours)
    return cli


def _say(store, first, last, reason):
    start, end = START + first * MINUTE, START + last * MINUTE
    store.cover("KRW-ETH", "1m", start=start, end=end, reason=reason, source="upbit")


@pytest.fixture(scope="session")
def upbit_file(tmp_path_factory):
    path, file = real("upbit", "BTC_KRW_1m.csv"), tmp_path_factory.mktemp("upbit") / "upbit.sqlite3"
    done = CliRunner().invoke(app, ["-f", str(file), "import", str(path)])
    assert done.exit_code == 0, done.output
    return file


@pytest.fixture
def upbit(cli, upbit_file):
    """As `cli`, with the recorded minutes of Upbit's BTC, of which two are missing; to read only."""
    return partial(cli, "-f", upbit_file)


@pytest.fixture
def stocks(cli, tmp_path):
    """As `cli`, with five days of two stocks, a weekend among them, and a day of one that is missing."""
    pytest.importorskip("exchange_calendars")
    days = [1, 2, 3, 6, 7, 8]  # of February 2017, from a Wednesday on
    rows = [(f"2017-02-{day:02}", 1, 2, 1, 2, 5) for day in days]
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.write("AAPL", "1d", rows)
        store.write("AAP", "1d", rows[:4] + rows[5:])
    return cli
