"""Point in time: every past state of a series comes back, and what is unchanged costs nothing.

The model keeps, of each bar, every version that was written and when. `pytest -m long` runs many histories.
"""

import tempfile
from itertools import pairwise
from pathlib import Path

import apsw
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mdstore
from mdstore.candles.file.migrations import MIGRATIONS, migrate
from mdstore.candles.ledger import arrivals as ledger_arrivals
from mdstore.candles.reads import as_of
from mdstore.core.timeframe import Timeframe
from tests.support.candles import MINUTE, START, walk
from tests.support.doses import FULL, dose

DAY = 86_400_000
BARS = 24


class Clock:
    """A clock that stands until it is moved; in milliseconds."""

    def __init__(self, ms=START + 40 * MINUTE):
        self.ms = ms

    def __call__(self):
        return self.ms / 1000


class Model:
    """What a series was at each revision: versions of each bar, and whether it was forming then."""

    def __init__(self):
        self.versions = {}

    def write(self, rows, revision, now):
        for time, value in rows.items():
            held = self.versions.setdefault(time, [])
            forming = time + MINUTE > now
            if held and held[-1][1] == value:
                held[-1] = (*held[-1][:2], held[-1][2] and forming)
                continue
            if held and held[-1][2]:
                held.pop()  # of a bar that was forming nothing is kept
            held.append((revision, value, forming))

    def delete(self, start, end):
        for time in [time for time in self.versions if start <= time < end]:
            del self.versions[time]

    def at(self, moment):
        found = {}
        for time, versions in self.versions.items():
            known = [value for revision, value, _ in versions if revision <= moment]
            if known:
                found[time] = known[-1]
        return dict(sorted(found.items()))


def candles(rows):
    return [(time, value, value + 1, value - 1, value, 1.0) for time, value in rows.items()]


def state(frame):
    return dict(zip(frame["timestamp"].dt.epoch("ms"), frame["close"], strict=True))


bar_times = st.integers(0, BARS - 1).map(lambda number: START + number * MINUTE)
batches = st.dictionaries(bar_times, st.sampled_from([10.0, 20.0, 30.0]), min_size=1, max_size=12)
steps = st.one_of(
    st.tuples(st.just("write"), batches),
    st.tuples(st.just("write"), bar_times.map(lambda time: {time: 10.0})),
    st.tuples(st.just("run"), st.tuples(st.integers(0, BARS - 8), st.sampled_from([10.0, 20.0]))),
    st.tuples(st.just("tick"), st.integers(1, 3 * MINUTE)),
    st.tuples(st.just("delete"), st.tuples(bar_times, st.integers(1, 6 * MINUTE))),
)


def play(store, clock, history_of_steps):
    """Do what the steps say to a store and to a model; return the model and the moments between."""
    model, moments = Model(), []
    for kind, what in history_of_steps:
        if kind == "tick":
            clock.ms += what
        elif kind == "delete" and model.versions:
            store.delete("X", "1m", start=what[0], end=what[0] + what[1])
            model.delete(what[0], what[0] + what[1])
        elif kind in ("write", "run"):
            rows = what if kind == "write" else {START + (what[0] + i) * MINUTE: what[1] for i in range(8)}
            rows = {time: value for time, value in sorted(rows.items()) if time <= clock.ms + 3_600_000}
            before = revision(store)
            store.write("X", "1m", candles(rows), unit="ms")
            model.write(rows, revision(store), clock.ms)
            moments += [before, revision(store)]
    return model, moments


def revision(store):
    listed = store.series()
    return 0 if listed.is_empty() else listed["revision"][0]


