"""`store.sync`: what is missing is fetched, once, and what became of it is told."""

import asyncio
import threading
import time

import polars as pl
import pytest

import mdstore
from mdstore.errors import InvalidInputError, NoSuchSeriesError, TimeframeError
from mdstore.sources.sync.coordinator import Page
from mdstore.sources.sync.source_facts import SourceFacts
from tests.support.candles import MINUTE, START
from tests.support.fake_exchange import FakeExchange, Resting, asked_twice, at, bars
from tests.support.upstream import Clock

HOUR = 60


@pytest.fixture
def clock():
    return Clock.behind(1_000)


def rows_of(store, symbol="A", timeframe="1m"):
    frame = store.candles(symbol, timeframe)
    return list(frame.with_columns(frame["timestamp"].dt.epoch("ms")).iter_rows())


def test_all_that_is_missing_is_fetched_once_and_nothing_again(store, clock):
    truth = bars(1_000, without=(3, 500, 501))
    source = FakeExchange({("A", "1m"): truth}, clock)
    result = store.sync(source, "A", "1m", since=at(-100), until=at(900))
    assert rows_of(store) == [row for row in truth if row[0] < at(900)]
    assert (result.inserted, result.updated, result.failed) == (897, 0, {})
    assert result.holes == {"before_listing": 100, "no_trade": 3}
    assert store.gaps("A", "1m", start=at(-100), end=at(900))["reason"].to_list() == [
        "before_listing", "no_trade", "no_trade",
    ]  # fmt: skip
    assert asked_twice(source.log) == {}
    sent = source.requests
    again = store.sync(source, "A", "1m", since=at(-100), until=at(900))
    assert (again.requests, source.requests, again.series[0].state) == (0, sent, "up to date")
    assert again.frame["state"].to_list() == ["up to date"]


def test_without_a_start_an_update_goes_on_from_the_first_stored_bar(store, clock):
    truth = bars(2_000)
    source = FakeExchange({("A", "1m"): truth}, clock)
    store.sync(source, "A", "1m", since=at(100), until=at(500))
    result = store.sync(source, "A", "1m")
    assert rows_of(store) == truth[100:1_000]
    assert result.inserted == 500
    assert source.facts == []


def test_the_forming_bar_is_left_alone_and_the_latest_ones_are_asked_again_until_they_are_final(store, clock):
    truth = bars(2_000)

    def amend(row, ago):
        return row if ago >= 2 else (*row[:5], row[5] + 1 + ago)

    source = FakeExchange({("A", "1m"): truth}, clock, amend=amend)
    store.sync(source, "A", "1m", since=at(0))
    assert [row[5] for row in rows_of(store)][-2:] == [truth[998][5] + 2, truth[999][5] + 1]
    assert store.gaps("A", "1m", start=at(0), end=at(1_000)).is_empty()
    clock.at(1_001)
    result = store.sync(source, "A", "1m")
    assert rows_of(store)[:999] == truth[:999]
    assert result.updated == 2, "the one that is final now, and the one that is not yet"
    revised = store.revisions("A", "1m")
    assert revised["timestamp"].dt.epoch("ms").to_list() == [at(998), at(999)], "a correction is a revision"
    clock.at(1_010)
    store.sync(source, "A", "1m")
    assert rows_of(store)[:1_008] == truth[:1_008]
    asked = [one for one in source.log if one[2] < at(990)]
    assert len(asked) == 5, "what is final is not asked for again"


def test_a_fetch_that_fails_in_between_does_not_make_the_latest_bars_final(store, clock):
    truth = bars(2_000)
    source = FakeExchange(
        {("A", "1m"): truth}, clock, amend=lambda row, ago: row if ago >= 2 else (*row[:5], 9.0)
    )
    store.sync(source, "A", "1m", since=at(0))
    clock.at(1_002)
    source.plan = ["fail"]
    assert store.sync(source, "A", "1m").failed
    clock.at(1_010)
    store.sync(source, "A", "1m")
    assert rows_of(store)[:1_008] == truth[:1_008]


