"""Timing two ways of doing one thing so that a noisy machine cannot decide between them.

The ways take turns within each round (A B, then B A, ...), so that a slow second hits both; a ratio is the
median of the rounds' ratios, never a ratio of two runs. Nothing here compares a time with the wall clock:
a target that is missed is shown as missed, and the run goes on.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

__all__ = ["Grid", "Line", "Report", "Times", "Turn", "WrongAnswerError", "interleave", "ready", "verify"]

Turn = Callable[[], AbstractContextManager[Callable[[], object]]]
"""Enter it to prepare, call what it yields to be timed, leave it to clean up."""


class WrongAnswerError(Exception):
    """What was to be timed gives a wrong answer, so its speed does not matter."""


def verify(correct: bool, what: str) -> None:
    """Stop the run unless `what` holds."""
    if not correct:
        raise WrongAnswerError(what)


def ready(call: Callable[[], object]) -> Turn:
    """Return the turn of a call that needs no preparation."""

    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        yield call

    return turn


class Times:
    """Seconds of each way in each round."""

    def __init__(self, seconds: dict[str, list[float]]) -> None:
        self.seconds = seconds

    def median(self, way: str) -> float:
        """Return the median seconds of a way."""
        return statistics.median(self.seconds[way])

    def ratio(self, way: str, other: str) -> float:
        """Return how many times as long as `other` a way takes, over the rounds that both were in."""
        pairs = zip(self.seconds[way], self.seconds[other], strict=False)
        return statistics.median(a / b for a, b in pairs)


def interleave(turns: Mapping[str, Turn], rounds: int, most: float = math.inf, *, warm: bool = True) -> Times:
    """Time every way once in each round; to get `warm`, one round before them is not counted.

    A call that returns a float has timed itself (in another process) and is taken at its word. A way whose
    rounds have taken `most` seconds leaves the later ones.
    """
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(0 if warm else 1, rounds + 1):
        order = list(turns) if number % 2 else list(reversed(turns))
        for name in order:
            if sum(seconds[name]) >= most:
                continue
            taken = _time(turns[name])
            if number:
                seconds[name].append(taken)
    return Times(seconds)


def _time(turn: Turn) -> float:
    with turn() as call:
        start = time.perf_counter()
        result = call()
        taken = time.perf_counter() - start
    return result if isinstance(result, float) else taken


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: ours and raw in `unit`, their ratio, and the target with whether it was met."""

    what: str
    ours: float
    unit: str
    raw: float | None = None
    ratio: float | None = None
    target: str = ""
    met: bool | None = None

    @classmethod
    def of_times(
        cls,
        what: str,
        times: Times,
        ours: str = "mdstore",
        raw: str | None = "raw",
        *,
        most_ms: float | None = None,
        most_ratio: float | None = None,
    ) -> Line:
        """Make a line of medians in ms; the ratio is of times, so smaller is better."""
        taken = times.median(ours) * 1000
        ratio = None if raw is None else times.ratio(ours, raw)
        targets = [] if most_ms is None else [(f"< {most_ms:g} ms", taken < most_ms)]
        if most_ratio is not None and ratio is not None:
            targets.append((f"<= {most_ratio:g} x raw", ratio <= most_ratio))
        raw_ms = None if raw is None else times.median(raw) * 1000
        return cls(what, taken, "ms", raw_ms, ratio, *_target(targets))

    @classmethod
    def of_rates(
        cls,
        what: str,
        times: Times,
        rows: int,
        ours: str = "mdstore",
        raw: str = "raw",
        *,
        least_ratio: float | None = None,
    ) -> Line:
        """Make a line of rows a second; the ratio is of rates, so bigger is better."""
        ratio = times.ratio(raw, ours)
        targets = [] if least_ratio is None else [(f">= {least_ratio:.0%} of raw", ratio >= least_ratio)]
        rates = [rows / times.median(way) for way in (ours, raw)]
        return cls(what, rates[0], "rows/s", rates[1], ratio, *_target(targets))


def _target(targets: list[tuple[str, bool]]) -> tuple[str, bool | None]:
    text = ", ".join(text for text, _ in targets)
    return text, all(met for _, met in targets) if targets else None


@dataclass(slots=True)
class Grid:
    """One thing measured over a range of settings: the heads of the columns, and rows of finished cells."""

    heads: list[str]
    rows: list[list[str]] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What one bench has to say: its lines, a grid, remarks under them, and pictures by file name."""

    name: str
    title: str
    lines: list[Line] = field(default_factory=list)
    grid: Grid | None = None
    notes: list[str] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
