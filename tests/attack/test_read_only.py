"""Stores that may only be read: by their permissions, by their file system, by choice, beside who writes."""

import shutil
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest

import mdstore
from mdstore import ReadOnlyError, StoreBusyError, StoreFileError
from tests.support.candles import bits, walk
from tests.support.every_read import every_read, every_write, fill, lying_in
from tests.support.nobody import as_nobody
from tests.support.processes import start

# In a folder of its owner's alone nobody can import any more of the package later.
ALL_OF_THE_COMMAND_LINE = (
    "import importlib, pkgutil, mdstore.cli; "
    "[importlib.import_module(one.name) for one in pkgutil.walk_packages(mdstore.cli.__path__, "
    "'mdstore.cli.') if '__main__' not in one.name]; "
    # What converts values is imported with the first that is no text.
    "from typer.testing import CliRunner; "
    "CliRunner().invoke(mdstore.cli.app, 'cover A 1m --start 2025 --reason no_trade'.split())"
)
WARMED_UP = "from tests.support.every_read import warmed_up; warmed_up()"


SETTLED = 0.1  # seconds after which a connection to a file that was written is used again


def make(folder, *, packs=True):
    """Make a store in a folder of its own: packed, loose, revised; return the folder."""
    place = folder / "kept"
    place.mkdir()
    with mdstore.open(place / "s.sqlite3") as store:
        fill(store)
        store.maintenance.warm()
    if not packs:
        shutil.rmtree(place / "s.sqlite3-packs")
    return place


def close_to_others(place):
    """Let nobody but root write: the file 0444, the folders 0555."""
    for path in place.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    place.chmod(0o555)


READS_ALL = """
    from tests.support.every_read import every_command, every_read, every_write
    os.mkdir("mine")
    with mdstore.open("kept/s.sqlite3") as store:
        assert store.read_only
        first, second = (every_read(store, "mine/copy.sqlite3") for _ in range(2))
        assert first == second
        for name, call in every_write(store).items():
            try:
                call()
            except mdstore.ReadOnlyError as error:
                assert str(error).startswith(f"{store.path} is open for reading only: "), error
                assert "Nothing was written. Hint: get permission" in str(error)
            else:
                raise AssertionError(f"{name} was not refused")
        print(store.explain("A", "1m").tiers)
    with mdstore.open("mine/copy.sqlite3") as copy:  # as the hint says
        assert copy.candles("A", "1m").rows() == first["candles"]
        assert copy.write("C", "1m", walk(3)).inserted == 3
    every_command("kept/s.sqlite3", "mine")
"""


@pytest.mark.variants(1)
@pytest.mark.parametrize("packs", [True, False])
def test_of_a_store_that_may_not_be_written_all_can_be_read_and_nothing_is_made_beside_it(folder, packs):
    place = make(folder, packs=packs)
    with mdstore.open(place / "s.sqlite3", read_only=True) as store:
        expected = every_read(store, folder / "expected.sqlite3")
    close_to_others(place)
    before = lying_in(place)
    as_nobody(
        folder,
        READS_ALL
        + f"""
    with mdstore.open("kept/s.sqlite3") as store:
        assert store.explain("A", "1m").tiers == ({"packs" if packs else "sqlite"!r},)
        assert store.explain("A", "1m").tiers == ("memory",)
        assert store.maintenance.stats()["pack_trouble"] == ""
        open("mine/answer", "w").write(repr(store.candles("A", "1m").rows()))
    """,
        WARMED_UP,
    )
    assert lying_in(place) == before
    assert (folder / "mine/answer").read_text() == repr(expected["candles"])


@pytest.mark.long
def test_a_folder_that_may_not_be_written_is_enough(folder):
    place = make(folder)
    close_to_others(place)
    (place / "s.sqlite3").chmod(0o666)
    before = lying_in(place)
    as_nobody(folder, READS_ALL, WARMED_UP)
    assert lying_in(place) == before


def test_the_command_line_says_why_it_does_not_write(folder):
    place = make(folder)
    close_to_others(place)
    (folder / "C-1m.csv").write_text("timestamp,open,high,low,close,volume\n2025-09-01T00:00:00,1,2,1,2,1\n")
    as_nobody(
        folder,
        """
        import contextlib, io
        from mdstore.cli import app
        for command in (["import", "C-1m.csv"], ["delete", "A", "--yes"], ["warm"], ["compact"],
                        ["cover", "A", "1m", "--start", "2025-09-01", "--reason", "no_trade"]):
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                try:
                    app(["-f", "kept/s.sqlite3", *command])
                except SystemExit as ended:
                    assert ended.code == 1, command
            words = " ".join(said.getvalue().split())
            assert "open for reading only: this user may not write to the file" in words, words
            assert "`mdstore backup COPY` makes one" in words
        """,
        f"{WARMED_UP}; {ALL_OF_THE_COMMAND_LINE}",
    )


