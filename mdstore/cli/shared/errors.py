"""How an error ends a command: one line on stderr and an exit code, never a traceback."""

from __future__ import annotations

import re
from typing import Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from mdstore.cli.shared.console import to_stderr
from mdstore.errors import MarketDataError

__all__ = ["ERROR", "INTERRUPTED", "CommandGroup", "said"]

ERROR, INTERRUPTED = 1, 130
NO_SUCH_YEAR = "a stored time is in no year from 1 to 9999; `mdstore verify` says which"


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
            _print(said(error))
            raise typer.Exit(ERROR) from None
        except BaseException as error:
            if not _is_of_no_such_year(error):
                raise
            _print(NO_SUCH_YEAR)
            raise typer.Exit(ERROR) from None


def said(error: BaseException) -> str:
    """Return an error's message, and what to do about it, as the command line says them."""
    if isinstance(error, MarketDataError):
        return error.said("cli")
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error)


def _print(message: str) -> None:
    to_stderr().print(f"[bold red]error:[/] {escape(message)}", highlight=False)


def _is_of_no_such_year(error: BaseException) -> bool:
    """Tell whether Python, or Polars by a panic, met a time that no date can have.

    Such as one in microseconds, which another program wrote where milliseconds belong.
    """
    may_be = isinstance(error, OverflowError | ValueError) or type(error).__name__ == "PanicException"
    return may_be and re.search("out[ -]of[ -]range", str(error)) is not None
