"""Answers in files: damage, a disk that refuses, processes that share them, are killed, are forked."""

import errno
import fcntl
import os
import stat
import threading

import polars as pl
import pyarrow as pa
import pytest

import mdstore
from mdstore.cache import TTL, DiskCache, Key, disk, folder
from tests.cache.caches import MILLION, Clock
from tests.support.doses import FULL
from tests.support.processes import start

KEY = Key("sql", ("A",), "1m", 0, 100, "SELECT 1", 7)
FRAME = pl.DataFrame({"x": range(1_000), "text": ["a", "b"] * 500})
FOREVER = 1e6


@pytest.fixture
def at(tmp_path, time_of_day):
    def make(limit=MILLION, **options):
        return DiskCache(tmp_path / "cache", limit, **{**time_of_day.options, **options})

    return make


def files(tmp_path, suffix=".entry"):
    return sorted((tmp_path / "cache").glob(f"*{suffix}"))


# ---- between processes and runs


def test_another_one_on_the_folder_finds_it_and_hears_of_its_end(at, time_of_day):
    first, second = at(), at()
    first.put(KEY, FRAME, ttl=10)
    assert second.get(KEY).equals(FRAME)
    second.put(KEY, FRAME.head(5), ttl=10)
    assert first.get(KEY).equals(FRAME.head(5))
    assert second.invalidate("A") == 1
    assert first.get(KEY) is None
    first.put(KEY, FRAME, ttl=10)
    first.close()
    time_of_day.pass_(10)
    assert at().stats()["entries"] == 0  # swept as it is opened


def test_one_that_never_saw_a_file_knows_of_what_it_is(at):
    first = at()
    for number, symbols in enumerate([("A",), ("B",), None]):
        first.put(Key("sql", symbols, "1m", detail=number), FRAME, ttl=FOREVER)
    second = at()
    assert second.invalidate("C") == 1
    assert second.invalidate("A", "1h") == 0
    assert second.invalidate("A", "1m") == 1
    assert first.stats()["entries"] == 1


def test_files_of_others_are_left_alone(at, tmp_path):
    path = tmp_path / "cache"
    path.mkdir()
    others = ["notes.txt", "deadbeef.entry", "0" * 32 + ".entry.txt", "0" * 32 + ".parquet"]
    for name in others:
        (path / name).write_text("mine")
    (path / ("1" * 32 + ".entry")).mkdir()
    cache = at(limit=20_000)
    for number in range(10):
        cache.put(Key("sql", detail=number), FRAME, ttl=1)
    cache.clear()
    cache.invalidate()
    assert {name for name in others if (path / name).read_text() == "mine"} == set(others)


def test_others_cannot_read_it(at, tmp_path):
    at().put(KEY, FRAME, ttl=FOREVER)
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "cache").iterdir()} == {0o600}


def test_a_smaller_limit_than_last_time_is_kept_from_the_start(at):
    first = at()
    for number in range(20):
        first.put(Key("sql", detail=number), FRAME, ttl=FOREVER)
    assert first.stats()["entries"] == 20
    second = at(limit=100_000)
    stats = second.stats()
    assert 0 < stats["bytes"] <= 100_000
    assert stats["evicted"] == 20 - stats["entries"]


@pytest.mark.long
def test_two_processes_share_a_budget(tmp_path):
    """Each puts and gets 400 times, and looks at the bytes; both must see some of what the other has put."""
    script = """
        import random, sys, time
        from pathlib import Path
        import pyarrow as pa
        from mdstore.cache import DiskCache, Key
        me = int(sys.argv[2])
        cache = DiskCache(sys.argv[1], 400_000)
        random.seed(me)
        Path(f"here{me}").touch()
        while not Path(f"here{1 - me}").exists():
            time.sleep(0.001)
        table = lambda number, who: pa.table({"n": [number] * (number * 40), "who": [who] * (number * 40)})
        wrong, theirs = [], 0
        turns = 0
        while turns < 400 or (not theirs and turns < 100_000):  # the other may have been kept waiting
            turns += 1
            number = random.randint(1, 40)
            key = Key("sql", (f"S{number % 3}",), detail=number)
            if random.random() < 0.4:
                cache.put(key, table(number, me), ttl=1000)
            elif random.random() < 0.02:
                cache.invalidate(f"S{number % 3}")
            else:
                answer = cache.get(key)
                if answer is not None:
                    theirs += answer["who"][0].as_py() != me
                    if not any(answer.equals(table(number, who)) for who in (0, 1)):
                        wrong.append(number)
            if cache.stats()["bytes"] > 400_000:
                wrong.append("bytes")
        print(wrong, theirs > 0, cache.stats()["failed"])
    """
    both = [start(script, str(tmp_path / "cache"), str(number), cwd=tmp_path) for number in range(2)]
    try:
        said = [process.communicate(timeout=90)[0].strip().rsplit(" ", 2) for process in both]
    finally:
        for process in both:
            process.kill()
    for wrong, theirs, failed in said:
        assert (wrong, theirs) == ("[]", "True")
        assert int(failed) < 20  # puts that waited in vain for the lock, on a busy machine


