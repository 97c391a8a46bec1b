"""The flags of `mdstore export`: which candles go into which file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import (
    AsOfOption,
    EndOption,
    FileOption,
    FillOption,
    FromOption,
    JsonOption,
    SeriesArgument,
    StartOption,
    ZoneOption,
)
from mdstore.cli.shared.pipes import PIPE, PipeFormat
from mdstore.cli.shared.store import store_file, stored

__all__ = ["export"]


def export(
    ctx: typer.Context,
    *,
    target: Annotated[
        Path,
        typer.Argument(
            readable=False,
            help="The file to write: .csv .tsv .json .ndjson (also .gz) .parquet .feather .arrow; "
            "- is standard output.",
        ),
    ],
    symbols: SeriesArgument = None,
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", "-t", help="Of this timeframe alone, else of all.")
    ] = None,
    start: StartOption = None,
    end: EndOption = None,
    source: FromOption = None,
    tz: ZoneOption = None,
    as_of: AsOfOption = None,
    fill: FillOption = None,
    form: Annotated[
        PipeFormat | None, typer.Option("--format", help="The format of standard output; csv if left out.")
    ] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Only bars that have ended.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Write candles to a file, exact to the last bit; symbol and timeframe are columns.

    For example:

      mdstore export btc.parquet KRW-BTC -t 1m --start 2025-09-01

      mdstore export all.csv.gz

      mdstore export days.csv.gz AAPL MSFT 1d

      mdstore export hours.parquet -t 1h --from 1m

      mdstore export tested.parquet -t 1d --as-of 2025-09-01 --fill flat

      mdstore export - KRW-BTC -t 1d --format parquet > btc.parquet
    """
    from mdstore.cli.output.export import export_candles
    from mdstore.cli.shared.json_text import json_text
    from mdstore.cli.shared.texts import count

    piped = target == PIPE
    if form is not None and not piped:
        raise typer.BadParameter("--format is for - only: names tell of files")
    form = form or PipeFormat.CSV if piped else None
    with stored(store_file(ctx, file)) as store:
        rows = export_candles(
            store, target, symbols, timeframe, start=start, end=end,
            source=source, tz=tz, as_of=as_of, fill=None if fill is None else fill.value, force=force,
            form=form, closed=closed,
        )  # fmt: skip
    if piped:
        to_stderr().print(f"{count(rows, 'row')} written", highlight=False)
    elif json:
        print(json_text({"file": str(target), "rows": rows}))
    else:
        to_stdout().print(f"{count(rows, 'row')} written to {target}", highlight=False, markup=False)
