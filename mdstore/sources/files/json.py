"""JSON in: rows as objects or as arrays, one document or one row a line. Python's parser is exact."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from mdstore.core.schema import CANDLE_COLUMNS, VALUES
from mdstore.errors import FileFormatError
from mdstore.sources.files.columns import by_header, by_place, canonical, header_notes, missing_columns
from mdstore.sources.files.opening import Source

__all__ = ["read_json", "read_ndjson"]

CHUNK = 50_000
ACCEPTED = "rows as objects ([{...}, ...]) or as arrays ([[ms, open, high, low, close, volume], ...])"


def read_json(source: Source) -> Iterator[pl.DataFrame]:
    """Yield a JSON document's candles as one frame; the document is loaded whole."""
    yield _frame(_rows(json.load(source.stream), source.name), source)


def read_ndjson(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the candles of a file with one JSON row a line."""
    lines = (line for line in source.stream if line.strip())
    while chunk := [json.loads(line) for line in itertools.islice(lines, CHUNK)]:
        yield _frame(chunk, source)


def _rows(document: Any, name: str) -> list[Any]:
    """Find the rows in a document: itself, its columns put together, or the one list that an API wraps."""
    if isinstance(document, list):
        return document
    if isinstance(document, Mapping):
        columns = {key: value for key, value in document.items() if isinstance(value, list)}
        if all(column in by_header(list(columns)) for column in CANDLE_COLUMNS):
            return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        if all(column in by_header(list(document)) for column in CANDLE_COLUMNS):
            return [document]
        tables = [value for value in columns.values() if value and isinstance(value[0], list | Mapping)]
        if len(tables) == 1:
            return tables[0]
        inner = [value for value in document.values() if isinstance(value, Mapping)]
        if len(inner) == 1:
            return _rows(inner[0], name)
    raise FileFormatError(f"{name}: no candles found in the JSON", hint=f"give {ACCEPTED}")


def _frame(rows: list[Any], source: Source) -> pl.DataFrame:
    name = source.name
    if not rows:
        raise FileFormatError(f"{name}: the file holds no rows")
    if all(isinstance(row, Mapping) for row in rows):
        return _from_objects(rows, source)
    if all(isinstance(row, list) for row in rows):
        return _from_arrays(rows, name)
    raise FileFormatError(f"{name}: the rows are of different kinds", hint=f"give {ACCEPTED}")


def _from_objects(rows: list[dict[str, Any]], source: Source) -> pl.DataFrame:
    places = by_header(list(rows[0]))
    if not all(column in places for column in CANDLE_COLUMNS):
        raise missing_columns(source.name, list(places), list(rows[0]))
    source.notes.update(header_notes(list(rows[0])))
    keys = list(rows[0])
    wanted = [keys[place] for place in sorted(places.values())]
    return canonical(pl.DataFrame([_column(key, [row.get(key) for row in rows]) for key in wanted]))


def _from_arrays(rows: list[list[Any]], name: str) -> pl.DataFrame:
    width = len(rows[0])
    if by_place([str(value) for value in rows[0]]) is None:
        raise FileFormatError(f"{name}: the first row is {rows[0]!r}", hint=f"give {ACCEPTED}")
    odd = next((number for number, row in enumerate(rows) if len(row) != width), None)
    if odd is not None:
        raise FileFormatError(f"{name}: row {odd} has {len(rows[odd])} values, not {width} as before it")
    columns = zip(CANDLE_COLUMNS, list(zip(*rows, strict=True))[: len(CANDLE_COLUMNS)], strict=True)
    return pl.DataFrame([_column(column, list(values)) for column, values in columns])


def _column(name: str, values: list[Any]) -> pl.Series:
    """Make a column of parsed JSON: prices are floats, also the whole ones; mixed types stay as they are."""
    canonical_name = next(iter(by_header([name])), "")
    if canonical_name in VALUES and all(type(value) in (int, float, type(None)) for value in values):
        numbers = [None if value is None else float(value) for value in values]
        return pl.Series(name, numbers, dtype=pl.Float64)
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(name, values, dtype=pl.Object)
