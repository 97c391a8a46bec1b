"""The memory tier: bounded in bytes, the least recently used leaving first, against a plain model."""

from collections import OrderedDict
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from mdstore.cache.memory_tier import MemoryTier

LIMIT = 10


@dataclass(frozen=True)
class Value:
    bytes: int


keys = st.sampled_from("abcde")
steps = st.lists(
    st.tuples(st.just("put"), keys, st.integers(0, LIMIT + 2)) | st.tuples(st.just("get"), keys), max_size=40
)


@given(steps)
def test_it_is_the_most_recently_used_values_that_fit(steps):
    tier, model = MemoryTier(LIMIT), OrderedDict()
    for name, key, *size in steps:
        if name == "get":
            assert tier.get(key) == model.get(key)
            if key in model:
                model.move_to_end(key)
        else:
            value = Value(*size)
            tier.put(key, value)
            model.pop(key, None)
            if value.bytes <= LIMIT:
                model[key] = value
            while sum(value.bytes for value in model.values()) > LIMIT:
                model.popitem(last=False)
        stats = tier.stats()
        assert (stats["entries"], stats["bytes"]) == (
            len(model),
            sum(value.bytes for value in model.values()),
        )


def test_what_is_of_no_more_use_is_forgotten():
    tier = MemoryTier(LIMIT)
    tier.put("small", Value(1))
    tier.put("large", Value(5))
    tier.prune(lambda value: value.bytes < 5)
    assert (tier.get("small"), tier.get("large")) == (Value(1), None)
    tier.clear()
    assert tier.stats()["bytes"] == 0


def test_hits_and_misses_are_counted_as_the_caller_says():
    tier = MemoryTier(LIMIT)
    assert tier.stats()["hit_rate"] == 0
    tier.hit()
    tier.miss()
    tier.hit()
    assert (tier.stats()["hits"], tier.stats()["misses"]) == (2, 1)
    assert tier.stats()["hit_rate"] == 2 / 3
