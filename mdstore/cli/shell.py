"""What every command shares: where output goes, how errors end, which store is meant.

Polars and the store are imported by the commands that need them, so that help and completion stay quick.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from mdstore.errors import MarketDataError

if TYPE_CHECKING:
    from mdstore.store import MarketDataStore

__all__ = [
    "ERROR",
    "INTERRUPTED",
    "EndOption",
    "FileOption",
    "JsonOption",
    "Shell",
    "StartOption",
    "SymbolArgument",
    "SymbolsArgument",
    "TimeframeArgument",
    "complete_symbol",
    "invocation",
    "said",
    "show_version",
    "store_file",
    "stored",
    "to_stderr",
    "to_stdout",
]

DEFAULT_FILE = Path("market_data.sqlite3")
ERROR, INTERRUPTED = 1, 130
# Without a terminal there is no width to keep to: tables in a file or a pipe stay whole.
WIDTH_OF_NO_TERMINAL = 1000
# The store's hints speak Python; here they must speak as the command line does.
AS_OPTIONS = (
    ("on_invalid='quarantine'", "--on-invalid quarantine"),
    ("align='floor'", "--align floor"),
    ("unit='s', 'ms', 'us' or 'ns'", "--unit s, ms, us or ns"),
)


class Shell(TyperGroup):
    """The commands, ended cleanly: a user's mistake is one line on stderr, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; turn what went wrong into a message and an exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            to_stderr().print("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise  # the reader of a pipe has gone, as in `mdstore series | head`; typer ends quietly
        except (MarketDataError, OSError) as error:
            to_stderr().print(f"[bold red]error:[/] {said(error)}", highlight=False)
            raise typer.Exit(ERROR) from None


def to_stdout() -> Console:
    """Return the console for results."""
    return _console(sys.stdout.isatty(), stderr=False)


def to_stderr() -> Console:
    """Return the console for everything that is no result: progress, remarks, errors."""
    return _console(sys.stderr.isatty(), stderr=True)


def said(error: BaseException) -> str:
    """Return an error's message as one would say it, safe to print as rich markup."""
    if isinstance(error, OSError) and not isinstance(error, MarketDataError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return escape(f"{where}{error.strerror}")
    message = str(error)
    for python, option in AS_OPTIONS:
        message = message.replace(python, option)
    return escape(message)


@contextmanager
def stored(file: Path, *, create: bool = False) -> Iterator[MarketDataStore]:
    """Open the store for a command; only those that put something in it create it."""
    import mdstore  # noqa: PLC0415 - help and completion scripts must not wait for it

    with mdstore.open(file, create=create) as store:
        yield store


def store_file(ctx: typer.Context, file: Path | None) -> Path:
    """Return the store that is meant: the command's --store, or the one before the command."""
    given: Path | None = ctx.find_root().params.get("file")
    return file or given or DEFAULT_FILE


def invocation() -> str:
    """Return how to call this program from here, for commands that the user can copy."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return f"{_relative(Path(sys.executable))} -m mdstore"
    on_path = shutil.which(program.name)
    if on_path is not None and (not program.exists() or Path(on_path).samefile(program)):
        return program.name
    return _relative(program)


def show_version(wanted: bool) -> None:
    """Print the version and end, if that is wanted."""
    if wanted:
        print(f"mdstore {version('mdstore')}")
        raise typer.Exit


def complete_symbol(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the stored symbols that begin with what is typed."""
    try:
        with stored(store_file(ctx, ctx.params.get("file"))) as store:
            symbols: list[str] = store.series()["symbol"].unique().sort().to_list()
    except (MarketDataError, OSError):
        return []
    return [symbol for symbol in symbols if symbol.startswith(incomplete)]


def _console(terminal: bool, *, stderr: bool) -> Console:
    width = None if terminal or "COLUMNS" in os.environ else WIDTH_OF_NO_TERMINAL
    return Console(stderr=stderr, width=width, soft_wrap=stderr)


def _relative(path: Path) -> str:
    """Write a path from the current folder where that is shorter."""
    # Not resolved: a virtual environment's python is a link, and only the link knows the environment.
    return min(os.path.relpath(path), str(path.absolute()), key=len)


StartOption = Annotated[str | None, typer.Option(help="From this time on: ISO 8601, UTC.")]
EndOption = Annotated[str | None, typer.Option(help="Up to this time, which is not included.")]
FileOption = Annotated[
    Path | None,
    typer.Option("--store", "-f", help="The store's file; also before the command.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON records to stdout, nothing else.")]
SymbolArgument = Annotated[str, typer.Argument(help="Such as KRW-BTC.", autocompletion=complete_symbol)]
SymbolsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Which; all of the timeframe if none is given.", autocompletion=complete_symbol),
]
TimeframeArgument = Annotated[
    str | None, typer.Argument(help="Such as 1m, 4h or 1d; may be left out where only one is stored.")
]
