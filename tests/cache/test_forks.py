"""Caches in forked children: no lock of the parent's threads stops them."""

import pytest

from tests.cache.caches import CACHES
from tests.support.paths import ROOT

SCRIPT = """
    import os, sys, threading
    import pyarrow as pa
    from mdstore.cache import Key
    from tests.cache.caches import CACHES

    cache = CACHES[sys.argv[1]]("cache", 500_000)
    tables = [pa.table({"x": [number] * 5_000}) for number in range(20)]
    key = lambda number: Key("sql", detail=number)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            for number, table in enumerate(tables):
                cache.put(key(number), table, ttl=100)
                cache.get(key(number // 2))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    ends = []
    for _ in range(20):
        child = os.fork()
        if not child:
            right = all(answer is None or answer.equals(tables[n]) for n in range(20)
                        for answer in [cache.get(key(n))])
            cache.put(key("mine"), tables[3], ttl=100)
            answer = cache.get(key("mine"))  # on disk the parent may have taken the room again
            stats = cache.stats()
            right &= answer is not None and answer.equals(tables[3]) or sys.argv[1] == "disk"
            right &= stats["hits"] + stats["misses"] == 21
            os._exit(not right)
        ends.append(os.waitpid(child, 0)[1])
    stop.set()
    for thread in threads:
        thread.join()
    stats = cache.stats()
    print(set(ends), stats["bytes"] <= stats["limit"])
"""


@pytest.mark.variants(2)
@pytest.mark.slow
@pytest.mark.parametrize("kind", CACHES)
def test_children_forked_at_any_moment_go_on(python, kind):
    assert python(SCRIPT, kind, env={"PYTHONPATH": str(ROOT)}) == "{0} True"


@pytest.mark.long
def test_children_forked_while_sizes_are_told_go_on(python):
    """Arrow's `nbytes` takes a lock: four of 1,500 children waited for ever."""
    assert (
        python(
            """
        import os, signal, threading
        import pyarrow as pa
        from mdstore.cache.frames import size_of

        tables = [pa.table({"x": [number] * 5_000}) for number in range(20)]
        stop = threading.Event()

        def work():
            while not stop.is_set():
                for table in tables:
                    size_of(table)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        ends = set()
        for _ in range(3_000):
            child = os.fork()
            if not child:
                signal.alarm(10)  # so that one that hangs ends by a signal
                size_of(tables[0])
                os._exit(0)
            ends.add(os.waitpid(child, 0)[1])
            if ends != {0}:
                break
        stop.set()
        print(ends)
        """
        )
        == "{0}"
    )


@pytest.mark.slow
def test_where_polars_would_hang_it_is_refused_and_arrow_goes_on(python):
    assert (
        python(
            """
        import os
        import polars as pl, pyarrow as pa
        import mdstore
        from mdstore.cache import DiskCache, Key, SessionTTL

        cache = DiskCache("cache", 1_000_000, {"sql": SessionTTL(10, 20, "XTKS")})
        frame = pl.DataFrame({"x": range(100_000)}).sort("x", descending=True)
        cache.put(Key("sql", detail="polars"), frame.head(10), ttl=100)
        table = pa.table({"x": [1]})
        child = os.fork()
        if not child:
            cache.put(Key("sql", detail="arrow"), table)
            right = cache.get(Key("sql", detail="arrow")).equals(table)
            for work in (lambda: cache.get(Key("sql", detail="polars")),
                         lambda: cache.put(Key("sql", detail="more"), frame)):
                try:
                    work()
                    right = False
                except mdstore.ForkedError:
                    pass
            os._exit(not right)
        print(os.waitpid(child, 0)[1])
        """
        )
        == "0"
    )
