"""The hazard of a second opener, shown for real, and the guard that refuses it."""

import gc
import io
import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import mdstore
from mdstore import LiveFileError
from mdstore.candles.file import guard
from tests.support.candles import walk
from tests.support.paths import ROOT

# A writes and commits; something in A opens the file and closes it again, which drops A's locks; B, any tool
# with an SQLite older than 3.51, comes and goes, takes itself for the last user and removes the log; A
# commits once more, and dies. What A was told is safe went to a file without a name.
LOSE = """
    import os, subprocess, sys
    import apsw
    import mdstore
    from mdstore.candles.file import guard
    from tests.support.candles import walk

    if sys.argv[1] == "unguarded":
        guard._is_live = lambda path: False
    store = mdstore.open("s.sqlite3")
    store.write("A", "1m", walk(10))
    try:
        if sys.argv[2] == "open":
            open("s.sqlite3", "rb").close()
        else:
            import sqlite3
            connection = sqlite3.connect("s.sqlite3")
            connection.execute("SELECT count(*) FROM candles").fetchone()
            connection.close()
    except mdstore.LiveFileError:
        print("refused")
    other = "import sqlite3; c = sqlite3.connect('s.sqlite3'); c.execute('SELECT * FROM series'); c.close()"
    subprocess.run([sys.executable, "-c", other], check=True)
    print(store.write("B", "1m", walk(10)).inserted, flush=True)
    os.kill(os.getpid(), 9)
"""


def survivors(folder):
    try:
        with mdstore.open(folder / "s.sqlite3") as store:
            return set(store.series()["symbol"])
    except mdstore.StoreFileError:
        return set()


@pytest.fixture
def root():
    return {"PYTHONPATH": str(ROOT)}


@pytest.mark.slow
@pytest.mark.skipif(
    sqlite3.sqlite_version_info >= (3, 51), reason="this Python's SQLite notices locks that somebody broke"
)
@pytest.mark.parametrize("opener", ["open", "sqlite3"])
def test_without_the_guard_a_commit_that_was_confirmed_is_lost(python, tmp_path, root, opener):
    done = python(LOSE, "unguarded", opener, check=False, env=root)
    assert done.stdout.split() == ["10"], done.stderr
    assert "B" not in survivors(tmp_path)


@pytest.mark.parametrize("opener", ["open", "sqlite3"])
def test_with_the_guard_the_second_opener_is_refused_and_nothing_is_lost(python, tmp_path, root, opener):
    done = python(LOSE, "guarded", opener, check=False, env=root)
    assert done.stdout.split() == ["refused", "10"], done.stderr
    assert survivors(tmp_path) == {"A", "B"}


OPENERS = {
    "open": lambda path: open(path, "rb").close(),
    "open for writing": lambda path: open(path, "ab").close(),
    "io.FileIO": lambda path: io.FileIO(path).close(),
    "os.open": lambda path: os.close(os.open(path, os.O_RDONLY)),
    "Path.read_bytes": lambda path: Path(path).read_bytes(),
    "bytes path": lambda path: open(os.fsencode(path), "rb").close(),
    "shutil.copy": lambda path: shutil.copy(path, path + ".copy"),
    "sqlite3": lambda path: sqlite3.connect(path).close(),
    "sqlite3 uri": lambda path: sqlite3.connect(f"file:{path}?mode=ro", uri=True).close(),
    "sqlite3 full uri": lambda path: sqlite3.connect(f"file://localhost{path}?mode=ro", uri=True).close(),
}


@pytest.mark.parametrize("opener", OPENERS)
def test_every_way_python_opens_a_file_is_refused_with_advice(store, opener):
    store.write("A", "1m", walk(3))
    with pytest.raises(LiveFileError, match=r"store\.maintenance\.backup"):
        OPENERS[opener](str(store.path))
    assert isinstance(store.candles("A", "1m").height, int)


def test_the_side_files_links_and_relative_names_are_guarded_too(store, tmp_path, monkeypatch):
    store.write("A", "1m", walk(3))
    monkeypatch.chdir(tmp_path)
    os.symlink(store.path, "link")
    os.link(store.path, "hard")
    for name in (f"{store.path}-wal", f"{store.path}-shm", "market_data.sqlite3", "link", "hard"):
        with pytest.raises(LiveFileError):
            Path(name).read_bytes()


def test_other_files_and_closed_stores_are_nobodys_business(tmp_path):
    path = tmp_path / "s.sqlite3"
    with mdstore.open(path) as first, mdstore.open(path) as second:
        first.write("A", "1m", walk(3))
        first.close()
        with pytest.raises(LiveFileError):
            path.read_bytes()
        assert len(second.candles("A", "1m")) == 3
        (tmp_path / "other").write_text("x")
        sqlite3.connect(":memory:").close()
        sqlite3.connect(tmp_path / "other.db").close()
    assert path.read_bytes()[:15] == b"SQLite format 3"
    assert guard._live == {}


def test_a_store_that_is_dropped_gives_its_file_back(tmp_path):
    path = tmp_path / "s.sqlite3"
    mdstore.open(path).write("A", "1m", walk(3))
    gc.collect()
    assert path.read_bytes()[:15] == b"SQLite format 3"
    assert guard._live == {}


def test_a_store_is_not_opened_while_something_else_has_its_file(tmp_path):
    path = tmp_path / "s.sqlite3"
    mdstore.open(path).close()
    with open(path, "rb"), pytest.raises(LiveFileError, match="already open"):
        mdstore.open(path)
    connection = sqlite3.connect(path)
    connection.execute("SELECT count(*) FROM series").fetchone()
    with pytest.raises(LiveFileError, match="already open"):
        mdstore.open(path)
    connection.close()
    mdstore.open(path).close()


def test_threads_that_open_the_file_at_once_are_no_strangers(tmp_path):
    def open_and_close(_):
        for _ in range(30):
            mdstore.open(tmp_path / "s.sqlite3").close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(open_and_close, range(3)))
    assert guard._live == {}
