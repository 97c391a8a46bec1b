"""The flags of `mdstore watch`: which markets, of which bars, and where raw messages go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption, WaitOption
from mdstore.cli.shared.store import created, store_file

__all__ = ["watch"]


def watch(
    ctx: typer.Context,
    *,
    exchange: Annotated[str, typer.Argument(help="upbit, binance or binance-futures.")],
    symbols: Annotated[list[str], typer.Argument(help="Such as KRW-BTC, or a pattern: 'KRW-*'.")],
    timeframe: Annotated[
        list[str] | None,
        typer.Option("--timeframe", "-t", help="Of which bars; again for more. 1m if left out."),
    ] = None,
    books: Annotated[bool, typer.Option("--books", help="Order books, too.")] = False,
    record: Annotated[
        Path | None,
        typer.Option(readable=False, help="Write raw messages to files of this name, for `mdstore replay`."),
    ] = None,
    silence: Annotated[
        float, typer.Option(help="Connect again when nothing has come for so many seconds.")
    ] = 60.0,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Ask this address in the exchange's place.")
    ] = None,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Watch markets of an exchange: bars form, and are stored as they end.

    A terminal shows a table that lives; anything else gets a line for
    each bar that has ended. What a broken connection has missed is
    fetched before a bar is stored. A lost connection is made again half a
    second later, ever later as it fails, and a minute later at most.
    Other programs read what is live by `mdstore.attach(file)`. Ctrl-C
    ends it.

    For example:

      mdstore watch upbit KRW-BTC KRW-ETH -t 1m

      mdstore watch binance BTCUSDT -t 1m -t 1h --record recordings/binance

      mdstore watch upbit 'KRW-*' --json | jq .close
    """
    from mdstore.cli.output.watch import Watched
    from mdstore.cli.shared.which_series import names_and_timeframes

    named, bars = names_and_timeframes(symbols)
    if named:  # bars may come last, as `mdstore sync` takes them
        symbols, timeframe = named, [*(timeframe or []), *bars]
    with created(store_file(ctx, file), wait=wait) as store:
        watched = Watched(store, to_stdout(), to_stderr(), as_json=json)
        watched.run(
            exchange, symbols, timeframe or ["1m"], orderbooks=books, silence=silence, base_url=base_url,
            record=None if record is None else record.with_suffix("") if record.suffix == ".gz" else record,
        )  # fmt: skip