# ---- damage


def test_any_bit_that_flips_is_noticed_and_the_file_removed(at, tmp_path):
    cache = at()
    cache.put(KEY, FRAME.head(20), ttl=FOREVER)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert cache.get(KEY) is None
        assert not path.exists()
    assert cache.stats()["failed"] == len(range(0, len(whole), 7))


@pytest.mark.parametrize("keep", [0, 1, 15, 16, 32, 35, 36, 100, -1])
def test_a_file_that_was_cut_off_is_a_miss_and_goes(at, tmp_path, keep):
    cache = at()
    cache.put(KEY, FRAME, ttl=FOREVER)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    assert at().invalidate("Z") == (keep != -1)  # of what nobody can read nobody knows what it is of
    path.write_bytes(b"")
    assert cache.get(KEY) is None
    assert not path.exists()


def test_a_pipe_in_the_place_of_a_file_is_a_miss_and_not_waited_for(at, tmp_path):
    cache = at()
    cache.put(KEY, FRAME, ttl=FOREVER)
    (path,) = files(tmp_path)
    path.unlink()
    os.mkfifo(path)
    assert at().get(KEY) is None
    os.mkfifo(path)
    at().invalidate("A")  # which reads the head
    assert files(tmp_path) == []


def test_a_file_of_another_version_is_a_miss(at, tmp_path):
    cache = at()
    cache.put(KEY, FRAME, ttl=FOREVER)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"mdstore cache 1", b"mdstore cache 2"))
    assert cache.get(KEY) is None


def test_a_file_under_the_name_of_another_query_is_not_its_answer(at, tmp_path):
    cache = at()
    cache.put(KEY, FRAME, ttl=FOREVER)
    (path,) = files(tmp_path)
    other = Key("sql", detail="SELECT 2")
    cache.put(other, FRAME.head(1), ttl=FOREVER)
    (second,) = set(files(tmp_path)) - {path}
    second.write_bytes(path.read_bytes())
    assert cache.get(other) is None


@pytest.mark.parametrize("books", [b"", b"nonsense", b"-5", b"\xff" * 40])
def test_books_that_say_nothing_are_made_again(at, tmp_path, books):
    cache = at(limit=100_000)
    for number in range(5):
        cache.put(Key("sql", detail=number), FRAME, ttl=FOREVER)
    (tmp_path / "cache" / folder.BOOKS).write_bytes(books)
    for number in range(5, 20):
        cache.put(Key("sql", detail=number), FRAME, ttl=FOREVER)
        assert cache.stats()["bytes"] <= 100_000


def test_a_folder_that_is_deleted_meanwhile_is_made_again(at, tmp_path):
    cache = at()
    cache.put(KEY, FRAME, ttl=FOREVER)
    for path in (tmp_path / "cache").iterdir():
        path.unlink()
    (tmp_path / "cache").rmdir()
    assert cache.get(KEY) is None
    assert cache.stats()["entries"] == 0
    cache.put(KEY, FRAME, ttl=FOREVER)
    assert cache.get(KEY).equals(FRAME)


# ---- a disk that refuses


class Refusing:
    """The module `os`, of which call number `at` fails, and all after it; without `at` it only counts."""

    def __init__(self, at=None, error=errno.ENOSPC, *, lasting=True):
        self.at, self.error, self.lasting, self.done = at, error, lasting, 0

    def __getattr__(self, name):
        real = getattr(os, name)
        if name in {"stat_result", "path"} or not callable(real):
            return real

        def call(*args, **options):
            number, self.done = self.done, self.done + 1
            if self.at is not None and (number == self.at or (self.lasting and number > self.at)):
                raise OSError(self.error, os.strerror(self.error))
            return real(*args, **options)

        return call