def check_history(given):
    clock = Clock(START + 10 * MINUTE)
    with (
        tempfile.TemporaryDirectory() as folder,
        mdstore.MarketDataStore(Path(folder) / "s.sqlite3", clock=clock) as store,
    ):
        model, moments = play(store, clock, given)
        now = clock.ms = max([*moments, clock.ms]) + 1
        if not model.versions:
            return
        plain = state(store.candles("X", "1m"))
        assert plain == model.at(now)
        assert state(store.candles("X", "1m", as_of=now)) == plain
        for moment in {edge for one in moments for edge in (one - 1, one) if edge > 0}:
            past = model.at(moment)
            found = store.candles("X", "1m", as_of=moment)
            assert state(found) == past, moment
            assert found["timestamp"].is_sorted()
            low, high = START + 3 * MINUTE, START + 12 * MINUTE
            part = store.candles(
                "X", "1m", as_of=moment, start=low, end=high, limit=3, columns=["timestamp", "close"]
            )
            inside = {time: value for time, value in past.items() if low <= time < high}
            assert state(part) == dict(list(inside.items())[-3:])
        check_revisions(store, model)
        check_arrivals(store)
        assert store.maintenance.check() == []


def check_revisions(store, model):
    """The revisions are the versions that were replaced, and lead to one another."""
    expected = [
        (time, value, new) for time, versions in sorted(model.versions.items())
        for (_, value, _), (_, new, _) in pairwise(versions)
    ]  # fmt: skip
    listed = store.revisions("X", "1m")
    assert (
        list(zip(listed["timestamp"].dt.epoch("ms"), listed["close"], listed["new_close"], strict=True))
        == expected
    )


def check_arrivals(store):
    """Every bar lies in exactly one arrival."""
    times = list(state(store.candles("X", "1m")))
    ranges = store._candles.ledger.provenance("X", "1m")
    for time in times:
        assert sum(one.start <= time < one.end for one in ranges) == 1
    for one, other in pairwise(ranges):
        assert one.end <= other.start


@settings(max_examples=dose(60), suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=1, max_size=14))
def test_every_past_state_comes_back(given):
    check_history(given)


@pytest.mark.long
@settings(max_examples=3_000, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=1, max_size=40))
def test_every_past_state_comes_back_of_many_histories(given):
    check_history(given)


def arrivals(store):
    with store._candles._database.reading() as con:
        return con.execute(
            f'SELECT start, "end", arrived, length(lags) FROM {ledger_arrivals.ARRIVALS} ORDER BY start'
        ).fetchall()


@pytest.fixture
def clock():
    return Clock()


NAMES = ["1m", "1s", "1d", "1h", "1w", "7m", "3M", "1M"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES if FULL else NAMES[::2])
def test_bars_that_come_one_by_one_share_a_row_and_are_known_to_the_millisecond(store, clock, name):
    bar = Timeframe.parse(name)
    starts = [bar.floor(START)]
    for _ in range(299):
        starts.append(bar.next(starts[-1]))
    came = {}
    for i, start in enumerate(starts):
        clock.ms = bar.next(start) + 1_000 + i * 7 % 500
        store.write("X", name, [(start, 1, 2, 0.5, 1.5, i)], unit="ms", source="feed")
        came[start] = store.series()["revision"][0]
    rows = arrivals(store)
    assert len(rows) == {"1d": 6, "1w": 38, "1M": 150, "3M": 300}.get(name, 5)  # a row lasts 49 days at most
    assert store.provenance().select("source").rows() == [("feed",)]
    for at in (
        came[starts[0]] - 1,
        came[starts[0]],
        came[starts[130]] - 1,
        came[starts[130]],
        came[starts[-1]] - 1,
    ):
        known = [start for start in starts if came[start] <= at]
        assert store.candles("X", name, as_of=at)["timestamp"].dt.epoch("ms").to_list() == known


@pytest.mark.slow
def test_a_poll_of_a_forming_bar_keeps_nothing_and_stays_small(store, clock):
    for minute in range(150):
        for second in (5, 20, 50, 70):  # the last poll is after the end of the bar
            clock.ms = START + minute * MINUTE + second * 1_000
            store.write("X", "1m", [(START + minute * MINUTE, 1, 2, 0.5, 1.5, second)], unit="ms")
    assert store.revisions().is_empty()
    assert len(arrivals(store)) == 3
    assert store.candles("X", "1m", as_of=START + 9 * MINUTE + 12_000).height == 9  # the tenth was forming


