"""The order book against what Binance said of it at the time, and against a plain dict."""

import ast
import gzip
import json
from bisect import bisect_right
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdstore.errors import InvalidInputError
from mdstore.realtime import order_book as book_module
from mdstore.realtime.order_book import OrderBook
from tests.support.doses import dose
from tests.support.real import real


@pytest.fixture(scope="module")
def spot():
    """The spot recording's messages, parsed, in the order they came."""
    with gzip.open(real("binance_spot", "btcusdt_20240808.gz"), "rt") as file:
        return [json.loads(line.split(" ", 1)[1]) for line in file]


@pytest.fixture(scope="module")
def futures():
    """The futures recordings' messages in the order they came, snapshots with their symbol."""
    found = []
    for line in real("binance_futures_stream", "BINANCE_FUTURES.http.0.0").read_text().splitlines():
        if line:
            url, _, rest = line.partition(" -> ")
            time, _, text = rest.partition(": ")
            symbol = url.partition("symbol=")[2].partition("&")[0]
            found.append((float(time), {**json.loads(text), "symbol": symbol}))
    for line in real("binance_futures_stream", "BINANCE_FUTURES.ws.1.0").read_text().splitlines():
        time, _, text = line.partition(": ")
        if text.startswith("{"):
            found.append((float(time), json.loads(text)["data"]))
        elif text.startswith("b'"):
            found.append((float(time), json.loads(ast.literal_eval(text))["data"]))
    return [message for _, message in sorted(found, key=lambda item: item[0])]


def best_said(tickers, last_id):
    """The latest bookTicker at or before an update, as ((bid, size), (ask, size)); None before the first."""
    place = bisect_right(tickers, last_id, key=lambda ticker: ticker["u"])
    if not place:
        return None
    said = tickers[place - 1]
    return (float(said["b"]), float(said["B"])), (float(said["a"]), float(said["A"]))


def test_spot_book_is_the_exchanges(spot):
    """Best bid and ask, price and size, equal the latest bookTicker at or before each diff's last update."""
    tickers = [m["data"] for m in spot if m.get("stream", "").endswith("@bookTicker")]
    assert tickers == sorted(tickers, key=lambda ticker: ticker["u"])
    book, compared, waited = OrderBook("BTCUSDT"), 0, 0
    for message in spot:
        if "lastUpdateId" in message:
            assert book.snapshot(message["lastUpdateId"], message["bids"], message["asks"])
        elif message["stream"] == "btcusdt@depth@100ms":
            diff = message["data"]
            if not book.apply(diff["U"], diff["u"], diff["b"], diff["a"], timestamp=diff["E"]):
                waited += 1
                continue
        else:
            continue
        said = best_said(tickers, book.last_id)
        if said is not None:
            assert (book.best_bid, book.best_ask) == said, book.last_id
            compared += 1
    # All 3,451 diffs: three wait for the snapshot, which stands for them, 3,448 come after it.
    assert (compared, waited, book.holes) == (3449, 3, 0)
    assert len(book) > 3000


def test_futures_books_are_the_exchanges(futures):
    tickers, books, compared = {}, {}, 0
    for message in futures:
        if message.get("e") == "bookTicker":
            tickers.setdefault(message["s"], []).append(message)
    for message in futures:
        if "lastUpdateId" in message:
            book = books.setdefault(message["symbol"], OrderBook(message["symbol"]))
            book.snapshot(message["lastUpdateId"], message["bids"], message["asks"], timestamp=message["E"])
        elif message["e"] == "depthUpdate":
            book = books.setdefault(message["s"], OrderBook(message["s"]))
            ids = message["U"], message["u"]
            if not book.apply(*ids, message["b"], message["a"], previous_id=message["pu"]):
                continue
        else:
            continue
        said = best_said(tickers.get(book.symbol, []), book.last_id) if book.synced else None
        if said is not None:
            assert (book.best_bid, book.best_ask) == said, (book.symbol, book.last_id)
            compared += 1
    assert sorted(books) == ["AKROUSDT", "CTKUSDT", "KEEPUSDT", "SUSHIUSDT"]
    assert all(book.synced and book.holes == 0 for book in books.values())
    # 755 diffs follow the four snapshots; the first three come before any bookTicker of their symbol.
    assert compared == 752


