"""Progress bars: how much of the work is done, how long the rest takes, and at how many rows a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

__all__ = ["Drawn", "ImportProgress", "WorkProgress"]


class Drawn:
    """Bars on a terminal, drawn in a `with` and cleared at its end; elsewhere nothing is drawn.

    Behind the bar of each task stands what it is given as `text`; if `timed`, its share and the time left.
    """

    def __init__(self, console: Console, *, timed: bool = False) -> None:
        share, left = ([TaskProgressColumn()], [TimeRemainingColumn(compact=True)]) if timed else ([], [])
        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), *share,
            TextColumn("{task.fields[text]}"), *left,
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip

    def __enter__(self) -> Self:
        """Start drawing."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._bar.stop()


class ImportProgress(Drawn):
    """A progress bar over the bytes of the files; shown on a terminal only, and cleared at the end."""

    def __init__(self, console: Console, files: Sequence[Path]) -> None:
        self._sizes = {file: file.stat().st_size for file in files}
        super().__init__(console, timed=True)
        self._task = self._bar.add_task("importing", total=sum(self._sizes.values()) or None, text="")
        self._bytes_read: Callable[[], int] | None = None
        self._bytes_done = 0
        self._rows_done = 0
        self._began = time.perf_counter()
        self.rows_of_file = 0

    @property
    def seconds(self) -> float:
        """The time since the beginning."""
        return time.perf_counter() - self._began

    def reading(self, bytes_read: Callable[[], int]) -> None:
        """Take the function that says how many bytes of the current file have been read."""
        self._bytes_read = bytes_read

    def rows(self, rows: int) -> None:
        """Show that so many rows of the current file have been stored."""
        self.rows_of_file = rows
        read = self._bytes_read() if self._bytes_read is not None else 0
        total = self._rows_done + rows
        shown = f"{total:,} rows, {total / max(self.seconds, 1e-9):,.0f}/s"
        self._bar.update(self._task, completed=self._bytes_done + read, text=shown)

    def file_done(self, file: Path) -> None:
        """Count a file as done, also if it failed."""
        self._bytes_done += self._sizes[file]
        self._rows_done += self.rows_of_file
        self.rows_of_file, self._bytes_read = 0, None
        self._bar.update(self._task, completed=self._bytes_done)

    def __enter__(self) -> Self:
        """Start drawing."""
        self._began = time.perf_counter()
        return super().__enter__()


class WorkProgress(Drawn):
    """A progress bar over a number of things, called with how many are done and how many there are."""

    def __init__(self, console: Console, doing: str, things: str) -> None:
        self._things = things
        super().__init__(console, timed=True)
        self._task = self._bar.add_task(doing, total=None, text="")

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done; a total of 0 is unknown."""
        text = f"{done:,} of {total:,} {self._things}" if total else f"{done:,} {self._things}"
        self._bar.update(self._task, completed=done, total=total or None, text=text)
