"""Parquet, Feather and Arrow files in, a batch of rows at a time."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.feather as pa_feather
import pyarrow.parquet as pa_parquet

from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.sources.files.columns import by_header, canonical, header_notes, missing_columns
from mdstore.sources.files.opening import Source

__all__ = ["read_arrow", "read_parquet"]

ROWS = 50_000
FILE_MAGIC, FIRST_FEATHER_MAGIC = b"ARROW1", b"FEA1"


def read_parquet(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the candles of a Parquet file, reading only the columns that are some."""
    file = pa_parquet.ParquetFile(_seekable(source.stream))
    wanted = _wanted(file.schema_arrow.names, source)
    yield from _frames(file.iter_batches(batch_size=ROWS, columns=wanted))


def read_arrow(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the candles of a Feather or Arrow file, or of an Arrow stream."""
    stream = _seekable(source.stream)
    magic = stream.read(len(FILE_MAGIC))
    stream.seek(0)
    if magic.startswith(FIRST_FEATHER_MAGIC):
        yield from _checked(pa_feather.read_table(stream).to_batches(max_chunksize=ROWS), source)
    elif magic == FILE_MAGIC:
        file = pa.ipc.open_file(stream)
        _wanted(file.schema.names, source)
        yield from _frames(file.get_batch(number) for number in range(file.num_record_batches))
    else:
        reader = pa.ipc.open_stream(stream)
        _wanted(reader.schema.names, source)
        yield from _frames(reader)


def _checked(batches: Sequence[pa.RecordBatch], source: Source) -> Iterator[pl.DataFrame]:
    for batch in batches[:1]:
        _wanted(batch.schema.names, source)
    yield from _frames(batches)


def _wanted(names: list[str], source: Source) -> list[str]:
    """Return the columns that are a candle's; raise `FileFormatError` where one is missing."""
    places = by_header(names)
    if not all(column in places for column in CANDLE_COLUMNS):
        raise missing_columns(source.name, list(places), names)
    source.notes.update(header_notes(names))
    return [names[place] for place in sorted(places.values())]


def _frames(batches: Iterable[pa.RecordBatch]) -> Iterator[pl.DataFrame]:
    for batch in batches:
        frame = pl.DataFrame(batch)
        for start in range(0, len(frame), ROWS):
            yield canonical(frame.slice(start, ROWS))


def _seekable(stream: BinaryIO) -> BinaryIO:
    """Return a stream that can be read from its end: a packed one is unpacked into memory."""
    seeks_quickly = isinstance(stream, io.BufferedReader) and not hasattr(stream.raw, "fileobj")
    return stream if seeks_quickly else io.BytesIO(stream.read())