def test_a_bad_row_does_not_make_the_bar_final_that_it_would_have_amended(store, clock):
    truth = bars(2_000)
    source = FakeExchange({("A", "1m"): truth}, clock)
    store.sync(source, "A", "1m", since=at(0))
    clock.at(1_010)
    source.amend = lambda row, ago: row if row[0] != at(999) else (*row[:2], 1.0, *row[3:])
    store.sync(source, "A", "1m")
    source.amend, source.truth["A", "1m"] = None, [*truth[:999], (*truth[999][:5], 9.0), *truth[1_000:]]
    store.sync(source, "A", "1m")
    assert rows_of(store)[999][5] == 9.0


def test_what_is_final_is_told_by_the_clock_of_the_exchange_where_that_of_the_machine_is_ahead(store, clock):
    truth = bars(2_000)
    source = FakeExchange(
        {("A", "1m"): truth},
        clock,
        amend=lambda row, ago: row if ago >= 2 else (*row[:5], 9.0),
        knows_first=False,
    )
    source.behind = 3 * MINUTE
    result = store.sync(source, "A", "1m", since=at(0))
    assert (result.failed, len(rows_of(store))) == ({}, 997)
    clock.at(1_010)
    store.sync(source, "A", "1m")
    assert rows_of(store)[:1_005] == truth[:1_005]


def test_a_source_that_ends_early_is_asked_for_the_rest(store, clock):
    source = FakeExchange({("A", "1m"): bars(1_000)}, clock)

    async def early(symbol, timeframe, start, end):
        end = min(end, start + 50 * MINUTE)
        source.requests += 1
        yield Page(start, end, [row for row in bars(1_000) if start <= row[0] < end], "no_trade")

    source.candles = early
    result = store.sync(source, "A", "1m", since=at(0), until=at(500))
    assert (result.failed, result.inserted, source.requests) == ({}, 500, 10)

    async def nothing(symbol, timeframe, start, end):
        return
        yield

    source.candles = nothing
    assert "proves nothing of" in str(store.sync(source, "A", "1m", until=at(600)).failed["A", "1m"])


def test_a_minute_that_is_not_there_yet_is_unsettled_until_it_is_known(store, clock):
    truth = bars(2_000, without=(999,))
    source = FakeExchange({("A", "1m"): truth}, clock)
    store.sync(source, "A", "1m", since=at(0))
    assert store.gaps("A", "1m", end=at(1_000))["reason"].to_list() == ["unsettled"]
    clock.at(1_010)
    store.sync(source, "A", "1m")
    assert store.gaps("A", "1m", end=at(1_000))["reason"].to_list() == ["no_trade"]


def test_several_symbols_and_timeframes_share_the_source(store, clock):
    truth = {
        (symbol, bar): bars(300, step=step, seed=seed)
        for seed, symbol in enumerate("ABC")
        for bar, step in (("1m", MINUTE), ("5m", 5 * MINUTE))
    }
    source = FakeExchange(truth, clock, delay=0.001)
    clock.at(5_000)
    result = store.sync(source, ["A", "B", "C"], ["1m", "5m"], since=at(0))
    assert {key: rows_of(store, *key) for key in truth} == truth
    assert [(one.symbol, one.timeframe) for one in result.series] == [
        (s, b) for b in ("1m", "5m") for s in "ABC"
    ]
    assert 1 < source.most_under_way <= 4


def test_a_pattern_is_every_market_that_fits(store, clock):
    truth = {(symbol, "1m"): bars(10) for symbol in ("KRW-A", "KRW-B", "BTC-A")}
    source = FakeExchange(truth, clock)
    result = store.sync(source, "KRW-*", "1m", since=at(0))
    assert [one.symbol for one in result.series] == ["KRW-A", "KRW-B"]
    with pytest.raises(InvalidInputError, match="no market that fits 'USD-"):
        store.sync(source, "USD-*", "1m", since=at(0))


