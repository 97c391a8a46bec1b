"""Holes and why they are there, against a model that looks at every bar by itself, and on recorded data."""

import tempfile
from pathlib import Path

import apsw
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import mdstore
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.digests import accept
from mdstore.candles.file.migrations import MIGRATIONS, migrate
from mdstore.candles.ledger import coverage
from mdstore.candles.repository import CandleRepository
from mdstore.core.calendars import Grid
from mdstore.core.timeframe import FOREVER, Timeframe
from mdstore.sources.files import read
from tests.support.candles import MINUTE, START, walk
from tests.support.real import real

TIME = pl.Datetime("ms", "UTC")
DAY = 86_400_000
STATED = ("no_trade", "exchange_down", "before_listing", "after_delisting", "fetch_failed", None, "unknown")
LIFE = ("before_listing", "after_delisting")
RANKS = {"fetch_failed": 1, None: 2}


class Clock:
    def __init__(self, ms):
        self.ms = ms

    def __call__(self):
        return self.ms / 1000


@pytest.fixture
def clock():
    return Clock(START + 1_000 * DAY)


@pytest.fixture
def store(tmp_path, clock):
    with mdstore.MarketDataStore(tmp_path / "s.sqlite3", clock=clock) as store:
        yield store


def bars_at(times):
    return [(time, 1, 2, 0.5, 1.5, 3) for time in times]


def ms(frame, *columns):
    return frame.select(
        pl.col(column).dt.epoch("ms") if frame[column].dtype == TIME else column for column in columns
    ).rows()


def starts(bar, low, high):
    at = bar.next(low - 1)
    while at < high:
        yield at
        at = bar.next(at)


# ---- laws


class Model:
    """Each bar by itself: whether it is there, what was said of it, and whether it was stored too early."""

    def __init__(self, bar):
        self.bar, self.held, self.said, self.marked = bar, set(), {}, set()

    def write(self, times, now, asked=None):
        changed = not self.held.issuperset(times)
        for time in times:
            early = self.bar.next(time) > now or time == (asked and self.bar.floor(min(asked, now)))
            if not early:
                self.marked.discard(time)
            elif changed:
                self.marked.add(time)
        self.held.update(times)

    def say(self, low, high, reason, now, rank=None):
        for time in starts(self.bar, low, high):
            if self.bar.next(time) > now and reason not in ("after_delisting", "unknown"):
                continue
            if reason == "unknown":
                self.said.pop(time, None)
            elif time not in self.said or (rank or RANKS.get(reason, 3)) >= RANKS.get(self.said[time], 3):
                self.said[time] = reason

    def reason(self, time, now, is_open):
        said = self.said.get(time, "nothing")
        if said in LIFE:
            return said
        if not is_open(time):
            return "session_closed"
        if said != "nothing":
            return said or "answered"
        return "forming" if time >= self.bar.floor(now) else "unknown"


BARS = 40
places = st.integers(0, BARS)
ranges = st.tuples(places, places).map(sorted).filter(lambda pair: pair[0] < pair[1])
claims = st.tuples(ranges, st.sampled_from(STATED[:-1]))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sets(places, min_size=1, max_size=25), st.none()),
        st.tuples(st.just("covers"), st.sets(places, max_size=10), claims),
        st.tuples(st.just("say"), ranges, st.sampled_from(STATED)),
        st.tuples(st.just("tick"), st.integers(0, 8), st.none()),
        st.tuples(st.just("delete"), ranges, st.none()),
    ),
    min_size=1,
    max_size=12,
)  # fmt: skip
grids = st.sampled_from(
    [
        ("1m", "24/7"),
        ("1h", "24/7"),
        ("1d", "24/7"),
        ("1w", "24/7"),
        ("1M", "24/7"),
        ("1d", "XNYS"),
        ("1h", "XKRX"),
    ]
)


