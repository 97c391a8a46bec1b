"""Decisions that explain themselves: each condition with its value and its threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Action", "Condition", "Decision"]

Action = Literal["nothing", "incremental", "vacuum", "rebuild"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a rule: what was found, what it is held against, and whether it is met."""

    name: str
    value: str
    threshold: str
    met: bool

    def __str__(self) -> str:
        return f"{'yes' if self.met else 'no':<4}{self.name}: {self.value} ({self.threshold})"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, and why: every condition that was looked at."""

    action: Action
    reason: str
    conditions: tuple[Condition, ...]

    @property
    def needed(self) -> bool:
        """Whether the file is to be written anew, or a table put in order."""
        return self.action in {"vacuum", "rebuild"}

    def __str__(self) -> str:
        return "\n".join((f"{self.action}: {self.reason}", *(f"  {one}" for one in self.conditions)))
