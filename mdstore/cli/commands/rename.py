"""The flags of `mdstore rename`: a symbol's name, and the new one."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption, SymbolArgument, WaitOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["rename"]


def rename(
    ctx: typer.Context,
    *,
    symbol: SymbolArgument,
    name: Annotated[str, typer.Argument(help="Its new name; one that is not stored yet.")],
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Give a symbol another name, in all its timeframes.

    What is known of its bars goes along: why some are missing, where they
    came from, what they were before.

    For example:

      mdstore rename BTC_KRW KRW-BTC
    """
    from mdstore.cli.shared.json_text import json_text

    with stored(store_file(ctx, file), wait=wait) as store:
        timeframes = store.rename(symbol, name)
    if json:
        print(json_text({"symbol": symbol, "name": name, "timeframes": timeframes}))
    else:
        to_stdout().print(f"{symbol} is {name} now: {', '.join(timeframes)}", highlight=False, markup=False)
