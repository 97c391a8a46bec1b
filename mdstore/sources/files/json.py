"""JSON in: rows as objects or as arrays, one document or one row a line. Python's parser is exact."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import polars as pl

from mdstore.core.excerpts import excerpt
from mdstore.errors import FileFormatError
from mdstore.sources.files.header import Columns, by_place, headed, of_file, placed
from mdstore.sources.files.json_shapes import ACCEPTED, lifted, tables
from mdstore.sources.files.opening import Source
from mdstore.sources.files.python_columns import column
from mdstore.sources.files.text_encodings import not_utf8

__all__ = ["read_json", "read_ndjson"]

CHUNK = 50_000
SAMPLE = 200
# A document is parsed whole, into objects of up to ten times its bytes; rows a line are not.
MOST_DOCUMENT = 256 << 20
LONGEST_LINE = 1 << 20


def read_json(source: Source) -> Iterator[pl.DataFrame]:
    """Yield a JSON document's candles; the document is loaded whole, and refused beyond `MOST_DOCUMENT`.

    A document of one row a line is read as such, whatever its name.
    """
    text = source.stream.read(MOST_DOCUMENT + 1)
    if len(text) > MOST_DOCUMENT:
        raise FileFormatError(
            f"{source.name}: a JSON document of more than {MOST_DOCUMENT >> 20} MB",
            hint="write one row a line, as .ndjson, which may be of any size",
        )
    with of_file(source.name):
        found = tables(_document(text, source), source.asked.choice, source.name, source.notes)
    several = len(found) > 1 or found[0].symbol is not None
    for symbol, rows in found:
        chunks = (rows[at : at + CHUNK] for at in range(0, max(len(rows), 1), CHUNK))
        for frame in _frames(chunks, source):
            named = several and symbol is not None and "symbol" not in frame.columns
            yield frame.with_columns(pl.lit(symbol).alias("symbol")) if named else frame


def _document(text: bytes, source: Source) -> Any:
    try:
        read = text.decode(source.asked.encoding) if source.asked.encoding else text
        try:
            return json.loads(read)
        except json.JSONDecodeError as error:
            if not error.msg.startswith("Extra data"):
                raise
            return [json.loads(line) for line in read.splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise not_utf8(source.name) from error


def read_ndjson(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the candles of a file with one JSON row a line."""
    lines = (line for line in _lines(source.stream, source.name) if line.strip())
    chunks = iter(lambda: [_document(line, source) for line in itertools.islice(lines, CHUNK)], [])
    return _frames(chunks, source)


def _lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    while line := stream.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise FileFormatError(
                f"{name}: a line of more than {LONGEST_LINE >> 20} MB is no row",
                hint="write one row a line, or name the file .json where it is one document",
            )
        yield line


def _frames(chunks: Iterable[list[Any]], source: Source) -> Iterator[pl.DataFrame]:
    """Yield rows as frames; what their columns are is told by the first."""
    columns: Columns | None = None
    keys: list[Any] = []
    done = 0
    for chunk in chunks:
        rows = chunk
        if not rows:
            continue
        kind = Mapping if isinstance(rows[0], Mapping) else list
        if not all(isinstance(row, kind) for row in rows):
            raise FileFormatError(f"{source.name}: the rows are of different kinds", hint=f"give {ACCEPTED}")
        if kind is Mapping:
            rows = lifted(chunk, source.asked.choice)
        if columns is None:
            keys, columns = (_of_objects if kind is Mapping else _of_arrays)(rows, source)
        if kind is list:
            _refuse_odd(rows, len(keys), done, source.name)
            values = [[row[at] for row in rows] for at in columns.wanted]
        else:
            values = [[row.get(keys[at]) for row in rows] for at in columns.wanted]
        placed = zip(columns.wanted, values, strict=True)
        yield columns.frame(pl.DataFrame([column(f"column {at}", keys[at], one) for at, one in placed]))
        done += len(rows)
    if columns is None:
        yield pl.DataFrame()  # no rows, and no names of columns


def _of_objects(rows: list[dict[str, Any]], source: Source) -> tuple[list[str], Columns]:
    keys = list(map(str, rows[0]))
    return keys, headed(keys, source)


def _of_arrays(rows: list[list[Any]], source: Source) -> tuple[list[str], Columns]:
    sample = [[str(value) for value in row] for row in rows[:SAMPLE]]
    names = by_place(sample, source) if sample[0] else None
    if names is None:
        raise FileFormatError(
            f"{source.name}: the first row is {excerpt(json.dumps(rows[0]))}", hint=f"give {ACCEPTED}"
        )
    return names, placed(names, source)


def _refuse_odd(rows: list[list[Any]], width: int, done: int, name: str) -> None:
    odd = next((number for number, row in enumerate(rows) if len(row) != width), None)
    if odd is not None:
        raise FileFormatError(
            f"{name}: row {done + odd} has {len(rows[odd])} values, not {width} as before it"
        )
