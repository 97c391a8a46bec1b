"""Landing and deleting candles, each in one transaction.

A read needs none of it, so each module is imported when it is first used: a third of what a first read took.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdstore.candles.writes import delete, preparing, rename, writer

__all__ = ["delete", "preparing", "rename", "writer"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