def test_what_fails_is_told_and_does_not_stop_the_others(store, clock):
    source = FakeExchange({("KRW-A", "1m"): bars(300), ("KRW-B", "1m"): bars(300)}, clock, plan=["fail"])
    result = store.sync(source, ["KRW-A", "KRW-C", "KRW-B"], "1m", since=at(0), until=at(300))
    assert set(result.failed) == {("KRW-A", "1m"), ("KRW-C", "1m")}
    assert "no market KRW-C. Hint: did you mean KRW-B?" in str(result.failed["KRW-C", "1m"])
    assert result.series[1].state == "done"
    again = store.sync(source, ["KRW-A", "KRW-B"], "1m", since=at(0), until=at(300))
    assert again.failed == {}
    assert rows_of(store, "KRW-A") == rows_of(store, "KRW-B") == bars(300)


def test_what_failed_is_known_to_have_failed_and_is_asked_for_again(store, clock):
    source = FakeExchange({("A", "1m"): bars(300)}, clock, plan=[None, "fail"], page=100, knows_first=False)
    store.sync(source, "A", "1m", since=at(0), until=at(300))
    assert store.gaps("A", "1m", start=at(0), end=at(300)).select("bars", "reason").rows() == [
        (200, "fetch_failed")
    ]
    store.sync(source, "A", "1m", since=at(0), until=at(300))
    assert rows_of(store) == bars(300)
    assert asked_twice(source.log) == {}


def test_years_before_the_listing_are_not_asked_for(store, clock):
    source = FakeExchange({("A", "1m"): bars(1_000)}, clock)
    result = store.sync(source, "A", "1m", since=START - 365 * 1_440 * MINUTE, until=at(900))
    assert rows_of(store) == bars(900)
    assert result.holes == {"before_listing": 365 * 1_440}
    assert result.requests == 1 + 1 + 5, "a page before it, the listing, and what is there"
    assert store.sync(source, "A", "1m", since="1990-01-01", until=at(900)).requests == 0


def test_from_the_listing_on(store, clock):
    source = FakeExchange({("A", "1m"): bars(300)}, clock)
    result = store.sync(source, "A", "1m", since="listing", until=at(300))
    assert rows_of(store) == bars(300)
    assert result.inserted == 300
    assert store.missing("A", "1m", start="2000-01-01", end=at(300)).is_empty()
    ignorant = FakeExchange({("B", "1m"): bars(300)}, clock, knows_first=False)
    failed = store.sync(ignorant, "B", "1m", since="listing").failed
    assert "does not say when B 1m was listed. Hint: give since=" in str(failed["B", "1m"])


def test_a_series_that_is_not_stored_needs_a_start(store, clock):
    source = FakeExchange({("A", "1m"): bars(300), ("B", "1m"): bars(300)}, clock)
    store.sync(source, "A", "1m", since=at(0), until=at(200))
    result = store.sync(source, ["A", "B"], "1m", until=at(300))
    assert isinstance(result.failed["B", "1m"], NoSuchSeriesError)
    assert "since=" in str(result.failed["B", "1m"])
    assert rows_of(store, "A") == bars(300)


def test_a_dry_run_says_how_much_and_changes_nothing(store, clock):
    source = FakeExchange({("A", "1m"): bars(1_000)}, clock)
    source.pace = 2.0
    result = store.sync(source, "A", "1m", since="listing", until=at(1_000), dry_run=True)
    assert (result.missing, result.pages, result.seconds_left) == (1_000, 5, 2.5)
    assert store.sync(source, "A", "1m", since=at(-200), until=at(200), dry_run=True).missing == 400
    assert source.log == []
    assert len(store) == 0
    assert store.coverage().is_empty()


def test_declared_columns_come_along(store, clock):
    store.declare("value", resample="sum")
    truth = bars(5)
    page = pl.DataFrame(
        [(*row, 7.0 + place) for place, row in enumerate(truth)],
        ["timestamp", "open", "high", "low", "close", "volume", "candle_acc_trade_price"], orient="row",
    )  # fmt: skip
    source = FakeExchange({("A", "1m"): truth}, clock, plan=[Page(at(0), at(5), page, "no_trade")])
    store.sync(source, "A", "1m", since=at(0), until=at(5))
    assert store.candles("A", "1m", columns=["value"])["value"].to_list() == [7, 8, 9, 10, 11]


