"""Parquet, Feather and Arrow files in, a batch of rows at a time."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.feather as pa_feather
import pyarrow.parquet as pa_parquet

from mdstore.sources.files.header import Columns, headed
from mdstore.sources.files.opening import Source

__all__ = ["read_arrow", "read_parquet"]

ROWS = 50_000
# A packed file is unpacked to be read from its end: up to so many bytes in memory, beyond on disk.
MOST_IN_MEMORY = 64 << 20
# Where a batch cannot be decompressed, threads at others end the process ("terminate called without an
# active exception"), once in some hundred times on a busy machine.
ONE_THREAD = pa.ipc.IpcReadOptions(use_threads=False)
# Its threads also read, by Python's file: one that lets go of what it read last, when the interpreter ends,
# ends the process in the same way. Of a damaged file that was so five times in a hundred.
LET_GO_SECONDS = 0.1
FILE_MAGIC, FIRST_FEATHER_MAGIC = b"ARROW1", b"FEA1"


def read_parquet(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the candles of a Parquet file, reading only the columns that are some."""
    with _seekable(source.stream) as stream, _let_go():
        file = pa_parquet.ParquetFile(stream)
        names = file.schema_arrow.names
        columns = headed(names, source)
        wanted = [names[place] for place in columns.wanted]
        yield from _frames(file.iter_batches(batch_size=ROWS, columns=wanted), columns, names)


def read_arrow(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the candles of a Feather or Arrow file, or of an Arrow stream."""
    with _seekable(source.stream) as stream, _let_go():
        yield from _arrow(stream, source)


def _arrow(stream: BinaryIO, source: Source) -> Iterator[pl.DataFrame]:
    magic = stream.read(len(FILE_MAGIC))
    stream.seek(0)
    if magic.startswith(FIRST_FEATHER_MAGIC):
        yield from _checked(pa_feather.read_table(stream).to_batches(max_chunksize=ROWS), source)
    elif magic == FILE_MAGIC:
        file = pa.ipc.open_file(stream, options=ONE_THREAD)
        batches = (file.get_batch(number) for number in range(file.num_record_batches))
        yield from _frames(batches, headed(file.schema.names, source), file.schema.names)
    else:
        reader = pa.ipc.open_stream(stream, options=ONE_THREAD)
        yield from _frames(reader, headed(reader.schema.names, source), reader.schema.names)


def _checked(batches: Sequence[pa.RecordBatch], source: Source) -> Iterator[pl.DataFrame]:
    for batch in batches[:1]:
        yield from _frames(batches, headed(batch.schema.names, source), batch.schema.names)


def _frames(batches: Iterable[pa.RecordBatch], columns: Columns, names: list[str]) -> Iterator[pl.DataFrame]:
    wanted = [names[place] for place in columns.wanted]
    for batch in batches:
        frame = pl.DataFrame([pl.Series(name, batch.column(name)) for name in wanted])
        for start in range(0, len(frame), ROWS):
            yield columns.frame(frame.slice(start, ROWS))


@contextmanager
def _let_go() -> Iterator[None]:
    """Wait after an error for pyarrow's threads, while what they have read is held here as well."""
    try:
        yield
    except Exception:
        time.sleep(LET_GO_SECONDS)
        raise


@contextmanager
def _seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Give a stream that can be read from its end."""
    if isinstance(stream, io.BufferedReader) and not hasattr(stream.raw, "fileobj"):
        yield stream
        return
    with tempfile.SpooledTemporaryFile(MOST_IN_MEMORY) as unpacked:
        shutil.copyfileobj(stream, unpacked, 1 << 20)
        unpacked.seek(0)
        yield cast("BinaryIO", unpacked)
