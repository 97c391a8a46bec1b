"""What every cache does: the suite that runs over all of them."""

import threading
from contextlib import suppress

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import mdstore
from mdstore.cache import LRU, TTL, Key, NextBar
from tests.cache.caches import MILLION

# Large enough to be compressed where there is compression; a frame of rounded prices, as they are.
ROWS = 3_000


def frame(seed=0, rows=ROWS):
    prices = np.random.default_rng(seed).normal(150, 1, rows).round(1)
    return pl.DataFrame({"timestamp": range(rows), "close": prices, "high": prices + 1, "symbol": "KRW-BTC"})


KEY = Key("sql", ("KRW-BTC",), "1m", detail="SELECT 1", revision=(1,))


def test_it_fits_the_protocol(cache):
    assert isinstance(cache, mdstore.DataCache)


def test_what_was_put_comes_back_in_its_own_form(cache):
    assert cache.get(KEY) is None
    cache.put(KEY, frame())
    assert cache.get(KEY).equals(frame())
    cache.put(KEY, frame(1).to_arrow())
    assert isinstance(cache.get(KEY), pa.Table)
    assert cache.get(KEY).equals(frame(1).to_arrow())
    stats = cache.stats()
    assert (stats["hits"], stats["misses"], stats["hit_rate"], stats["entries"]) == (3, 1, 0.75, 1)
    assert 0 < stats["bytes"] <= stats["limit"] == 4 * MILLION


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(["a", "b", None], dtype=pl.Enum(["a", "b"])),
        pl.Series(["a", "b", None], dtype=pl.Categorical),
        pl.Series([[1], [], None]),
        pl.Series([[1, 2], [3, 4], None], dtype=pl.Array(pl.Int8, 2)),
        pl.Series([{"a": 1}, {"a": 2}, None]),
        pl.Series([0, 1, None]).cast(pl.Datetime("ms", "Asia/Seoul")),
        pl.Series([0, 1, None]).cast(pl.Time),
        pl.Series([0, 1, None]).cast(pl.Duration("us")),
        pl.Series(["1.5", "2.5", None]).cast(pl.Decimal(10, 2)),
        pl.Series([b"\x00", b"", None]),
        pl.Series([None, None, None]),
        pl.Series([0.0, -0.0, float("nan")]),
        pl.Series([True, False, None]),
        pl.Series(["a text that is longer than twelve", "", None]),
        pl.Series([1, 2, 3], dtype=pl.UInt8),
    ],
    ids=lambda column: str(column.dtype),
)
def test_every_type_comes_back_as_it_was(cache, column):
    value = pl.DataFrame({"x": column})
    cache.put(KEY, value)
    answer = cache.get(KEY)
    assert answer.schema == value.schema
    assert answer.equals(value)


@pytest.mark.parametrize(
    "value", [frame(0, 0), pl.DataFrame(), pa.table({}), pl.concat([frame(), frame(1)], rechunk=False)]
)
def test_empty_and_pieced_tables_come_back(cache, value):
    cache.put(KEY, value)
    assert cache.get(KEY).equals(value)


@pytest.mark.parametrize(
    "column",
    [pl.Series([object()], dtype=pl.Object), pl.Series([1], dtype=pl.Int128)],
    ids=["objects", "128 bits"],
)
def test_what_has_no_arrow_form_is_not_kept_and_counted(cache, column):
    cache.put(KEY, frame())
    cache.put(KEY, pl.DataFrame({"x": column}))
    assert cache.get(KEY) is None
    assert cache.stats()["failed"] == 1


def test_the_end_of_a_large_frame_does_not_keep_all_of_it(made):
    cache = made(400_000)
    cache.put(KEY, frame(rows=500_000).tail(100))
    assert cache.get(KEY).height == 100


# ---- whose tables they are