def test_progress_is_told_in_bars_pages_requests_and_seconds(store, clock):
    seen = []
    source = FakeExchange({("A", "1m"): bars(1_000)}, clock)
    store.sync(
        source, "A", "1m", since=at(0), until=at(1_000),
        progress=lambda now: seen.append((now.done, now.missing, now.pages_done, now.pages, now.requests)),
    )  # fmt: skip
    assert seen[0] == (0, 1_000, 0, 5, 0)
    assert seen[-1] == (1_000, 1_000, 5, 5, 5)
    assert [one[0] for one in seen] == sorted(one[0] for one in seen)


def test_what_progress_raises_is_heard(store, clock):
    source = FakeExchange({("A", "1m"): bars(1_000)}, clock)
    with pytest.raises(ZeroDivisionError):
        store.sync(source, "A", "1m", since=at(0), progress=lambda now: 1 / 0)
    assert source.log == []


def test_what_progress_raises_ends_the_sync_at_once_and_what_has_come_stays(store, clock):
    clock.at(30_000)
    source = FakeExchange({("A", "1m"): bars(30_000), ("B", "1m"): bars(30_000)}, clock, delay=0.01)

    def progress(now):
        if now.done:
            raise EOFError

    with pytest.raises(EOFError):
        store.sync(source, ["A", "B"], "1m", since=at(0), progress=progress)
    assert 0 < len(store.candles("A", "1m")) < 10_000
    assert len(source.log) < 100, "of 300"
    assert source.under_way == 0
    assert store.sync(source, ["A", "B"], "1m", since=at(0)).failed == {}
    assert rows_of(store, "B") == bars(30_000)


def test_the_async_form_lets_the_loop_go_on_and_can_be_cancelled(store, clock):
    source = FakeExchange({("A", "1m"): bars(1_000)}, clock)

    async def fetch():
        result = await store.sync_async(source, "A", "1m", since=at(0), until=at(500))
        assert result.inserted == 500
        source.plan = [None, None, "slow"]
        task = asyncio.create_task(store.sync_async(source, "A", "1m", until=at(1_000)))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(fetch())
    source.plan = []
    store.sync(source, "A", "1m", until=at(1_000))
    assert rows_of(store) == bars(1_000)
    assert asked_twice([one for one in source.log if one[2] < at(900)]) == {}


def test_it_works_inside_a_running_loop_as_in_a_notebook(store, clock):
    source = FakeExchange({("A", "1m"): bars(100)}, clock)

    async def cell():
        return store.sync(source, "A", "1m", since=at(0)).inserted

    assert asyncio.run(cell()) == 100


def test_a_sync_that_is_begun_in_one_is_refused(store, clock):
    source = FakeExchange({("A", "1m"): bars(1_000)}, clock)
    with pytest.raises(InvalidInputError, match="would wait for ever"):
        store.sync(source, "A", "1m", since=at(0), progress=lambda now: store.sync(source, "A", "1m"))
    own = mdstore.FunctionCoordinator(lambda *asked: store.sync(source, "A", "1m"), name="mine")
    failed = store.sync(own, "B", "1m", since=at(0), until=at(10)).failed
    assert "would wait for ever" in str(failed["B", "1m"])


def test_every_goes_on_with_each_bar_until_it_is_interrupted(store, clock):
    source = FakeExchange({("A", "1s"): bars(2_000, step=1_000)}, time_of(START + 500_000))
    rounds, enough = [], threading.Event()
    with mdstore.MarketDataStore(store.path.with_name("other.sqlite3"), clock=source.clock) as other:

        def told(result):
            if result.is_over:
                rounds.append(result)
                if len(rounds) == 3:
                    enough.set()
                    raise EOFError

        with pytest.raises(EOFError):
            other.sync(source, "A", "1s", since=START, every="1s", progress=told)
        first, *others = rounds
        assert first.inserted >= 500
        assert all(1 <= one.inserted <= 4 for one in others)


