"""What of a user's data a message shows: enough to find it, never a file's bytes by the thousand."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["LONGEST", "LONGEST_NAME", "MOST", "excerpt", "listed"]

LONGEST = 120
MOST = 20
LONGEST_NAME = 40


def excerpt(value: object, longest: int = LONGEST) -> str:
    """Return a value as a printable text of bounded length; the middle of a longer one is left out.

    >>> excerpt("a" * 1000, 20)
    'aaaaaaa ... aaaaaaaa'
    """
    try:
        text = str(value)
    except ValueError:  # a whole number of more digits than Python writes
        text = f"a number of {getattr(value, 'bit_length', int)():,} bits"
    if len(text) > longest:
        half = (longest - 5) // 2
        text = f"{text[:half]} ... {text[-(longest - 5 - half) :]}"
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def listed(names: Iterable[object]) -> str:
    """Return names as a list of bounded length.

    >>> listed(["open", "b" * 1000])
    "['open', 'bbbbbbbbbbbbbbbbb ... bbbbbbbbbbbbbbbbbb']"
    """
    shown = [excerpt(name, LONGEST_NAME) for name in names]
    more = f" and {len(shown) - MOST:,} more" if len(shown) > MOST else ""
    return f"{shown[:MOST]}{more}"
