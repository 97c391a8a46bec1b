"""The flags of `mdstore report`: a store as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import FileOption
from mdstore.cli.shared.pipes import PIPE
from mdstore.cli.shared.store import store_file, stored

__all__ = ["report"]


def report(
    ctx: typer.Context,
    target: Annotated[
        Path,
        typer.Argument(
            readable=False, help="The file to write; an older report is replaced. - is standard output."
        ),
    ] = Path("report.html"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is no report.")] = False,
    file: FileOption = None,
) -> None:
    """Write how a store does to one HTML file, for any browser, without a network.

    Sizes, growth and its forecast, a map of the file's pages, where bars
    lack, how long some reads take, statements that were saved, upkeep, and
    what to do. Reads the whole file once; others go on meanwhile.
    """
    from mdstore.cli.output.report import pipe_report, print_report

    with stored(store_file(ctx, file)) as store:
        if target == PIPE:
            pipe_report(store, to_stderr())
        else:
            print_report(store, to_stdout(), to_stderr(), target, force=force)