def time_of(ms):
    began = time.monotonic()
    return lambda: ms / 1000 + time.monotonic() - began


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"timeframes": "7m"}, TimeframeError, "fake has no 7m candles: it has 1m"),
        ({"timeframes": []}, InvalidInputError, "no timeframe"),
        ({"symbols": []}, InvalidInputError, "no symbols"),
        ({"since": START + 1, "until": START}, InvalidInputError, "until is not after since"),
        ({"since": "2030-01-01"}, InvalidInputError, "now is not after since"),
        ({"source": 5}, InvalidInputError, "5 is no source"),
        ({"source": "upbitt"}, InvalidInputError, "did you mean 'upbit'"),
        ({"base_url": "http://localhost"}, InvalidInputError, "opened by its name"),
        ({"since": "gestern"}, InvalidInputError, "since"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(store, clock, change, error, said):
    source = FakeExchange({("A", "1m"): bars(100)}, clock)
    call = {"source": source, "symbols": "A", "timeframes": "1m", "since": START, **change}
    with pytest.raises(error, match=said):
        store.sync(**call)
    assert source.requests == 0


def test_bars_that_can_be_made_of_shorter_ones_are_named(store, clock):
    source = FakeExchange({("A", "1m"): bars(100)}, clock)
    with pytest.raises(TimeframeError, match="derive_from='1m'"):
        store.sync(source, "A", "7m", since=START)


def test_a_source_that_raises_its_own_errors_is_told_of(store, clock):
    source = FakeExchange({("A", "1m"): bars(100)}, clock, plan=["lost"], knows_first=False)
    result = store.sync(source, "A", "1m", since=at(0), until=at(100))
    assert "ConnectionError: the connection was lost" in str(result.failed["A", "1m"])
    assert rows_of(store) == bars(100), "the page before had landed"


def test_notebooks_show_a_row_a_series(store, clock):
    source = FakeExchange({("A", "1m"): bars(100), ("<b>", "1m"): bars(100)}, clock)
    html = store.sync(source, ["A", "<b>"], "1m", since=at(0))._repr_html_()
    assert "200 new" in html
    assert "<td>&lt;b&gt;</td>" in html


def test_a_bad_row_is_set_aside_and_its_bar_has_failed_and_a_page_of_such_is_none(store, clock):
    wrong = bars(300)
    wrong[7] = (*wrong[7][:2], 1.0, *wrong[7][3:])  # a high below the low
    source = FakeExchange({("A", "1m"): wrong}, clock)
    result = store.sync(source, "A", "1m", since=at(0), until=at(300))
    assert (result.inserted, result.holes, result.failed) == (299, {"fetch_failed": 1}, {})
    assert len(store.quarantine()) == 1
    source.truth["A", "1m"] = bars(300)
    assert store.sync(source, "A", "1m", since=at(0), until=at(300)).inserted == 1
    assert rows_of(store) == bars(300)
    source.truth["B", "1m"] = [(*row[:2], 1.0, *row[3:]) for row in bars(300)]
    result = store.sync(source, "B", "1m", since=at(0), until=at(300))
    assert "breaks the rule" in str(result.failed["B", "1m"])
    assert ("B", "1m") not in store


def test_a_source_of_ones_own_gives_declared_columns_and_its_pages_are_looked_at(store):
    store.declare("value", resample="sum")
    asked = []

    def fetch(symbol, timeframe, start, end):
        asked.append((start, end))
        rows = [(time, 1, 2, 1, 2, 5, 9) for time in range(start, end, MINUTE)]
        names = ["timestamp", "open", "high", "low", "close", "volume", "turnover"]
        return pl.DataFrame(rows, names, orient="row")[-100:]  # not all that was asked for

    source = mdstore.FunctionCoordinator(fetch, name="mine", page_bars=100)
    result = store.sync(source, "A", "1m", since=at(0), until=at(250))
    assert (result.inserted, len(asked)) == (250, 3)
    assert store.candles("A", "1m", columns=["value"])["value"].sum() == 250 * 9


def test_a_source_whose_answers_prove_nothing_is_not_asked_for_ever(store):
    def fetch(symbol, timeframe, start, end):
        return [(time, 1, 2, 1, 2, 5) for time in range(end, end + 10 * MINUTE, MINUTE)]

    source = mdstore.FunctionCoordinator(fetch, name="mine", page_bars=100)
    result = store.sync(source, "A", "1m", since=at(0), until=at(250))
    assert "did not keep to the range" in str(result.failed["A", "1m"])
    assert result.requests <= 4


def test_a_source_that_exits_fails_by_itself(store, clock):
    source = FakeExchange({("A", "1m"): bars(100), ("B", "1m"): bars(100)}, clock, plan=["exit"])
    result = store.sync(source, ["A", "B"], "1m", since=at(0), until=at(100))
    assert "SystemExit: 3" in str(result.failed["A", "1m"])
    assert rows_of(store, "B") == bars(100)
    assert store.sync(source, ["A", "B"], "1m", since=at(0), until=at(100)).failed == {}


def test_a_store_that_is_only_read_takes_nothing_and_may_be_asked_what_it_lacks(store, clock):
    source = FakeExchange({("A", "1m"): bars(100)}, clock)
    store.sync(source, "A", "1m", since=at(0), until=at(50))
    with mdstore.MarketDataStore(store.path, clock=clock, read_only=True) as reader:
        assert reader.sync(source, "A", "1m", until=at(100), dry_run=True).missing == 50
        with pytest.raises(mdstore.ReadOnlyError):
            reader.sync(source, "A", "1m", until=at(100))


def test_rows_that_break_a_rule_are_counted(store, clock):
    wrong = bars(300)
    wrong[7] = (*wrong[7][:2], 1.0, *wrong[7][3:])
    source = FakeExchange({("A", "1m"): wrong, ("B", "1m"): bars(300)}, clock)
    result = store.sync(source, ["A", "B"], "1m", since=at(0), until=at(300))
    assert (result.bad, [one.bad for one in result.series]) == (1, [1, 0])
    assert result.frame["bad"].to_list() == [1, 0]
    assert "bad=1" in repr(result)


def test_a_list_of_markets_that_failed_is_asked_for_again(clock):
    source, failures = FakeExchange({("A", "1m"): bars(1)}, clock), [ConnectionError("down")]
    listed = source.markets

    async def markets():
        if failures:
            raise failures.pop()
        return await listed()

    source.markets = markets

    async def twice():
        facts = SourceFacts(source)
        with pytest.raises(ConnectionError):
            await facts.markets()
        return await facts.markets()

    assert list(asyncio.run(twice())) == ["A"]


def test_what_a_source_raises_before_it_is_asked_is_of_one_series(store, clock):
    source = FakeExchange({("A", "1m"): bars(300), ("B", "1m"): bars(300)}, clock)
    cut = source.stretches

    def stretches(timeframe, start, end):
        if len(source.log) == 0 and not calls:
            calls.append(1)
            raise KeyError("no such table")
        return cut(timeframe, start, end)

    calls = []
    source.stretches = stretches
    result = store.sync(source, ["A", "B"], "1m", since=at(0), until=at(300))
    assert [one.state for one in result.series] == ["failed", "done"]


def test_a_host_that_is_left_alone_for_a_while_is_waited_for(store, clock):
    source, seen = Resting({(one, "1m"): bars(300) for one in "ABC"}, clock), []
    source.until = time.monotonic() + 0.5
    result = store.sync(
        source, list("ABC"), "1m", since=at(0), until=at(300), progress=lambda now: seen.append(now.waiting)
    )
    assert result.failed == {}
    assert "fake has failed again and again, " in "".join(seen)
    assert result.waiting == ""


def test_every_round_takes_up_markets_that_are_new(store, clock):
    source, rounds = FakeExchange({("KRW-A", "1s"): bars(300, step=1_000)}, clock), []
    clock.at(300, step=1_000)

    def progress(now):
        if now.is_over:
            rounds.append([one.symbol for one in now.series])
            source.truth["KRW-B", "1s"] = bars(300, step=1_000)
            if len(rounds) == 2:
                raise EOFError

    with pytest.raises(EOFError):
        store.sync(source, "KRW-*", "1s", since=at(0), every="1s", progress=progress)
    assert rounds == [["KRW-A"], ["KRW-A", "KRW-B"]]
