"""What is asked of a store's file and how long it takes, by the text of the statement; what would help."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import polars as pl

from mdstore.core.latencies import Latencies
from mdstore.errors import QueryError
from mdstore.optimization.indexes import IndexAdvice, IndexOptimizer
from mdstore.optimization.ownership import Owner, repository_of, upkeep_of
from mdstore.optimization.query_advice import QueryAdvice, query_advice

__all__ = ["STATEMENTS", "TOP", "Profile", "QueryAnalyzer", "normalised"]

STATEMENTS, TOP = "statements", "top statements"
"""The kinds of records that are kept."""
MOST: Final = 1_000
"""So many texts are told apart; of more, those that took least in all are forgotten."""
KEPT: Final = 200
TRIED: Final = 20
SHOWN, LETTERS = 30, 400
"""Of so many, and so much of their text, the figures are kept for reports."""
ENOUGH: Final = 20
"""Fewer runs say nothing of a regression."""
ASIDE: Final = ("BEGIN", "COMMIT", "EXPLAIN", "PRAGMA")
"""How statements begin that are no questions."""
LITERAL = re.compile(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?(?:[eE][-+]?\d+)?\b")
LIST = re.compile(r"\(\s*\?(?:\s*,\s*\?)+\s*\)")
SPACE = re.compile(r"\s+")
SCHEMA: Final[Mapping[str, Any]] = {
    "engine": pl.String, "text": pl.String, "count": pl.Int64, "p50_ms": pl.Float64, "p95_ms": pl.Float64,
    "p99_ms": pl.Float64, "total_ms": pl.Float64, "rows": pl.Int64, "scan_steps": pl.Int64,
    "sorts": pl.Int64, "steps": pl.Int64, "about": pl.String,
}  # fmt: skip
SLOW: Final[Mapping[str, Any]] = {
    "engine": pl.String, "text": pl.String, "reason": pl.String, "p50_ms": pl.Float64, "plan": pl.String,
}  # fmt: skip


def normalised(sql: str) -> str:
    r"""Return a statement's text with a mark in the place of each value, and single spaces.

    >>> normalised("SELECT * FROM t\n WHERE a = 'x' AND b IN (1, 2.5)")
    'SELECT * FROM t WHERE a = ? AND b IN (?)'
    """
    return SPACE.sub(" ", LIST.sub("(?)", LITERAL.sub("?", sql))).strip()


OPERATORS: Final[Mapping[str, Any]] = {
    "operator": pl.String, "rows": pl.Int64, "ms": pl.Float64, "is_source": pl.Boolean,
}  # fmt: skip


@dataclass(slots=True)
class _Statement:
    """All runs of one text."""

    sample: str
    latencies: Latencies = field(default_factory=Latencies)
    rows: int = 0
    scan_steps: int = 0
    sorts: int = 0
    steps: int = 0
    about: str = ""

    def figures(self) -> tuple[object, ...]:
        """Return the columns of `statements` behind engine and text."""
        times = self.latencies
        percentiles = (times.percentile(percent) * 1000 for percent in (50, 95, 99))
        rest = (self.rows, self.scan_steps, self.sorts, self.steps, self.about)
        return times.count, *percentiles, times.total * 1000, *rest


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time of a query went: `operator`, `rows` it gave, `ms`, from the last to the first.

    `given` says what DuckDB was given of the store, in words, `given_bytes` how much of it its operators took
    in: the columns that the query names, of the rows that passed. `stored` are the candles that there are.
    """

    operators: pl.DataFrame
    given: str
    stored: int
    given_bytes: int = 0

    @property
    def read(self) -> int:
        """The rows that were read: what operators gave that have none below them."""
        return int(self.operators.filter(pl.col("is_source"))["rows"].sum())

    @property
    def pruned(self) -> float:
        """The share of the candles that there are, from 0 to 1, that was not read."""
        return max(0.0, 1 - self.read / self.stored) if self.stored else 0.0