def test_a_store_on_a_file_system_that_is_mounted_for_reading_only(folder):
    place = make(folder)
    before, there = lying_in(place), folder / "there"
    there.mkdir()
    script = textwrap.dedent(
        f"""
        import mdstore
        from tests.support.every_read import every_read, every_write
        with mdstore.open({str(there / "s.sqlite3")!r}) as store:
            assert store.read_only
            every_read(store, {str(folder / "copy.sqlite3")!r})
            for call in every_write(store).values():
                try:
                    call()
                except mdstore.ReadOnlyError as error:
                    assert "a file system that is mounted for reading only" in str(error)
                else:
                    raise AssertionError
        """
    )
    mounted = f"mount --bind {place} {there} && mount -o remount,ro,bind {there}"
    with suppress(FileNotFoundError):
        may = subprocess.run(["unshare", "-m", "sh", "-c", mounted], capture_output=True, check=False)
        if not may.returncode:
            command = ["unshare", "-m", "sh", "-c", f'{mounted} && exec "$0" -c "$1"', sys.executable, script]
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
            )
            assert done.returncode == 0, done.stderr
            assert lying_in(place) == before
            return
    pytest.skip("this system does not let the tests mount anything")


WRITER = """
    import sys, mdstore
    from tests.support.candles import walk, START
    store = mdstore.open(sys.argv[1])
    store.write("L", "1m", walk(5))
    print("ready", flush=True)
    for line in sys.stdin:
        number = int(line)
        store.write("L", "1m", walk(1, start=START + 60_000 * number, seed=3))
        print(number, flush=True)
    store.close()
    print("closed", flush=True)
"""


def told(writer, number):
    writer.stdin.write(f"{number}\n")
    writer.stdin.flush()
    assert writer.stdout.readline().strip() == str(number)


def a_writer(file):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(file)], cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline().strip() == "ready"
    return process


def ended(writer):
    writer.communicate()


def test_what_another_process_writes_is_read_at_once_and_what_it_leaves_when_it_goes(folder):
    file = make(folder) / "s.sqlite3"
    time.sleep(SETTLED)
    with mdstore.open(file, read_only=True) as store:
        assert "L" not in store.series()["symbol"]
        writer = a_writer(file)
        assert len(store.candles("L", "1m")) == 5
        for number in range(5, 9):
            told(writer, number)
            assert len(store.candles("L", "1m")) == number + 1
        ended(writer)
        assert len(store.candles("L", "1m")) == 9
        assert store.maintenance.check() == []
    with mdstore.open(file) as store:  # the log that it could not take back, since it was read, is taken in
        assert len(store.candles("L", "1m")) == 9
    assert not Path(f"{file}-wal").exists()


@pytest.mark.long
def test_another_user_reads_beside_who_writes(folder):
    place = make(folder)
    place.chmod(0o755)
    writer = a_writer(place / "s.sqlite3")
    as_nobody(
        folder,
        """
        with mdstore.open("kept/s.sqlite3") as store:
            assert store.read_only and len(store.candles("L", "1m")) == 5
            assert store.maintenance.check() == []
        """,
    )
    for name, part in (("-shm", 0o600), ("-wal", 0o600)):
        (place / f"s.sqlite3{name}").chmod(part)
        as_nobody(
            folder,
            f"""
            said = refused(lambda: mdstore.open("kept/s.sqlite3"))
            assert "what was written last is in s.sqlite3{name}, which this user may not read" in said, said
            """,
        )
        (place / f"s.sqlite3{name}").chmod(0o644)
    ended(writer)


@pytest.mark.long
def test_a_log_that_a_killed_process_left_is_read(folder):
    place = make(folder)
    writer = a_writer(place / "s.sqlite3")
    told(writer, 5)
    writer.kill()
    ended(writer)
    close_to_others(place)
    before = lying_in(place)
    as_nobody(
        folder,
        """
        with mdstore.open("kept/s.sqlite3") as store:
            assert len(store.candles("L", "1m")) == 6
            assert store.maintenance.check() == []
        """,
    )
    assert lying_in(place) == before
    (place / "s.sqlite3-shm").unlink()
    as_nobody(
        folder,
        """
        said = refused(lambda: mdstore.open("kept/s.sqlite3"))
        assert "cannot be read without s.sqlite3-shm" in said and "without read_only=True" in said, said
        """,
    )
    with pytest.raises(ReadOnlyError, match="cannot be read without"):
        mdstore.open(place / "s.sqlite3", read_only=True)
    assert not (place / "s.sqlite3-shm").exists()
    place.chmod(0o755)
    (place / "s.sqlite3").chmod(0o644)
    mdstore.open(place / "s.sqlite3").close()  # as the hint says
    with mdstore.open(place / "s.sqlite3", read_only=True) as store:
        assert len(store.candles("L", "1m")) == 6


def begins_to_write(con, file):
    con.execute("SELECT count(*) FROM candles").fetchall()
    done = start(
        """
        import sys, mdstore
        from tests.support.candles import walk
        with mdstore.open(sys.argv[1]) as store:
            store.write("N", "1m", walk(3_000))
        """,
        str(file), cwd=file.parent,
    )  # fmt: skip
    assert done.wait() == 0
    done.stdout.close()


