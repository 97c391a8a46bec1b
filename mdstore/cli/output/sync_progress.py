"""How far a sync is: bars in a terminal, by series and in all; where there is none, a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import TaskID

from mdstore.cli.shared.progress import Drawn
from mdstore.cli.shared.texts import count

if TYPE_CHECKING:
    from mdstore.sources.sync.result import SyncResult

__all__ = ["SyncProgress", "duration"]

MOST_BARS = 8
"""So many series are shown at work; of more, only what is in all."""
LINE_SECONDS = 10.0
MINUTE, HOUR = 60, 3_600


class SyncProgress(Drawn):
    """Shows a `SyncResult` as it grows, on `remarks`; `rounds`, if given, prints each one at its end."""

    def __init__(self, remarks: Console, *, rounds: Callable[[SyncResult], None] | None = None) -> None:
        self.latest: SyncResult | None = None
        """What was told last."""
        self._remarks, self._rounds = remarks, rounds
        super().__init__(remarks)
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._all = self._bar.add_task("in all", total=None, text="")
        self._line_at = time.monotonic() + LINE_SECONDS
        self._waits = ""

    def __call__(self, result: SyncResult) -> None:
        """Show how far it is."""
        self.latest = result
        if self._remarks.is_terminal:
            self._draw(result)
        elif _why(result) != self._waits or (not self._waits and time.monotonic() >= self._line_at):
            self._line(result)
        if result.is_over and self._rounds is not None:
            is_drawn = self._bar.live.is_started
            self._bar.stop()  # and taken away: it would be drawn over a line that stands behind it
            self._rounds(result)
            if is_drawn:
                self._bar.start()

    def _draw(self, result: SyncResult) -> None:
        self._bar.update(self._all, completed=result.done, total=result.missing or None, text=_text(result))
        at_work = [one for one in result.series if one.state == "at work"]
        for one in at_work:
            if one.key not in self._tasks and len(self._tasks) < MOST_BARS:
                self._tasks[one.key] = self._bar.add_task(str(one), total=one.missing, text="")
            if one.key in self._tasks:
                text = f"{one.done:,} of {one.missing:,} bars"
                self._bar.update(self._tasks[one.key], completed=one.done, total=one.missing, text=text)
        for gone in self._tasks.keys() - {one.key for one in at_work}:
            self._bar.remove_task(self._tasks.pop(gone))

    def _line(self, result: SyncResult) -> None:
        self._line_at, self._waits = time.monotonic() + LINE_SECONDS, _why(result)
        self._remarks.print(_text(result), highlight=False, markup=False)


def _why(result: SyncResult) -> str:
    """Return for what a sync waits, without how long: a log is told when that begins, and when it is over."""
    return "" if result.wait is None else f"{result.wait.host}: {result.wait.reason}"


def _text(result: SyncResult) -> str:
    left = result.seconds_left
    parts = [
        f"{result.done:,} of {count(result.missing, 'bar')}",
        f"{result.pages_done:,} of {count(result.pages, 'page')}",
        count(result.requests, "request"),
        *([f"{duration(left)} to go"] if left else []),
        *([f"waits: {result.waiting}"] if result.waiting else []),
    ]
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Write how long something takes.

    >>> duration(0.25), duration(75), duration(7_300)
    ('0.2 s', '75 s', '2 h 1 min')
    """
    if seconds < 10:  # noqa: PLR2004 - a digit behind the point says something
        return f"{seconds:.1f} s"
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:.0f} min"