@pytest.mark.parametrize("lost", [5, 500, 3000])
def test_a_lost_diff_of_the_recording_is_noticed_at_once(spot, lost):
    diffs = [m["data"] for m in spot if m.get("stream") == "btcusdt@depth@100ms"]
    snapshot = next(m for m in spot if "lastUpdateId" in m)
    book = OrderBook("BTCUSDT")
    book.snapshot(snapshot["lastUpdateId"], snapshot["bids"], snapshot["asks"])
    for diff in diffs[:lost]:
        assert book.apply(diff["U"], diff["u"], diff["b"], diff["a"])
    after = diffs[lost + 1]
    assert not book.apply(after["U"], after["u"], after["b"], after["a"])
    assert (book.synced, book.holes, len(book), book.best_bid, book.depth()) == (False, 1, 0, None, None)


# --- laws -----------------------------------------------------------------------------------------------

# Bids below 50, asks above it: a book that never crosses. Whole sizes compare exactly.
BIDS = st.dictionaries(st.integers(1, 49), st.integers(0, 3), max_size=6)
ASKS = st.dictionaries(st.integers(51, 99), st.integers(0, 3), max_size=6)
CHANGES = st.lists(st.tuples(BIDS, ASKS, st.integers(1, 4)), min_size=1, max_size=25)


def pairs(levels):
    return [[str(price), f"{size}.00"] for price, size in levels.items()]


def changed(model, bids, asks):
    """Return (bids, asks) dicts after a diff."""
    return tuple(
        {price: size for price, size in {**side, **change}.items() if size}
        for side, change in zip(model, (bids, asks), strict=True)
    )


def sides(book):
    """What the book shows, as dicts, having seen to their order."""
    depth = book.depth(1000, received=0)
    assert list(depth.bid_prices) == sorted(depth.bid_prices, reverse=True)
    assert list(depth.ask_prices) == sorted(depth.ask_prices)
    bids = dict(zip(depth.bid_prices, depth.bid_sizes, strict=True))
    asks = dict(zip(depth.ask_prices, depth.ask_sizes, strict=True))
    assert len(book) == len(bids) + len(asks)
    assert book.best_bid == (max(bids.items()) if bids else None)
    assert book.best_ask == (min(asks.items()) if asks else None)
    return bids, asks


def numbered(changes, start):
    """Give each change its ids: (first, last, previous, bids, asks)."""
    out, last = [], start
    for bids, asks, updates in changes:
        out.append((last + 1, last + updates, last, bids, asks))
        last += updates
    return out


def feed(book, diff, *, chain):
    first, last, previous, bids, asks = diff
    return book.apply(first, last, pairs(bids), pairs(asks), previous_id=previous if chain else None)


@given(bids=BIDS, asks=ASKS, changes=CHANGES, early=st.integers(0, 25), chain=st.booleans())
def test_book_equals_a_dict(bids, asks, changes, early, chain):
    """Also where some diffs come before the snapshot, whether it stands for them or not."""
    diffs = numbered(changes, 100)
    book, model = OrderBook("X"), changed(({}, {}), bids, asks)
    for diff in diffs[:early]:
        assert not feed(book, diff, chain=chain)
    assert book.snapshot(100, pairs(bids), pairs(asks))
    for diff in diffs[early:]:
        assert feed(book, diff, chain=chain)
    for _, _, _, *change in diffs:
        model = changed(model, *change)
    assert sides(book) == model
    assert (book.last_id, book.holes) == (diffs[-1][1], 0)


