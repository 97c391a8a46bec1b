"""The flags of `mdstore compact`: the packs laid out anew."""

from __future__ import annotations

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption, WaitOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["compact"]


def compact(
    ctx: typer.Context, wait: WaitOption = 10.0, file: FileOption = None, json: JsonOption = False
) -> None:
    """Lay the packs out anew: sorted, merged, without what is no longer used."""
    from mdstore.cli.shared.json_text import json_text
    from mdstore.cli.shared.progress import WorkProgress
    from mdstore.cli.shared.texts import count, size_text

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
