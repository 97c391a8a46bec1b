"""Holes and why they are there, against a model that looks at every bar by itself, and on recorded data."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mdstore
from mdstore.core.calendars import Grid
from mdstore.core.timeframe import Timeframe
from mdstore.sources.files import read
from tests.support.candles import MINUTE, START, walk
from tests.support.doses import dose
from tests.support.holes import DAY, Clock, bars_at, ms
from tests.support.real import real

STATED = ("no_trade", "exchange_down", "before_listing", "after_delisting", "fetch_failed", None, "unknown")
LIFE = ("before_listing", "after_delisting")
RANKS = {"fetch_failed": 1, None: 2}


@pytest.fixture
def clock():
    return Clock(START + 1_000 * DAY)


def starts(bar, low, high):
    at = bar.next(low - 1)
    while at < high:
        yield at
        at = bar.next(at)


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

    def relist(self, times):
        """A new bar behind a delisting: from there on it is not said any more."""
        behind = [
            time for time in times if time not in self.held and self.said.get(time) == "after_delisting"
        ]
        if behind:
            self.said = {
                time: said
                for time, said in self.said.items()
                if said != "after_delisting" or time < min(behind)
            }

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
            model.relist(times)
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


# ---- laws


@settings(max_examples=dose(50), suppress_health_check=[HealthCheck.too_slow])
@given(grids, steps, st.integers(1, 9))
def test_holes_and_what_is_missing_are_the_models(grid, given, page):
    check_gaps(grid, given, page)


@pytest.mark.long
@settings(max_examples=3_000, suppress_health_check=[HealthCheck.too_slow])
@given(grids, steps, st.integers(1, 9))
def test_holes_and_what_is_missing_are_the_models_of_many(grid, given, page):
    check_gaps(grid, given, page)


# ---- large series, in cells


@pytest.mark.slow
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


@pytest.mark.parametrize("page", [0, -1, True, 2.5, "many"])
def test_a_page_that_is_none_is_refused(store, page):
    with pytest.raises(mdstore.InvalidInputError, match="page "):
        store.missing("X", "1m", start=START, page=page)


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


@pytest.mark.slow
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