@given(changes=CHANGES.filter(lambda c: len(c) > 2), chain=st.booleans(), data=st.data())
def test_a_lost_diff_is_mended_by_a_snapshot(changes, chain, data):
    """In sync, a diff lost, out of sync; a snapshot from any moment after the loss mends it."""
    diffs = numbered(changes, 100)
    lost = data.draw(st.integers(0, len(diffs) - 2), label="lost")
    covered = data.draw(st.integers(lost, len(diffs) - 1), label="last diff the snapshot covers")
    book = OrderBook("X")
    book.snapshot(100, [], [])
    model = snapshot = ({}, {})
    for number, diff in enumerate(diffs):
        model = changed(model, *diff[3:])
        if number == covered:
            snapshot = model
        if number != lost:
            assert feed(book, diff, chain=chain) == (number < lost)
    assert (book.synced, book.holes, len(book), book.last_id) == (False, 1, 0, None)
    assert book.snapshot(diffs[covered][1], *map(pairs, snapshot))
    assert sides(book) == model
    assert (book.last_id, book.holes) == (diffs[-1][1], 1)


BAD_LEVELS = [
    ["1", "NaN"], ["nan", "1"], ["1", "inf"], ["-1", "1"], ["1", "-0.5"], ["x", "1"], ["1", None], ["0", "1"],
    ["1"], ["1", "2", "3"], "12", {"p": 1}, 7, None, [True, 1], [b"1", 1], [10**400, 1], [[1], 1],
]  # fmt: skip


@settings(max_examples=dose(300))
@given(
    bad=st.sampled_from(BAD_LEVELS), side=st.sampled_from(["bids", "asks"]), good=BIDS, whole=st.booleans()
)
def test_a_bad_level_is_named_and_changes_nothing(bad, side, good, whole):
    book = OrderBook("X")
    book.snapshot(5, [[10, 1], [20, 2]], [[60, 3]], timestamp=1)
    before = book.depth()
    levels = {"bids": [], "asks": [], side: [*pairs(good), bad]}
    ids = (6,) if whole else (6, 6)
    with pytest.raises(InvalidInputError, match=rf"^{side}\[{len(good)}\]"):
        (book.snapshot if whole else book.apply)(*ids, levels["bids"], levels["asks"])
    assert (book.depth(), book.last_id, book.holes) == (before, 5, 0)


# --- the protocol, case by case -------------------------------------------------------------------------


def synced_book(last_id=10):
    book = OrderBook("X")
    book.snapshot(last_id, [[10, 1]], [[12, 1]], timestamp=1_000)
    return book


def test_old_diffs_change_nothing():
    book = synced_book()
    assert book.apply(9, 10, [[10, 9]], [], timestamp=2_000)
    assert (book.best_bid, book.last_id, book.timestamp) == ((10, 1), 10, 1_000)


@pytest.mark.parametrize(
    ("first", "last", "previous", "follows"),
    [
        (11, 11, None, True), (8, 12, None, True), (12, 13, None, False),
        # The first futures diff after a snapshot need only reach back to it.
        (11, 15, 10, True), (8, 15, 6, True), (12, 15, 10, True), (13, 15, 12, False),
    ],
)  # fmt: skip
def test_the_first_diff_reaches_back_to_the_snapshot(first, last, previous, follows):
    book = synced_book()
    assert book.apply(first, last, [[11, 2]], [], previous_id=previous) is follows
    assert book.synced is follows
    assert book.holes == (not follows)


@pytest.mark.parametrize(("previous", "follows"), [(15, True), (14, False), (16, False)])
def test_later_futures_diffs_name_the_one_before(previous, follows):
    book = synced_book()
    assert book.apply(8, 15, [], [], previous_id=6)
    assert book.apply(16, 20, [], [], previous_id=previous) is follows


def test_a_snapshot_too_old_for_what_waits_leaves_a_hole_and_a_newer_mends_it():
    book = OrderBook("X")
    assert not book.apply(20, 22, [[10, 5]], [])
    assert not book.apply(23, 23, [[10, 7]], [])
    assert not book.snapshot(15, [[9, 1]], [])
    assert (book.synced, book.holes, len(book)) == (False, 1, 0)
    assert book.snapshot(21, [[9, 1]], [])
    assert (book.best_bid, book.last_id, len(book)) == ((10, 7), 23, 2)


