"""The flags of `mdstore trim`: how long it is kept what bars were."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption, WaitOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["trim"]


def trim(
    ctx: typer.Context,
    keep: Annotated[str, typer.Option("--keep", help="How long it is kept: 90d, 12w, 6M or 1y.")],
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Let go what bars were before they changed, if that is longer ago.

    `--as-of` a time before that is refused then. The space is used again; `mdstore optimize` gives it back.

    For example:

      mdstore trim --keep 1y
    """
    from mdstore.cli.shared.json_text import json_text
    from mdstore.cli.shared.texts import count

    with stored(store_file(ctx, file), wait=wait) as store:
        gone = store.maintenance.trim(keep)
        stats = store.maintenance.stats()
    if json:
        kept = {name: stats[name] for name in ("revisions", "revision_bytes", "revisions_since")}
        print(json_text({"let_go": gone, **kept}))
    else:
        left = f"{int(stats['revisions']):,} are kept"
        to_stdout().print(f"{count(gone, 'earlier value')} of bars let go, {left}", highlight=False)
