"""A symbol under another name: all of it, at once, or nothing."""

import time

import polars as pl
import pytest

import mdstore
from mdstore import DamagedDataError, InvalidInputError, NoSuchSeriesError
from tests.support.candles import MINUTE, START, bits, walk
from tests.support.processes import start

OLD, NEW = "BTC_KRW", "KRW-BTC"
HOUR = (START, START + 60 * MINUTE)


@pytest.fixture
def filled(store):
    """Two timeframes: packs, holes of reasons, revisions, a live tail, a calendar; and another symbol."""
    store.write(OLD, "1m", walk(3_000), source="upbit")
    store.write(OLD, "1m", walk(5, seed=3), source="fixed")
    for bar in range(3_000, 3_005):
        store.write(OLD, "1m", walk(1, start=START + bar * MINUTE), source="live")
    store.write(OLD, "1h", walk(40, step=60 * MINUTE, start=START + 60 * 60 * MINUTE))
    store.cover(OLD, "1h", start=START, end=START + 600 * MINUTE, reason="before_listing")
    store.cover(OLD, "5m", start=START, end=START + 600 * MINUTE, reason="no_trade")  # of nothing stored
    store.set_calendar(OLD, "24/7")
    store.write("B", "1m", walk(100, seed=2))
    return store


def known(store, symbol, before):
    """Return all that is known of a symbol, without its name."""

    def plain(frame):
        return frame.drop("symbol", strict=False).rows()

    return {
        "1m": bits(store.candles(symbol, "1m")), "1h": bits(store.candles(symbol, "1h")),
        "before": bits(store.candles(symbol, "1m", as_of=before)),
        "gaps": plain(store.gaps(symbol, "1h", start=START)),
        "said": plain(store.gaps(symbol, "1h", start=START, end=START + 3_000 * MINUTE)),
        "revisions": plain(store.revisions(symbol)), "provenance": plain(store.provenance(symbol)),
        "fingerprint": store.fingerprint(symbol, "1m"), "past": store.fingerprint(symbol, "1m", as_of=before),
        "missing": plain(store.missing(symbol, "5m", start=START, end=START + 700 * MINUTE)),
        "series": plain(store.series().filter(symbol=symbol).drop("revision", "bytes")),
    }  # fmt: skip


def test_all_that_is_known_goes_along(filled):
    before = time.time_ns() // 1_000_000
    time.sleep(0.005)
    filled.write(OLD, "1m", walk(3, seed=8), source="later")
    was, other = known(filled, OLD, before), bits(filled.candles("B", "1m"))
    assert filled.rename(OLD, NEW) == ["1h", "1m"]
    assert known(filled, NEW, before) == was
    assert bits(filled.candles("B", "1m")) == other
    assert filled.explain(NEW, "1m", start=START, end=START + MINUTE).tiers[0] in ("packs", "memory")
    assert filled.calendars().rows() == [(NEW, "24/7")]
    assert filled.maintenance.check() == []
    with pytest.raises(NoSuchSeriesError, match="no candles for BTC_KRW"):
        filled.candles(OLD, "1m")
    filled.write(NEW, "1m", walk(1, start=START + 3_005 * MINUTE))
    filled.write(OLD, "1m", walk(2))  # the old name is free
    assert filled.maintenance.check() == []
    assert OLD in filled.series()["symbol"]


def test_back_again_is_as_it_was(filled):
    at = time.time_ns() // 1_000_000
    was = known(filled, OLD, at)
    filled.rename(OLD, NEW)
    filled.rename(NEW, OLD)
    assert known(filled, OLD, at) == was
    assert filled.maintenance.check() == []


def test_a_series_that_was_deleted_leaves_its_name_free(filled):
    filled.write(NEW, "1m", walk(700, seed=9))
    with pytest.raises(
        InvalidInputError, match=r"something is stored under the name KRW-BTC already\. Nothing"
    ):
        filled.rename(OLD, NEW)
    assert len(filled.candles(OLD, "1m")) == 3_005
    filled.delete(NEW)  # as the hint says
    assert filled.rename(OLD, NEW) == ["1h", "1m"]
    assert len(filled.candles(NEW, "1m")) == 3_005
    assert filled.maintenance.check() == []


def test_what_is_said_of_the_new_name_is_not_overwritten(filled):
    filled.cover(NEW, "1d", start=START, end=START + 1440 * MINUTE, reason="no_trade")
    with pytest.raises(
        InvalidInputError, match=r"is known, of why there are no bars, under .*store.uncover\("
    ):
        filled.rename(OLD, NEW)
    filled.uncover(NEW, "1d")
    filled.rename(OLD, NEW)
    assert filled.maintenance.check() == []


@pytest.mark.parametrize(
    ("old", "new"), [("A", "A"), ("A", ""), ("", "A"), ("A", " x"), ("A", None), (5, "A")]
)
def test_what_is_no_name_is_refused(store, old, new):
    with pytest.raises(InvalidInputError):
        store.rename(old, new)


