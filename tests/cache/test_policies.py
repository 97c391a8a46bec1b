"""How long answers are kept, as policies say it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdstore
from mdstore.cache import LRU, POLICIES, TTL, Key, Negative, NextBar, SessionTTL
from mdstore.cache.policies import Policies
from mdstore.core.timeframe import Timeframe


def ms(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


KEY = Key("candles", ("KRX:005930",), "1d")
moments = st.integers(0, ms("2100-01-01"))


@given(moments, st.floats(0, 1e6))
def test_a_ttl_is_never_shorter_than_it_says(now, seconds):
    for policy in (TTL(seconds), Negative(seconds)):
        assert seconds * 1000 <= policy.expires(KEY, now) - now <= seconds * 1000 + 1


@given(moments, st.sampled_from(["1m", "15m", "1h", "1d", "1w", "1M", "7s"]), st.integers(-3, 3))
def test_the_latest_bars_end_with_the_next_one_and_others_do_not(now, timeframe, bars):
    grid = Timeframe.parse(timeframe)
    this, after = grid.floor(now), grid.next(now)
    end = this + bars * (after - this)
    for open_end in (None, end):
        expires = NextBar().expires(Key("candles", timeframe=timeframe, end=open_end), now)
        # The last that has ended may not have come yet.
        settled = open_end is not None and open_end <= grid.floor(this - 1)
        assert expires == (None if settled else after)
        assert expires is None or now < expires


def test_without_a_timeframe_there_is_no_next_bar():
    assert NextBar(7).expires(Key("sql"), 1_000) == 8_000


def test_lru_knows_no_time():
    assert LRU().expires(KEY, 0) is None


SESSION = SessionTTL(10, 7200, {"KRX:*": "XKRX", "NY:*": "XNYS"})


@pytest.mark.parametrize(
    ("symbols", "now", "seconds"),
    [
        (("KRX:005930",), "2025-09-01T03:00:00", 10),  # Monday noon in Seoul
        (("KRX:005930",), "2025-09-01T07:00:00", 7200),  # after the close
        (("KRX:005930",), "2025-08-31T23:30:00", 1800),  # half an hour before Monday's open
        (("KRX:005930",), "2025-09-06T12:00:00", 7200),  # Saturday
        (("KRX:005930", "NY:AAPL"), "2025-09-01T12:00:00", 7200),  # Labor Day: both closed
        (("KRX:005930", "NY:AAPL"), "2025-09-02T14:00:00", 10),  # New York trades
        (("KRW-BTC",), "2025-09-06T12:00:00", 10),  # no pattern: it always trades
        (("KRX:005930", "KRW-BTC"), "2025-09-06T12:00:00", 10),
        (None, "2025-09-06T12:00:00", 10),  # all of them, so also what no pattern matches
        ((), "2025-09-06T12:00:00", 10),
    ],
)
def test_while_the_market_trades_it_is_short(symbols, now, seconds):
    now = ms(now)
    assert SESSION.expires(Key("sql", symbols), now) == now + seconds * 1000


def test_one_calendar_for_all_symbols():
    now = ms("2025-09-06T12:00:00")
    assert SessionTTL(10, 7200, "XKRX").expires(Key("sql"), now) == now + 7_200_000
    assert SessionTTL(10, 7200).expires(Key("sql"), now) == now + 10_000


def test_a_closed_answer_ends_when_the_market_opens():
    """At any minute of a week: never kept over an opening, and never shorter than both say."""
    policy = SessionTTL(10, 3600, "XKRX")
    opening, minute = ms("2025-09-02T00:00:00"), 60_000
    for now in range(opening - 3_600_000, opening, 7 * minute):
        assert policy.expires(KEY, now) == opening
    assert policy.expires(KEY, opening) == opening + 10_000


@pytest.mark.parametrize("seconds", [-1, 1e300, float("inf"), float("nan"), "1", None, True])
@pytest.mark.parametrize(
    "policy", [TTL, Negative, NextBar, lambda s: SessionTTL(s, 1), lambda s: SessionTTL(1, s)]
)
def test_what_is_no_number_of_seconds_is_refused(policy, seconds):
    with pytest.raises(mdstore.InvalidInputError, match="seconds"):
        policy(seconds)


def test_a_calendar_that_there_is_not_is_refused():
    with pytest.raises(mdstore.InvalidInputError, match="no calendar"):
        SessionTTL(1, 2, "XKRXX")
    with pytest.raises(mdstore.InvalidInputError, match="no calendar"):
        SessionTTL(1, 2, {"*": "XKRXX"})


# ---- the table


def test_policies_are_values():
    assert TTL(5) == TTL(5) != Negative(5)
    assert hash(TTL(5)) == hash(TTL(5))
    assert repr(TTL(5)) == "TTL(seconds=5)"


def test_own_rows_go_over_the_table_and_leave_it_as_it_is():
    before = dict(POLICIES)
    table = Policies({"ticker": TTL(100), "news": LRU()})
    assert table.expires(Key("ticker"), rows=1, now=0) == 100_000
    assert table.expires(Key("news"), rows=1, now=0) is None
    assert table.expires(Key("orderbook"), rows=1, now=0) == POLICIES["orderbook"].expires(
        Key("orderbook"), 0
    )
    assert before == POLICIES


def test_what_has_no_row_is_kept_as_other_says_and_nothing_as_empty_does():
    table = Policies({"other": TTL(30), "empty": Negative(3), "lru": LRU()})
    assert table.expires(Key("news"), rows=1, now=0) == 30_000
    assert table.expires(Key("news"), rows=0, now=0) == 3_000
    assert table.expires(Key("lru"), rows=0, now=0) == 3_000
    assert Policies({"empty": LRU()}).expires(Key("lru"), rows=0, now=0) == 60_000
    assert table.expires(Key("ticker"), rows=0, now=0) == 1_000  # the shorter counts


@pytest.mark.parametrize("policy", [TTL, 60, None, "LRU", lambda key, now: None])
def test_what_is_no_policy_is_refused_with_what_is_one(policy):
    with pytest.raises(mdstore.InvalidInputError, match="no policy") as error:
        Policies({"sql": policy})
    assert "TTL(60)" in error.value.hint.python


def test_policies_that_are_no_table_are_refused():
    with pytest.raises(mdstore.InvalidInputError, match="a dict of kinds"):
        Policies([TTL(5)])


def test_ones_own_policy_is_anything_that_says_when():
    class Midnight:
        def expires(self, key, now):
            return Timeframe.parse("1d").next(now)

    assert Policies({"sql": Midnight()}).expires(Key("sql"), rows=1, now=5) == 86_400_000