def test_a_snapshot_older_than_the_book_is_ignored():
    book = synced_book()
    book.apply(11, 11, [[10, 5]], [])
    assert book.snapshot(10, [[10, 1]], [])
    assert (book.best_bid, book.last_id) == ((10, 5), 11)
    assert book.snapshot(11, [[10, 4]], [])
    assert (book.best_bid, book.best_ask) == ((10, 4), None)


def test_too_many_waiting_diffs_are_a_hole_unless_the_snapshot_covers_them(monkeypatch):
    monkeypatch.setattr(book_module, "MAX_WAITING", 3)
    for covered, synced in [(2, True), (1, False), (5, True)]:
        book = OrderBook("X")
        for update in range(1, 6):
            assert not book.apply(update, update, [[update, 1]], [])
        assert book.snapshot(covered, [], []) is synced
        assert book.holes == (not synced)
        # The next wait is as bounded.
        book.apply(8, 8, [], [])
        for update in range(9, 14):
            assert not book.apply(update, update, [[update, 1]], [])
        assert not book.snapshot(9, [], [])


def test_a_crossed_book_is_a_hole():
    book = synced_book()
    assert not book.apply(11, 11, [[12, 1]], [])
    assert (book.synced, book.holes, len(book)) == (False, 1, 0)
    assert book.snapshot(11, [[12, 1]], [[13, 1]])
    assert book.apply(12, 12, [[12.5, 1]], [])


def test_a_diff_that_moves_both_sides_is_not_crossed_on_the_way():
    book = synced_book()
    assert book.apply(11, 11, [[12, 1]], [[12, 0], [13, 1]])
    assert (book.best_bid, book.best_ask) == ((12, 1), (13, 1))


def test_a_crossed_snapshot_is_refused():
    book = synced_book()
    with pytest.raises(InvalidInputError, match="bids"):
        book.snapshot(20, [[12, 1]], [[12, 1]])
    assert book.last_id == 10


@pytest.mark.parametrize(
    ("ids", "named"),
    [
        ({"first_id": "11"}, "first_id"), ({"first_id": 13}, "first_id"), ({"last_id": 11.0}, "last_id"),
        ({"last_id": True}, "last_id"), ({"last_id": -1}, "last_id"), ({"previous_id": "9"}, "previous_id"),
    ],
)  # fmt: skip
def test_bad_ids_are_named(ids, named):
    book = synced_book()
    with pytest.raises(InvalidInputError, match=f"^{named}"):
        book.apply(**{"first_id": 11, "last_id": 12, "bids": [[10, 0]], "asks": []} | ids)
    assert (book.best_bid, book.last_id) == ((10, 1), 10)


@pytest.mark.parametrize("levels", ["12", None, 7, b"12"])
def test_levels_that_are_no_list(levels):
    with pytest.raises(InvalidInputError, match=r"^asks"):
        synced_book().apply(11, 11, [], levels)


def test_numbers_of_any_kind():
    book = synced_book()
    assert book.apply(11, 12, [("10.5", Decimal("0.25"))], ([11, 3.5],))
    assert (book.best_bid, book.best_ask) == ((10.5, 0.25), (11, 3.5))


def test_depth_is_cut_and_timed():
    book = OrderBook("X")
    assert book.depth(received=5) is None
    book.snapshot(1, [[price, price / 2] for price in range(1, 50)], [[60, 1]])
    with pytest.raises(InvalidInputError, match="received"):
        book.depth()
    depth = book.depth(received=7_000_999_999)
    assert (depth.symbol, depth.timestamp, depth.received) == ("X", 7_000, 7_000_999_999)
    assert depth.bid_prices == [*map(float, range(49, 19, -1))]
    assert depth.bid_sizes == [price / 2 for price in depth.bid_prices]
    assert (depth.ask_prices, depth.ask_sizes, depth.snapshot) == ([60.0], [1.0], False)
    book.apply(2, 2, [], [], timestamp=9_000)
    assert book.depth(2, received=7_000_999_999)[1:3] == (9_000, [49.0, 48.0])
    assert book.depth(0).bid_prices == []
    with pytest.raises(InvalidInputError, match="levels"):
        book.depth(-1)
