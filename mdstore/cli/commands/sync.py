"""The flags of `mdstore sync`: which series of which exchange, and from when on."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.errors import ERROR, INTERRUPTED
from mdstore.cli.shared.options import FileOption, JsonOption, WaitOption
from mdstore.cli.shared.store import created, store_file

__all__ = ["sync"]


def sync(
    ctx: typer.Context,
    *,
    source: Annotated[str, typer.Argument(help="The exchange: upbit, binance, binance-futures, ...")],
    series: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SYMBOLS]... TIMEFRAMES...",
            help="Such as KRW-BTC KRW-ETH 1m 1h; 'KRW-*' is every such market.",
        ),
    ] = None,
    timeframe: Annotated[
        list[str] | None,
        typer.Option("--timeframe", "-t", help="Of which bars, as `mdstore watch` takes it; again for more."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="From this time on, or 'listing'; left out: from the first stored bar on."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time, which is not included.")] = None,
    every: Annotated[
        str | None, typer.Option(help="Go on, each time that such a bar has ended: 1m, 1h, ...")
    ] = None,
    whole: Annotated[bool, typer.Option("--all", help="Every market of the exchange.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many bars, pages and minutes it would be.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="One small request of each kind: is it answered as documented?"),
    ] = False,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Ask this address in place of the exchange's.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody.")] = False,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Fetch what is missing of candles from an exchange, and why bars are not there.

    Whatever ends it, Ctrl-C included: what has come is stored, and the same
    command goes on from there. Nothing is asked for twice.

    For example:

      mdstore sync upbit KRW-BTC 1m --since 2024-01-01

      mdstore sync upbit 'KRW-*' 1d 1h --since listing --dry-run

      mdstore sync binance BTCUSDT ETHUSDT 1m --every 1m

      mdstore sync --check upbit
    """
    if check:
        from mdstore.cli.output.sync_check import print_check

        raise typer.Exit(print_check(source, base_url, to_stdout()))
    from mdstore.cli.output.sync import Command, run_sync, series_in

    symbols, timeframes = series_in([*(series or []), *(timeframe or [])], whole=whole)
    command = Command(
        source, symbols, timeframes, since=since, until=until, every=every, dry_run=dry_run,
        base_url=base_url, offline=offline,
    )  # fmt: skip
    with created(store_file(ctx, file), wait=wait) as store:
        result, interrupted = run_sync(store, command, None if json else to_stdout(), to_stderr())
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if result.failed or result.bad:
        raise typer.Exit(ERROR)
