"""Commands that are made when they are called; until then they are a name and the first line of their help.

Thirty modules of commands, and their flags, take 25 ms to import and to make.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

from mdstore.cli.shared.quick_values import QuickValues

__all__ = ["LateCommand"]


class Command(QuickValues, TyperCommand):
    """A command as it is run."""


class LateCommand(TyperCommand):
    """What a help page and completion say of a command, and how it is made.

    `home` is its module, which has a function of the module's own name.
    """

    def __init__(self, name: str, line: str, home: str) -> None:
        super().__init__(name, help=line)
        self._home = home

    def made(self) -> Any:
        """Import the command, and return it with its flags."""
        return _made(self.name, self._home)


@cache
def _made(name: str | None, home: str) -> Any:
    """Return a command, made once in a process: tests call the command line thousands of times."""
    function = getattr(import_module(home), home.rpartition(".")[2])
    one = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    one.command(name, cls=Command)(function)
    return typer.main.get_command(one)
