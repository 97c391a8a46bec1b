"""The flags of `mdstore check`: whether the file is sound."""

from __future__ import annotations

import typer

from mdstore.cli.shared.console import to_stdout
from mdstore.cli.shared.errors import ERROR
from mdstore.cli.shared.options import FileOption, JsonOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["check"]


def check(ctx: typer.Context, file: FileOption = None, json: JsonOption = False) -> None:
    """Read the whole file and say what is wrong with it; exit with 1 if anything is.

    For candles that are not what was written: restore a backup, or delete
    the range that is named and import it again. After a change by another
    program `mdstore warm --rebuild` takes what the file holds for right.
    """
    from mdstore.cli.shared.json_text import json_text

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
