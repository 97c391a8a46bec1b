"""Sizes as they are written for eyes."""

from __future__ import annotations

__all__ = ["size_text"]

SIZES = ("B", "KB", "MB", "GB", "TB")
KILO = 1024


def size_text(size: float) -> str:
    """Write a number of bytes.

    >>> size_text(123), size_text(5 * 1024 * 1024)
    ('123 B', '5.0 MB')
    """
    for unit in SIZES:
        if size < KILO or unit == SIZES[-1]:
            break
        size /= KILO
    return f"{size:.0f} {unit}" if unit == SIZES[0] else f"{size:.1f} {unit}"