def test_an_exchange_corrects_history(store, clock):
    store.write_many(
        pl.concat(
            [
                walk(3_000, seed=i, start=START - 3_000 * MINUTE).with_columns(symbol=pl.lit(s))
                for i, s in enumerate("ABC")
            ]
        ),
        timeframe="1m",
        source="upbit",
    )
    before = {
        "all": store.candles(None, "1m"),
        "one": store.candles("B", "1m"),
        "latest": store.candles(["A", "B"], "1m", limit=5),
    }
    hours = store.candles("B", "1h", derive_from="1m")
    then, stated = clock.ms, store.fingerprint(None, "1m")
    clock.ms += 5_000
    fixed = before["one"].gather([7, 2_990]).with_columns(pl.col("close").alias("open"))
    result = store.write("B", "1m", fixed, source="correction")
    assert (result.inserted, result.updated) == (0, 2)
    store.write("C", "1m", walk(5, start=START), source="later")
    assert not store.candles("B", "1m").equals(before["one"])
    assert store.candles(None, "1m", as_of=then).equals(before["all"])
    assert store.candles("B", "1m", as_of=then).equals(before["one"])
    assert store.candles(["A", "B"], "1m", limit=5, as_of=then).equals(before["latest"])
    assert store.candles("B", "1h", derive_from="1m", as_of=then).equals(hours)
    assert pl.DataFrame(store.arrow("B", "1m", as_of=then)).equals(before["one"])
    assert store.scan(None, "1m", as_of=then).collect().equals(before["all"])
    assert store.fingerprint(None, "1m", as_of=then) == stated == mdstore.fingerprint(before["all"])
    assert store.fingerprint(None, "1m") != stated
    changes = store.revisions("B")
    assert changes.select("timestamp", "open", "new_open", "close", "new_close", "source").rows() == [
        (old["timestamp"], old["open"], new["open"], old["close"], new["close"], "correction")
        for old, new in zip(
            before["one"].gather([7, 2_990]).iter_rows(named=True), fixed.iter_rows(named=True), strict=True
        )
    ]
    assert store.revisions("A").is_empty()
    assert store.revisions("B", start=fixed["timestamp"][1]).height == 1
    assert store.maintenance.check() == []


def test_what_came_before_anybody_noted_it_counts_as_known(tmp_path, clock):
    path = tmp_path / "old.sqlite3"
    con = apsw.Connection(str(path))
    con.pragma("journal_mode", "WAL")
    migrate(con, MIGRATIONS[:2])
    con.execute(
        "INSERT INTO candles VALUES ('X', '1m', 0, 1, 2, 0.5, 1.5, 3), ('X', '1m', 60000, 1, 2, 0.5, 1.5, 3)"
    )
    con.execute("INSERT INTO series VALUES ('X', '1m', 0, 60000, 2, 500000)")
    con.close()
    with mdstore.MarketDataStore(path, clock=clock) as store:
        assert store.maintenance.check() == []
        assert store.candles("X", "1m", as_of="1990-01-01").height == 2
        assert store.provenance().select("source", "arrived_first", "arrived_last").rows() == [
            (None, None, None)
        ]
        store.write(
            "X", "1m", [(60_000, 1, 2, 0.5, 1.75, 3), (120_000, 1, 2, 0.5, 1.5, 3)], unit="ms", source="new"
        )
        assert store.candles("X", "1m", as_of="1990-01-01")["close"].to_list() == [1.5, 1.5]
        assert store.provenance()["source"].to_list() == [None, "new"]


