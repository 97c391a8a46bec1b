"""The flags of `mdstore screen`: the conditions, and on which bars."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import (
    AsOfOption,
    EndOption,
    FileOption,
    FromOption,
    JsonOption,
    StartOption,
    ZoneOption,
)
from mdstore.cli.shared.store import store_file, stored

__all__ = ["screen"]


def screen(
    ctx: typer.Context,
    *,
    conditions: Annotated[list[str], typer.Argument(help='Such as "close > sma(close, 20)".')],
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", "-t", help="May be left out where only one is stored.")
    ] = None,
    symbol: Annotated[list[str] | None, typer.Option("--symbol", "-s", help="Only these symbols.")] = None,
    bars: Annotated[
        int | None, typer.Option("--bars", "-n", min=1, help="Only the latest so many bars.")
    ] = None,
    start: StartOption = None,
    end: EndOption = None,
    source: FromOption = None,
    tz: ZoneOption = None,
    as_of: AsOfOption = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also the symbols for which a condition does not hold.")
    ] = False,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Find the symbols for which conditions hold at their latest bar.

    What is no condition is shown as a column. The columns of a candle,
    arithmetic, comparisons, and, or, not; sma, ema, rsi, atr, highest,
    lowest, crossed_above, close.shift(1), volume.rolling_mean(20), ...

    For example:

      mdstore screen "close > close.rolling_mean(20)" --timeframe 1d

      mdstore screen "rsi(close, 14) < 30" "close / close.shift(1) - 1" -t 1d -n 250
    """
    from mdstore.cli.output.screen import print_screen

    with stored(store_file(ctx, file)) as store:
        print_screen(
            store, to_stdout(), to_stderr(), conditions, timeframe,
            symbols=symbol, bars=bars, start=start, end=end,
            source=source, tz=tz, as_of=as_of, every=every, json=json,
        )  # fmt: skip
