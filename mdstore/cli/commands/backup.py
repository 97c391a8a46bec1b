"""The flags of `mdstore backup`: a copy of the store."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import FileOption
from mdstore.cli.shared.pipes import PIPE, piping
from mdstore.cli.shared.store import store_file, stored

__all__ = ["backup"]


def backup(
    ctx: typer.Context,
    target: Annotated[Path, typer.Argument(readable=False, help="The copy to make; - is standard output.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    packs: Annotated[
        bool, typer.Option("--packs", help="Copy the packs, too: larger, and quick from the start.")
    ] = False,
    file: FileOption = None,
) -> None:
    """Copy the store while it is in use, whole or not at all."""
    from mdstore.cli.shared.progress import WorkProgress
    from mdstore.cli.shared.texts import size_text

    piped = target == PIPE
    if piped and packs:
        raise typer.BadParameter("--packs makes a folder beside the copy, and - has none")
    with (
        stored(store_file(ctx, file)) as store,
        WorkProgress(to_stderr(), "copying", "pages") as progress,
        piping("backup.sqlite3") if piped else nullcontext(target) as copy,
    ):
        size = store.maintenance.backup(copy, overwrite=force, packs=packs, progress=progress).stat().st_size
    if piped:
        to_stderr().print(f"{size_text(size)} written", highlight=False)
    else:
        to_stdout().print(f"{target} written, {size_text(size)}", highlight=False, markup=False)
