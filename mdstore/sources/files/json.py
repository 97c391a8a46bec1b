"""JSON in: rows as objects or as arrays, one document or one row a line. Python's parser is exact."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import polars as pl

from mdstore.core.excerpts import excerpt
from mdstore.core.schema import CANDLE_COLUMNS, VALUES
from mdstore.errors import FileFormatError
from mdstore.sources.files.header import Columns, by_header, by_place, header_notes, missing_columns
from mdstore.sources.files.opening import Source

__all__ = ["read_json", "read_ndjson"]

CHUNK = 50_000
SAMPLE = 200
# A document is parsed whole, into objects of up to ten times its bytes; rows a line are not.
MOST_DOCUMENT = 256 << 20
LONGEST_LINE = 1 << 20
ACCEPTED = "rows as objects ([{...}, ...]) or as arrays ([[ms, open, high, low, close, volume], ...])"


def read_json(source: Source) -> Iterator[pl.DataFrame]:
    """Yield a JSON document's candles; the document is loaded whole, and refused beyond `MOST_DOCUMENT`."""
    text = source.stream.read(MOST_DOCUMENT + 1)
    if len(text) > MOST_DOCUMENT:
        raise FileFormatError(
            f"{source.name}: a JSON document of more than {MOST_DOCUMENT >> 20} MB",
            hint="write one row a line, as .ndjson, which may be of any size",
        )
    rows = _rows(json.loads(text), source.name)
    yield from _frames((rows[at : at + CHUNK] for at in range(0, max(len(rows), 1), CHUNK)), source)


def read_ndjson(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the candles of a file with one JSON row a line."""
    lines = (line for line in _lines(source.stream, source.name) if line.strip())
    chunks = iter(lambda: [json.loads(line) for line in itertools.islice(lines, CHUNK)], [])
    return _frames(chunks, source)


def _lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    while line := stream.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise FileFormatError(
                f"{name}: a line of more than {LONGEST_LINE >> 20} MB is no row",
                hint="write one row a line, or name the file .json where it is one document",
            )
        yield line


def _rows(document: Any, name: str) -> list[Any]:
    """Find the rows in a document: itself, its columns put together, or the one list that an API wraps."""
    if isinstance(document, list):
        return document
    if isinstance(document, Mapping):
        columns = {key: value for key, value in document.items() if isinstance(value, list)}
        if all(column in by_header(list(columns)) for column in CANDLE_COLUMNS):
            return _of_columns(columns, name)
        if all(column in by_header(list(document)) for column in CANDLE_COLUMNS):
            return [document]
        tables = [value for value in columns.values() if value and isinstance(value[0], list | Mapping)]
        if len(tables) == 1:
            return tables[0]
        inner = [value for value in document.values() if isinstance(value, Mapping)]
        if len(inner) == 1:
            return _rows(inner[0], name)
    raise FileFormatError(f"{name}: no candles found in the JSON", hint=f"give {ACCEPTED}")


def _of_columns(columns: dict[str, list[Any]], name: str) -> list[Any]:
    lengths = {key: len(values) for key, values in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = excerpt(", ".join(f"{key}: {length}" for key, length in lengths.items()))
        raise FileFormatError(f"{name}: the columns differ in length ({shown})")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _frames(chunks: Iterable[list[Any]], source: Source) -> Iterator[pl.DataFrame]:
    """Yield rows as frames; what their columns are is told by the first."""
    columns: Columns | None = None
    keys: list[Any] = []
    done = 0
    for rows in chunks:
        if not rows:
            raise FileFormatError(f"{source.name}: the file holds no rows")
        kind = Mapping if isinstance(rows[0], Mapping) else list
        if not all(isinstance(row, kind) for row in rows):
            raise FileFormatError(f"{source.name}: the rows are of different kinds", hint=f"give {ACCEPTED}")
        if columns is None:
            keys, columns = (_of_objects if kind is Mapping else _of_arrays)(rows, source)
        if kind is list:
            _refuse_odd(rows, len(keys), done, source.name)
            values = [[row[at] for row in rows] for at in columns.wanted]
        else:
            values = [[row.get(keys[at]) for row in rows] for at in columns.wanted]
        placed = zip(columns.wanted, values, strict=True)
        yield columns.frame(pl.DataFrame([_column(f"column {at}", str(keys[at]), one) for at, one in placed]))
        done += len(rows)


def _of_objects(rows: list[dict[str, Any]], source: Source) -> tuple[list[str], Columns]:
    keys = list(rows[0])
    places = by_header(keys)
    if not all(column in places for column in CANDLE_COLUMNS):
        raise missing_columns(source.name, list(places), keys)
    source.notes.update(header_notes(keys))
    return keys, Columns(keys, places, source)


def _of_arrays(rows: list[list[Any]], source: Source) -> tuple[list[str], Columns]:
    sample = [[str(value) for value in row] for row in rows[:SAMPLE]]
    told = by_place(sample) if sample[0] else None
    if told is None:
        raise FileFormatError(
            f"{source.name}: the first row is {excerpt(json.dumps(rows[0]))}", hint=f"give {ACCEPTED}"
        )
    source.notes.add(told.note)
    return told.names, Columns(told.names, told.places, source)


def _refuse_odd(rows: list[list[Any]], width: int, done: int, name: str) -> None:
    odd = next((number for number, row in enumerate(rows) if len(row) != width), None)
    if odd is not None:
        raise FileFormatError(
            f"{name}: row {done + odd} has {len(rows[odd])} values, not {width} as before it"
        )


def _column(name: str, key: str, values: list[Any]) -> pl.Series:
    """Make a column of parsed JSON: prices are floats, the whole ones too; other types stay as they are."""
    kinds = set(map(type, values)) - {type(None)}
    if _is_value(key) and float in kinds and kinds <= {int, float}:
        numbers = [None if value is None else _float(value) for value in values]
        return pl.Series(name, numbers, dtype=pl.Float64)
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(name, values, dtype=pl.Object)


def _is_value(key: str) -> bool:
    return next(iter(by_header([key])), "") in VALUES


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # a whole number beyond the largest double
        return float("inf")