def histories(cache):
    """Put, put another in its place, ask for both; yield what came, beside what it may be."""
    first, second = FRAME, FRAME.head(10)
    cache.put(KEY, first, ttl=FOREVER)
    yield cache.get(KEY), first
    cache.put(KEY, second, ttl=FOREVER)
    yield cache.get(KEY), second
    for number in range(8):
        cache.put(Key("sql", detail=number), first, ttl=FOREVER)
    yield cache.get(Key("sql", detail=7)), first
    cache.invalidate("A")
    yield cache.get(KEY), None
    cache.clear()
    yield cache.get(Key("sql", detail=7)), None


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", [errno.ENOSPC, *(pytest.param(one, marks=pytest.mark.long) for one in (errno.EACCES, errno.EIO))]
)
@pytest.mark.parametrize("lasting", [True, False])
def test_whatever_call_the_disk_refuses_it_is_a_miss(tmp_path, monkeypatch, error, lasting):
    counting = Refusing()
    monkeypatch.setattr(folder, "os", counting)
    for _ in histories(DiskCache(tmp_path / "counting", 100_000)):
        pass
    failed = 0
    for number in range(counting.done):
        monkeypatch.setattr(folder, "os", Refusing(number, error, lasting=lasting))
        cache = DiskCache(tmp_path / f"{number}", 100_000)
        for answer, expected in histories(cache):
            assert answer is None or (expected is not None and answer.equals(expected)), number
        monkeypatch.setattr(folder, "os", os)
        stats = cache.stats()
        assert stats["bytes"] <= 100_000
        cache.put(KEY, FRAME, ttl=FOREVER)
        assert cache.get(KEY).equals(FRAME)
        failed += stats["failed"] > 0
    assert failed > counting.done / 2  # in the others what failed was how to note a use, or how to tidy up


def test_a_folder_that_cannot_be_made_keeps_nothing(tmp_path):
    (tmp_path / "file").write_text("a file")
    cache = DiskCache(tmp_path / "file" / "cache", MILLION)
    cache.put(KEY, FRAME)
    assert cache.get(KEY) is None
    assert cache.invalidate() == 0
    stats = cache.stats()
    assert stats["failed"] >= 2
    assert (stats["entries"], stats["misses"]) == (0, 1)
    assert (tmp_path / "file").read_text() == "a file"


@pytest.mark.parametrize("path", [None, 5, "a\0b", b"bytes"])
def test_what_is_no_folder_is_refused(path):
    with pytest.raises(mdstore.InvalidInputError, match="folder="):
        DiskCache(path, MILLION)


