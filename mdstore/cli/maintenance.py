"""The commands that look after a store: its packs, its copies, its soundness."""

# What reads and writes is imported by the command that needs it: help and completion stay quick.
# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdstore.cli.commands import app
from mdstore.cli.shell import (
    ERROR,
    FileOption,
    JsonOption,
    WaitOption,
    store_file,
    stored,
    to_stderr,
    to_stdout,
)

__all__ = ["app"]


@app.command()
def warm(
    ctx: typer.Context,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Take what the file holds for right, and seal it anew.")
    ] = False,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Put all candles into the columnar packs beside the file, for quick reads.

    Reads do so by themselves for what they read. Others read and write
    meanwhile. Ctrl-C ends it; the same command goes on where it was.
    """
    from mdstore.cli.progress import WorkProgress
    from mdstore.cli.tables import count, json_text

    with stored(store_file(ctx, file), wait=wait) as store:
        with WorkProgress(to_stderr(), "sealing", "rows") as progress:
            rows = store.maintenance.warm(rebuild=rebuild, progress=progress)
        trouble = str(store.maintenance.stats()["pack_trouble"])
    if json:
        print(json_text({"rows": rows}))
    else:
        to_stdout().print(f"{count(rows, 'row')} put into packs", highlight=False)
    if trouble:
        to_stderr().print(trouble, highlight=False, markup=False)
        raise typer.Exit(ERROR)


@app.command()
def compact(
    ctx: typer.Context, wait: WaitOption = 10.0, file: FileOption = None, json: JsonOption = False
) -> None:
    """Lay the packs out anew: sorted, merged, without what is no longer used."""
    from mdstore.cli.progress import WorkProgress
    from mdstore.cli.tables import count, json_text, size_text

    with (
        stored(store_file(ctx, file), wait=wait) as store,
        WorkProgress(to_stderr(), "compacting", "rows") as progress,
    ):
        saved = store.maintenance.compact(progress=progress)
        packs = store.maintenance.stats()["packs"]
    if json:
        print(json_text({"bytes_saved": saved, "packs": packs}))
    else:
        to_stdout().print(f"{count(int(packs), 'pack')}, {size_text(max(saved, 0))} saved", highlight=False)


@app.command()
def stats(ctx: typer.Context, file: FileOption = None, json: JsonOption = False) -> None:
    """Say what the file and its packs take, and how much lies in packs."""
    from mdstore.cli.queries import print_stats

    with stored(store_file(ctx, file)) as store:
        print_stats(store, to_stdout(), json=json)


@app.command()
def backup(
    ctx: typer.Context,
    target: Annotated[Path, typer.Argument(help="The copy to make.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    file: FileOption = None,
) -> None:
    """Copy the store while it is in use, whole or not at all."""
    from mdstore.cli.tables import size_text

    with stored(store_file(ctx, file)) as store:
        made = store.maintenance.backup(target, overwrite=force)
    to_stdout().print(f"{target} written, {size_text(made.stat().st_size)}", highlight=False)


@app.command()
def check(ctx: typer.Context, file: FileOption = None, json: JsonOption = False) -> None:
    """Read the whole file and say what is wrong with it; exit with 1 if anything is.

    For candles that are not what was written: restore a backup, or delete
    the range that is named and import it again. After a change by another
    program `mdstore warm --rebuild` takes what the file holds for right.
    """
    from mdstore.cli.tables import json_text

    path = store_file(ctx, file)
    with stored(path) as store:
        findings = store.maintenance.check()
    if json:
        print(json_text(findings))
    else:
        for line in findings or [f"{path} is sound"]:
            to_stdout().print(line, highlight=False, markup=False)
    if findings:
        raise typer.Exit(ERROR)
