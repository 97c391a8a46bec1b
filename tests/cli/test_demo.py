"""The demo: what it does, where it writes, and that what it advises works."""

import hashlib
import os
import re
import shlex
import subprocess
import sys

import polars as pl
import pytest

import mdstore
from mdstore.cli.output.demo import DATA_FILE, demo_data
from mdstore.sources.files import read
from tests.support.paths import ROOT

DATA = ROOT / "data"


def run(folder, *arguments, env=None):
    return subprocess.run(
        [sys.executable, "-m", "mdstore", *arguments], cwd=folder, capture_output=True, text=True,
        timeout=120, check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip


@pytest.mark.slow
def test_the_demo_runs_twice_and_shows_table_chart_and_sql(tmp_path):
    first, again = run(tmp_path, "demo"), run(tmp_path, "demo")
    for done in (first, again):
        assert (done.returncode, done.stderr) == (0, "")
        assert "12,154 candles of 5 symbols, 2000-03-01 to 2013-03-01" in done.stdout
        assert "┃" in done.stdout
        assert re.search(r"AAPL +2001-01 +45\.3", done.stdout)
    assert "12,154 new" in first.stdout
    assert "all there already" in again.stdout
    assert [path.name for path in tmp_path.glob("*.sqlite3")] == ["demo.sqlite3"]


@pytest.mark.long
def test_the_demo_leaves_the_users_own_store_alone(tmp_path):
    own = {"MDSTORE_FILE": str(tmp_path / "mine.sqlite3")}
    assert run(tmp_path, "demo", env=own).returncode == 0
    assert run(tmp_path, "-f", "a.sqlite3", "demo").returncode == 0
    assert run(tmp_path, "demo", "-f", "b.sqlite3").returncode == 0
    assert sorted(path.name for path in tmp_path.glob("*.sqlite3")) == [
        "a.sqlite3",
        "b.sqlite3",
        "demo.sqlite3",
    ]


@pytest.mark.long
def test_the_advised_commands_work(tmp_path):
    output = run(tmp_path, "demo").stdout
    advised = output.partition("Try next\n")[2].partition("\n\n")[0].splitlines()
    commands = [shlex.split(line.partition(" into ")[0]) for line in advised]
    assert len(commands) == 6
    assert commands.pop()[-2:] == ["import", "YOUR_FILES"]
    for command in commands:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    assert len(pl.read_parquet(tmp_path / "ibm.parquet")) == 3_270


@pytest.mark.slow
def test_the_advised_python_works(tmp_path):
    output = run(tmp_path, "demo").stdout
    code = "\n".join(line[2:] for line in output.partition("In Python\n")[2].splitlines())
    done = subprocess.run(
        [sys.executable, "-c", code + "\nprint(len(frame))"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert int(done.stdout) == 291


def test_the_data_is_what_its_readme_says():
    if not DATA.is_dir():
        pytest.skip("no data folder: these tests run from a clone")
    digests = re.findall(r"\| `([0-9a-f]{64})` \|", (DATA / "README.md").read_text())
    assert hashlib.sha256((DATA / DATA_FILE).read_bytes()).hexdigest() == digests[0]


def test_the_data_keeps_every_rule(store):
    (part,) = list(read_whole())
    result = store.write_many(part, timeframe="1d")
    assert (result.inserted, result.duplicates, result.rows) == (12_154, 0, 12_154)


def read_whole():
    for part in read(demo_data()):
        yield pl.concat(part.frames)


def test_the_data_comes_with_a_wheel_too(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "mdstore"
    (package / "_data").mkdir(parents=True)
    (package / "_data" / DATA_FILE).touch()
    monkeypatch.setattr(mdstore, "__file__", str(package / "__init__.py"))
    assert demo_data() == package / "_data" / DATA_FILE
    (package / "_data" / DATA_FILE).unlink()
    with pytest.raises(mdstore.FileFormatError, match="did not come with this installation"):
        demo_data()


def test_the_demo_is_its_own_source(cli, tmp_path):
    cli("demo")
    with mdstore.open(tmp_path / "demo.sqlite3") as store:
        assert store.provenance()["source"].unique().to_list() == ["demo"]


def test_a_sync_is_shown_with_an_exchange_on_this_machine(cli, tmp_path):
    out = cli("demo", "--sync").stdout
    assert re.search(r"in all +4,3[12]\d +4,\d\d\d +0 +\d+ no_trade", out)
    assert "The same again" in out
    assert "KRW-BTC 15m, of 1m" in out
    assert [path.name for path in tmp_path.glob("*.sqlite3")] == ["demo.sqlite3"]