@pytest.mark.parametrize("refuses", ["remove", "names"])
def test_what_cannot_be_removed_is_not_served(at, monkeypatch, refuses):
    """Not even where there are more of them than anybody remembers."""
    monkeypatch.setattr(disk, "REMEMBERED", 3)
    cache = at()
    keys = [Key("sql", detail=number) for number in range(6)]
    for key in keys:
        cache.put(key, FRAME, ttl=FOREVER)

    def refused(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(cache._folder, refuses, refused)
        cache.clear()
        assert [cache.get(key) for key in keys] == [None] * 6
    assert [cache.get(key) for key in keys] == [None] * 6
    cache.put(KEY, FRAME, ttl=FOREVER)
    assert cache.get(KEY).equals(FRAME)
    assert cache.stats()["entries"] == 1


def test_who_holds_the_lock_for_ever_stops_no_other(at, tmp_path):
    """As a process does that was stopped in the middle of a put."""
    cache = at()
    cache.put(KEY, FRAME, ttl=FOREVER)
    with open(tmp_path / "cache" / folder.BOOKS, "rb") as books:
        fcntl.flock(books, fcntl.LOCK_EX)
        assert at().get(KEY).equals(FRAME)
        cache.put(KEY, FRAME.head(5), ttl=FOREVER)
        assert cache.get(KEY) is None  # not what was there before
        assert cache.stats()["failed"] == 1
    cache.put(KEY, FRAME.head(5), ttl=FOREVER)
    assert cache.get(KEY).equals(FRAME.head(5))


# ---- processes that end, or have children


@pytest.mark.slow
def test_killed_at_any_call_it_leaves_only_what_is_right(python, tmp_path):
    """A child is killed at its first call of the system, its second, ...; then another goes on."""
    assert (
        python(
            """
        import os, signal, sys
        from pathlib import Path
        import pyarrow as pa
        from mdstore.cache import DiskCache, Key, folder

        LIMIT = 60_000
        tables = [pa.table({"x": [number] * 1_000}) for number in range(10)]
        key = lambda number: Key("sql", detail=number)

        class Deadly:
            def __init__(self, at):
                self.left = at
            def __getattr__(self, name):
                real = getattr(os, name)
                if not callable(real) or name == "stat_result":
                    return real
                def call(*args, **options):
                    self.left -= 1
                    if self.left < 0:
                        if name == "write":  # in the middle
                            real(args[0], args[1][: len(args[1]) // 2])
                        os.kill(os.getpid(), signal.SIGKILL)
                    return real(*args, **options)
                return call

        def history(cache):
            for number in range(8):
                cache.put(key(number % 6), tables[number % 6], ttl=1000)
                cache.get(key(number // 2))
            cache.put(key(3), tables[3], ttl=1000)

        died, at, step = 0, 0, int(sys.argv[2])
        while died * step == at:
            path = Path(sys.argv[1]) / str(at)
            survivor = DiskCache(path, LIMIT)
            child = os.fork()
            if not child:
                folder.os = Deadly(at)
                history(DiskCache(path, LIMIT))
                os._exit(0)
            died += os.waitpid(child, 0)[1] == signal.SIGKILL
            at += step
            for number in range(6):  # who was there before knows the bytes by the books only
                assert survivor.stats()["bytes"] <= LIMIT, at
                survivor.put(key(number + 10), tables[number], ttl=1000)
                assert survivor.stats()["failed"] == 0, at
            cache = DiskCache(path, LIMIT)
            assert not list(path.glob("*.partial")), at
            for number in range(6):
                answer = cache.get(key(number))
                assert answer is None or answer.equals(tables[number]), at
            assert cache.stats()["failed"] == 0, at
            history(cache)
            assert cache.get(key(3)).equals(tables[3]), at
            assert cache.stats()["bytes"] <= LIMIT, at
        print(died * step > 50)
        """,
            tmp_path / "cache",
            1 if FULL else 4,
        )
        == "True"
    )


def test_threads_and_their_timer_bound_what_a_clock_that_is_set_back_would_keep(at, time_of_day):
    """In a process that did not put it, too: from when it saw the file first."""
    at().put(KEY, FRAME, ttl=100)
    second = at()
    assert second.get(KEY) is not None
    time_of_day.pass_(60)
    time_of_day.set(-59)
    time_of_day.pass_(41)
    assert second.get(KEY) is None


def test_a_clock_set_back_behind_the_making_ends_an_answer(at, time_of_day):
    at().put(KEY, FRAME, ttl=100)
    time_of_day.set(-1)
    assert at().get(KEY) is None


def test_ends_are_seen_without_opening_a_file(at, tmp_path):
    """By the time of modification; one that is never too old says 0."""
    cache = at(policies={"sql": TTL(100)})
    cache.put(KEY, FRAME)
    (path,) = files(tmp_path)
    assert path.stat().st_mtime == Clock().now + 100
    cache.put(KEY, FRAME, ttl=float("inf"))
    assert path.stat().st_mtime == 0


def test_threads_write_and_clear_one_folder_from_two_caches(at):
    caches, wrong = [at(limit=200_000), at(limit=200_000)], []
    tables = [pa.table({"x": [number] * 500}) for number in range(10)]

    def work(cache, seed):
        for turn in range(80):
            number = (turn * seed) % 10
            key = Key("sql", (f"S{number}",), detail=number)
            cache.put(key, tables[number], ttl=FOREVER)
            answer = cache.get(key)
            if answer is not None and not answer.equals(tables[number]):
                wrong.append(number)
            if turn % 20 == 19:
                cache.clear()

    threads = [threading.Thread(target=work, args=(cache, seed)) for cache in caches for seed in (1, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert caches[0].stats()["bytes"] <= 200_000
