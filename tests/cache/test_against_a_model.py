"""Every cache against a dict: what comes out is what was put last, in time, and the books balance."""

import tempfile

import polars as pl
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mdstore.cache import TTL, Key
from tests.cache.caches import CACHES, MILLION, Clock
from tests.support.doses import dose

# Few, so that what is put meets what is asked for.
queries = st.sampled_from(
    [
        Key("sql", ("A",), "1m", 0, 10, 1),
        Key("sql", ("A",), "1m", 0, 10, True),
        Key("sql", ("A", "B"), "1m", 5, 15),
        Key("sql", None, "1m", 0, 10),
    ]
)
versions = st.sampled_from([0, 0, 0, 1])
frames = st.tuples(st.integers(0, 9), st.sampled_from([0, 1, 200, 3_000])).map(
    lambda chosen: pl.DataFrame({"number": [chosen[0]] * chosen[1], "row": range(chosen[1])})
)
ENDLESS = 1e9


class Against(RuleBasedStateMachine):
    """`exact` is whether there is room for all, and no clock is set: then nothing may be missing either."""

    kind, limit, exact = "memory", 0, False

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.folder = tempfile.TemporaryDirectory()
        self.model, self.gets = {}, 0
        self.open()

    def open(self):
        options = {"policies": {"sql": TTL(50), "empty": TTL(5)}, **self.clock.options}
        self.cache = CACHES[self.kind](f"{self.folder.name}/cache", self.limit, **options)

    def teardown(self):
        self.folder.cleanup()

    @rule(query=queries, version=versions, frame=frames, ttl=st.sampled_from([None, 0, 3, 40]))
    def put(self, query, version, frame, ttl):
        self.cache.put(of_version(query, version), frame, ttl)
        seconds = ttl if ttl is not None else 50 if frame.height else 5
        ends = self.clock.now + seconds, self.clock.age + seconds
        self.model[query] = version, frame, ends

    @rule(query=queries, version=versions)
    def get(self, query, version):
        answer = self.cache.get(of_version(query, version))
        self.gets += 1
        current, frame, (wall, age) = self.model.get(query, (None, None, (0, 0)))
        if current != version or self.clock.now >= wall or self.clock.age >= age:
            assert answer is None
        elif self.exact or answer is not None:
            assert answer.equals(frame)

    @rule(
        symbol=st.sampled_from(["A", "B", "C", None]),
        timeframe=st.sampled_from(["1m", "1h", None]),
        start=st.sampled_from([None, 5, 10]),
    )
    def invalidate(self, symbol, timeframe, start):
        self.cache.invalidate(symbol, timeframe, start)
        for query in list(self.model):
            named = symbol is None or query.symbols is None or symbol in query.symbols
            if named and timeframe in (None, "1m") and (start is None or start < query.end):
                del self.model[query]

    @rule()
    def clear(self):
        self.cache.clear()
        self.model.clear()

    @rule(seconds=st.sampled_from([0.5, 2, 30]))
    def time_passes(self, seconds):
        self.clock.pass_(seconds)

    @precondition(lambda self: not self.exact)
    @rule(seconds=st.sampled_from([-100, -1, 100]))
    def the_clock_is_set(self, seconds):
        self.clock.set(seconds)

    @precondition(lambda self: self.kind == "disk")
    @rule()
    def another_process_goes_on(self):
        """It knows by the time of day only how old the files are, and has books of its own."""
        self.open()
        self.gets = 0
        self.model = {
            query: (version, frame, (wall, self.clock.age + ENDLESS))
            for query, (version, frame, (wall, _)) in self.model.items()
        }

    @invariant()
    def the_books_balance(self):
        stats = self.cache.stats()
        assert stats["hits"] + stats["misses"] == self.gets
        assert 0 <= stats["bytes"] <= stats["limit"]
        assert (stats["entries"] == 0) == (stats["bytes"] == 0)
        assert stats["failed"] == 0


def of_version(query, version):
    return Key(query.kind, query.symbols, query.timeframe, query.start, query.end, query.detail, version)


@pytest.mark.parametrize(("limit", "exact"), [(9_000, False), (200_000, False), (50 * MILLION, True)])
def test_cached_equals_what_was_put_or_nothing(kind, limit, exact):
    chosen = type("Chosen", (Against,), {"kind": kind, "limit": limit, "exact": exact})
    chosen.TestCase.settings = settings(max_examples=dose(25), stateful_step_count=50, deadline=None)
    chosen.TestCase("runTest").runTest()
