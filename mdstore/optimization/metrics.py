"""The figures of stores as Prometheus takes them: `pip install 'mdstore[metrics]'`.

Names and units are as Prometheus wants them (https://prometheus.io/docs/practices/naming/): bytes, seconds,
shares from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from mdstore.errors import InvalidInputError
from mdstore.optimization.alarms import RULES, at

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import CollectorRegistry

    from mdstore.core.latencies import LatencyTable

__all__ = ["GAUGES", "MetricsCollector", "registry_of"]

INSTALL: Final = "pip install 'mdstore[metrics]'"
PERCENT: Final = 100.0
BOUNDS: Final = tuple(1e-5 * 10 ** (step / 3) for step in range(19))
"""Seconds: three to a power of ten, from 10 microseconds to 10 seconds."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A metric: its name behind `mdstore_`, which figure of `store.stats()` it is, its help, times what."""

    name: str
    figure: str
    help: str
    times: float = 1.0
    counts: bool = False
    """Whether it only grows, from the start of the process on."""


GAUGES: Final[tuple[Gauge, ...]] = (
    Gauge("candles", "file.rows", "Candles that are stored."),
    Gauge("frozen_candles", "file.frozen_rows", "Candles that lie compressed in the file."),
    Gauge("frozen_bytes", "file.frozen_bytes", "Size of these in the file."),
    Gauge("file_bytes", "file.sqlite_bytes", "Size of the SQLite file."),
    Gauge("file_pages", "file.pages", "Pages of the SQLite file."),
    Gauge("file_free_pages", "file.free_pages", "Pages of the file that hold nothing."),
    Gauge("file_free_ratio", "file.fragmentation", "Share of pages that hold nothing.", 1 / PERCENT),
    Gauge(
        "file_in_order_ratio", "file.in_order", "Share of the leaves of candles in order, as last measured."
    ),
    Gauge("disk_free_bytes", "file.disk_free_bytes", "Free bytes on the disk of the file."),
    Gauge("log_bytes", "log.wal_bytes", "Size of the write-ahead log."),
    Gauge("log_limit_bytes", "log.wal_limit_bytes", "What the log is cut back to."),
    Gauge("log_pinned", "log.wal_pinned_since", "1 where a read keeps the log from being shortened."),
    Gauge("log_readers", "log.reading", "Processes that read the file now."),
    Gauge("open_processes", "log.open_by", "Processes that have the file open."),
    Gauge("packs", "packs.packs", "Packs beside the file."),
    Gauge("pack_bytes", "packs.pack_bytes", "Size of the packs."),
    Gauge("pack_dead_bytes", "packs.dead_pack_bytes", "Bytes of packs that are no longer used."),
    Gauge("sealed_candles", "packs.sealed_rows", "Candles that lie in packs."),
    Gauge("loose_candles", "packs.loose_rows", "Candles that lie in no pack."),
    Gauge("memory_hits", "memory.hits", "Reads that memory answered.", counts=True),
    Gauge("memory_misses", "memory.misses", "Reads that memory did not answer.", counts=True),
    Gauge("memory_limit_bytes", "memory.limit", "What the memory tier holds at most."),
    Gauge("growth_bytes_per_day", "growth.bytes_per_day", "How the file grows, by what was measured."),
)
"""Figures that are one number a store; a figure that is not known is left out."""


class HasStats(Protocol):
    """A store."""

    @property
    def repository(self) -> HasLatencies:
        """Its repository."""

    def stats(self) -> dict[str, Any]:
        """Return its figures."""


class HasLatencies(Protocol):
    """A repository."""

    latencies: LatencyTable


class MetricsCollector:
    """Stores of this process for Prometheus' client: `REGISTRY.register(MetricsCollector(store))`.

    Each figure has the label `store`, the path of the file. Latencies and hits are those of this process.
    Raises `InvalidInputError` where `prometheus_client` is not installed.
    """

    def __init__(self, *stores: HasStats) -> None:
        _refuse_without_client()
        self._stores = stores

    def describe(self) -> list[Metric]:
        """Return nothing: figures are known when they are asked for."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of this moment."""
        trees = [(store.stats(), store.repository.latencies) for store in self._stores]
        plain = [(str(tree["file"]["path"]), tree) for tree, _ in trees]
        for gauge in GAUGES:
            yield from _gauge(gauge, plain)
        yield _labelled("memory_part_bytes", "Memory of this process by part.", "part", plain, _parts)
        yield _labelled("maintenance_timestamp_seconds", "When upkeep was done last.", "kind", plain, _done)
        yield _labelled("alarm", "1 where an alarm is raised.", "name", plain, _raised)
        yield _latencies([(str(tree["file"]["path"]), table) for tree, table in trees])


def registry_of(*stores: HasStats) -> CollectorRegistry:
    """Return a registry that has stores and nothing else. Raises `InvalidInputError`."""
    collector = MetricsCollector(*stores)
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - an extra

    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def _refuse_without_client() -> None:
    try:
        import prometheus_client  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise InvalidInputError("metrics for Prometheus are an extra", hint=INSTALL) from error


def _gauge(gauge: Gauge, trees: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - an extra

    kind = CounterMetricFamily if gauge.counts else GaugeMetricFamily
    family = kind(f"mdstore_{gauge.name}", gauge.help, labels=["store"])
    for path, tree in trees:
        value = _number(at(tree, gauge.figure))
        if value is not None:
            family.add_metric([path], value * gauge.times)
    if family.samples:
        yield family


def _number(value: object) -> float | None:
    """Return a figure as a number: of names how many, of a text whether there is one."""
    if isinstance(value, list):
        return float(len(value))
    if isinstance(value, str):
        return float(bool(value))
    return float(value) if isinstance(value, int | float) else None


def _labelled(
    name: str, text: str, label: str, trees: Iterable[tuple[str, Mapping[str, Any]]], of: Any
) -> Metric:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - an extra

    family = GaugeMetricFamily(f"mdstore_{name}", text, labels=["store", label])
    for path, tree in trees:
        for what, value in of(tree).items():
            family.add_metric([path, what], value)
    return family


def _parts(tree: Mapping[str, Any]) -> dict[str, float]:
    parts: dict[str, float] = tree["memory"]["parts"]
    return parts


def _done(tree: Mapping[str, Any]) -> dict[str, float]:
    kinds = tree["maintenance"].items()
    return {name: one["at"] / 1000 for name, one in kinds if isinstance(one, Mapping)}


def _raised(tree: Mapping[str, Any]) -> dict[str, float]:
    """Return 0 for every alarm there is, too: a rule of Prometheus wants to see it end."""
    raised = {alarm["name"] for alarm in tree["alarms"]}
    names = dict.fromkeys((*(rule.name for rule in RULES), *sorted(raised)))
    return {name: float(name in raised) for name in names}


def _latencies(tables: Iterable[tuple[str, LatencyTable]]) -> Metric:
    from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415 - an extra

    labels = ["store", "operation", "tiers"]
    family = HistogramMetricFamily(
        "mdstore_call_seconds", "How long calls of this process took.", labels=labels
    )
    for path, table in tables:
        for operation, tiers, one in table.items():
            within = [
                (f"{bound:.3g}", count) for bound, count in zip(BOUNDS, one.within(BOUNDS), strict=True)
            ]
            family.add_metric([path, operation, tiers], [*within, ("+Inf", one.count)], sum_value=one.total)
    return family