def test_a_name_of_nothing_is_refused_with_the_nearest(filled):
    with pytest.raises(NoSuchSeriesError, match="did you mean BTC_KRW"):
        filled.rename("BTC_KRV", NEW)


def test_damage_is_not_put_right_by_a_rename(filled):
    """The digests of the small tables are summed up anew: only of what was proven before."""
    with filled._candles._database.writing() as con, con.telling(None):
        con.execute("UPDATE coverage SET reason = 'exchange_down' WHERE symbol = ?", (OLD,))
    with pytest.raises(DamagedDataError, match="BTC_KRW 1h"):
        filled.rename(OLD, NEW)
    with filled._candles._database.writing() as con, con.telling(None):
        con.execute(
            "UPDATE coverage SET reason = 'before_listing' WHERE symbol = ? AND timeframe = '1h'", (OLD,)
        )
        con.execute("UPDATE coverage SET reason = 'no_trade' WHERE symbol = ? AND timeframe = '5m'", (OLD,))
        con.execute(
            "UPDATE candles SET close = close * 1.001 WHERE symbol = ? AND timestamp = ?", (OLD, START)
        )
    filled.rename(OLD, NEW)  # candles are moved, not summed up: what was damaged still is
    assert any("KRW-BTC 1m" in found for found in filled.maintenance.check())


def test_another_process_that_holds_it_in_memory_sees_the_new_name(filled, tmp_path):
    with mdstore.open(filled.path) as other:
        other.candles(OLD, "1m")
        other.candles(None, "1m")
        filled.rename(OLD, NEW)
        with pytest.raises(NoSuchSeriesError):
            other.candles(OLD, "1m")
        assert other.candles(None, "1m")["symbol"].unique().sort().to_list() == ["B", NEW]


def test_it_is_all_or_nothing_when_it_is_killed(filled, tmp_path):
    filled.close()
    child = start(
        """
        import os, signal, sys, mdstore
        from mdstore.candles.writes import rename
        rename._sum_up = lambda con, key: os.kill(os.getpid(), signal.SIGKILL)
        mdstore.open(sys.argv[1]).rename("BTC_KRW", "KRW-BTC")
        """,
        str(tmp_path / "market_data.sqlite3"), cwd=tmp_path,
    )  # fmt: skip
    assert child.wait() == -9
    child.stdout.close()
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        assert store.series().select(pl.col("symbol").cast(pl.String), "timeframe").rows() == [
            ("B", "1m"), (OLD, "1h"), (OLD, "1m"),
        ]  # fmt: skip
        assert store.maintenance.check() == []


def test_declared_columns_go_along_with_what_they_were(store):
    store.declare("value", resample="sum")
    first = walk(300).with_columns(pl.arange(0, 300).cast(pl.Float64).alias("value"))
    store.write(OLD, "1m", first)
    store.write(OLD, "1m", first.head(5).with_columns(pl.col("value") + 0.5))
    columns = ["timestamp", "close", "value"]
    was, changed = store.candles(OLD, "1m", columns=columns), len(store.revisions(OLD))
    hours = store.resample(OLD, "1h", source="1m", columns=["value"])
    store.rename(OLD, NEW)
    assert store.candles(NEW, "1m", columns=columns).equals(was)
    assert store.resample(NEW, "1h", source="1m", columns=["value"]).equals(hours)
    assert len(store.revisions(NEW)) == changed
    assert store.maintenance.check() == []
    with mdstore.open(store.path, read_only=True) as reader:
        assert reader.candles(NEW, "1m", columns=columns).equals(was)
        with pytest.raises(mdstore.ReadOnlyError):
            reader.declare("trades", resample="sum")


@pytest.mark.parametrize(
    ("symbols", "after"),
    [
        (OLD, [NEW]),
        ("BTC_*", ["BTC_*", NEW]),
        ([OLD, "B"], ["B", NEW]),
        (["*BTC*"], ["*BTC*"]),
        (None, []),
        ("B", ["B"]),
    ],
)
def test_what_is_declared_for_the_old_name_is_for_the_new_one(store, symbols, after):
    store.write(OLD, "1m", walk(3))
    store.declare("value", resample="sum", symbols=symbols, timeframes="5m")
    store.rename(OLD, NEW)
    assert store.declared()["symbols"].to_list() == [after]
    more = walk(1).with_columns(pl.lit(7.0).alias("value"))
    kept = store.write(NEW, "5m", more.head(1)).ignored == ()
    assert kept == (symbols != "B")
    assert store.maintenance.check() == []


def test_a_name_that_reads_as_a_pattern_is_declared_as_it_is(store):
    store.write(OLD, "1m", walk(3))
    store.declare("value", resample="sum", symbols=OLD)
    store.rename(OLD, "[B]*?")
    store.write("[B]*?", "1m", walk(3).with_columns(pl.lit(7.0).alias("value")))
    assert store.candles("[B]*?", "1m", columns=["value"])["value"].to_list() == [7.0] * 3
    assert "value" in store.write("Bx", "1m", walk(3).with_columns(pl.lit(7.0).alias("value"))).ignored
