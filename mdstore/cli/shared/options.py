"""Options and arguments that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mdstore.cli.shared.store import store_file, stored
from mdstore.errors import MarketDataError

__all__ = [
    "AsOfOption", "EndOption", "FileOption", "FillOption", "FromOption", "JsonOption", "SeriesArgument",
    "StartOption", "SymbolArgument", "SymbolsArgument", "TimeframeArgument", "WaitOption", "ZoneOption",
    "complete_symbol",
]  # fmt: skip


class Filling(StrEnum):
    """What to put where bars are missing."""

    FLAT, NULL = "flat", "null"


def complete_symbol(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the stored symbols that begin with what is typed."""
    try:
        with stored(store_file(ctx, ctx.params.get("file"))) as store:
            symbols: list[str] = store.series()["symbol"].unique().sort().to_list()
    except (MarketDataError, OSError):
        return []
    return [symbol for symbol in symbols if symbol.startswith(incomplete)]


StartOption = Annotated[str | None, typer.Option(help="From this time on: ISO 8601 or a number, UTC.")]
EndOption = Annotated[str | None, typer.Option(help="Up to this time, which is not included.")]
FileOption = Annotated[
    Path | None,
    typer.Option("--store", "-f", help="The store's file; also before the command.", show_default=False),
]
FromOption = Annotated[
    str | None, typer.Option("--from", help="Put bars together from this stored timeframe, such as 1m.")
]
ZoneOption = Annotated[
    str | None, typer.Option("--tz", help="With --from: cut days in this zone, such as Asia/Seoul.")
]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="The bars as they were known at this time: ISO 8601, UTC.")
]
FillOption = Annotated[
    Filling | None,
    typer.Option("--fill", help="Also bars that are missing: flat ones at the last close, or null."),
]
WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait while another process writes.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON records to stdout, nothing else.")]
SymbolArgument = Annotated[str, typer.Argument(help="Such as KRW-BTC.", autocompletion=complete_symbol)]
SymbolsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Which; all of the timeframe if none is given.", autocompletion=complete_symbol),
]
SeriesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="Which, and after them a timeframe; all if none is given.", autocompletion=complete_symbol
    ),
]
TimeframeArgument = Annotated[
    str | None, typer.Argument(help="Such as 1m, 4h or 1d; may be left out where only one is stored.")
]
