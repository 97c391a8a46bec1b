"""Methods of parts, as methods of the object that holds the parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

__all__ = ["held"]

P = ParamSpec("P")
R = TypeVar("R")


def held(part: str, method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Return a method that calls one of the attribute `part`, with its name, signature and docstring.

    >>> class Car:
    ...     start = held("engine", str.upper)
    ...     engine = "brm"
    >>> Car().start()
    'BRM'
    """

    @wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(getattr(self, part), *args, **kwargs)

    return call
