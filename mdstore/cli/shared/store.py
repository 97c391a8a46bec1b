"""Which store is meant, and how a command opens it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["READ_ONLY", "created", "remove_unused", "store_file", "stored"]


READ_ONLY: ContextVar[bool] = ContextVar("read_only", default=False)
"""Whether --read-only stands before the command."""


def store_file(ctx: typer.Context, file: Path | None) -> Path:
    """Return the store that is meant: the command's --store, or the one before the command."""
    from mdstore.core.arguments import DEFAULT_FILE  # noqa: PLC0415 - it comes with Polars

    given: Path | None = ctx.find_root().params.get("file")
    return file or given or Path(DEFAULT_FILE)


@contextmanager
def stored(file: Path, *, create: bool = False, wait: float = 10.0) -> Iterator[MarketDataStore]:
    """Open the store for a command; with `create`, make it if it is not there. `wait` is in seconds."""
    import mdstore  # noqa: PLC0415 - help and completion scripts must not wait for it

    with mdstore.open(file, create=create, read_only=READ_ONLY.get(), busy_timeout=wait) as store:
        yield store


@contextmanager
def created(file: Path, *, wait: float) -> Iterator[MarketDataStore]:
    """Open the store for a command that puts something in it; a file made for nothing is removed again."""
    was_there, unused = file.exists(), False
    try:
        with stored(file, create=True, wait=wait) as store:
            try:
                yield store
            finally:
                held = (store.series(), store.quarantine(), store.declared())
                unused = all(frame.is_empty() for frame in held)
    finally:
        if unused and not was_there:
            remove_unused(file)


def remove_unused(file: Path) -> None:
    """Remove a store that was made for nothing, unless another process has it open.

    As long as any process has it open, SQLite's log lies beside the file.
    """
    if not any(file.with_name(f"{file.name}{end}").exists() for end in ("-wal", "-shm")):
        file.unlink(missing_ok=True)