def test_a_write_that_fails_leaves_no_trace(store, clock):
    store.write(
        "X", "1m", walk(100, start=START - 100 * MINUTE), source="first", covers=(START - 100 * MINUTE, START)
    )
    before = (
        store.provenance(),
        store.coverage(),
        store.revisions(),
        store.gaps("X", "1m", end=START + MINUTE),
    )
    clock.ms += 1_000

    def data():
        yield walk(50, start=START - 120 * MINUTE, seed=1)
        yield pl.DataFrame(
            {
                "timestamp": [START],
                "open": [1.0],
                "high": [0.0],
                "low": [1.0],
                "close": [1.0],
                "volume": [1.0],
            }
        )

    with pytest.raises(mdstore.ValidationError):
        store.write("X", "1m", data(), source="second", covers=(START - 200 * MINUTE, START))
    after = (
        store.provenance(),
        store.coverage(),
        store.revisions(),
        store.gaps("X", "1m", end=START + MINUTE),
    )
    assert all(one.equals(other) for one, other in zip(before, after, strict=True))


def test_a_bar_that_comes_twice_in_a_call_has_one_past(store, clock):
    store.write("X", "1m", walk(20, start=START))
    clock.ms += 1_000
    first, second = walk(30, start=START, seed=1), walk(30, start=START, seed=2)
    store.write("X", "1m", iter([first, second]), source="twice", on_conflict="last")
    changes = store.revisions("X")
    assert changes.height == 20
    assert changes["close"].equals(walk(20, start=START)["close"])
    assert changes["new_close"].equals(second["close"].head(20))
    assert store.candles("X", "1m", as_of=clock.ms - 500).equals(walk(20, start=START))


def test_nothing_is_noted_where_nothing_changes(store, clock):
    bars = walk(5_000, start=START - 5_000 * MINUTE)
    store.write("X", "1m", bars, source="one")
    listed, came = store.series(), store.provenance()
    clock.ms += 60_000
    assert store.write("X", "1m", bars, source="two").unchanged == 5_000
    assert store.series().equals(listed)
    assert store.provenance().equals(came)
    assert store.revisions().is_empty()


