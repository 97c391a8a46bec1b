"""The flags of `mdstore replay`: which recordings, and what is made of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.errors import ERROR, INTERRUPTED
from mdstore.cli.shared.options import FileOption, JsonOption, WaitOption
from mdstore.cli.shared.store import created, store_file
from mdstore.sources.exchanges.registry import VenueName

if TYPE_CHECKING:
    from mdstore.realtime.cache import RealtimeDataCache

__all__ = ["replay"]


def replay(
    ctx: typer.Context,
    *,
    recordings: Annotated[
        list[Path],
        typer.Argument(help="Files of raw messages, also .gz; several play as one.", readable=False),
    ],
    speed: Annotated[
        float | None, typer.Option(help="1 is as it was, 10 ten times that; as fast as possible if left out.")
    ] = None,
    venue: Annotated[VenueName | None, typer.Option(help="Told by the messages if left out.")] = None,
    timeframe: Annotated[
        list[str] | None, typer.Option("--timeframe", "-t", help="Make bars of the trades; again for more.")
    ] = None,
    save: Annotated[bool, typer.Option("--save", help="Store the bars that have closed.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="End at what cannot be read.")] = False,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Play recordings of exchange messages, and show each symbol at the end.

    Tickers, order books and trades live in memory only. With --timeframe,
    the bars that they make are shown, too; with --save, those that were
    seen from their start are stored once they have closed.

    A line is `nanoseconds JSON`, `seconds: JSON`, or, for an answer to a
    request, `URL -> seconds: JSON`; Upbit's and Binance's messages. What
    cannot be read is left out, said, and ends the command with 1; bars
    that may lack it are not stored. A file whose end is not there, as of
    a recorder that was killed, plays up to there.

    For example:

      mdstore replay upbit.ws.gz

      mdstore replay recordings/upbit-*.gz -t 1m -t 1h

      mdstore replay futures.http futures.ws --speed 10 -t 1m --save
    """
    from mdstore.cli.output.replay import Playing
    from mdstore.cli.shared.json_text import json_text
    from mdstore.core.timeframe import Timeframe

    if save and not timeframe:
        raise typer.BadParameter("--save stores bars: say of which --timeframe")
    bars = [str(Timeframe.parse(one)) for one in timeframe or ()]
    with _cache(store_file(ctx, file) if save else None, wait) as cache:
        if bars:
            cache.live.build(bars, persist=save)
        playing = Playing(cache, to_stderr(), bars)
        playing.run(recordings, venue, speed, strict=strict)
        cache.live.flush()
    if json:
        print(json_text(playing.record(saved=save)))
    else:
        playing.print(to_stdout(), to_stderr(), saved=save)
    if playing.error is not None:
        raise playing.error
    if playing.interrupted:
        raise typer.Exit(INTERRUPTED)
    if playing.unread:
        raise typer.Exit(ERROR)


@contextmanager
def _cache(file: Path | None, wait: float) -> Iterator[RealtimeDataCache]:
    """Give a cache to play into: that of the store if bars are to be saved, else one without a store."""
    from mdstore.realtime.cache import RealtimeDataCache

    if file is None:
        cache = RealtimeDataCache()
        try:
            yield cache
        finally:
            cache.close()
        return
    with created(file, wait=wait) as store:
        try:
            yield store.realtime
        finally:
            store.live.close()  # which stores the bars that have closed
