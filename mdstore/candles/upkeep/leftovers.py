"""What a rebuild has beside its table; every open of a store looks whether one that was killed left it."""

from __future__ import annotations

from typing import Final

from mdstore.candles.file.database import Database

__all__ = ["LEFT", "PREFIX", "is_left"]

PREFIX: Final = "mdstore_rebuild_"
LEFT = f"SELECT name FROM sqlite_schema WHERE type = ? AND name GLOB '{PREFIX}*'"  # noqa: S608


def is_left(database: Database) -> bool:
    """Tell whether a rebuild is under way, or was killed."""
    return database.peek(LEFT, ("table",)) is not None
