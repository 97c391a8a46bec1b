"""Which indexes a workload uses, which it does not, which it lacks: each with the statements behind it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from mdstore.errors import InvalidInputError
from mdstore.optimization.ownership import Owner, upkeep_of
from mdstore.optimization.threads import in_thread

if TYPE_CHECKING:
    from mdstore.candles.upkeep.file_upkeep import FileUpkeep
    from mdstore.candles.upkeep.indexes import Index, Trial

__all__ = ["APPLIED", "Applied", "IndexAdvice", "IndexOptimizer", "IndexUsage"]

APPLIED, REINDEXED = "index", "reindex"
"""The kinds of records that are kept."""
LEAST_TIMES: Final = 10.0
"""An index is proposed only if a statement took so many times fewer steps with it."""
LEAST_STEPS: Final = 1_000
"""And took so many without it."""
INSTEAD: Final = {
    "candles": "name symbol and timeframe, with which its key begins, or ask store.sql, which reads columns"
}
"""What to do in the place of an index of one of the store's own tables."""
BULK_ROWS: Final = 1_000_000
SLOWER: Final = 2.0


@dataclass(frozen=True, slots=True)
class IndexAdvice:
    """An index to make or to drop, why, and the statements behind it with how often each is run."""

    kind: Literal["create", "drop"]
    name: str
    table: str
    columns: tuple[str, ...]
    reason: str
    statements: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class IndexUsage:
    """What a workload does with the indexes.

    `used` and `covering` have the statements by the name of the index ("TABLE's key" for a key), `unused` are
    those of no statement, `scans` the statements that go through every row of a table, by table. `declined`
    are indexes that would help but are not proposed, and why.
    """

    used: Mapping[str, Mapping[str, int]]
    covering: Mapping[str, Mapping[str, int]]
    unused: tuple[str, ...]
    scans: Mapping[str, Mapping[str, int]]
    advice: tuple[IndexAdvice, ...]
    declined: tuple[IndexDeclined, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexDeclined:
    """An index of one of the store's own tables that would help, and why it is not proposed all the same."""

    table: str
    columns: tuple[str, ...]
    reason: str
    statements: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done, and the statement that undoes it."""

    done: str
    undo: str


class IndexOptimizer:
    """Looks at the indexes of a store's file by what is asked of it."""

    def __init__(self, owner: Owner) -> None:
        self._upkeep = upkeep_of(owner)

    async def analyze_index_usage(self, workload: Mapping[str, int]) -> IndexUsage:
        """Return which indexes a workload uses and which it lacks; its statements are SQLite's, with counts.

        An index that is lacking is tried on a copy of some rows, with its columns in each order, and proposed
        only where the statement then took a tenth of the steps; never one of the store's own tables, whose
        every write would pay for it: these are in `declined`, with what they would bring.
        Keys and unique indexes are never proposed to be dropped. Values that are not given (`?`) count as
        null. Raises `QueryError`.
        """
        return await in_thread(lambda _: self.usage(workload))

    def usage(self, workload: Mapping[str, int]) -> IndexUsage:
        """Do as `analyze_index_usage` does, where there is no event loop."""
        used: dict[str, dict[str, int]] = defaultdict(dict)
        covering: dict[str, dict[str, int]] = defaultdict(dict)
        scans: dict[str, dict[str, int]] = defaultdict(dict)
        for sql, count in workload.items():
            for step in self._upkeep.plan_steps(sql):
                if step.is_scan:
                    scans[step.table][sql] = count
                if step.index or not step.is_scan:
                    used[step.index or _key_of(step.table)][sql] = count
                if step.covering:
                    covering[step.index][sql] = count
        there = self._upkeep.indexes()
        unused = tuple(name for name in map(_shown, there) if name not in used)
        drops = [
            IndexAdvice("drop", one.name, one.table, one.columns, "no statement uses it", {})
            for one in there
            if one.name in unused and one.can_go
        ]
        lacking, declined = self._lacking(scans, workload)
        found = dict(used), dict(covering), unused, dict(scans)
        return IndexUsage(*found, (*lacking, *drops), tuple(declined))

    def apply(self, advice: IndexAdvice) -> Applied:
        """Do what was advised, and keep the statement that undoes it, in the file, too.

        Raises `InvalidInputError` for a key, a unique index or one of the store's own.
        """
        if advice.kind == "create":
            done, undo = self._upkeep.create_index(advice.table, advice.columns)
        else:
            done, undo = self._upkeep.drop_index(advice.name)
        self._upkeep.record(APPLIED, {"done": done, "undo": undo, "reason": advice.reason})
        return Applied(done, undo)

    def undo(self, applied: Applied) -> None:
        """Take back what `apply` did."""
        self._upkeep.undo_index(applied.undo)
        self._upkeep.record(APPLIED, {"done": applied.undo, "undo": applied.done, "reason": "taken back"})

    async def reindex_if_needed(self, table: str) -> str:
        """Make the indexes of a table anew where something asks for it, and say what; else return "".

        Findings of SQLite's integrity check; else only statistics are brought up to date: where the table was
        never analyzed, has grown by bulk loads, or reads take twice as long as they did. Raises
        `InvalidInputError` for a table that is not there.
        """
        return await in_thread(lambda _: self.reindex(table))

    def reindex(self, table: str) -> str:
        """Do as `reindex_if_needed` does, where there is no event loop."""
        if not self._upkeep.has_table(table):
            raise InvalidInputError(f"there is no table {table!r} in {self._upkeep.path.name}")
        damage = self._upkeep.index_damage(table)
        if damage:
            self._upkeep.reindex(table)
            return self._told(table, f"integrity: {damage[0]}")
        reason = self._stale(self._upkeep, table)
        if reason:
            self._upkeep.analyze(table)
            return self._told(table, reason)
        return ""

    def _told(self, table: str, reason: str) -> str:
        seconds, rows = self._upkeep.count_seconds(table)
        self._upkeep.record(REINDEXED, {"table": table, "reason": reason, "rows": rows, "seconds": seconds})
        return reason

    @staticmethod
    def _stale(upkeep: FileUpkeep, table: str) -> str:
        """Return why the statistics of a table are no longer right; empty where they are."""
        last = next((one for one in reversed(upkeep.records(REINDEXED)) if one["table"] == table), None)
        if table not in upkeep.analyzed_rows():
            return "statistics: it was never analyzed"
        if last is None:
            return ""
        seconds, rows = upkeep.count_seconds(table)
        if rows - last["rows"] >= BULK_ROWS:
            return f"bulk inserts: {rows - last['rows']:,} rows more"
        each, before = seconds / max(rows, 1), last["seconds"] / max(last["rows"], 1)
        if rows and last["rows"] and each > SLOWER * before:
            return f"slow-down: a row takes {each / before:.1f} times as long as it did"
        return ""

    def _lacking(
        self, scans: Mapping[str, Mapping[str, int]], workload: Mapping[str, int]
    ) -> tuple[list[IndexAdvice], list[IndexDeclined]]:
        """Return the indexes that would help, and those of the store's own tables that are not proposed."""
        behind: dict[tuple[str, tuple[str, ...]], dict[str, int]] = defaultdict(dict)
        best: dict[tuple[str, tuple[str, ...]], Trial] = {}
        for sql in dict.fromkeys(sql for statements in scans.values() for sql in statements):
            for trial in self._upkeep.try_indexes(sql)[:1]:
                if trial.times >= LEAST_TIMES and trial.before.steps >= LEAST_STEPS:
                    key = (trial.table, trial.columns)
                    behind[key][sql] = workload[sql]
                    best.setdefault(key, trial)
        lacking, declined = [], []
        for key in [key for key in best if any(_begins(key, other) for other in best)]:
            longer = next(other for other in best if _begins(key, other))
            behind[longer] |= behind[key]  # which finds with it what it looks for
            del best[key]
        for key, trial in best.items():
            steps = f"{trial.before.steps:,} steps became {trial.after.steps:,} on a copy"
            if trial.is_ours:
                declined.append(IndexDeclined(*key, f"{steps}, but {_why_not(trial)}", behind[key]))
            else:
                reason = f"{steps}: {'; '.join(trial.after.plan)}{self._of_key(trial)}"
                lacking.append(IndexAdvice("create", _name(*key), *key, reason, behind[key]))
        return lacking, declined

    def _of_key(self, trial: Trial) -> str:
        """Say where the columns are in a key or an index already, but in an order that does not help."""
        first = trial.columns[0]
        for one in self._upkeep.indexes():
            if one.table == trial.table and first in one.columns[1:]:
                return f"; {first} is in {one.name} behind {one.columns[0]}, which the statement leaves free"
        return ""


def _begins(key: tuple[str, tuple[str, ...]], other: tuple[str, tuple[str, ...]]) -> bool:
    """Tell whether the columns of an index are the first of another: then that one does its work."""
    (table, columns), (others_table, others) = key, other
    return table == others_table and len(columns) < len(others) and others[: len(columns)] == columns


def _why_not(trial: Trial) -> str:
    instead = INSTEAD.get(trial.table, "ask for it through the store")
    return f"{trial.table} is the store's own: each of its writes would write an index too; {instead}"


def _key_of(table: str) -> str:
    return f"{table}'s key"


def _shown(index: Index) -> str:
    """Return the name by which plans know an index: that of a table without rowids is the table's key."""
    return _key_of(index.table) if index.is_table else index.name


def _name(table: str, columns: Sequence[str]) -> str:
    return f"{table}_by_{'_'.join(columns)}"
