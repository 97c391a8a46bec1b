"""Figures for Prometheus: as its own parser reads them."""

import sys

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

import mdstore
from mdstore import InvalidInputError
from mdstore.optimization.alarms import RULES
from mdstore.optimization.metrics import GAUGES, MetricsCollector, registry_of
from tests.support.candles import walk


def families(*stores):
    return {one.name: one for one in parse(generate_latest(registry_of(*stores)).decode())}


def value(family, **labels):
    (found,) = (one.value for one in family.samples if labels.items() <= one.labels.items())
    return found


def test_the_figures_are_those_of_the_tree(store):
    store.write("A", "1m", walk(3_000))
    for _ in range(5):
        store.candles("A", "1m")
    found, tree = families(store), store.stats()
    path = str(store.path)
    assert value(found["mdstore_candles"], store=path) == 3_000
    assert value(found["mdstore_file_bytes"]) == tree["file"]["sqlite_bytes"]
    assert value(found["mdstore_log_pinned"]) == 0
    assert value(found["mdstore_memory_part_bytes"], part="tier") == tree["memory"]["bytes"]
    assert {one.labels["name"] for one in found["mdstore_alarm"].samples} == {rule.name for rule in RULES}
    assert {one.value for one in found["mdstore_alarm"].samples} == {0.0}
    assert found["mdstore_memory_misses"].type == "counter"


def test_what_is_frozen_is_among_them(store):
    store.write("A", "1m", walk(3_000))
    store.maintenance.freeze("2030-01-01")
    found = families(store)
    assert value(found["mdstore_frozen_candles"]) == 3_000
    assert value(found["mdstore_frozen_bytes"]) == store.maintenance.stats()["frozen_bytes"] > 0


def test_every_gauge_names_a_figure_that_the_tree_has(store):
    tree = store.stats()
    for gauge in GAUGES:
        branch, name = gauge.figure.split(".")
        assert name in tree[branch], gauge.figure


def test_latencies_are_a_histogram_whose_buckets_grow_to_the_count(store):
    store.write("A", "1m", walk(300))
    for _ in range(20):
        store.candles("A", "1m")
    samples = [
        one for one in families(store)["mdstore_call_seconds"].samples if one.labels["tiers"] == "memory"
    ]
    buckets = [one.value for one in samples if one.name.endswith("_bucket")]
    (count,) = (one.value for one in samples if one.name.endswith("_count"))
    (total,) = (one.value for one in samples if one.name.endswith("_sum"))
    assert buckets == sorted(buckets)
    assert buckets[-1] == count == store.stats()["latencies"]["candles"]["memory"]["count"] == 19
    assert 0 < total < 100


def test_several_stores_are_told_apart_and_openmetrics_takes_them_too(store, tmp_path):
    with mdstore.open(tmp_path / "other.sqlite3") as other:
        other.write("A", "1m", walk(10))
        registry = CollectorRegistry(auto_describe=True)
        registry.register(MetricsCollector(store, other))
        found = {one.name: one for one in parse_openmetrics(generate_openmetrics(registry).decode())}
        assert value(found["mdstore_candles"], store=str(other.path)) == 10
        assert value(found["mdstore_candles"], store=str(store.path)) == 0


def test_upkeep_is_told_by_its_time(store, clock):
    store.write("A", "1m", walk(30))
    store.maintenance.optimize()
    assert value(families(store)["mdstore_maintenance_timestamp_seconds"], kind="analyze") == clock()


def test_without_the_client_it_is_said_how_to_get_it(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'mdstore\[metrics\]'"):
        MetricsCollector(store)
