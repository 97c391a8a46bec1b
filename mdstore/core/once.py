"""A property that is worked out once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Self, TypeVar, overload

__all__ = ["once"]

Owner = TypeVar("Owner")
Value = TypeVar("Value")


class once(Generic[Owner, Value]):  # noqa: N801 - it stands where `property` does
    """A property that is worked out when it is first asked for, and kept with the object.

    Two threads that ask at once may both work it out; both are given what was there first.
    `functools.cached_property` of Python 3.11 has them wait, those of all objects of the class: a child that
    is forked meanwhile waits for ever.

    >>> class Circle:
    ...     @once
    ...     def area(self) -> float:
    ...         return 3.14
    >>> circle = Circle()
    >>> circle.area, vars(circle)
    (3.14, {'area': 3.14})
    """

    def __init__(self, work_out: Callable[[Owner], Value]) -> None:
        self._work_out = work_out
        self.__doc__ = work_out.__doc__

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owner: None, _: type | None = None) -> Self: ...
    @overload
    def __get__(self, owner: Owner, _: type | None = None) -> Value: ...
    def __get__(self, owner: Owner | None, _: type | None = None) -> Self | Value:
        if owner is None:
            return self
        value: Value = vars(owner).setdefault(self._name, self._work_out(owner))
        return value
