"""What is said of ranges and what becomes of it: asked for, reasons, what is taken back or laid over."""

import apsw
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import mdstore
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.digests import accept
from mdstore.candles.file.migrations import MIGRATIONS, migrate
from mdstore.candles.ledger import coverage
from mdstore.candles.repository import CandleRepository
from mdstore.core.time_bounds import FOREVER
from tests.support.candles import MINUTE, START, walk
from tests.support.doses import dose
from tests.support.holes import DAY, Clock, bars_at, ms


@pytest.fixture
def clock():
    return Clock(START + 1_000 * DAY)


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
        ({"covers": ("tomorrow", START)}, "no ISO 8601 time"),
        ({"absent": "no_trade"}, "covers="),
        ({"covers": (START, None), "absent": "holiday"}, "no_trade"),
        ({"covers": (START, None), "absent": "forming"}, "no reason"),
        ({"source": ""}, "source "),
        ({"source": "a\nb"}, "source "),
        ({"source": 5}, "source "),
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
    unreadable = [("soon", 1, 2, 0.5, 1.5, 3)]
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
@settings(max_examples=dose(100))
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
