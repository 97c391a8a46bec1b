"""The flags of `mdstore declare`: columns that are kept beside those of candles."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption, WaitOption
from mdstore.cli.shared.store import created, store_file, stored

__all__ = ["declare"]


class Rule(StrEnum):
    """How a longer bar has the column."""

    SUM, LAST, FIRST, MAX, MIN, MEAN = "sum", "last", "first", "max", "min", "mean"
    VOLUME_WEIGHTED = "volume_weighted"


def declare(
    ctx: typer.Context,
    *,
    name: Annotated[str | None, typer.Argument(help="Such as value, trades or open_interest.")] = None,
    resample: Annotated[
        Rule | None, typer.Option(help="How a longer bar has it, of those of its bars that have a value.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="What else files call it; may be given several times.")
    ] = None,
    symbols: Annotated[
        list[str] | None,
        typer.Option("--symbols", "-s", help="Keep it of these: symbols, or patterns such as 'KRW-*'."),
    ] = None,
    timeframes: Annotated[
        list[str] | None, typer.Option("--timeframe", "-t", help="Keep it of bars of this timeframe.")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Keep it no longer; what is stored stays, and is not read.")
    ] = False,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Keep a column of numbers beside those of candles; or list those that are kept.

    Files that have it, under its name or one that is known for it (such as
    Upbit's candle_acc_trade_price for value), are imported with it from
    then on. A bar may lack a value. Quote patterns.

    For example:

      mdstore declare

      mdstore declare value --resample sum

      mdstore declare oi --resample last --source 'Open Int' -s 'BTC*'

      mdstore declare value --remove
    """
    from mdstore.cli.output import declare as output

    if name is None or remove:
        if resample or source or symbols or timeframes:
            raise typer.BadParameter("--resample and the like go with a name, and not with --remove")
        if remove and name is None:
            raise typer.BadParameter("--remove takes the name of a column")
        with stored(store_file(ctx, file), wait=wait) as store:
            if name is None:
                output.print_declared(store, to_stdout(), json=json)
            else:
                output.undeclare(store, to_stdout(), name, json=json)
        return
    if resample is None:
        raise typer.BadParameter(f"--resample says how longer bars have it: {', '.join(Rule)}")
    with created(store_file(ctx, file), wait=wait) as store:
        store.declare(name, resample=resample.value, source=source, symbols=symbols, timeframes=timeframes)
        output.print_one(store, to_stdout(), name, json=json)
