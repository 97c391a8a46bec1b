"""The flags of `mdstore delete`: which candles go, and the question before."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stdout
from mdstore.cli.shared.options import (
    EndOption,
    FileOption,
    JsonOption,
    StartOption,
    SymbolArgument,
    WaitOption,
)
from mdstore.cli.shared.store import store_file, stored

__all__ = ["delete"]


def delete(
    ctx: typer.Context,
    *,
    symbol: SymbolArgument,
    timeframe: Annotated[str | None, typer.Argument(help="Only this one; all if left out.")] = None,
    start: StartOption = None,
    end: EndOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Delete candles of a symbol, after asking.

    For example:

      mdstore delete KRW-BTC 1m --end 2024-01-01

      mdstore delete KRW-BTC --yes
    """
    from mdstore.cli.output.delete import what_goes
    from mdstore.cli.shared.json_text import json_text
    from mdstore.cli.shared.texts import count

    with stored(store_file(ctx, file), wait=wait) as store:
        if not yes:
            question = f"Delete {what_goes(store, symbol, timeframe, start, end)}?"
            typer.confirm(question, abort=True, err=True)
        rows = store.delete(symbol, timeframe, start=start, end=end)
    if json:
        print(json_text({"deleted": rows}))
    else:
        to_stdout().print(f"{count(rows, 'row')} deleted", highlight=False)