class QueryAnalyzer:
    """Watches what reads a store's file, from `start` (or `with`) to `stop`.

    It is told by SQLite of statements of this process that read the file, the store's own among them,
    and of each query of `store.sql`. Of the reads of the file one in seventeen is looked at, and counts for
    all of them: so it costs a few percent of their time, not a third. `slow_ms` is the median above which a
    text is slow, `regression` how many times its median of the past.
    """

    def __init__(self, owner: Owner, *, slow_ms: float = 100.0, regression: float = 2.0) -> None:
        self._owner = owner
        self._upkeep = upkeep_of(owner)
        self._indexes = IndexOptimizer(owner)
        self._slow_ms = slow_ms
        self._regression = regression
        self._lock = threading.Lock()
        self._began: dict[int, float] = {}
        self._texts: dict[str, str] = {}
        self._statements: dict[tuple[str, str], _Statement] = {}
        self._trying: int | None = None
        """The thread in which queries are run that nobody has asked."""

    def start(self) -> None:
        """Begin to watch. One at a time does so of a store that is open."""
        self._upkeep.watch(self)

    def stop(self) -> None:
        """End it; what was seen is kept here, and `save` keeps it in the file."""
        self._upkeep.watch(None)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def statement(self, event: dict[str, Any]) -> None:
        """Take note of a statement of SQLite that begins or has ended; SQLite calls it."""
        status = event.get("stmt_status")
        if status is None:
            self._began[event["id"]] = time.perf_counter()
            return
        began = self._began.pop(event["id"], None)
        if began is None or event["sql"].startswith(ASIDE):
            return
        seconds, times = time.perf_counter() - began, self._upkeep.watched_of
        with self._lock:
            one = self._of("sqlite", event["sql"])
            one.latencies.add(seconds, times)
            one.scan_steps += times * status["SQLITE_STMTSTATUS_FULLSCAN_STEP"]
            one.sorts += times * status["SQLITE_STMTSTATUS_SORT"]
            one.steps += times * status["SQLITE_STMTSTATUS_VM_STEP"]

    def query(self, sql: str, seconds: float, rows: int, reason: str) -> None:
        """Take note of a query of `store.sql`; the store calls it."""
        if self._trying == threading.get_ident():
            return
        with self._lock:
            one = self._of("duckdb", sql)
            one.latencies.add(seconds)
            one.rows += rows
            one.about = reason

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement of SQLite that only reads, take note of it, and return the rows it gave.

        For tables and queries of your own in the file. Raises `QueryError`.
        """
        run = self._upkeep.run(sql, params)
        with self._lock:
            one = self._of("sqlite", sql)
            one.rows += run.rows
            one.latencies.add(run.seconds)
            one.scan_steps += run.scan_steps
            one.sorts += run.sorts
            one.steps += run.steps
        return run.rows

    def statements(self) -> pl.DataFrame:
        """Return every text with its engine, what took most in all first.

        `count`, `p50_ms`, `p95_ms`, `p99_ms`, `total_ms`; `rows` that were returned (of `run` and of
        `store.sql`); of SQLite `scan_steps`, the rows gone through without an index, `sorts`, and `steps` of
        its machine; of `store.sql` what was given to DuckDB, in words (`about`).
        """
        with self._lock:
            rows = [(*key, *one.figures()) for key, one in self._statements.items()]
        frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
        return frame.sort("total_ms", descending=True)

    def workload(self) -> dict[str, int]:
        """Return SQLite's statements and how often each ran, as `IndexOptimizer` takes them."""
        with self._lock:
            return {
                one.sample: one.latencies.count
                for (engine, _), one in self._statements.items()
                if engine == "sqlite"
            }

    def slow(self) -> pl.DataFrame:
        """Return the texts that are slow, why, and their plan: by the threshold, or by their own past.

        The past is what `save` kept before.
        """
        past, found = self._past(), []
        for row in self.statements().iter_rows(named=True):
            reason = self._why_slow(row, past)
            if reason:
                plan = self._plan(row["engine"], row["text"])
                found.append((row["engine"], row["text"], reason, row["p50_ms"], plan))
        return pl.DataFrame(found, schema=SLOW, orient="row")

    def profile(self, query: str) -> Profile:
        """Run a query of `store.sql` and return where its time went, by DuckDB's own count.

        Raises `QueryError`.
        """
        repository = repository_of(self._owner)
        table, told = repository.sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")
        operators: list[tuple[object, ...]] = []
        given_bytes = _walk(json.loads(table.column(table.num_columns - 1)[0].as_py()), operators)
        frame = pl.DataFrame(operators, schema=OPERATORS, orient="row")
        return Profile(frame, told.reason, repository.upkeep.rows(), given_bytes)

    def advice(self) -> list[IndexAdvice | QueryAdvice]:
        """Return what would help what was seen, tried: at a tenth of the steps or less.

        Indexes for statements of SQLite, on a copy; and how queries of `store.sql` could be asked to be given
        fewer candles, where the answer is the same: by bounds on `timestamp`, or as `screen` or `candles`.
        Those that took most are tried, and run again for it; not those with parameters.
        """
        usage = self._indexes.usage(self.workload())
        indexes = [one for one in usage.advice if one.kind == "create"]
        repository = repository_of(self._owner)
        self._trying = threading.get_ident()
        try:
            told = [query_advice(repository, sql, count) for sql, count in self._slowest("duckdb").items()]
        finally:
            self._trying = None
        return [*indexes, *(one for found in told for one in found)]

    def _slowest(self, engine: str) -> dict[str, int]:
        """Return the statements of an engine that took most, and how often each ran."""
        with self._lock:
            found = [one for (of, _), one in self._statements.items() if of == engine]
        ranked = sorted(found, key=lambda one: -one.latencies.total)[:TRIED]
        return {one.sample: one.latencies.count for one in ranked}

    def save(self) -> None:
        """Keep the medians of what took most in the file, the past of those that come, and what is slow."""
        top = self.statements().filter(pl.col("count") >= ENOUGH).head(KEPT)
        kept = {f"{engine} {text}": p50 for engine, text, _, p50, *_ in top.iter_rows()}
        self._upkeep.record(STATEMENTS, {"p50_ms": kept})
        self._upkeep.record(TOP, self.report())

    def report(self) -> dict[str, Any]:
        """Return what took most, what is slow and why, as records that JSON has; `save` keeps them."""
        top = self.statements().head(SHOWN).with_columns(pl.col("text").str.slice(0, LETTERS))
        slow = self.slow().head(SHOWN).with_columns(pl.col("text").str.slice(0, LETTERS))
        return {"top": top.to_dicts(), "slow": slow.to_dicts()}

    def _of(self, engine: str, sql: str) -> _Statement:
        text = self._texts.get(sql)
        if text is None:
            if len(self._texts) >= MOST:
                self._texts.clear()
            text = self._texts[sql] = normalised(sql)
        key = (engine, text)
        found = self._statements.get(key)
        if found is None:
            if len(self._statements) >= MOST:
                self._forget()
            found = self._statements[key] = _Statement(sql)
        return found

    def _forget(self) -> None:
        """Forget the half that took least in all."""
        ranked = sorted(self._statements, key=lambda key: self._statements[key].latencies.total)
        for key in ranked[: MOST // 2]:
            del self._statements[key]

    def _past(self) -> dict[str, float]:
        """Return the lowest median that was ever kept of each text."""
        past: dict[str, float] = {}
        for record in self._upkeep.records(STATEMENTS):
            for name, value in record["p50_ms"].items():
                past[name] = min(value, past.get(name, value))
        return past

    def _why_slow(self, row: Mapping[str, Any], past: Mapping[str, float]) -> str:
        before, now = past.get(f"{row['engine']} {row['text']}"), row["p50_ms"]
        if now > self._slow_ms:
            return f"threshold: half of its runs take longer than {self._slow_ms:g} ms"
        if before and row["count"] >= ENOUGH and now > self._regression * before:
            return f"regression: {now / before:.1f} times as long as it took"
        return ""

    def _plan(self, engine: str, text: str) -> str:
        with self._lock:
            one = self._statements.get((engine, text))
        if one is None or engine != "sqlite":
            return "" if one is None else one.about
        try:
            return "; ".join(self._upkeep.plan(one.sample))
        except QueryError:  # of a table that is gone
            return ""


def _walk(node: Mapping[str, Any], found: list[tuple[object, ...]]) -> int:
    """Put the operators of DuckDB's profile in a list; return the bytes given by those with none below."""
    name, children = node.get("operator_name"), node.get("children", [])
    if name and name != "EXPLAIN_ANALYZE":
        rows, ms = int(node["operator_cardinality"]), float(node["operator_timing"]) * 1000
        found.append((str(name).strip(), rows, ms, not children))
        if not children:
            return int(node.get("result_set_size", 0))
    return sum(_walk(child, found) for child in children)