def play(store, clock, bar, given):
    model, at = Model(bar), list(starts(bar, START, START + 90 * bar.longest_ms))
    clock.ms = at[BARS // 2] + 1
    for kind, what, more in given:
        if kind == "tick":
            clock.ms = max(clock.ms, at[min(BARS // 2 + what * 3, BARS + 1)] + 1)
        elif kind == "delete":
            if model.held:
                store.delete("X", str(bar), start=at[what[0]], end=at[what[1]])
                inside = set(starts(bar, at[what[0]], at[what[1]]))
                model.held -= inside
                model.marked -= inside
                model.said = {time: said for time, said in model.said.items() if time not in inside}
        elif kind == "say":
            if more == "unknown":
                store.uncover("X", str(bar), start=at[what[0]], end=at[what[1]])
                model.say(at[what[0]], at[what[1]], more, clock.ms)
            else:
                store.cover("X", str(bar), start=at[what[0]], end=at[what[1]] - 1, reason=more)
                model.say(at[what[0]], at[what[1] - 1], more, clock.ms)
        else:
            times = sorted(at[place] for place in what if at[place] <= clock.ms)
            if kind == "write":
                store.write("X", str(bar), bars_at(times) if times else [], unit="ms")
            else:
                (low, high), reason = more
                store.write(
                    "X", str(bar), bars_at(times), unit="ms", covers=(at[low], at[high]), absent=reason
                )
                model.say(at[low], at[high], reason, clock.ms, rank=2)
            model.write(times, clock.ms, None if kind == "write" else at[high])
    return model, at


def check_gaps(grid, given, page):
    bar, calendar = Timeframe.parse(grid[0]), grid[1]
    clock = Clock(0)
    with (
        tempfile.TemporaryDirectory() as folder,
        mdstore.MarketDataStore(Path(folder) / "s.sqlite3", clock=clock) as store,
    ):
        if calendar != "24/7":
            pytest.importorskip("exchange_calendars")
            store.set_calendar("X", calendar)
        expected = set(Grid(bar, calendar).starts(START, START + 95 * bar.longest_ms))
        model, at = play(store, clock, bar, given)
        assert store.maintenance.check() == []
        if not model.held:
            return
        low, high = at[3], at[BARS]
        check_holes(store, model, (low, high), clock.ms, expected.__contains__)
        check_missing(store, model, (low, min(high, bar.floor(clock.ms))), expected.__contains__, page)


def check_holes(store, model, asked, now, is_open):
    low, high = asked
    found = store.gaps("X", str(model.bar), start=low, end=high)
    high = min(high, model.bar.next(now))
    there, said = set(), {}
    for start, end, bars, reason, when in ms(found, "start", "end", "bars", "reason", "asked"):
        times = list(starts(model.bar, start, end))
        assert len(times) == bars > 0
        said |= dict.fromkeys(times, "answered" if reason == "unknown" and when else reason)
        assert there.isdisjoint(times)
        there |= set(times)
    every = set(starts(model.bar, low, high))
    assert there == every - model.held  # with the bars they tile the range
    assert said == {time: model.reason(time, now, is_open) for time in there}
    assert found["start"].is_sorted()


def check_missing(store, model, asked, is_open, page):
    low, high = asked

    def worth(time):
        if time in model.held:
            return time in model.marked
        return model.reason(time, 4 * 10**12, is_open) in ("unknown", "fetch_failed")

    wanted = {time for time in starts(model.bar, low, high) if worth(time)}
    found = store.missing("X", str(model.bar), start=low, end=high)
    listed = [
        time for start, end, _ in ms(found, "start", "end", "bars") for time in starts(model.bar, start, end)
    ]
    assert {time for time in listed if is_open(time)} == {time for time in wanted if is_open(time)}
    assert set(listed) == wanted
    pages = store.missing("X", str(model.bar), start=low, end=high, page=page)
    paged = set()
    for start, end, bars in ms(pages, "start", "end", "bars"):
        times = [time for time in starts(model.bar, start, end) if is_open(time)]
        assert len(times) == bars <= page
        paged |= set(starts(model.bar, start, end))
        assert start in wanted
    assert wanted <= paged
    assert len(pages) == fewest(sorted(wanted), page, is_open, model.bar)


def fewest(wanted, page, is_open, bar):
    """Count the pages of a plain greedy walk, which is the least there can be."""
    count, left = 0, wanted
    while left:
        count, at, seen = count + 1, left[0], 0
        while seen < page:
            seen += is_open(at)
            at = bar.next(at)
        left = [time for time in left if time >= at]
    return count


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(grids, steps, st.integers(1, 9))
def test_holes_and_what_is_missing_are_the_models(grid, given, page):
    check_gaps(grid, given, page)


@pytest.mark.long
@settings(max_examples=3_000, suppress_health_check=[HealthCheck.too_slow])
@given(grids, steps, st.integers(1, 9))
def test_holes_and_what_is_missing_are_the_models_of_many(grid, given, page):
    check_gaps(grid, given, page)


# ---- large series, in cells


@pytest.mark.parametrize("how", ["sealed", "loose", "in parts", "from the table"])
def test_holes_are_found_in_cells_and_between_them(tmp_path, clock, how):
    times = [
        START + i * MINUTE
        for i in range(80_000)
        if i % 7_001 and not 65_530 < i < 65_550 and i not in (1, 79_998)
    ]
    frame = pl.DataFrame(
        bars_at(times), schema=["timestamp", "open", "high", "low", "close", "volume"], orient="row"
    )
    with mdstore.MarketDataStore(
        tmp_path / "s.sqlite3", clock=clock, pack_bytes=0 if how == "from the table" else None
    ) as store:
        if how == "in parts":  # cells on both sides of loose rows
            store.write("X", "1m", frame.slice(0, 90_000), unit="ms")
            store.write("X", "1m", frame.slice(100_000), unit="ms")
            store.write("X", "1m", frame.slice(90_000, 10_000), unit="ms")
        else:
            store.write("X", "1m", frame.gather_every(2) if how == "loose" else frame, unit="ms")
            if how == "loose":
                store.write("X", "1m", frame.gather_every(2, 1), unit="ms")
        for low, high in (
            (times[0], times[-1] + MINUTE),
            (START + 500 * MINUTE, START + 70_000 * MINUTE),
            (START + 2 * MINUTE, START + 3 * MINUTE),
        ):
            held = set(times)
            expected = set(range(low, high, MINUTE)) - held
            found = store.gaps("X", "1m", start=low, end=high)
            assert {
                time for start, end in ms(found, "start", "end") for time in range(start, end, MINUTE)
            } == expected
            assert found["bars"].sum() == len(expected)
            assert (found["end"][:-1] < found["start"][1:]).all()
        many = store.gaps(["X"], "1m")
        assert many.drop("symbol").equals(store.gaps("X", "1m"))


def test_a_hole_between_cells_that_have_none_is_found(store):
    for start in (0, 3_000, 6_500):
        store.write("X", "1m", walk(3_000, start=START + start * MINUTE))
    assert store.maintenance.stats()["cells"] >= 2
    found = ms(store.gaps("X", "1m"), "start", "end", "bars")
    assert found == [(START + 6_000 * MINUTE, START + 6_500 * MINUTE, 500)]


def test_a_damaged_pack_does_not_hide_a_hole(store):
    frame = walk(50_000).filter(pl.int_range(pl.len()) != 31_000)
    store.write("X", "1m", frame)
    pack = next(store.packs_path.glob("*.arrow"))
    data = bytearray(pack.read_bytes())
    for at in range(200_000, len(data) - 2_000, 4_096):
        data[at] ^= 0x10
    pack.write_bytes(data)
    expected = START + 31_000 * MINUTE
    assert ms(store.gaps("X", "1m"), "start", "end", "bars") == [(expected, expected + MINUTE, 1)]


def test_series_of_several_symbols_are_told_in_one_frame(store):
    for symbol, left_out in (("B", 5), ("A", 7), ("C", None)):
        store.write(
            symbol,
            "1m",
            walk(10).filter(pl.int_range(pl.len()) != (left_out if left_out is not None else -1)),
        )
    found = store.gaps(None, "1m")
    assert found.columns == ["symbol", "start", "end", "bars", "reason", "source", "asked"]
    assert found["symbol"].to_list() == ["A", "B"]
    assert store.gaps(["C", "B"], "1m")["symbol"].to_list() == ["B"]
    assert store.gaps("C", "1m").is_empty()
    at_a_glance = store.coverage()
    assert at_a_glance.select("symbol", "bars", "missing", "unknown").rows() == [
        ("A", 9, 1, 1),
        ("B", 9, 1, 1),
        ("C", 10, 0, 0),
    ]
    assert at_a_glance["complete"].to_list() == [0.9, 0.9, 1.0]


def test_an_empty_store_has_no_coverage(store):
    assert store.coverage().is_empty()
    assert "missing" in store.coverage().columns
    assert store.provenance().is_empty()
    assert store.verify().is_empty()
    assert store.calendars().is_empty()
    with pytest.raises(mdstore.NoSuchSeriesError):
        store.gaps("X", "1m")
    with pytest.raises(mdstore.NoSuchSeriesError):
        store.missing("X", "1m")
    assert ms(store.missing("X", "1d", start="2025-09-01", end="2025-09-05", page=3), "bars") == [(3,), (1,)]


# ---- what is said


def test_an_update_asks_for_what_it_has_not_asked_for(store, clock):
    """The loop of the docstring against an exchange that makes no bar for a minute without a trade."""
    exchange = walk(2_000).filter(pl.int_range(pl.len()) % 3 != 1)
    asked = []

    def update():
        for start, end, bars in store.missing("X", "1m", start=START, page=200).iter_rows():
            asked.append((start, end, bars))
            page = exchange.filter((pl.col("timestamp") >= start) & (pl.col("timestamp") < end))
            store.write("X", "1m", page, covers=(start, end), absent="no_trade", source="exchange")

    clock.ms = START + 1_000 * MINUTE + 30_000
    update()
    assert [bars for *_, bars in asked] == [200] * 5
    assert store.missing("X", "1m", start=START).is_empty()
    clock.ms += 300 * MINUTE
    update()
    assert [bars for *_, bars in asked[5:]] == [200, 100]
    update()
    assert len(asked) == 7
    assert set(store.gaps("X", "1m")["reason"]) == {"no_trade"}
    assert store.candles("X", "1m").equals(
        exchange.filter(pl.col("timestamp").dt.epoch("ms") < START + 1_300 * MINUTE)
    )
    with store._candles._database.reading() as con:
        assert con.execute("SELECT count(*) FROM coverage").get == 1  # the ledger stays small


def test_a_bar_that_was_stored_while_it_formed_is_asked_for_again(store, clock):
    clock.ms = START + 10 * MINUTE + 1_000
    store.write("X", "1m", walk(11), covers=(START, START + 60 * MINUTE), source="exchange")
    assert store.missing("X", "1m").is_empty()
    assert store.gaps("X", "1m", end=START + 60 * MINUTE).is_empty()  # the eleventh is stored
    clock.ms += 2 * MINUTE
    again = START + 10 * MINUTE
    assert ms(store.missing("X", "1m"), "start", "end", "bars") == [(again, again + 2 * MINUTE, 2)]
    store.write("X", "1m", walk(11).tail(1))
    assert ms(store.missing("X", "1m"), "start") == [(again + MINUTE,)]
    assert ms(store.gaps("X", "1m", end=START + 60 * MINUTE), "start", "reason") == [
        (again + MINUTE, "unknown"), (again + 2 * MINUTE, "forming"),
    ]  # fmt: skip


def test_a_page_over_a_hole_that_is_explained_leaves_its_reason(store):
    store.write("X", "1m", walk(1))
    store.cover(
        "X", "1m", start=START + 20 * MINUTE, end=START + 30 * MINUTE, reason="exchange_down", source="notice"
    )
    for start, end, _ in store.missing("X", "1m", end=START + 60 * MINUTE, page=200).iter_rows():
        store.write("X", "1m", [], covers=(start, end), absent="no_trade", source="upbit")
    assert ms(store.gaps("X", "1m", end=START + 60 * MINUTE), "bars", "reason", "source") == [
        (19, "no_trade", "upbit"), (10, "exchange_down", "notice"), (30, "no_trade", "upbit"),
    ]  # fmt: skip


def test_a_range_turned_round_is_no_range_without_holes(store):
    store.write("X", "1m", walk(1))
    for ask in (store.gaps, store.missing):
        with pytest.raises(mdstore.InvalidInputError, match="turned round"):
            ask("X", "1m", start=START + MINUTE, end=START)
    with pytest.raises(mdstore.NoSuchSeriesError, match="give start="):
        store.missing("Y", "1m")


def test_a_reason_stays_where_a_fetch_only_finds_nothing(store):
    store.write("X", "1m", walk(100).filter(~pl.int_range(pl.len()).is_between(40, 49)))
    store.cover(
        "X", "1m", start=START + 43 * MINUTE, end=START + 46 * MINUTE, reason="exchange_down", source="notice"
    )
    store.write("X", "1m", [], covers=(START, START + 100 * MINUTE), source="fetch")
    place = lambda row: tuple((one - START) // MINUTE for one in row[:2]) + row[2:]  # noqa: E731
    assert [place(row) for row in ms(store.gaps("X", "1m"), "start", "end", "reason", "source")] == [
        (40, 43, "unknown", "fetch"), (43, 46, "exchange_down", "notice"), (46, 50, "unknown", "fetch"),
    ]  # fmt: skip
    store.cover("X", "1m", start=START, end=START + 100 * MINUTE, reason="fetch_failed")
    assert store.missing("X", "1m", end=START + 100 * MINUTE).is_empty()  # it had been answered
    store.uncover("X", "1m", start=START + 44 * MINUTE, end=START + 47 * MINUTE)
    assert [place(row) for row in ms(store.missing("X", "1m", end=START + 100 * MINUTE), "start", "end")] == [
        (44, 47)
    ]


def test_before_the_listing_and_after_the_end(store, clock):
    store.write("X", "1d", walk(10, step=DAY))
    store.cover("X", "1d", end=START, reason="before_listing")
    store.cover("X", "1d", start=START + 10 * DAY, reason="after_delisting")
    clock.ms += 3_000 * DAY
    assert store.missing("X", "1d", start="1990-01-01").is_empty()
    found = store.gaps("X", "1d", start="2025-08-25", end="2030-01-01")
    assert found["reason"].to_list() == ["before_listing", "after_delisting"]


def test_rows_that_were_refused_are_not_covered(store):
    rows = bars_at([START + i * MINUTE for i in range(10)])
    rows[4] = (rows[4][0], 5, 1, 3, 4, 1)
    with pytest.raises(mdstore.ValidationError):
        store.write("X", "1m", rows, unit="ms", covers=(START, START + 10 * MINUTE))
    store.write("X", "1m", rows, unit="ms", covers=(START, START + 10 * MINUTE), on_invalid="quarantine")
    assert ms(store.gaps("X", "1m"), "start", "reason") == [(START + 4 * MINUTE, "fetch_failed")]
    assert ms(store.missing("X", "1m", end=START + 10 * MINUTE), "start", "bars") == [(START + 4 * MINUTE, 1)]


def test_what_a_deleted_range_was_is_not_known(store):
    store.write("X", "1m", walk(100), covers=(START, START + 100 * MINUTE))
    store.delete("X", "1m", start=START + 10 * MINUTE, end=START + 20 * MINUTE)
    assert ms(store.missing("X", "1m", end=START + 100 * MINUTE), "bars") == [(10,)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"covers": START}, "give the range"),
        ({"covers": (START, START)}, "not after its start"),
        ({"covers": ("2025", START)}, "start: cannot tell"),
        ({"absent": "no_trade"}, "covers="),
        ({"covers": (START, None), "absent": "holiday"}, "no_trade"),
        ({"covers": (START, None), "absent": "forming"}, "no reason"),
        ({"source": ""}, "source="),
        ({"source": "a\nb"}, "source="),
        ({"source": 5}, "source="),
    ],
)
def test_what_cannot_be_said_is_refused_and_nothing_written(store, given, message):
    with pytest.raises(mdstore.InvalidInputError, match=message):
        store.write("X", "1m", walk(3), **given)
    assert store.series().is_empty()


@pytest.mark.parametrize(
    "say",
    [
        lambda store: store.cover("X", "1m", start=START, end=START + MINUTE, reason="fetch_failed"),
        lambda store: store.uncover("X", "1m", start=START, end=START + MINUTE),
        lambda store: store.cover("X", "1m", start=START, end=START + MINUTE, reason="no_trade"),
        lambda store: store.write("X", "1m", [], covers=(START, START + MINUTE)),
        lambda store: store.write(
            "X", "1m", [(START, 2, 1, 0.5, 1.5, 3)], covers=(START, START + MINUTE), on_invalid="drop"
        ),
    ],
)
def test_nothing_but_the_bar_itself_makes_up_for_one_that_was_stored_too_early(store, clock, say):
    clock.ms = START + 30_000
    store.write("X", "1m", bars_at([START]))
    clock.ms += 5 * MINUTE
    say(store)
    assert ms(store.missing("X", "1m"), "start")[0] == (START,)
    store.write("X", "1m", bars_at([START]))
    assert ms(store.missing("X", "1m"), "start") == [(START + MINUTE,)]


def test_what_a_bar_is_goes_by_the_time_of_the_call_not_of_the_lock(store, clock):
    clock.ms = START + 59_000

    def data():  # as long as another holds the lock, or the data takes
        yield pl.DataFrame(
            bars_at([START]), ["timestamp", "open", "high", "low", "close", "volume"], orient="row"
        )
        clock.ms = START + 5 * MINUTE

    store.write("X", "1m", data(), covers=(START - MINUTE, START + MINUTE))
    assert ms(store.missing("X", "1m"), "start") == [(START,)]
    assert store.candles(
        "X", "1m", as_of=START + 2 * MINUTE
    ).is_empty()  # it was known at the end of the call


def test_the_end_of_a_listing_can_be_taken_back(store, clock):
    store.write("X", "1m", walk(2))
    store.cover("X", "1m", start=START + 2 * MINUTE, reason="after_delisting")
    store.uncover("X", "1m")
    assert store.missing("X", "1m")["bars"].sum() == (clock.ms - START) // MINUTE - 2


def test_a_refusal_counts_for_more_than_an_empty_answer_before(store):
    hours = (START, START + 3 * 3_600_000)
    store.write("X", "1h", [], covers=hours)
    bad = [("X", "60m", START + 3_600_000, 1, 0.1, 0.5, 1.5, 3)]
    store.write_many(bad, covers=hours, on_invalid="drop")
    assert ms(store.missing("X", "1h", start=hours[0], end=hours[1]), "start", "bars") == [
        (START + 3_600_000, 1)
    ]
    unreadable = [("01/09/2025 00:00", 1, 2, 0.5, 1.5, 3)]
    store.write("X", "1h", unreadable, covers=hours, on_invalid="quarantine")
    assert ms(store.missing("X", "1h", start=hours[0], end=hours[1]), "bars") == [(3,)]


def test_a_range_that_is_deleted_off_the_grid_leaves_whole_bars(store):
    hour = 3_600_000
    store.write("X", "1h", bars_at([START + i * hour for i in range(3)]), covers=(START, START + 5 * hour))
    store.delete("X", "1h", start=START + hour // 2, end=START + hour * 3 // 2)
    assert ms(store.missing("X", "1h", end=START + 5 * hour), "start", "end") == [
        (START + hour, START + 2 * hour)
    ]
    assert store.gaps("X", "1h", end=START + 5 * hour)["bars"].to_list() == [1, 2]


def test_a_range_turned_round_or_shorter_than_a_bar_says_nothing(store):
    store.write("X", "1m", walk(20), covers=(START, START + 20 * MINUTE))
    for start, end in ((15, 2), (30, 25)):
        store.delete("X", "1m", start=START + start * MINUTE, end=START + end * MINUTE)
        store.uncover("X", "1m", start=START + start * MINUTE, end=START + end * MINUTE)
    store.cover("X", "1m", start=START + 10_000, end=START + 50_000, reason="no_trade")
    store.uncover("X", "1m", start=START + 10_000, end=START + 50_000)
    assert store.maintenance.check() == []
    assert store.missing("X", "1m", end=START + 20 * MINUTE).is_empty()
    assert store.candles("X", "1m").height == 20


def test_a_bar_behind_what_was_asked_for_was_forming_then(store, clock):
    """Fetched just before the end of a minute, written just after it."""
    clock.ms = START + 10 * MINUTE + 100
    store.write("X", "1m", walk(10), covers=(START, START + 9 * MINUTE + 59_900))
    assert ms(store.missing("X", "1m"), "start", "bars") == [(START + 9 * MINUTE, 1)]


bounds = st.integers(0, 12) | st.sampled_from([-FOREVER, FOREVER])
spans = st.tuples(bounds, bounds).map(sorted)
entries = st.tuples(
    spans,
    st.sampled_from(["unknown", "no_trade", "exchange_down", "fetch_failed", "forget"]),
    st.sampled_from(["", "upbit"]),
    st.sampled_from([5 * DAY, 5 * DAY + 1, 6 * DAY]),
    st.sampled_from([None, "unknown"]),
)
IN_VAIN = "UPDATE coverage SET asked = asked WHERE FALSE AND coalesce(?1, ?2, ?3, ?4, ?5, ?6, ?7)"


@given(st.lists(entries, max_size=12))
@example([([low, high], "unknown", "", 5 * DAY, None) for low, high in ((0, 5), (8, 10), (5, 8))])
@settings(max_examples=100)
def test_what_goes_on_in_one_statement_is_as_what_is_laid_over(steps):
    tables = []
    for go_on in (coverage.GO_ON, IN_VAIN):
        con = Writer(":memory:")
        migrate(con, MIGRATIONS)
        con.carry()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(coverage, "GO_ON", go_on)
            for (start, end), reason, source, asked, as_much_as in steps:
                if reason == "forget":
                    coverage.forget(con, ("X", "1m"), start, end)
                else:
                    said = coverage.Interval(start, end, reason, source, asked)
                    coverage.state(con, ("X", "1m"), said, as_much_as)
        con.carried.settle()
        tables.append(coverage.known(con, ("X", "1m")))
    assert tables[0] == tables[1]


def test_data_covers_its_own_range_each_series_its_own(store):
    def rows(symbol, *minutes):
        return [(symbol, START + minute * MINUTE, 1, 2, 0.5, 1.5, 3) for minute in minutes]

    def told(symbol):
        found = store.gaps(symbol, "1m", start=START, end=START + 9 * MINUTE)
        minute = (pl.col("start").dt.epoch("ms") - START) // MINUTE
        return found.select(minute, "bars", "reason", pl.col("asked").is_not_null()).rows()

    frames = [rows("A", 2, 3) + rows("B", 4), rows("A", 7) + rows("B", 6, 8)]  # in two chunks
    written = store.write_many(iter(frames), timeframe="1m", covers="data", source="dump")
    assert written.inserted == 6
    assert told("A") == [(0, 2, "unknown", False), (4, 3, "unknown", True), (8, 1, "unknown", False)]
    assert told("B") == [(0, 4, "unknown", False), (5, 1, "unknown", True), (7, 1, "unknown", True)]
    assert store.missing("A", "1m", end=START + 8 * MINUTE).is_empty()
    store.write("C", "1m", [row[1:] for row in rows("C", 1, 4)], covers="data", absent="no_trade")
    assert told("C") == [(0, 1, "unknown", False), (2, 2, "no_trade", True), (5, 4, "unknown", False)]


def test_a_refused_row_in_covered_data_has_failed(store):
    good = (1, 2, 0.5, 1.5, 3)
    rows = [(START, *good), (START + MINUTE, 1, 0, 0.5, 1.5, 3), (START + 3 * MINUTE, *good)]
    assert store.write("X", "1m", rows, covers="data", on_invalid="drop").dropped == 1
    assert store.gaps("X", "1m").select("bars", "reason").rows() == [(1, "fetch_failed"), (1, "unknown")]
    assert store.missing("X", "1m", end=START + 4 * MINUTE)["bars"].to_list() == [1]
    assert store.write("Y", "1m", [], covers="data").rows == 0  # of no data no range
    assert "Y" not in store.series()["symbol"]


@pytest.mark.parametrize("covers", ["all", "Data", True, 5, ("2025-01-01",), b"data"])
def test_what_is_no_range_is_refused(store, covers):
    with pytest.raises(mdstore.InvalidInputError, match="covers="):
        store.write("X", "1m", bars_at([START]), covers=covers)
    assert store.series().is_empty()


def test_when_a_hole_was_asked_for_is_told_to_the_day(store, clock):
    for day in range(3):
        clock.ms = START + (day + 10) * DAY
        store.write("X", "1h", [], covers=(START + day * DAY, START + (day + 1) * DAY))
    store.write("X", "1h", walk(1, start=START + 5 * DAY))
    found = store.gaps("X", "1h", start=START, end=START + 3 * DAY)
    assert found["asked"].dt.epoch("ms").to_list() == [START + (day + 10) * DAY for day in range(3)]


def test_a_bar_that_comes_again_as_it_was_is_not_marked_for_the_sake_of_another(store, clock):
    clock.ms = START + 20 * MINUTE
    store.write("X", "1m", bars_at([START + 3 * MINUTE, START + 20 * MINUTE]))  # the second is forming
    store.write("X", "1m", bars_at([START + 3 * MINUTE]), covers=(START, START + 3 * MINUTE))
    clock.ms += 10 * MINUTE
    wanted = store.missing("X", "1m", start=START, end=START + 21 * MINUTE)
    assert ms(wanted, "start", "end") == [(START + 4 * MINUTE, START + 21 * MINUTE)]


def test_what_a_source_said_goes_on_only_where_it_is_the_last_word(store, clock):
    def cover(low, high, reason=None, source="upbit"):
        return store.cover(
            "X", "1m", start=START + low * MINUTE, end=START + high * MINUTE, reason=reason, source=source
        )

    def told():
        found = store.gaps("X", "1m", start=START, end=START + 40 * MINUTE)
        return found.select("bars", "reason", "source").rows()

    clock.ms += 3_600_000  # not at midnight: what was said on another day is told apart
    store.write("X", "1m", bars_at([START + 100 * MINUTE]))
    cover(0, 10)
    cover(15, 20, "exchange_down", "notice")
    cover(10, 30)  # it goes on from the first, over a reason that stays
    cover(30, 35, source="binance")
    assert told() == [
        (15, "unknown", "upbit"),
        (5, "exchange_down", "notice"),
        (10, "unknown", "upbit"),
        (5, "unknown", "binance"),
        (5, "unknown", None),
    ]
    cover(30, 40, "no_trade", "binance")  # who answered before says more now
    assert told()[3:] == [(10, "no_trade", "binance")]
    cover(40, 50, source="binance")  # and then less
    assert store.gaps("X", "1m", start=START + 30 * MINUTE, end=START + 50 * MINUTE)["reason"].to_list() == [
        "no_trade",
        "unknown",
    ]
    store.uncover("X", "1m", start=START + 30 * MINUTE, end=START + 50 * MINUTE)
    cover(30, 35, source="binance")
    asked = clock.ms
    clock.ms -= 60_000  # a clock that steps back makes nothing older
    cover(35, 40, source="binance")
    found = store.gaps("X", "1m", start=START + 30 * MINUTE, end=START + 40 * MINUTE)
    assert ms(found, "bars", "asked") == [(10, asked)]


@pytest.mark.parametrize("timeframe", ["1m", "1d", "1M", "12M"])
def test_ranges_without_end_and_pages_without_bound(store, timeframe):
    store.cover("X", timeframe, start="9999-12-15", end="9999-12-31", reason="no_trade")
    store.cover("X", timeframe, start="9999-12-31T23:59:59", reason="after_delisting")
    store.write("X", timeframe, [], covers=("0001-01-01", "9999-12-31"))
    for page in (1, 2**31, 2**62, 2**70):
        assert len(store.missing("Y", timeframe, start="2025-01-01", end="2025-03-01", page=page)) in (
            1,
            2,
            59,
            84_960,
        )


def test_candles_and_what_is_known_of_them_are_of_one_moment(store, tmp_path, monkeypatch):
    # What a fetch brings between the look at the candles and that at the ledger is not "asked in vain".
    store.write("X", "1m", bars_at([START, START + 2 * MINUTE]))
    held, calls = CandleRepository.held, []

    def and_then_a_fetch(candles, request):
        found = held(candles, request)
        if not calls:
            store.write("X", "1m", bars_at([START + MINUTE]), covers=(START, START + 3 * MINUTE))
        calls.append(request)
        return found

    monkeypatch.setattr(CandleRepository, "held", and_then_a_fetch)
    assert store.gaps("X", "1m").is_empty()
    assert len(calls) == 2


@pytest.mark.parametrize("foreign", [["1m"], ["1M"], ["1m", "1M"]])
def test_times_in_another_unit_are_found_and_named(tmp_path, foreign):
    file = tmp_path / "s.sqlite3"
    with mdstore.open(file) as store:
        store.write("X", "1m", pl.concat([walk(10), walk(3, start=START + 20 * MINUTE)]))
        store.write("X", "1M", [("2025-08-01", 1, 2, 1, 2, 5)])
    con = apsw.Connection(str(file))
    accept(con)  # as a file is that was there before there were digests
    for timeframe in foreign:  # microseconds
        con.execute("INSERT INTO candles VALUES ('X', ?, ?, 1, 2, 0.5, 1.5, 3)", (timeframe, START * 1000))
    con.close()
    with mdstore.open(file) as store:
        report = store.verify()
        assert report.filter(check="unit")["timeframe"].to_list() == sorted(foreign)
        assert report.filter(check="gap")["timeframe"].to_list() == ["1m"]  # and what else there is to tell
        assert len(store.candles("X", "1M")) == 1 + ("1M" in foreign)
        if "1M" in foreign:
            with pytest.raises(mdstore.TimestampError, match="1756684800000000 ms is in no year"):
                store.gaps("X", "1M")


def test_the_last_bar_of_an_older_file_was_perhaps_forming(tmp_path, clock):
    con = apsw.Connection(str(tmp_path / "old.sqlite3"))
    con.pragma("journal_mode", "WAL")
    migrate(con, MIGRATIONS[:2])
    for symbol, timeframe, at in (
        ("X", "1m", START + 5_000),
        ("Y", "1m", START + MINUTE),
        ("Z", "1d", START + 5_000),
    ):
        con.execute("INSERT INTO candles VALUES (?, ?, ?, 1, 2, 0.5, 1.5, 3)", (symbol, timeframe, START))
        con.execute(
            "INSERT INTO series VALUES (?, ?, ?1, ?1, 1, ?)".replace("?1", str(START)),
            (symbol, timeframe, at),
        )
    con.close()
    with mdstore.MarketDataStore(tmp_path / "old.sqlite3", clock=clock) as store:
        missing = [
            store.missing(*key, end=START + 2 * DAY)["start"].dt.epoch("ms")[0]
            for key in (("X", "1m"), ("Y", "1m"), ("Z", "1d"))
        ]
        assert missing == [START, START + MINUTE, START]
        assert store.provenance()["end"].dt.epoch("ms").to_list() == [
            START + MINUTE,
            START + MINUTE,
            START + DAY,
        ]


@pytest.mark.parametrize("page", [0, -1, True, 2.5, "many"])
def test_a_page_that_is_none_is_refused(store, page):
    with pytest.raises(mdstore.InvalidInputError, match="page="):
        store.missing("X", "1m", start=START, page=page)


# ---- fill


def test_a_filled_frame_is_a_regular_grid_and_cannot_be_stored(store):
    bars = walk(100).filter(~pl.int_range(pl.len()).is_in([3, 4, 50]))
    store.write("X", "1m", bars)
    flat = store.candles("X", "1m", fill="flat")
    assert flat.columns[-1] == "filled"
    assert flat["timestamp"].to_list() == walk(100)["timestamp"].to_list()
    assert flat.filter(~pl.col("filled")).drop("filled").equals(bars)
    assert flat.filter("filled").select("open", "high", "low", "close", "volume").rows() == [
        (close, close, close, close, 0.0) for close in (bars["close"][2], bars["close"][2], bars["close"][47])
    ]
    assert store.candles("X", "1m", fill="null").filter("filled")["close"].null_count() == 3
    for made in (flat, flat.to_pandas(), flat.to_arrow(), flat.to_dicts(), flat.to_dict(as_series=False)):
        with pytest.raises(mdstore.InvalidInputError, match="fill holes"):
            store.write("X", "1m", made)
    flat.write_csv(store.path.with_name("X-1m.csv"))
    with pytest.raises(mdstore.FileFormatError, match="without --fill"):
        list(read(store.path.with_name("X-1m.csv")))
    assert store.write("X", "1m", flat.filter(~pl.col("filled"))).unchanged == 97
    assert store.candles("X", "1m", fill="flat", limit=52)["timestamp"][0] == walk(100)["timestamp"][48]
    assert store.candles("X", "1m", fill="flat", limit=52, columns=["close"]).columns == ["close"]
    # the price before the range is carried into it
    part = store.candles("X", "1m", fill="flat", start=START + 4 * MINUTE, end=START + 7 * MINUTE)
    assert part.row(0)[1:] == (*[bars["close"][2]] * 4, 0.0, True)
    assert len(part) == 3
    early = store.candles("X", "1m", fill="flat", start=START - 2 * MINUTE, end=START + 1 * MINUTE)
    assert early["close"].to_list() == [None, None, bars["close"][0]]
    with pytest.raises(mdstore.InvalidInputError, match="flat"):
        store.candles("X", "1m", fill="linear")
    with pytest.raises(mdstore.InvalidInputError, match="Hint: give a shorter range"):
        store.candles("X", "1m", fill="flat", start="1000-01-01", end="2025-09-02")


def test_filled_symbols_and_derived_bars(store, clock):
    store.write("A", "1m", walk(500).filter(~pl.int_range(pl.len()).is_between(100, 299)))
    store.write("B", "1m", walk(300))
    long = store.candles(None, "1m", fill="null", start=START, end=START + 500 * MINUTE)
    assert long.group_by("symbol", maintain_order=True).agg(pl.len(), pl.col("filled").sum()).rows() == [
        ("A", 500, 200),
        ("B", 500, 200),
    ]
    hours = store.candles("A", "1h", derive_from="1m", fill="flat")
    assert hours["timestamp"].dt.epoch("ms").to_list() == [START + i * 60 * MINUTE for i in range(9)]
    assert hours["filled"].to_list() == [False, False, True, True, True, False, False, False, False]
    assert hours["closed"].to_list() == [True] * 8 + [False]
    days = store.candles(
        "A", "1d", derive_from="1m", tz="Asia/Seoul", fill="null", start="2025-08-30", end="2025-09-04"
    )
    assert days["timestamp"].dt.epoch("ms").to_list() == [
        START - 9 * 60 * MINUTE + i * DAY for i in (-1, 0, 1, 2)
    ] + [START - 9 * 60 * MINUTE + 3 * DAY]
    clock.ms = START + 505 * MINUTE
    store.write("A", "1m", walk(1, start=START + 501 * MINUTE))
    now = store.candles("A", "1m", fill="flat", end="2030-01-01")
    assert now["timestamp"].dt.epoch("ms")[-1] == START + 504 * MINUTE  # the bar that forms is not made up


def test_what_is_filled_ends_where_it_is_asked_to(store, clock):
    store.write("OLD", "1d", walk(3, step=DAY, start=START - 10_000 * DAY))
    store.write("X", "1d", walk(3, step=DAY))
    assert store.candles("X", "1d", end="2010-01-01", fill="null").is_empty()
    assert store.candles("OLD", "1d", start="2001-01-01", fill="flat").is_empty()
    many = store.candles(None, "1d", start=START, end=START + 2 * DAY, fill="flat")
    assert many.select("symbol", "filled").rows() == [
        ("OLD", True),
        ("OLD", True),
        ("X", False),
        ("X", False),
    ]
    assert many["close"][0] == store.candles("OLD", "1d")["close"][-1]
    store.write("Y", "1m", walk(10))
    clock.ms += 60 * MINUTE
    then = store.series().filter(pl.col("symbol") == "Y")["revision"][0]
    past = store.candles("Y", "1m", start=START, end=START + 2_000 * DAY, fill="flat", as_of=then + 1)
    assert past["timestamp"].dt.epoch("ms")[-1] <= then


# ---- recorded data


def upbit(store, name, timeframe, **given):
    part = next(iter(read(real("upbit", name))))
    store.write("KRW-BTC", timeframe, part.frames, source="upbit", **given)


def test_upbit_lacks_two_minutes(store):
    upbit(store, "BTC_KRW_1m.csv", "1m")
    found = store.gaps("KRW-BTC", "1m")
    assert found["start"].dt.strftime("%F %R").to_list() == ["2025-09-03 19:25", "2025-09-07 18:20"]
    assert found["bars"].to_list() == [1, 1]
    assert set(found["reason"]) == {"unknown"}


def test_upbits_hours_of_maintenance_are_never_called_no_trade(store):
    upbit(store, "BTC_KRW_1h.csv", "1h")
    fetch = {"start": "2022-01-01", "end": "2025-09-30"}
    found = store.gaps("KRW-BTC", "1h", **fetch)
    assert (len(found), set(found["reason"]), found["asked"].null_count()) == (18, {"unknown"}, 18)
    assert 52 <= found["bars"].sum() <= 59
    assert store.missing("KRW-BTC", "1h", **fetch)["bars"].sum() == found["bars"].sum()
    upbit(store, "BTC_KRW_1h.csv", "1h", covers=("2022-01-01", "2025-09-30"))
    answered = store.gaps("KRW-BTC", "1h", **fetch)
    assert answered["start"].equals(found["start"])
    assert (set(answered["reason"]), answered["asked"].null_count()) == ({"unknown"}, 0)
    assert store.missing("KRW-BTC", "1h", **fetch).is_empty()
    store.cover("KRW-BTC", "1h", **fetch, reason="exchange_down", source="notices of Upbit")
    assert set(store.gaps("KRW-BTC", "1h", **fetch)["reason"]) == {"exchange_down"}
    report = store.verify()
    assert "error" not in report["severity"]


@pytest.mark.parametrize(
    ("name", "timeframe", "bars"), [("UNITTEST_BTC-1m", "1m", 717), ("TRX_BTC-5m", "5m", 6)]
)
def test_freqtrades_pairs_lack_what_they_lack(store, name, timeframe, bars):
    part = next(iter(read(real("freqtrade", f"{name}.feather"))))
    store.write("X", timeframe, part.frames)
    found = store.gaps("X", timeframe)
    assert found["bars"].sum() == bars
    times = set(store.candles("X", timeframe)["timestamp"].dt.epoch("ms"))
    bar = Timeframe.parse(timeframe)
    assert not times & {time for start, end in ms(found, "start", "end") for time in starts(bar, start, end)}


def test_stocks_have_no_holes_on_holidays(store):
    """S&P daily with New York's calendar: what is left are the days that the file lacks."""
    pytest.importorskip("exchange_calendars")
    folder = real("sp500")
    for path in [folder / "AOS_data.csv", *sorted(folder.glob("AA*.csv"))]:
        part = next(iter(read(path, symbol_from_filename="{symbol}_data")))
        store.write(part.symbol, "1d", part.frames, on_invalid="quarantine", source=path.name)
    assert (store.coverage()["complete"] < 0.75).all()
    store.set_calendar("*", "NYSE")
    assert store.calendars().rows() == [("*", "XNYS")]
    glance = store.coverage()
    assert (glance["complete"] > 0.99).all()
    holes = store.gaps(None, "1d").filter(pl.col("reason") != "session_closed")
    assert not set(holes["start"].dt.strftime("%F")) & {
        "2013-07-04",
        "2013-12-25",
        "2016-01-18",
        "2017-11-23",
        "2018-01-01",
    }
    by_hand = store.candles(None, "1d").select("timestamp").unique()["timestamp"]
    for symbol, start, bars in holes.select("symbol", "start", "bars").iter_rows():
        assert start in by_hand, (symbol, start, bars)  # others traded on that day
    weekend = store.gaps("AAL", "1d", start="2013-02-16", end="2013-02-19")
    assert weekend.select("bars", "reason").rows() == [(3, "session_closed")]  # and Washington's birthday
    report = store.verify()
    assert "error" not in report["severity"]
    assert "session" not in report["check"]  # no bar on a day without one, in 10,000
    closed = [(f"2018-02-{day}", 50, 51, 49, 50, 1) for day in ("03", "04", "19")]  # a weekend, a holiday
    store.write("AAL", "1d", [*closed, ("2018-02-20", 50, 51, 49, 50, 2)])
    found = store.verify("AAL").filter(check="session")
    assert found.select("severity", "bars", "detail").rows() == [
        ("warning", 3, "3 bars while XNYS is closed, the first from 2018-02-03 00:00")
    ]
    assert found["start"].dt.strftime("%F").to_list() == ["2018-02-03"]
    assert found["end"].dt.strftime("%F").to_list() == ["2018-02-20"]
    assert store.quarantine()["symbol"].to_list() == ["AOS"]