@pytest.mark.parametrize("source", ["numpy", "polars over numpy", "frame"])
def test_whoever_put_it_cannot_change_it_any_more(cache, source):
    numbers = np.arange(20_000.0)
    value = {
        "numpy": lambda: pa.table({"x": numbers}),
        "polars over numpy": lambda: pl.DataFrame({"x": numbers}),
        "frame": lambda: pl.DataFrame({"x": range(20_000)}).cast(pl.Float64),
    }[source]()
    cache.put(KEY, value)
    numbers[0] = 99.0
    if isinstance(value, pl.DataFrame):
        value[0, "x"] = 99.0
    assert cache.get(KEY)["x"][0] == (0.0 if isinstance(value, pl.DataFrame) else pa.scalar(0.0))


CHANGES = {
    "cell": lambda frame: frame.__setitem__((0, "close"), 9.0),
    "columns": lambda frame: setattr(frame, "columns", list("abcd")),
    "insert": lambda frame: frame.insert_column(0, pl.Series("z", [1] * ROWS)),
    "replace": lambda frame: frame.replace_column(1, pl.Series("close", [1.0] * ROWS)),
    "drop": lambda frame: frame.drop_in_place("close"),
    "extend": lambda frame: frame.extend(frame.clone()),
    "append": lambda frame: frame.get_column("close").append(frame.get_column("close").clone()),
    "scatter": lambda frame: frame.get_column("close").scatter(0, 9.0),
    "numpy": lambda frame: frame["close"].to_numpy().__setitem__(0, 9.0),
    "numpy, by force": lambda frame: frame["close"].to_numpy().setflags(write=True),
    "buffer": lambda frame: np.frombuffer(frame["close"].to_arrow().buffers()[1]).__setitem__(0, 9.0),
    "dlpack": lambda frame: np.from_dlpack(frame["close"].to_arrow()).__setitem__(0, 9.0),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("times", [1, 2])
def test_what_is_done_to_an_answer_others_do_not_see(cache, change, times):
    cache.put(KEY, frame())
    for _ in range(times):
        with suppress(ValueError, TypeError):  # refused is as good
            CHANGES[change](cache.get(KEY))
        assert cache.get(KEY).equals(frame())


@pytest.mark.parametrize("times", [1, 3])
def test_no_buffer_of_an_arrow_table_can_be_written_to(made, times):
    cache = made(2 * MILLION)
    tables = [frame(number).to_arrow() for number in range(4)]
    for number, table in enumerate(tables):
        cache.put(Key("sql", detail=number), table, ttl=1000)
    for number in [*range(4)] * times:
        answer = cache.get(Key("sql", detail=number))
        for column in answer.columns if answer is not None else []:
            for buffer in filter(None, column.chunk(0).buffers()):
                with suppress(ValueError):
                    np.frombuffer(buffer, np.uint8)[:] = 9
        again = cache.get(Key("sql", detail=number))
        assert again is None or again.equals(tables[number])


# ---- keys


def test_another_version_of_a_query_is_another_answer_and_takes_the_place(cache):
    newer = Key("sql", ("KRW-BTC",), "1m", detail="SELECT 1", revision=(2,))
    cache.put(KEY, frame())
    assert cache.get(newer) is None
    assert cache.get(KEY).equals(frame())
    cache.put(newer, frame(1))
    assert cache.get(KEY) is None
    assert cache.get(newer).equals(frame(1))
    assert cache.stats()["entries"] == 1


DIFFERENT = [
    1,
    True,
    1.0,
    "1",
    b"1",
    (1,),
    ((1,),),
    None,
    0.0,
    -0.0,
    "None",
    (),
    ("1", "2"),
    ("1, 2",),
    "(1)",
]


def test_equal_in_python_is_not_the_same_query(cache):
    for number, detail in enumerate(DIFFERENT):
        cache.put(Key("sql", detail=detail), frame(number, 5))
    for number, detail in enumerate(DIFFERENT):
        assert cache.get(Key("sql", detail=detail)).equals(frame(number, 5)), detail


@pytest.mark.parametrize(
    "arguments",
    [
        {"symbols": "KRW-BTC"},
        {"symbols": ["KRW-BTC"]},
        {"timeframe": "soon"},
        {"detail": [1]},
        {"detail": (1, {"a": 1})},
        {"detail": object()},
        {"revision": np.int64(1)},
        {"start": "2025-09-01"},
        {"end": 1.5},
        {"start": True},
    ],
)
def test_a_key_that_says_nothing_sure_is_refused(arguments):
    with pytest.raises(mdstore.InvalidInputError):
        Key("sql", **arguments)


@pytest.mark.parametrize("value", [None, [1], {"a": [1]}, pl.LazyFrame(), pl.Series([1])])
def test_what_is_no_table_is_refused(cache, value):
    with pytest.raises(mdstore.InvalidInputError, match="Polars and Arrow tables"):
        cache.put(KEY, value)


@pytest.mark.parametrize("ttl", [-1, float("nan"), True, "1"])
def test_a_ttl_that_is_none_is_refused(cache, ttl):
    with pytest.raises(mdstore.InvalidInputError, match="ttl="):
        cache.put(KEY, frame(), ttl=ttl)


@pytest.mark.parametrize("limit", [-1, 1.5, True, None, "1"])
def test_a_limit_that_is_none_is_refused(made, limit):
    with pytest.raises(mdstore.InvalidInputError, match="max_bytes="):
        made(limit)


# ---- age


def test_after_its_ttl_it_is_gone(cache, time_of_day):
    cache.put(KEY, frame(), ttl=10)
    time_of_day.pass_(9.9)
    assert cache.get(KEY).equals(frame())
    time_of_day.pass_(0.2)
    assert cache.get(KEY) is None
    stats = cache.stats()
    assert (stats["entries"], stats["expired"], stats["evicted"]) == (0, 1, 0)


def test_a_ttl_of_nothing_forgets_and_one_without_end_keeps(made, time_of_day):
    cache = made(policies={"sql": TTL(10)})
    cache.put(KEY, frame())
    cache.put(KEY, frame(1), ttl=0)
    assert cache.get(KEY) is None
    for endless in (1e300, 1e12, float("inf")):
        cache.put(KEY, frame(), ttl=endless)
        time_of_day.pass_(10**9)
        assert cache.get(KEY).equals(frame())


def test_a_clock_that_is_set_back_makes_nothing_immortal(cache, time_of_day):
    cache.put(KEY, frame(), ttl=10)
    time_of_day.pass_(2)
    assert cache.get(KEY) is not None
    time_of_day.set(-1)
    time_of_day.pass_(8.5)
    assert cache.get(KEY) is None  # by the timer: on the clock there is half a second left
    cache.put(KEY, frame(), ttl=10)
    time_of_day.set(-3600)
    time_of_day.pass_(10)
    assert cache.get(KEY) is None


def test_a_clock_that_is_set_forward_ends_what_ends_by_it(made, time_of_day):
    cache = made(policies={"candles": NextBar()})
    bars = Key("candles", ("KRW-BTC",), "1h")
    cache.put(bars, frame())
    time_of_day.set(3600)
    assert cache.get(bars) is None


def test_the_policy_of_the_kind_says_how_long(made, time_of_day):
    cache = made(policies={"sql": TTL(5), "screen": LRU()})
    screen = Key("screen", ("KRW-BTC",))
    cache.put(KEY, frame())
    cache.put(screen, frame())
    time_of_day.pass_(5)
    assert cache.get(KEY) is None
    assert cache.get(screen) is not None


def test_an_answer_without_rows_is_kept_briefly(cache, time_of_day):
    cache.put(KEY, frame(rows=0))
    time_of_day.pass_(4.9)
    assert cache.get(KEY).height == 0
    time_of_day.pass_(0.2)
    assert cache.get(KEY) is None


def test_what_is_too_old_leaves_by_itself_a_few_in_each_call(cache, time_of_day):
    for number in range(40):
        cache.put(Key("sql", detail=number), frame(number, 10), ttl=10)
    before = cache.stats()["entries"]
    time_of_day.pass_(11)
    cache.put(KEY, frame(), ttl=100)
    assert before - 16 <= cache.stats()["entries"] <= before
    for _ in range(80):
        cache.put(KEY, frame(), ttl=100)
    assert cache.stats()["entries"] == cache.stats()["expired"] - 39 == 1


# ---- bytes


def test_the_least_recently_used_leaves_first(made, time_of_day):
    cache = made(4 * MILLION)
    keys = [Key("sql", detail=number) for number in range(300)]
    for number, key in enumerate(keys):
        cache.put(key, frame(number), ttl=1e6)
        time_of_day.pass_(1)
        assert cache.get(keys[0]) is not None
        assert cache.get(key) is not None
        time_of_day.pass_(1)
        assert cache.stats()["bytes"] <= cache.stats()["limit"]
    held = [cache.get(key) is not None for key in keys]
    assert held[0]
    assert held[-1]
    assert not any(held[1:100])
    assert cache.stats()["evicted"] == held.count(False)


def test_one_that_is_larger_than_all_is_not_kept_nor_what_it_was_before(made):
    cache = made(100_000)
    cache.put(KEY, frame(rows=100))
    cache.put(KEY, frame(rows=100_000))
    assert cache.get(KEY) is None
    assert cache.stats()["bytes"] == 0


def test_no_bytes_keep_nothing(made):
    cache = made(0)
    cache.put(KEY, frame())
    assert cache.get(KEY) is None
    assert (cache.stats()["entries"], cache.stats()["bytes"]) == (0, 0)


def test_empty_answers_take_room_too(made):
    cache = made(100_000, policies={"empty": TTL(100)})
    for number in range(200):
        cache.put(Key("sql", detail=number), pl.DataFrame())
    assert cache.stats()["entries"] < 100


# ---- forgetting


def test_forgetting_by_series_and_range(cache):
    keys = [
        Key("candles", ("A",), "1m", 0, 100),
        Key("candles", ("A", "B"), "1m", 100, 200),
        Key("candles", ("B",), "1h", None, 50),
        Key("sql", None, None, detail="all"),
        Key("candles", ("C",), "1m", 150, None),
    ]

    def forgotten(*args, **options):
        cache.clear()
        for key in keys:
            cache.put(key, frame(rows=5), ttl=1000)
        count = cache.invalidate(*args, **options)
        gone = [number for number, key in enumerate(keys) if cache.get(key) is None]
        assert count == len(gone)
        return gone

    assert forgotten() == [0, 1, 2, 3, 4]
    assert forgotten("A") == [0, 1, 3]
    assert forgotten("D") == [3]
    assert forgotten("B", "1m") == [1, 3]
    assert forgotten(timeframe="1h") == [2, 3]
    assert forgotten(timeframe="60m") == [2, 3]
    assert forgotten("A", "1m", 100, 150) == [1, 3]
    assert forgotten(start=100) == [1, 3, 4]
    assert forgotten(end=100) == [0, 2, 3]
    assert forgotten(start=50, end=60) == [0, 3]


def test_after_clear_all_is_gone_and_the_books_go_on(cache):
    cache.put(KEY, frame())
    assert cache.get(KEY) is not None
    cache.clear()
    assert cache.get(KEY) is None
    stats = cache.stats()
    assert (stats["entries"], stats["bytes"], stats["hits"], stats["misses"]) == (0, 0, 1, 1)


def test_a_closed_cache_keeps_and_finds_nothing(cache):
    cache.put(KEY, frame())
    cache.close()
    cache.close()
    assert cache.get(KEY) is None
    cache.put(KEY, frame())
    assert cache.get(KEY) is None
    assert cache.stats()["misses"] == 2


# ---- threads


def test_threads_get_what_was_put_and_the_books_balance(made):
    cache = made(MILLION)
    frames = [frame(number, 500 + 2_000 * (number % 2)) for number in range(20)]
    wrong, gets = [], []

    def work(seed):
        random = np.random.default_rng(seed)
        for _ in range(150):
            number = int(random.integers(20))
            key = Key("candles", (f"S{number % 5}",), "1m", detail=number)
            if random.random() < 0.4:
                cache.put(key, frames[number], ttl=100)
            elif random.random() < 0.05:
                cache.invalidate(f"S{number % 5}")
            else:
                answer = cache.get(key)
                gets.append(1)
                if answer is not None and not answer.equals(frames[number]):
                    wrong.append(number)
            if cache.stats()["bytes"] > MILLION:
                wrong.append("bytes")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = cache.stats()
    assert wrong == []
    assert stats["hits"] + stats["misses"] == len(gets)
    assert stats["hits"] > 0
    assert stats["failed"] == 0
