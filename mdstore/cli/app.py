"""The command line as a whole: what it is called with, and its commands in the order of the help page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

import mdstore
from mdstore.cli.commands.backup import backup
from mdstore.cli.commands.calendar import calendar
from mdstore.cli.commands.check import check
from mdstore.cli.commands.compact import compact
from mdstore.cli.commands.cover import cover
from mdstore.cli.commands.declare import declare
from mdstore.cli.commands.delete import delete
from mdstore.cli.commands.demo import demo
from mdstore.cli.commands.export import export
from mdstore.cli.commands.freeze import freeze
from mdstore.cli.commands.gaps import gaps
from mdstore.cli.commands.import_ import import_
from mdstore.cli.commands.metrics import metrics
from mdstore.cli.commands.optimize import optimize
from mdstore.cli.commands.rename import rename
from mdstore.cli.commands.replay import replay
from mdstore.cli.commands.report import report
from mdstore.cli.commands.revisions import revisions
from mdstore.cli.commands.screen import screen
from mdstore.cli.commands.series import series
from mdstore.cli.commands.show import show
from mdstore.cli.commands.sql import sql
from mdstore.cli.commands.stats import stats
from mdstore.cli.commands.sync import sync
from mdstore.cli.commands.thaw import thaw
from mdstore.cli.commands.top import top
from mdstore.cli.commands.trim import trim
from mdstore.cli.commands.verify import verify
from mdstore.cli.commands.warm import warm
from mdstore.cli.commands.watch import watch
from mdstore.cli.shared.errors import CommandGroup
from mdstore.cli.shared.store import READ_ONLY

__all__ = ["COMMANDS", "app"]

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "import": import_,
    "sync": sync,
    "export": export,
    "show": show,
    "sql": sql,
    "screen": screen,
    "series": series,
    "delete": delete,
    "rename": rename,
    "warm": warm,
    "compact": compact,
    "optimize": optimize,
    "freeze": freeze,
    "thaw": thaw,
    "trim": trim,
    "stats": stats,
    "top": top,
    "report": report,
    "metrics": metrics,
    "backup": backup,
    "check": check,
    "gaps": gaps,
    "cover": cover,
    "verify": verify,
    "calendar": calendar,
    "declare": declare,
    "revisions": revisions,
    "replay": replay,
    "watch": watch,
}
"""Each command by its name, in the order of the help page."""

app = typer.Typer(
    cls=CommandGroup,
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


for name, command in COMMANDS.items():
    app.command(name)(command)