def test_provenance_says_who_brought_which_bars(store, clock):
    store.write("X", "1m", walk(100, start=START - 300 * MINUTE), source="a.csv")
    store.write("X", "1m", walk(100, start=START - 100 * MINUTE), source="b.csv")
    store.write(
        "X", "1m", walk(250, start=START - 275 * MINUTE), source="upbit"
    )  # fills the middle, corrects
    stretches = store.provenance("X", "1m").select("start", "end", "source")
    at = [(one - stretches["start"][0]).total_seconds() // 60 for one in stretches["end"]]
    assert list(zip(at, stretches["source"], strict=True)) == [(25, "a.csv"), (275, "upbit"), (300, "b.csv")]
    assert set(store.revisions()["source"]) == {"upbit"}


def test_what_is_deleted_during_a_look_back_is_not_taken_for_the_past(tmp_path, monkeypatch):
    clock = Clock(START + 100 * MINUTE)
    with mdstore.MarketDataStore(tmp_path / "s.sqlite3", clock=clock) as store:
        store.write("X", "1m", [(START, 1, 2, 1, 1.5, 5), (START + MINUTE, 1, 2, 1, 1.5, 5)])
        then = clock.ms
        clock.ms += MINUTE
        store.write("X", "1m", [(START, 1, 2, 1, 2.0, 5)])
        clock.ms += MINUTE
        undone, calls = as_of.undone, []

        def after_a_delete(*arguments):
            if not calls:
                store.delete("X", "1m", start=START, end=START + MINUTE)
            calls.append(arguments)
            return undone(*arguments)

        monkeypatch.setattr(as_of, "undone", after_a_delete)
        # With what it was before it changed, the bar has lost its past: it must not come as of later.
        assert store.candles("X", "1m", as_of=then)["close"].to_list() == [1.5]
        assert len(calls) == 2


@pytest.mark.parametrize(
    ("first", "deleted", "then", "origins"),
    [
        ([0, *range(20, 26)], [(10, 30)], [2, 3, 4, 5, 6, 7], [(0, 2, "a"), (2, 8, "b"), (8, 10, "a")]),
        ([0, *range(10, 14)], [(0, 1), (10, 60)], [1, 2, 3, 4, 5], [(1, 6, "b"), (6, 10, "a")]),
    ],
)
def test_what_a_delete_leaves_over_a_hole_is_in_no_ones_way(store, first, deleted, then, origins):
    def bars(minutes):
        return [(START + minute * MINUTE, 1, 2, 0.5, 1.5, 3) for minute in minutes]

    store.write("X", "1m", bars(first), source="a")
    for start, end in deleted:
        store.delete("X", "1m", start=START + start * MINUTE, end=START + end * MINUTE)
    store.write("X", "1m", bars(then), source="b")
    columns = [(pl.col(name).dt.epoch("ms") - START) // MINUTE for name in ("start", "end")]
    assert store.provenance("X").select(*columns, "source").rows() == origins


def test_a_deleted_bar_takes_its_mark_along(tmp_path):
    clock = Clock(START + 30_000)
    with mdstore.MarketDataStore(tmp_path / "s.sqlite3", clock=clock) as store:
        store.write("X", "1m", walk(2, start=START - MINUTE))  # the second is forming
        store.delete("X", "1m", start=START, end=START + MINUTE)
        clock.ms += 10 * MINUTE
        store.cover("X", "1m", start=START, end=START + MINUTE, reason="no_trade")
        assert store.missing("X", "1m", start=START - MINUTE, end=START + MINUTE).is_empty()


@pytest.mark.parametrize("at", ["2025-13-01", True, 3.5, object()])
def test_a_moment_that_is_none_is_refused(store, at):
    store.write("X", "1m", walk(3))
    with pytest.raises(mdstore.TimestampError, match="as of"):
        store.candles("X", "1m", as_of=at)


def test_lags_are_cut_where_their_row_is(store, clock):
    bar, lag = Timeframe.parse("1m"), 61_000
    for number in range(10):
        clock.ms = START + number * MINUTE + lag
        store.write("X", "1m", [(START + number * MINUTE, 1, 2, 0.5, 1.5, 1)], unit="ms")
    with store._candles._database.writing() as con:
        ledger_arrivals.arrive(con, [("X", bar, START + 3 * MINUTE, START + 5 * MINUTE)], "", START + DAY)
        rows = con.execute(
            'SELECT start, "end", arrived, length(lags) FROM arrivals ORDER BY start'
        ).fetchall()
        assert [((low - START) // MINUTE, (high - START) // MINUTE, lags) for low, high, _, lags in rows] == [
            (0, 3, 12), (3, 5, None), (5, 9, 20),
        ]  # fmt: skip
        assert rows[0][2] == START + 2 * MINUTE + lag
    with store._candles._database.reading() as con:
        assert ledger_arrivals.came_later(con, "X", bar, START + 6 * MINUTE + lag) == [
            (START + 3 * MINUTE, START + 5 * MINUTE), (START + 7 * MINUTE, START + 10 * MINUTE),
        ]  # fmt: skip


def test_the_check_of_a_file_sees_ranges_that_overlap(store):
    store.write("X", "1m", walk(10), covers=(START, START + 10 * MINUTE))
    assert store.maintenance.check() == []
    with store._candles._database.writing() as con:
        con.execute(
            "INSERT INTO coverage "
            'SELECT symbol, timeframe, start + 60000, "end", reason, source, 0 FROM coverage'
        )
        con.execute('UPDATE arrivals SET "end" = start')
    assert [text.split(":")[1].split(" that")[0] for text in store.maintenance.check()] == [
        " the range of coverage",
        " the range of arrivals",
    ]
