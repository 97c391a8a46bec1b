"""The flags of `mdstore metrics`: figures of a store for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr
from mdstore.cli.shared.options import FileOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["metrics"]


def metrics(  # noqa: PLR0917 - each is a flag
    ctx: typer.Context,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65_535, help="Serve them at this port; 0 takes a free one."),
    ] = None,
    address: Annotated[str, typer.Option("--address", help="With --port: where it listens.")] = "127.0.0.1",
    textfile: Annotated[
        Path | None,
        typer.Option(
            "--textfile", readable=False, help="Write them to this file, NAME.prom, for node_exporter."
        ),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option("--every", min=0.1, help="With --textfile: write it again so many seconds later."),
    ] = None,
    file: FileOption = None,
) -> None:
    """Give figures of the store to Prometheus, or print them.

    They are of the file: size, log and who holds it, packs, growth, upkeep,
    alarms. Those of a process (latencies, hit rate) come from that process:
    prometheus_client.REGISTRY.register(mdstore.MetricsCollector(store)).
    """
    from mdstore.cli.output.metrics import print_metrics, serve_metrics, write_metrics

    with stored(store_file(ctx, file)) as store:
        if port is not None:
            serve_metrics(store, to_stderr(), address, port)
        elif textfile is not None:
            write_metrics(store, textfile, every)
        else:
            print_metrics(store)
