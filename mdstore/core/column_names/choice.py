"""What a call says of a table's columns, where their names do not say it themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mdstore.core.column_names.recognition import clean, key
from mdstore.core.excerpts import excerpt, listed
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.errors import Hint, InvalidInputError

__all__ = ["ABSENT", "Choice", "Columns", "Volume"]

Volume = Literal["none"]
"""There is no volume: it is stored as 0."""
Columns = Mapping[str, str] | Sequence[str]
"""What is in which column: by name, `{"time": "일자"}`, or the names of all by their place."""

ABSENT = "there is no volume: it is stored as 0"
# What a column may be said to be. `time` beside `date` is its time of day.
MEANINGS = {
    "timestamp": "timestamp", "time": "timestamp", "date": "timestamp", "symbol": "symbol",
    "timeframe": "timeframe", **{name: name for name in CANDLE_COLUMNS[1:]},
}  # fmt: skip


GIVE = Hint("give them as columns={'time': 'its name'}", "give them as --columns 'time=its name'")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a call says of columns: `named` by canonical name, `placed` by their place, and `volume`."""

    named: Mapping[str, str]
    placed: tuple[str, ...] = ()
    volume: Volume | None = None

    @classmethod
    def of(cls, columns: Columns | None = None, volume: Volume | None = None) -> Choice:
        """Return the choice that arguments make; raise `InvalidInputError` for what they cannot be."""
        if volume not in (None, "none"):
            raise InvalidInputError(
                f"volume={volume!r} is neither None nor 'none'",
                hint=Hint(
                    "name a column of volumes as columns={'volume': 'its name'}",
                    "name a column of volumes as --columns volume=NAME",
                ),
            )
        if columns is None:
            return cls({}, volume=volume)
        if isinstance(columns, Mapping):
            return cls(_named(columns), volume=volume)
        if isinstance(columns, str) or not all(isinstance(name, str) for name in columns):
            raise InvalidInputError(
                f"{excerpt(columns)!r} is neither a dict nor a list of names of columns", hint=GIVE
            )
        return cls({}, tuple(columns), volume)

    @property
    def required(self) -> tuple[str, ...]:
        """The canonical columns that a table must have."""
        return CANDLE_COLUMNS if self.volume is None else CANDLE_COLUMNS[:-1]

    def chosen(self, names: Sequence[str]) -> dict[str, str]:
        """Return the columns that are named, as they are in the table; raise `InvalidInputError` for none."""
        found = {}
        for canonical, wanted in self.named.items():
            matches = [name for name in names if name == wanted] or [
                name for name in names if clean(name) == clean(wanted) or key(name) == key(wanted)
            ]
            if not matches:
                raise InvalidInputError(
                    f"there is no column {excerpt(wanted)!r}: the data has {listed(names)}",
                    hint="give the name of one of them",
                )
            found[canonical] = matches[0]
        return found


def _named(columns: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for meaning, name in columns.items():
        if meaning not in MEANINGS or not isinstance(name, str):
            raise InvalidInputError(
                f"{excerpt(meaning)!r} is nothing that a column of candles is",
                hint=f"known are {', '.join(MEANINGS)}",
            )
        canonical = "time of day" if meaning == "time" and "date" in columns else MEANINGS[meaning]
        if canonical in found:
            raise InvalidInputError(f"two columns are said to be the {canonical}", hint="name one of them")
        found[canonical] = name
    return found
