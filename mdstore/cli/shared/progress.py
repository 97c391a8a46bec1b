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

__all__ = ["ImportProgress", "WorkProgress"]


class ImportProgress:
    """A progress bar over the bytes of the files; shown on a terminal only, and cleared at the end."""

    def __init__(self, console: Console, files: Sequence[Path]) -> None:
        self._sizes = {file: file.stat().st_size for file in files}
        self._bar = _bar(console)
        self._task = self._bar.add_task("importing", total=sum(self._sizes.values()) or None, count="")
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
        self._bar.update(self._task, completed=self._bytes_done + read, count=shown)

    def file_done(self, file: Path) -> None:
        """Count a file as done, also if it failed."""
        self._bytes_done += self._sizes[file]
        self._rows_done += self.rows_of_file
        self.rows_of_file, self._bytes_read = 0, None
        self._bar.update(self._task, completed=self._bytes_done)

    def __enter__(self) -> Self:
        """Start drawing."""
        self._began = time.perf_counter()
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._bar.stop()


class WorkProgress:
    """A progress bar over a number of things, called with how many are done and how many there are."""

    def __init__(self, console: Console, doing: str, things: str) -> None:
        self._things = things
        self._bar = _bar(console)
        self._task = self._bar.add_task(doing, total=None, count="")

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done; a total of 0 is unknown."""
        count = f"{done:,} of {total:,} {self._things}" if total else f"{done:,} {self._things}"
        self._bar.update(self._task, completed=done, total=total or None, count=count)

    def __enter__(self) -> Self:
        """Start drawing."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._bar.stop()


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[count]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
