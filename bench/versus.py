"""mdstore against its peers on the same work: opened together, verified one by one, timed in turns.

Every call ends with one pass over the columns: mapped memory that was not read has cost nothing yet.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import polars.selectors as cs

from bench.chart import dots
from bench.data import Data
from bench.measure import Grid, Report, Times, Turn, interleave, ready, verify
from bench.peers import bare, installed, ours
from bench.peers.protocol import Reads
from bench.scale import Scale

__all__ = ["BARE", "NO_MEMORY", "OURS", "Work", "compare", "opened", "same", "steady", "touch"]

BARE, OURS, NO_MEMORY = "bare", "mdstore", "no memory tier"
NUMBERS = cs.numeric() | cs.temporal()
CLOSE = 1e-9  # relative, for what is added up in another order
ADDED = frozenset(("mean_close", "sum_volume", "sma20", "sma50"))
ROUNDS = 9
PATIENCE = 2.0  # seconds: a technique that needs no more than this the first time is timed again
SLOW = 0.6  # seconds: one that needs more for a call is timed once, and after so long it is not timed again
LEAST = 0.01  # seconds that a turn lasts
PAUSE = 50e-6  # seconds between two calls of a turn
ONCE = "*"
MET = {True: "yes", False: "no", None: ""}


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked, and what mdstore should need for it.

    `added` are columns that are summed up; the rows of what is not `ordered` may come in any order.
    """

    what: str
    ask: Callable[[Reads], pl.DataFrame]
    most_ms: float | None = None
    most_ratio: float | None = None
    added: tuple[str, ...] = ()
    ordered: bool = True


def touch(frame: pl.DataFrame) -> pl.DataFrame:
    """Pass over every column of numbers and times."""
    return frame.select(NUMBERS.max())


def steady(call: Callable[[], object]) -> Callable[[], float]:
    """Return a call that times `call`; a quick one is repeated, so that the turn before it has no influence.

    What takes a tenth of a millisecond is otherwise measured with the caches as a slow peer left them.
    Between two calls there is a pause, as in a program that does something with what it has read: Polars'
    threads go to sleep within 10 us, and waking them is a part of every pass over a frame (25 us) but for
    one that comes right after the last.
    """

    def turn() -> float:
        taken: list[float] = []
        while sum(taken) < LEAST:
            _pause()
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
        return statistics.median(taken)

    return turn


def _pause() -> None:
    until = time.perf_counter() + PAUSE
    while time.perf_counter() < until:
        pass


def same(answer: pl.DataFrame, expected: pl.DataFrame, work: Work) -> bool:
    """Tell whether an answer holds what it should, whatever its types of symbols and times."""
    ours, theirs = (_plain(frame, expected.columns, work.ordered) for frame in (answer, expected))
    near = [name for name in expected.columns if name in ADDED or name in work.added]
    if len(ours) != len(theirs) or not ours.drop(near).equals(theirs.drop(near)):
        return False
    close = [
        ((ours[name] - theirs[name]).abs() <= CLOSE * theirs[name].abs()).fill_null(False) for name in near
    ]
    return all(column.all() for column in close)


@contextmanager
def opened(data: Data, store: Path, scale: Scale) -> Iterator[dict[str, Reads]]:
    """Open bare, mdstore's file with and without its memory tier, and every peer that is installed."""
    with ExitStack() as stack:
        field: dict[str, Reads] = {OURS: ours.Reads(store, data.timeframe)}
        field[NO_MEMORY] = ours.Reads(store, data.timeframe, memory_bytes=0)
        field[BARE] = bare.Reads(data.frames)
        for reads in field.values():
            stack.enter_context(closing(reads))
        for peer in installed():
            scale.say(f"loading {peer.name}")
            field[peer.name] = stack.enter_context(closing(peer.open(peer.loaded(data.frames, data.folder))))
        yield field


def compare(report: Report, field: Mapping[str, Reads], works: Sequence[Work], scale: Scale) -> None:
    """Verify and time every work, and put a table of all and a picture of it into the report."""
    peers = [name for name in field if name not in (OURS, NO_MEMORY, BARE)]
    report.grid = Grid(["ms", OURS, "target", "met", NO_MEMORY, BARE, f"{OURS} / {BARE}", *peers])
    found: dict[str, dict[str, float]] = {}
    for work in works:
        scale.say(work.what)
        times = _measure(field, work, scale.rounds(ROUNDS))
        found[work.what] = {name: times.median(name) * 1000 for name in field}
        report.grid.rows.append(_row(work, times, peers))
    if any(cell.endswith(ONCE) for row in report.grid.rows for cell in row):
        report.notes.append("A figure with an asterisk was measured once.")
    report.pictures[f"{report.name}.svg"] = dots(report.title, "ms", found, OURS)


def _measure(field: Mapping[str, Reads], work: Work, rounds: int) -> Times:
    expected = work.ask(field[BARE])
    turns: dict[str, Turn] = {}
    once: dict[str, list[float]] = {}
    for name, reads in field.items():
        if name != BARE:
            answer, taken = _asked(work, reads)
            if SLOW < taken < PATIENCE:
                answer, taken = _asked(work, reads)  # the first time its files may not have been in memory
            verify(same(answer, expected, work), f"{name} gives the right answer: {work.what}")
            if taken > SLOW:
                once[name] = [taken]
                continue
        turns[name] = ready(steady(_touching(work, reads)))
    times = interleave(turns, rounds, SLOW)
    return Times(times.seconds | once)


def _asked(work: Work, reads: Reads) -> tuple[pl.DataFrame, float]:
    start = time.perf_counter()
    answer = work.ask(reads)
    touch(answer)
    return answer, time.perf_counter() - start


def _touching(work: Work, reads: Reads) -> Callable[[], object]:
    return lambda: touch(work.ask(reads))


def _row(work: Work, times: Times, peers: Sequence[str]) -> list[str]:
    ratio = times.ratio(OURS, BARE)
    targets = [] if work.most_ms is None else [(f"< {work.most_ms:g}", work.most_ms > _ms(times, OURS))]
    if work.most_ratio is not None:
        targets.append((f"<= {work.most_ratio:g} x {BARE}", ratio <= work.most_ratio))
    met = all(met for _, met in targets) if targets else None
    cells = {name: _cell(times, name) for name in times.seconds}
    return [
        work.what, cells[OURS], ", ".join(text for text, _ in targets), MET[met], cells[NO_MEMORY],
        cells[BARE], f"{ratio:.2f}", *(cells[name] for name in peers),
    ]  # fmt: skip


def _ms(times: Times, name: str) -> float:
    return times.median(name) * 1000


def _cell(times: Times, name: str) -> str:
    ms = _ms(times, name)
    digits = 0 if ms >= 100 else 1 if ms >= 10 else 2 if ms >= 1 else 3
    return f"{ms:,.{digits}f}" + (ONCE if len(times.seconds[name]) == 1 else "")


def _plain(answer: pl.DataFrame, columns: Sequence[str], ordered: bool) -> pl.DataFrame:
    """Return an answer with symbols as texts and times as milliseconds, whatever they came as."""
    plain = answer.select(columns)
    if "symbol" in columns:
        plain = plain.with_columns(pl.col("symbol").cast(pl.String))
    if "timestamp" in columns:
        plain = plain.with_columns(pl.col("timestamp").cast(pl.Datetime("ms")).to_physical())
    return plain if ordered else plain.sort([name for name in ("symbol", "timestamp") if name in columns])
