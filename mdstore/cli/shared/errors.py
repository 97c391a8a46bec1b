"""How an error ends a command: one line on stderr and an exit code, never a traceback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from mdstore.cli.shared.console import to_stderr
from mdstore.errors import MarketDataError, NoSuchSeriesError, QueryError, TimeframeError

__all__ = ["ERROR", "INTERRUPTED", "CommandGroup", "no_deriving", "said"]

ERROR, INTERRUPTED = 1, 130
OF_NO_YEAR = "a stored time is in no year from 1 to 9999; `mdstore verify` says which"
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


class CommandGroup(TyperGroup):
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


def said(error: BaseException) -> str:
    """Return an error's message as one would say it, safe to print as rich markup."""
    if isinstance(error, OSError) and not isinstance(error, MarketDataError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return escape(f"{where}{error.strerror}")
    message = str(error)
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
