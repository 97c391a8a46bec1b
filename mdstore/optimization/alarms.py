"""What is wrong with a store at this moment, told by rules over `store.stats()`; each says what to do.

A rule of your own is one more row: `store.stats(rules=(*RULES, Rule(...)))`.
"""

from __future__ import annotations

import operator
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from mdstore.core.sizes import size_text
from mdstore.errors import Hint

__all__ = ["RULES", "Rule", "When", "alarms", "at"]

GIB: Final = 1 << 30
ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt, ">": operator.gt, ">=": operator.ge, "<=": operator.le, "==": operator.eq,
    "!=": operator.ne,
}  # fmt: skip
Tree = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class When:
    """A figure of the tree, such as "log.wal_bytes", held against a number, a text or another figure.

    What is not known (None, or not in the tree) meets nothing.
    """

    figure: str
    order: Literal["<", ">", "<=", ">=", "==", "!="]
    limit: float | str
    than: str = ""
    """The other figure, in the place of `limit`."""

    def holds(self, tree: Tree) -> bool:
        """Tell whether it is met."""
        value, limit = at(tree, self.figure), at(tree, self.than) if self.than else self.limit
        return value is not None and limit is not None and ORDERS[self.order](value, limit)


@dataclass(frozen=True, slots=True)
class Rule:
    """An alarm: its name, how bad it is, when it is raised (all of `when` holds), what it says, what to do.

    `says` is a format of the tree's figures: `{log[wal_bytes]:size}` a size, `{log[reading]:names}` names,
    and whatever Python's formats know.
    """

    name: str
    severity: Literal["warning", "critical"]
    when: tuple[When, ...]
    says: str
    do: Hint


OPTIMIZE: Final = Hint("store.maintenance.optimize() puts that right", "mdstore optimize puts that right")
RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "log_pinned",
        "critical",
        (When("log.wal_pinned_since", "!=", ""),),
        "a read that does not end has kept the log from being shortened since {log[wal_pinned_since]}: it "
        "has {log[wal_bytes]:size} and grows; reading now: {log[reading]:names}",
        Hint(
            "end that read: leave its `with`, or end its process; the next write shortens the log",
            "end that read or its process; the next write shortens the log",
        ),
    ),
    Rule(
        "log_large",
        "warning",
        (When("log.wal_bytes", ">", 0, than="log.wal_limit_bytes"), When("log.wal_pinned_since", "==", "")),
        "the log has {log[wal_bytes]:size}, more than {log[wal_limit_bytes]:size}; reading now: "
        "{log[reading]:names}",
        Hint(
            "end reads that take long, then store.maintenance.optimize() empties it",
            "end reads that take long, then `mdstore optimize` empties it",
        ),
    ),
    Rule(
        "disk_low",
        "critical",
        (When("file.disk_free_bytes", "<", GIB),),
        "only {file[disk_free_bytes]:size} are free on the disk of the file",
        Hint(
            "free some there: store.packs_path may be deleted, and mdstore.open(..., pack_bytes=) bounds it",
            "free some there: the folder of the packs beside the file may be deleted",
        ),
    ),
    Rule(
        "disk_full_soon",
        "warning",
        (When("growth.days_until_full", "<", 14),),
        "the file grows by {growth[bytes_per_day]:size} a day: its disk is full in "
        "{growth[days_until_full]:.0f} days",
        Hint(
            "move it to a larger disk by store.maintenance.backup(path), or delete what is not needed",
            "move it to a larger disk by `mdstore backup`, or delete what is not needed",
        ),
    ),
    Rule(
        "hit_rate_falls",
        "warning",
        (When("memory.hit_rate_drop", ">", 0.3),),
        "of the latest reads {memory[recent_hit_rate]:.0%} were in memory, {memory[usual_hit_rate]:.0%} of "
        "those before: {memory[bytes]:size} of {memory[limit]:size} are taken",
        Hint(
            "it passes where others are read now; where memory is full, take more by "
            "mdstore.open(..., memory_bytes=)",
            "it passes where others are read now; where memory is full, give the program that reads more",
        ),
    ),
    Rule(
        "fragmentation",
        "warning",
        (When("file.fragmentation", ">", 15.0), When("file.free_pages", ">", 1_000)),
        "{file[fragmentation]:.1f} % of the file's pages hold nothing",
        OPTIMIZE,
    ),
    Rule(
        "disorder",
        "warning",
        (When("file.in_order", "<", 0.5), When("file.pages", ">=", 1_000)),
        "only {file[in_order]:.0%} of the leaves of candles lie in order: reads from the disk take long",
        OPTIMIZE,
    ),
)
"""The alarms that a store raises by itself; `stats(rules=)` takes others."""


def alarms(tree: Tree, rules: Iterable[Rule] = RULES) -> list[dict[str, str]]:
    """Return the alarms that a tree of `store.stats()` raises: name, severity, what is wrong, what to do."""
    return [
        {
            "name": rule.name,
            "severity": rule.severity,
            "says": WORDS.format(rule.says, **tree),
            "python": rule.do.python,
            "cli": rule.do.cli,
        }
        for rule in rules
        if all(one.holds(tree) for one in rule.when)
    ]


def at(tree: Tree, figure: str) -> Any:
    """Return a figure by its path, None where there is none.

    >>> at({"log": {"wal_bytes": 5}}, "log.wal_bytes"), at({"log": {}}, "log.wal_bytes")
    (5, None)
    """
    found: Any = tree
    for name in figure.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


class _Words(string.Formatter):
    """Formats sizes and names besides what Python knows."""

    def format_field(self, value: Any, spec: str) -> str:
        if spec == "size":
            return size_text(value)
        if spec == "names":
            return "who is not known on this system" if value is None else ", ".join(value) or "nobody"
        return str(super().format_field(value, spec))


WORDS: Final = _Words()
