"""Texts and paths that a command is given, without Typer's conversion: that imports pydantic, for 70 ms."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

__all__ = ["QuickValues"]

CONVERT = object()
EMPTY = "'' is no path; perhaps a variable of the shell is empty"


class QuickValues:
    """A part of a command: its values are taken as they are, where there is nothing to convert.

    These are texts, paths, defaults, and what was not given. Numbers, choices and mistakes are left to Typer.
    """

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, --help among them, which is made only now."""
        params = super().get_params(ctx)  # type: ignore[misc]  # of the command
        fresh = [param for param in params if "process_value" not in vars(param)]
        flags = any(param.name != "help" for param in fresh)
        hints = get_type_hints(self.callback, include_extras=True) if flags else {}  # type: ignore[attr-defined]
        for param in fresh:
            kinds = _kinds(hints.get(param.name))
            kind = next((kind for kind in (str, Path) if kind in kinds), None)
            is_read = kind is Path and all(getattr(one, "readable", True) for one in kinds)
            param.process_value = _quick(param, kind, is_read=is_read)
        return params


def _kinds(hint: Any) -> set[Any]:
    """Return the types within a hint: of `list[Path] | None` also Path; and what Typer is told besides."""
    return {hint}.union(*map(_kinds, get_args(hint)))


def _quick(param: Any, kind: type[str | Path] | None, *, is_read: bool) -> Callable[[Any, Any], Any]:
    convert = param.process_value

    def process(ctx: Any, value: Any) -> Any:
        taken = _taken(param, kind, value, is_read=is_read)
        if taken is CONVERT:
            return convert(ctx, value)
        return taken if param.callback is None else param.callback(ctx, param, taken)

    return process


def _taken(param: Any, kind: type[str | Path] | None, value: Any, *, is_read: bool) -> Any:
    """Return what a value is without being converted, else `CONVERT`."""
    several = param.multiple or param.nargs == -1
    if value in (None, ()):
        return CONVERT if param.required else () if several else None
    if value is param.default:
        return value
    given = value if several else (value,)
    if kind is Path and "" in given:  # which would be this folder, all of it for `import`
        raise typer.BadParameter(EMPTY)
    if kind is None or not all(isinstance(one, str) and _is_plain(one, is_read=is_read) for one in given):
        return CONVERT
    return tuple(map(kind, given)) if several else kind(value)


def _is_plain(value: str, *, is_read: bool) -> bool:
    """Tell whether Typer has nothing to say of it, as it does of a file to read that may not be read."""
    return not is_read or not os.path.exists(value) or os.access(value, os.R_OK)
