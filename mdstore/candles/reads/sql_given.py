"""What is given to a query besides its text: parameters, and tables of the caller's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import polars as pl
import pyarrow as pa

from mdstore.errors import InvalidInputError

__all__ = ["INTERNAL", "Params", "own_tables", "parameters"]

Params = Sequence[object] | Mapping[str, object]

INTERNAL: Final = "__mdstore_"
"""What the names of tables begin with that a query is given by other names."""
NAME: Final = re.compile(r"[^\W\d]\w*")
# Nothing of DuckDB's own: a value of Python that is known to be a value there.
VALUES: Final = (type(None), bool, int, float, str, bytes, Decimal, UUID, datetime, date, time, timedelta)
FRAMES: Final = "a Polars or pandas frame, an Arrow table, or a dict of columns"


def parameters(params: Params | None) -> Params | None:
    """Return the parameters of a query, values that DuckDB has. Raises `InvalidInputError`."""
    if params is None:
        return None
    if isinstance(params, Mapping):
        return {_name(key): _value(value, f"${key}") for key, value in params.items()}
    if isinstance(params, str | bytes) or not isinstance(params, Sequence):
        raise InvalidInputError(
            f"params={params!r}: give a list of values for ? in the query, or a dict for $name"
        )
    return [_value(value, f"?{place}") for place, value in enumerate(params, 1)]


def own_tables(
    tables: Mapping[str, object] | None, known: Collection[str]
) -> dict[str, Callable[[], pa.Table]]:
    """Return what makes an Arrow table of each, by lower-case name; `known` are the names that are taken.

    Raises `InvalidInputError`.
    """
    if tables is None:
        return {}
    if not isinstance(tables, Mapping):
        raise InvalidInputError(f"tables= is a dict of names and tables, not {type(tables).__name__}")
    made: dict[str, Callable[[], pa.Table]] = {}
    for name, table in tables.items():
        lower = _name(name).lower()
        if lower in known or lower in made or lower.startswith(INTERNAL):
            raise InvalidInputError(f"tables=: the name {name} is taken", hint="give it another name")
        found = _arrow(name, table)
        made[lower] = lambda found=found: found  # type: ignore[misc]
    return made


def _name(name: object) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidInputError(f"{name!r} is no name: give letters, digits and _, such as 'my_signals'")
    return name


def _value(value: object, place: str) -> object:
    kept: Any = value
    if type(value).__module__ == "numpy" and not getattr(value, "shape", True):  # a scalar of NumPy's
        kept = kept.item()
    if isinstance(kept, list | tuple):
        return [_value(one, place) for one in kept]
    if not isinstance(kept, VALUES):
        raise InvalidInputError(
            f"params=: {place} is a {type(value).__name__}",
            hint="give a number, a text, a time, nothing at all, or a list of these",
        )
    return kept


def _arrow(name: str, table: Any) -> pa.Table:
    try:
        return _as_arrow(table)
    except (TypeError, ValueError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise InvalidInputError(f"tables=: {name} cannot be taken: {error}; give {FRAMES}") from error


def _as_arrow(table: Any) -> pa.Table:
    if isinstance(table, pl.LazyFrame):
        table = table.collect()
    if isinstance(table, Mapping):
        table = pl.DataFrame(dict(table))
    if isinstance(table, pl.DataFrame):
        return table.to_arrow()
    if type(table).__module__.partition(".")[0] == "pandas" and hasattr(table, "columns"):
        named = any(name is not None for name in table.index.names)
        return pa.Table.from_pandas(table, preserve_index=named)
    if hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__"):
        return pa.table(table)
    raise TypeError(f"it is a {type(table).__name__}")