def test_a_read_is_refused_where_somebody_begins_to_write_in_the_middle_of_it(folder):
    file = make(folder) / "s.sqlite3"
    with mdstore.open(file, read_only=True) as store:
        with (
            pytest.raises(StoreBusyError, match=r"begun to write to it while it was read.*read it again"),
            store._candles._database.reading() as con,
        ):
            begins_to_write(con, file)
        assert len(store.candles("N", "1m")) == 3_000  # read again


def test_a_reader_that_ends_takes_no_locks_of_who_writes_in_the_same_process(folder):
    """Closing a descriptor of a file drops the locks that its process has on it, unless SQLite sees to it."""
    file = make(folder) / "s.sqlite3"
    time.sleep(SETTLED)
    reader = mdstore.open(file, read_only=True)
    assert len(reader.candles("B", "1m")) == 40  # without a log, so without locks
    with mdstore.open(file) as store:
        store.write("L", "1m", walk(5))
        assert len(reader.candles("L", "1m")) == 5
        reader.close()
        opened_and_closed = """
            import sqlite3, sys
            con = sqlite3.connect(sys.argv[1])
            assert con.execute("SELECT count(*) FROM candles WHERE symbol = 'L'").fetchone() == (5,)
            con.close()
            """
        done = start(opened_and_closed, str(file), cwd=folder)
        assert done.wait() == 0
        done.stdout.close()
        assert Path(f"{file}-wal").exists()  # the other has not taken itself for the last
        store.write("L", "1m", walk(9))
    with mdstore.open(file) as store:
        assert bits(store.candles("L", "1m")) == bits(walk(9))
        assert store.maintenance.check() == []


def test_nothing_is_made_or_changed_where_it_could_be(folder, tmp_path):
    place = make(folder, packs=False)
    (place / "s.sqlite3-packs").mkdir()
    (place / "s.sqlite3-packs" / "stray.arrow").write_bytes(b"of nobody")
    before = lying_in(folder)
    with mdstore.open(place / "s.sqlite3", read_only=True) as store:
        first = every_read(store, tmp_path / "copy.sqlite3")
        for call in every_write(store).values():
            with pytest.raises(ReadOnlyError, match=r"it was opened so\. .*open it without read_only=True"):
                call()
        assert store.explain("A", "1m").tiers == ("memory",)
    assert lying_in(folder) == before
    with mdstore.open(place / "s.sqlite3") as store:  # as the hint says
        assert every_read(store, tmp_path / "copy.sqlite3") == first
        assert store.write("C", "1m", walk(3)).inserted == 3


def test_an_older_schema_version_says_what_to_do(folder):
    place = make(folder)
    with mdstore.open(place / "s.sqlite3") as store, store._candles._database.writing() as con:
        con.execute("DELETE FROM schema_version WHERE version > 3")
    before = lying_in(place)
    with pytest.raises(ReadOnlyError, match=r"has schema version 3.*The file was not changed.*without read_"):
        mdstore.open(place / "s.sqlite3", read_only=True)
    close_to_others(place)
    as_nobody(folder, 'assert "copy the file (cp)" in refused(lambda: mdstore.open("kept/s.sqlite3"))')
    assert lying_in(place) == before


def test_what_is_no_store_is_refused_untouched(folder):
    file = folder / "none.sqlite3"
    with pytest.raises(StoreFileError, match="there is no store at"):
        mdstore.open(file, read_only=True)
    file.write_bytes(b"")
    with pytest.raises(StoreFileError, match="there is no store at"):
        mdstore.open(file, read_only=True)
    file.write_bytes(b"something else" * 100)
    with pytest.raises(StoreFileError, match="is no SQLite database"):
        mdstore.open(file, read_only=True)
    assert [path.name for path in folder.iterdir()] == ["none.sqlite3"]


def test_a_copy_that_lacks_its_packs_is_read_from_memory_after_the_first_time(folder):
    place = make(folder, packs=False)
    with mdstore.open(place / "s.sqlite3", read_only=True) as store:
        assert store.explain("A", "1m").tiers == ("sqlite",)
        assert store.explain("A", "1m").tiers == ("memory",)
        assert store.explain(None, "1m").tiers[0] in ("sqlite", "memory")
        assert store.explain(None, "1m").tiers == ("memory",)
    with mdstore.open(place / "s.sqlite3", read_only=True, memory_bytes=10_000) as store:
        assert len(store.candles("A", "1m")) == 5_000  # more than fits into memory


def test_a_store_that_is_only_read_goes_on_in_a_forked_child_and_a_pickled_one(folder, python):
    file = make(folder) / "s.sqlite3"
    assert python(
        """
        import os, pickle, sys, mdstore
        with mdstore.open(sys.argv[1], read_only=True) as store:
            rows = store.arrow("A", "1m").num_rows
            if not (child := os.fork()):
                os._exit(store.arrow("A", "1m").num_rows != rows)
            assert os.waitpid(child, 0)[1] == 0
            with pickle.loads(pickle.dumps(store)) as again:
                assert again.read_only
                print(store.arrow("A", "1m").num_rows, again.arrow("A", "1m").num_rows)
        """,
        file,
    ) == "5000 5000"  # fmt: skip
