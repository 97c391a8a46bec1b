"""What every command shares: where output goes, how errors end, which store is meant.

Polars and the store are imported by the commands that need them, so that help and completion stay quick.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from mdstore.errors import MarketDataError, NoSuchSeriesError, QueryError, TimeframeError

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = [
    "ERROR",
    "INTERRUPTED",
    "WIDTH_OF_NO_TERMINAL",
    "AsOfOption",
    "EndOption",
    "FileOption",
    "FillOption",
    "FromOption",
    "JsonOption",
    "Shell",
    "StartOption",
    "SymbolArgument",
    "SymbolsArgument",
    "TimeframeArgument",
    "WaitOption",
    "ZoneOption",
    "complete_symbol",
    "invocation",
    "no_deriving",
    "remove_unused",
    "said",
    "show_version",
    "store_file",
    "stored",
    "to_stderr",
    "to_stdout",
]

DEFAULT_FILE = Path("market_data.sqlite3")
ERROR, INTERRUPTED = 1, 130
OF_NO_YEAR = "a stored time is in no year from 1 to 9999; `mdstore verify` says which"
# Without a terminal there is no width to keep to: tables in a file or a pipe stay whole.
WIDTH_OF_NO_TERMINAL = 1_000_000
# The store's hints speak Python; here they must speak as the command line does.
AS_OPTIONS = (
    ("store.series() lists them", "`mdstore series` lists them"),
    ("store.write(symbol, timeframe, data), or `mdstore import`", "mdstore import FILES"),
    ("store.sql only reads", "`mdstore sql` only reads"),
    ("store.write and store.delete change", "`mdstore import` and `mdstore delete` change"),
    ("overwrite=True replaces it", "--force replaces it"),
    ("store.maintenance.warm(rebuild=True)", "`mdstore warm --rebuild`"),
    ("derive_from='", "--from '"),
    ("tz= is for", "--tz is for"),
    ("as_of: ", "--as-of: "),
    ("fill: from start to end", "--fill: from --start to --end"),
    ("page=", "--page "),
    ("covers=(start, end)", "a range"),
    ("pattern=", "PATTERN "),
    ("source='", "--source '"),
    ("open with a longer busy_timeout", "give a longer --wait"),
    ("on_invalid='quarantine'", "--on-invalid quarantine"),
    ("align='floor'", "--align floor"),
    ("; tickers, orderbooks and trades of what is live", ""),  # which no other process has
    ("unit='s', 'ms', 'us' or 'ns'", "--unit s, ms, us or ns"),
)


DERIVING_HINT = re.compile(r"\. Hint: \S+ can be made of \S+, with derive_from='\S+'")
TABLES_HINT = "\nHint: the tables are"
MISSING = re.compile("does not exist|not found|Referenced column")
STAND_IN = "mdstore.stand_in"
STAND_INS = dict(zip("│┃╵╷╹╻╽╿┤└┬─…▁▂▃▄▅▆▇█░·", "|#',####+++-~..::||##=-", strict=True))


class Filling(StrEnum):
    """What to put where bars are missing."""

    FLAT, NULL = "flat", "null"


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
        except BaseException as error:
            if not _is_of_no_year(error):
                raise
            to_stderr().print(f"[bold red]error:[/] {OF_NO_YEAR}", highlight=False)
            raise typer.Exit(ERROR) from None


def _is_of_no_year(error: BaseException) -> bool:
    """Tell what Python, or Polars by a panic, makes of a time such as one in microseconds."""
    may_be = isinstance(error, OverflowError | ValueError) or type(error).__name__ == "PanicException"
    return may_be and re.search("out[ -]of[ -]range", str(error)) is not None


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
    message = error.said("cli") if isinstance(error, MarketDataError) else str(error)
    for python, option in AS_OPTIONS:
        message = message.replace(python, option)
    if isinstance(error, QueryError) and not MISSING.search(message):
        message = message.partition(TABLES_HINT)[0]
    if isinstance(error, TimeframeError) and "Hint" not in message:
        message += _timeframe_hint(message)
    return escape(message)


def _timeframe_hint(message: str) -> str:
    """Offer a timeframe for what other programs call one: 60, minute60."""
    from mdstore.sources.files.file_names import as_timeframe  # noqa: PLC0415 - only where it is needed

    word = message.partition("'")[2].partition("'")[0]
    meant = as_timeframe(f"{word}m" if word.isdigit() else word)
    minutes = f"{word}m (minutes), which is " if word.isdigit() and meant != f"{word}m" else ""
    return f". Hint: did you mean {minutes}{meant}?" if meant else ""


@contextmanager
def no_deriving() -> Iterator[None]:
    """Leave out of an error how bars could be put together, for commands that cannot."""
    try:
        yield
    except NoSuchSeriesError as error:
        raise NoSuchSeriesError(DERIVING_HINT.sub("", str(error))) from None


@contextmanager
def stored(file: Path, *, create: bool = False, wait: float = 10.0) -> Iterator[MarketDataStore]:
    """Open the store for a command; only those that put something in it create it."""
    import mdstore  # noqa: PLC0415 - help and completion scripts must not wait for it

    with mdstore.open(file, create=create, busy_timeout=wait) as store:
        yield store


def remove_unused(file: Path) -> None:
    """Remove a store that was made for nothing, unless another process has it open.

    SQLite's log lies beside the file as long as anyone does.
    """
    if not any(file.with_name(f"{file.name}{end}").exists() for end in ("-wal", "-shm")):
        file.unlink(missing_ok=True)


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
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=STAND_IN)
    width = None if terminal or "COLUMNS" in os.environ else WIDTH_OF_NO_TERMINAL
    return Console(stderr=stderr, width=width, soft_wrap=stderr)


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    """Write what a terminal's encoding lacks with what it has: a chart drawn with | and # is a chart."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(STAND_INS.get(letter, "?") for letter in missing), error.end


codecs.register_error(STAND_IN, _stand_in)


def _relative(path: Path) -> str:
    """Write a path from the current folder where that is shorter."""
    # Not resolved: a virtual environment's python is a link, and only the link knows the environment.
    return min(os.path.relpath(path), str(path.absolute()), key=len)


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
TimeframeArgument = Annotated[
    str | None, typer.Argument(help="Such as 1m, 4h or 1d; may be left out where only one is stored.")
]
