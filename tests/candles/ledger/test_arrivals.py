"""Since when bars are known and where from: one arrival a bar, whatever came before, between and over it."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

import mdstore
from mdstore.candles.ledger import arrivals
from mdstore.core.timeframe import Timeframe
from tests.support.candles import MINUTE, START, walk

BAR = Timeframe.parse("1m")
BARS = 24
KEY = ("A", "1m")
places = st.sets(st.integers(0, BARS - 1), min_size=1)
every_other = st.tuples(st.integers(0, 5), st.integers(2, 3)).map(lambda two: {*range(two[0], BARS, two[1])})
steps = st.one_of(
    st.tuples(st.just("write"), places | every_other, st.sampled_from("xy")),
    st.tuples(st.just("delete"), places.map(lambda some: set(range(min(some), max(some)))), st.just("")),
)


def known_of(store):
    """Return source and revision of each bar that is stored, told by the arrival that it lies in."""
    with store._candles._database.reading() as con:
        found = [one for _, _, one in arrivals.known(con, KEY)]
    assert all(one.end <= other.start for one, other in pairwise(found))
    there = (store.candles(*KEY)["timestamp"].dt.epoch("ms")).to_list() if KEY in store else []
    of_bar = {at: [one for one in found if one.start <= at < one.end] for at in there}
    return {
        at: [(one.source, one.within(BAR, at, at + MINUTE).first) for one in own]
        for at, own in of_bar.items()
    }


@settings(max_examples=60)
@given(given_steps=st.lists(steps, min_size=1, max_size=8))
def test_each_bar_has_the_arrival_that_brought_it(tmp_path_factory, given_steps):
    bars, model = walk(BARS), dict[int, list[tuple[str, int]]]()
    with mdstore.open(tmp_path_factory.mktemp("arrivals") / "a.sqlite3", pack_bytes=0) as store:
        for kind, chosen, source in given_steps:
            times = {START + place * MINUTE for place in chosen}
            if kind == "delete" and KEY in store and times:
                store.delete(*KEY, start=min(times), end=max(times) + MINUTE)
                model = {at: came for at, came in model.items() if at not in times}
            elif kind == "write":
                store.write(*KEY, bars[sorted(chosen)], source=source)
                revision = store.series()["revision"].item()
                model |= {at: [(source, revision)] for at in times - model.keys()}
            assert known_of(store) == model
        assert store.maintenance.check() == []


def test_what_fills_holes_reads_what_was_there_once(tmp_path):
    """Each bar that came into an arrival cut the rest of it again: 300,000 statements for 50,000 bars."""
    bars = walk(2_000)
    with mdstore.open(tmp_path / "a.sqlite3", pack_bytes=0) as store:
        store.write(*KEY, bars[::2], source="x")
        asked = []
        store._candles._database._connected_writer().exec_trace = lambda _, sql, given: (
            asked.append(sql) or True
        )
        store.write(*KEY, bars[1:-1:2], source="y")
        assert sum("FROM arrivals" in sql for sql in asked) < 20
        found = known_of(store)
    assert [came[0][0] for came in found.values()] == ["x", "y"] * 999 + ["x"]
