"""The flags of `mdstore show`: which bars, and how they are drawn."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stdout
from mdstore.cli.shared.options import (
    AsOfOption,
    EndOption,
    FileOption,
    FillOption,
    FromOption,
    JsonOption,
    StartOption,
    SymbolArgument,
    TimeframeArgument,
)
from mdstore.cli.shared.store import store_file, stored

__all__ = ["show"]


def show(
    ctx: typer.Context,
    *,
    symbol: SymbolArgument,
    timeframe: TimeframeArgument = None,
    rows: Annotated[
        int, typer.Option("--rows", "--limit", "-n", min=1, help="Bars in the table, the latest.")
    ] = 10,
    start: StartOption = None,
    end: EndOption = None,
    source: FromOption = None,
    tz: Annotated[
        str | None,
        typer.Option("--tz", help="Print local times, such as of Asia/Seoul; with --from, cut days there."),
    ] = None,
    as_of: AsOfOption = None,
    fill: FillOption = None,
    chart: Annotated[bool, typer.Option(help="Draw the chart.")] = True,
    height: Annotated[int, typer.Option(min=8, help="Lines of the chart.")] = 20,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Print the latest bars of a series, and a candlestick chart.

    The chart shows as many bars as fit, or all from --start on, put
    together where they do not fit.

    For example:

      mdstore show KRW-BTC

      mdstore show AAPL 1d -n 5 --start 2012-01-01

      mdstore show KRW-BTC 1m --tz Asia/Seoul

      mdstore show KRW-BTC 1d --from 1m --tz Asia/Seoul

      mdstore show KRW-BTC 1m --as-of 2025-09-01T12:00 --fill flat
    """
    from mdstore.cli.output.show import print_bars

    with stored(store_file(ctx, file)) as store:
        print_bars(
            store, to_stdout(), symbol, timeframe, rows=rows, start=start, end=end,
            source=source, tz=tz, as_of=as_of, fill=None if fill is None else fill.value,
            height=height if chart else None, json=json,
        )  # fmt: skip
