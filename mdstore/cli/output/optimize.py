"""What `mdstore optimize` prints: why, what was done, the file before and after."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console

from mdstore.cli.shared.json_text import json_text
from mdstore.cli.shared.table import Column, print_grid, room
from mdstore.cli.shared.texts import size_text
from mdstore.core.logs import logger

if TYPE_CHECKING:
    from mdstore.optimization.optimizing import Optimized, State
    from mdstore.store.store import MarketDataStore

__all__ = ["keep_optimizing", "print_optimized"]

LOG = "maintenance"
LOOK_SECONDS = 0.2
ROWS: tuple[tuple[str, Callable[[State], str]], ...] = (
    ("size", lambda state: size_text(state.bytes)),
    ("pages", lambda state: f"{state.pages:,}"),
    ("free pages", lambda state: f"{state.free:,}"),
    ("candles in order", lambda state: f"{state.in_order:.1%}"),
    ("cold scan", lambda state: _milliseconds(state.cold_ms)),
    ("warm scan", lambda state: _milliseconds(state.warm_ms)),
)


def print_optimized(
    store: MarketDataStore,
    out: Console,
    err: Console,
    *,
    dry_run: bool,
    freeze_after: str | None = None,
    json: bool,
) -> None:
    """Do what the file needs, or only say what that is; print why, and before and after."""
    with err.status("looking", spinner="dots") as status:
        found = store.maintenance.optimize(dry_run=dry_run, freeze_after=freeze_after, progress=status.update)
    if json:
        print(json_text(asdict(found)))
        return
    for line in found.reasons.splitlines():
        out.print(line, highlight=False, markup=False)
    if not dry_run:
        for text in found.done or ("nothing was done",):
            out.print(text, highlight=False, markup=False)
    _print_states(out, found, dry_run=dry_run)


def _print_states(out: Console, found: Optimized, *, dry_run: bool) -> None:
    columns = [
        Column("", [name for name, _ in ROWS]),
        Column("now" if dry_run else "before", [text(found.before) for _, text in ROWS], right=True),
    ]
    if not dry_run:
        columns.append(Column("after", [text(found.after) for _, text in ROWS], right=True))
    print_grid(out, columns, room(out))
    for name, plan in found.before.plans.items():
        out.print(f"plan of {name}: {plan}", highlight=False, markup=False)
        if found.after.plans[name] != plan:
            out.print(f"  now: {found.after.plans[name]}", highlight=False, markup=False)


def keep_optimizing(
    store: MarketDataStore, err: Console, *, quiet_hours: str, tz: str, freeze_after: str | None = None
) -> None:
    """Look after the file until Ctrl-C or SIGTERM, and say what is done."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    handler = _Said(err)
    logger(LOG).addHandler(handler)
    logger(LOG).setLevel(logging.INFO)
    try:
        hours = None if quiet_hours == "observed" else quiet_hours
        store.maintenance.start(quiet_hours=hours, tz=tz, freeze_after=freeze_after)
        err.print(f"looking after {store.path}; Ctrl-C ends it", highlight=False, markup=False)
        while not ended.wait(LOOK_SECONDS):  # a signal that another thread gets wakes no wait without end
            pass
    finally:
        logger(LOG).removeHandler(handler)
        store.maintenance.stop()


class _Said(logging.Handler):
    """Prints what is logged."""

    def __init__(self, err: Console) -> None:
        super().__init__()
        self._err = err

    def emit(self, record: logging.LogRecord) -> None:
        self._err.print(record.getMessage(), highlight=False, markup=False)


def _milliseconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.1f} ms"
