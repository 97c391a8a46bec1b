"""The command line as a whole: what it is called with, and its commands in the order of the help page."""

from __future__ import annotations

from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Any

import typer

import mdstore
from mdstore.cli.shared.errors import CommandGroup
from mdstore.cli.shared.late_commands import LateCommand
from mdstore.cli.shared.quick_values import QuickValues
from mdstore.cli.shared.store import READ_ONLY

__all__ = ["COMMANDS", "app"]

COMMANDS = {
    "demo": "Store and query real candles of five stocks: seconds, offline.",
    "import": "Store the candles of files: CSV, TSV, JSON, Parquet, Feather, Arrow, Excel, also .gz and "
    ".zip.",
    "sync": "Fetch what is missing of candles from an exchange, and why bars are not there.",
    "export": "Write candles to a file, exact to the last bit; symbol and timeframe are columns.",
    "show": "Print the latest bars of a series, and a candlestick chart.",
    "sql": "Query the tables candles, series and quarantine with DuckDB SQL, read only.",
    "screen": "Find the symbols for which conditions hold at their latest bar.",
    "series": "List what is stored: symbols, timeframes, first and last bar, rows, size.",
    "delete": "Delete candles of a symbol, after asking.",
    "rename": "Give a symbol another name, in all its timeframes.",
    "warm": "Put all candles into the columnar packs beside the file, for quick reads.",
    "compact": "Lay the packs out anew: sorted, merged, without what is no longer used.",
    "optimize": "Put the SQLite file in order: free pages, order of the candles, statistics.",
    "freeze": "Compress old candles in the file: 5 to 15 bytes each in place of 75.",
    "thaw": "Put frozen candles back into the table, where other programs see them.",
    "trim": "Let go what bars were before they changed, if that is longer ago.",
    "stats": "Say what the file and its packs take, and how much lies in packs.",
    "top": "Watch a store: size, log and who holds it, what is being written, upkeep, alarms.",
    "report": "Write how a store does to one HTML file, for any browser, without a network.",
    "metrics": "Give figures of the store to Prometheus, or print them.",
    "backup": "Copy the store while it is in use, whole or not at all.",
    "check": "Read the whole file and say what is wrong with it; exit with 1 if anything is.",
    "gaps": "Show which bars are missing, and why; where the others came from.",
    "cover": "Say why bars are missing, so that `gaps` knows and no update asks again.",
    "verify": "Look for what is wrong in the candles; exit with 1 if there is an error.",
    "calendar": "Say when symbols trade, so that closed sessions are no holes; or show it.",
    "declare": "Keep a column of numbers beside those of candles; or list those that are kept.",
    "revisions": "Show how bars changed after they had ended: exchanges correct history.",
    "replay": "Play recordings of exchange messages, and show each symbol at the end.",
    "watch": "Watch markets of an exchange: bars form, and are stored as they end.",
}
"""The first line of each command's help by its name, in the order of the help page."""


class Commands(QuickValues, CommandGroup):
    """The commands of `COMMANDS`, each made when it is called."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        for name, line in COMMANDS.items():
            self.add_command(LateCommand(name, line, f"mdstore.cli.commands.{_module(name)}"))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is called, made."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found.made() if isinstance(found, LateCommand) else found, rest


def _module(name: str) -> str:
    """Return the module of a command, and its function: `import` is a word of Python itself."""
    return f"{name}_" if iskeyword(name) else name


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with [bold]mdstore demo[/], then [bold]mdstore import your_files[/].",
)


def show_version(wanted: bool) -> None:
    """Print the version and end, if that is wanted."""
    if wanted:
        print(f"mdstore {mdstore.__version__}")
        raise typer.Exit


def only_read(wanted: bool) -> None:
    """Have the store opened for reading only, if that is wanted."""
    READ_ONLY.set(wanted)


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
    read_only: Annotated[
        bool,
        typer.Option("--read-only", help="Change nothing, make nothing beside the file.", callback=only_read),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=show_version)
    ] = False,
) -> None:
    """Candles in one SQLite file: import them, look at them, query them, export them."""
