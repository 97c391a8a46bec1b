"""A table of names that columns have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["PLACES", "Example", "Table"]

# The letters of an example. `d` is a time of day, which completes a date; `k` a tick volume beside a volume;
# `u` a count since 1970 beside a written time; `z` the zone of the times.
PLACES = {
    "s": "symbol", "t": "timestamp", "d": "time of day", "o": "open", "h": "high", "l": "low", "c": "close",
    "v": "volume", "k": "tick volume", "u": "epoch", "z": "time zone",
}  # fmt: skip


class Example(NamedTuple):
    """A header as files have it, and what its columns are: a letter of `PLACES` each, `-` for none."""

    header: str
    columns: str


class Table(NamedTuple):
    """Names by canonical column, in order of preference, and headers that are recognised by them."""

    names: Mapping[str, Sequence[str]]
    examples: Sequence[Example]
