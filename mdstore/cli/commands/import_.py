"""The flags of `mdstore import`: which files, and what is said about them."""

from __future__ import annotations

from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.errors import ERROR, INTERRUPTED
from mdstore.cli.shared.options import FileOption, JsonOption, WaitOption
from mdstore.cli.shared.pipes import PIPE, SOURCE, PipeFormat, spooled
from mdstore.cli.shared.store import created, store_file

__all__ = ["import_"]


class Unit(StrEnum):
    """Units of times that are numbers."""

    S, MS, US, NS, EXCEL = "s", "ms", "us", "ns", "excel"


class Tolerance(StrEnum):
    """What may be off by rounding."""

    ULP = "ulp"


class OnInvalid(StrEnum):
    """What to do with rows that break a rule."""

    RAISE, QUARANTINE, DROP = "raise", "quarantine", "drop"


class OnConflict(StrEnum):
    """What to do with a bar that comes twice with different values."""

    RAISE, LAST = "raise", "last"


class Volume(StrEnum):
    """What to do where there is no volume."""

    NONE = "none"


class Decimal(StrEnum):
    """What begins the decimals of numbers."""

    POINT, COMMA = ".", ","


def import_(
    ctx: typer.Context,
    *,
    paths: Annotated[
        list[Path],
        # A file that cannot be read is one bad file among others, not a usage error.
        typer.Argument(help="Files, and folders with all below them; - is standard input.", readable=False),
    ],
    symbol: Annotated[str | None, typer.Option("--symbol", "-s", help="The symbol of every file.")] = None,
    timeframe: Annotated[str | None, typer.Option("--timeframe", "-t", help="Such as 1m, 4h or 1d.")] = None,
    symbol_from_filename: Annotated[
        str | None,
        typer.Option(
            help="A pattern of the names without their suffixes: '{symbol}_data', '{symbol}-{timeframe}', "
            "'*_{symbol}'."
        ),
    ] = None,
    unit: Annotated[
        Unit | None,
        typer.Option(help="The unit of numeric times, else by their size; excel: days of a spreadsheet."),
    ] = None,
    date_format: Annotated[
        str | None, typer.Option(help="How dates are written, as '%d/%m/%Y' or '%d/%m/%Y %H:%M'.")
    ] = None,
    tz: Annotated[
        str | None, typer.Option(help="The zone of times that bear none, as Asia/Seoul; else UTC.")
    ] = None,
    align: Annotated[
        str | None,
        typer.Option(
            metavar="floor|ZONE",
            help="floor: move times to the start of their bar. Asia/Seoul: take the date that it was there.",
        ),
    ] = None,
    tolerance: Annotated[
        Tolerance | None,
        typer.Option(help="ulp: widen high or low where open or close misses it by rounding, 4 ulp at most."),
    ] = None,
    on_invalid: Annotated[
        OnInvalid, typer.Option(help="Rows that break a rule: refuse the file, set them aside, or skip them.")
    ] = OnInvalid.RAISE,
    on_conflict: Annotated[
        OnConflict,
        typer.Option(help="A bar that comes twice with different values: refuse the file, or take the last."),
    ] = OnConflict.RAISE,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete",
            help="What a file lacks between its first and last bar is not to be had: no update asks.",
        ),
    ] = False,
    rename: Annotated[
        bool,
        typer.Option("--rename", help="--symbol is another name of the one in a file's column of symbols."),
    ] = False,
    form: Annotated[
        PipeFormat | None, typer.Option("--format", help="The format of standard input; csv if left out.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="time=NAME,...",
            help="Which column is which: time, date, symbol, timeframe, open, high, low, close, volume. "
            "Without a header the names of all by their place: time,open,high,low,close,volume.",
        ),
    ] = None,
    volume: Annotated[
        Volume | None, typer.Option(help="none: there is no volume (indices, currencies), store 0.")
    ] = None,
    decimal: Annotated[
        Decimal | None, typer.Option(help="What begins the decimals, where no number tells.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of a text that is not UTF-8: cp949, shift_jis, latin1, ...")
    ] = None,
    sheet: Annotated[
        str | None, typer.Option(help="The sheet of a workbook, where several hold candles.")
    ] = None,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Store the candles of files: CSV, TSV, JSON, Parquet, Feather, Arrow, Excel, also .gz and .zip.

    Columns, times, symbol and timeframe are recognised; the summary says
    how. Each file lands whole or not at all; a bad one is reported and the
    others go on. Importing again changes nothing.

    For example:

      mdstore import KRW-BTC-1m.csv

      mdstore import prices/ --symbol-from-filename '{symbol}_data' --timeframe 1d

      mdstore import dirty.csv -s AOS -t 1d --on-invalid quarantine

      curl https://... | mdstore import - --format json -s KRW-BTC -t 1m

      mdstore import 005930.csv --columns 'time=day,close=last price'
    """
    from mdstore.cli.output.import_ import Options, columns_in, files_in, import_files, skipped_in
    from mdstore.cli.output.import_summary import as_json, print_summary
    from mdstore.cli.shared.json_text import json_text
    from mdstore.cli.shared.progress import ImportProgress
    from mdstore.core.symbols import check_symbol
    from mdstore.core.timeframe import Timeframe

    if symbol is not None:
        check_symbol(symbol)
    if timeframe is not None:
        timeframe = str(Timeframe.parse(timeframe))
    if symbol is not None and symbol_from_filename is not None:
        raise typer.BadParameter("give --symbol or --symbol-from-filename, not both")
    piped = PIPE in paths
    if piped and len(paths) > 1:
        raise typer.BadParameter("- is standard input, and stands by itself")
    if form is not None and not piped:
        raise typer.BadParameter("--format is for - only: names tell of files")
    with spooled(form or PipeFormat.CSV) if piped else nullcontext(PIPE) as spool:
        if piped:
            paths = [spool]
        files = files_in(paths)
        options = Options(
            symbol, timeframe, symbol_from_filename, unit, align, on_invalid,
            complete=complete, on_conflict=on_conflict, rename=rename, date_format=date_format, tz=tz,
            tolerance=tolerance, columns=columns_in(columns), volume=volume, decimal=decimal,
            encoding=encoding, sheet=sheet, source=SOURCE if piped else None,
        )  # fmt: skip
        with created(store_file(ctx, file), wait=wait) as store:
            run = import_files(store, files, options, ImportProgress(to_stderr(), files))
        run.notes = skipped_in(paths)
    if json:
        print(json_text(as_json(run)))
    print_summary(run, None if json else to_stdout(), to_stderr())
    if run.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not run.succeeded:
        raise typer.Exit(ERROR)
