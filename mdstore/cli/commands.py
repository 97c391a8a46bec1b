"""The commands. Each opens the store, does one thing and prints it."""

# What reads and writes is imported by the command that needs it: help and completion stay quick.
# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mdstore.cli.shell import (
    ERROR,
    INTERRUPTED,
    AsOfOption,
    EndOption,
    FileOption,
    FillOption,
    FromOption,
    JsonOption,
    Shell,
    StartOption,
    SymbolArgument,
    SymbolsArgument,
    TimeframeArgument,
    WaitOption,
    ZoneOption,
    remove_unused,
    show_version,
    store_file,
    stored,
    to_stderr,
    to_stdout,
)

__all__ = ["app"]

app = typer.Typer(
    cls=Shell,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with [bold]mdstore demo[/], then [bold]mdstore import your_files[/].",
)


class Unit(StrEnum):
    """Units of whole-number times."""

    S, MS, US, NS = "s", "ms", "us", "ns"


class Align(StrEnum):
    """What to do with times between two bars."""

    FLOOR = "floor"


class OnInvalid(StrEnum):
    """What to do with rows that break a rule."""

    RAISE, QUARANTINE, DROP = "raise", "quarantine", "drop"


class OnConflict(StrEnum):
    """What to do with a bar that comes twice with different values."""

    RAISE, LAST = "raise", "last"


