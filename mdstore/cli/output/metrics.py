"""What `mdstore metrics` gives: figures in Prometheus' text, printed, served or in a file."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from mdstore.candles.file.paths import os_errors, refuse_folder, refuse_target
from mdstore.errors import InvalidInputError
from mdstore.optimization.metrics import registry_of

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["print_metrics", "serve_metrics", "write_metrics"]

LOOK_SECONDS: Final = 0.2
SUFFIX: Final = ".prom"


def print_metrics(store: MarketDataStore) -> None:
    """Print the figures of this moment."""
    registry = registry_of(store)
    from prometheus_client import generate_latest  # noqa: PLC0415 - an extra

    print(generate_latest(registry).decode(), end="")


def write_metrics(store: MarketDataStore, path: Path, every: float | None) -> None:
    """Write the figures to a file, whole or not at all; with `every`, again and again until it is ended."""
    registry = registry_of(store)
    from prometheus_client import write_to_textfile  # noqa: PLC0415 - an extra

    if path.suffix != SUFFIX:
        raise InvalidInputError(
            f"node_exporter reads no {path.name}", hint=f"give a name that ends in {SUFFIX}"
        )
    refuse_target(path)
    refuse_folder(path)

    def write() -> None:
        with os_errors(path):
            write_to_textfile(str(path), registry)

    write()
    if every is not None:
        _until_ended(every, write)


def serve_metrics(store: MarketDataStore, err: Console, address: str, port: int) -> None:
    """Serve the figures by HTTP until Ctrl-C or SIGTERM."""
    registry = registry_of(store)
    from prometheus_client import start_http_server  # noqa: PLC0415 - an extra

    try:
        server, thread = start_http_server(port, address, registry)
    except (OSError, OverflowError) as error:
        raise InvalidInputError(
            f"{address}:{port} cannot be listened at: {error}", hint="give another --port or --address"
        ) from error
    try:
        err.print(
            f"http://{address}:{server.server_port}/metrics; Ctrl-C ends it", highlight=False, markup=False
        )
        _until_ended(LOOK_SECONDS, lambda: None)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _until_ended(every: float, work: Callable[[], None]) -> None:
    """Do some work every so many seconds until SIGTERM; Ctrl-C raises."""
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        while not ended.wait(every):  # a signal that another thread gets wakes no wait without end
            work()
    finally:
        signal.signal(signal.SIGTERM, before)