@app.callback()
def root(
    file: Annotated[
        Path | None,
        typer.Option(
            "--store",
            "-f",
            envvar="MDSTORE_FILE",
            help="The store's file; market_data.sqlite3 if none is named.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=show_version)
    ] = False,
) -> None:
    """Candles in one SQLite file: import them, look at them, query them, export them."""


@app.command()
def demo(ctx: typer.Context, file: FileOption = None) -> None:
    """Store and query real candles of five stocks: seconds, offline.

    Writes demo.sqlite3 in this folder, or the file that --store names,
    never your market_data.sqlite3.
    """
    from mdstore.cli.demo import DEMO_FILE, run_demo

    source = ctx.find_root().get_parameter_source("file")
    named = source is not None and source.name == "COMMANDLINE"
    run_demo(store_file(ctx, file) if named or file else DEMO_FILE, to_stdout(), to_stderr())


@app.command("import")
def import_(
    ctx: typer.Context,
    *,
    paths: Annotated[
        list[Path],
        # A file that cannot be read is one bad file among others, not a usage error.
        typer.Argument(help="Files, and folders with all below them.", readable=False),
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
    unit: Annotated[Unit | None, typer.Option(help="The unit of numeric times, else by their size.")] = None,
    align: Annotated[Align | None, typer.Option(help="floor: move times to the start of their bar.")] = None,
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
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Store the candles of files: CSV, TSV, JSON, Parquet, Feather, Arrow, also .gz and .zip.

    Columns, times, symbol and timeframe are recognised; the summary says
    how. Each file lands whole or not at all; a bad one is reported and the
    others go on. Importing again changes nothing.

    For example:

      mdstore import KRW-BTC-1m.csv

      mdstore import prices/ --symbol-from-filename '{symbol}_data' --timeframe 1d

      mdstore import dirty.csv -s AOS -t 1d --on-invalid quarantine
    """
    from mdstore.cli.ingest import Options, files_in, import_files, skipped_in
    from mdstore.cli.progress import ImportProgress
    from mdstore.cli.summary import as_json, print_summary
    from mdstore.cli.tables import json_text
    from mdstore.core.timeframe import Timeframe

    if timeframe is not None:
        timeframe = str(Timeframe.parse(timeframe))
    if symbol is not None and symbol_from_filename is not None:
        raise typer.BadParameter("give --symbol or --symbol-from-filename, not both")
    files = files_in(paths)
    options = Options(
        symbol, timeframe, symbol_from_filename, unit, align, on_invalid,
        complete=complete, on_conflict=on_conflict,
    )  # fmt: skip
    path = store_file(ctx, file)
    was_there = path.exists()
    with stored(path, create=True, wait=wait) as store:
        run = import_files(store, files, options, ImportProgress(to_stderr(), files))
        unused = not was_there and store.series().is_empty() and store.quarantine().is_empty()
    if unused:
        remove_unused(path)
    run.notes = skipped_in(paths)
    if json:
        print(json_text(as_json(run)))
    print_summary(run, None if json else to_stdout(), to_stderr())
    if run.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not run.succeeded:
        raise typer.Exit(ERROR)


@app.command()
def export(
    ctx: typer.Context,
    *,
    target: Annotated[
        Path,
        typer.Argument(
            help="The file to write: .csv .tsv .json .ndjson (also .gz) .parquet .feather .arrow."
        ),
    ],
    symbols: SymbolsArgument = None,
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", "-t", help="May be left out where only one is stored.")
    ] = None,
    start: StartOption = None,
    end: EndOption = None,
    source: FromOption = None,
    tz: ZoneOption = None,
    as_of: AsOfOption = None,
    fill: FillOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Write candles to a file, exact to the last bit; symbol and timeframe are columns.

    For example:

      mdstore export btc.parquet KRW-BTC -t 1m --start 2025-09-01

      mdstore export all.csv.gz -t 1d

      mdstore export hours.parquet -t 1h --from 1m

      mdstore export tested.parquet -t 1d --as-of 2025-09-01 --fill flat
    """
    from mdstore.cli.queries import export_candles
    from mdstore.cli.tables import count, json_text

    with stored(store_file(ctx, file)) as store:
        rows = export_candles(
            store, target, symbols, timeframe, start=start, end=end,
            source=source, tz=tz, as_of=as_of, fill=None if fill is None else fill.value, force=force,
        )  # fmt: skip
    if json:
        print(json_text({"file": str(target), "rows": rows}))
    else:
        to_stdout().print(f"{count(rows, 'row')} written to {target}", highlight=False)


@app.command()
def show(
    ctx: typer.Context,
    *,
    symbol: SymbolArgument,
    timeframe: TimeframeArgument = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="Bars in the table, the latest.")] = 10,
    start: StartOption = None,
    end: EndOption = None,
    source: FromOption = None,
    tz: ZoneOption = None,
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

      mdstore show KRW-BTC 1d --from 1m --tz Asia/Seoul

      mdstore show KRW-BTC 1m --as-of 2025-09-01T12:00 --fill flat
    """
    from mdstore.cli.queries import print_bars

    with stored(store_file(ctx, file)) as store:
        print_bars(
            store, to_stdout(), symbol, timeframe, rows=rows, start=start, end=end,
            source=source, tz=tz, as_of=as_of, fill=None if fill is None else fill.value,
            height=height if chart else None, json=json,
        )  # fmt: skip


@app.command()
def sql(
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(help="DuckDB SQL; - reads it from standard input.")],
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="Rows to print at most.")] = 50,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Query the tables candles, series and quarantine with DuckDB SQL, read only.

    For example:

      mdstore sql "SELECT symbol, max(high) FROM candles WHERE timeframe = '1d' GROUP BY ALL"

      mdstore sql --json "FROM series"
    """
    from mdstore.cli.tables import json_text, print_frame, records

    with stored(store_file(ctx, file)) as store:
        frame = store.sql(sys.stdin.read() if query == "-" else query)
    if json:
        print(json_text(records(frame)))
        return
    print_frame(to_stdout(), frame.head(rows), grouped=False)
    if len(frame) > rows:
        to_stderr().print(f"{rows:,} of {len(frame):,} rows; --rows shows more, --json all", highlight=False)


@app.command()
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
    from mdstore.cli.queries import print_screen

    with stored(store_file(ctx, file)) as store:
        print_screen(
            store, to_stdout(), to_stderr(), conditions, timeframe,
            symbols=symbol, bars=bars, start=start, end=end,
            source=source, tz=tz, every=every, json=json,
        )  # fmt: skip


@app.command()
def series(ctx: typer.Context, file: FileOption = None, json: JsonOption = False) -> None:
    """List what is stored: symbols, timeframes, first and last bar, rows, size."""
    from mdstore.cli.queries import print_series

    path = store_file(ctx, file)
    with stored(path) as store:
        print_series(store, to_stdout(), to_stderr(), json=json)


@app.command()
def delete(
    ctx: typer.Context,
    *,
    symbol: SymbolArgument,
    timeframe: Annotated[str | None, typer.Argument(help="Only this one; all if left out.")] = None,
    start: StartOption = None,
    end: EndOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Delete candles of a symbol, after asking.

    For example:

      mdstore delete KRW-BTC 1m --end 2024-01-01

      mdstore delete KRW-BTC --yes
    """
    from mdstore.cli.queries import what_goes
    from mdstore.cli.tables import count, json_text

    with stored(store_file(ctx, file), wait=wait) as store:
        if not yes:
            question = f"Delete {what_goes(store, symbol, timeframe, start, end)}?"
            typer.confirm(question, abort=True, err=True)
        rows = store.delete(symbol, timeframe, start=start, end=end)
    print(json_text({"deleted": rows})) if json else to_stdout().print(
        f"{count(rows, 'row')} deleted", highlight=False
    )
