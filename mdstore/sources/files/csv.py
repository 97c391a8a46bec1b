"""CSV and TSV in, as columns of text: the store parses them, so a bad value is judged with its row.

Neither pyarrow's reader nor the cast from text loses a bit; 700,000 random doubles came back exact.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.timeframe import DAY
from mdstore.errors import FileFormatError
from mdstore.sources.files.columns import (
    by_header,
    by_place,
    header_notes,
    in_korean_time,
    missing_columns,
    whole_times,
)
from mdstore.sources.files.file_names import Lean, lean
from mdstore.sources.files.opening import Source

__all__ = ["read_text"]

HEAD = 64 << 10
# pyarrow reads 32 blocks ahead: small ones keep memory low and the progress bar honest. What they give is put
# together again, since every frame has a fixed cost in the store.
BLOCK = 256 << 10
ROWS = 50_000
SEPARATORS = (",", "\t", ";", "|")
# A title or a link may stand above the header, as in CryptoDataDownload's files.
MOST_TITLE_LINES = 5
NULLS = ["", "null", "NULL", "None", "NA", "N/A", "NaN", "nan", "-"]
UTF16 = (b"\xff\xfe", b"\xfe\xff")
UTF8_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Table:
    """Where the rows begin in the bytes, and what the columns are."""

    start: int
    width: int
    separator: str
    places: dict[str, int]
    headerless: bool
    korean: bool = False


class Rejoined(io.RawIOBase):
    """A stream with bytes that were read ahead put back before it."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._head = memoryview(head)
        self._rest = rest

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the buffer protocol's type
        """Read into `buffer`; return how many bytes."""
        data: bytes | memoryview = self._head[: len(buffer)] if self._head else self._rest.read(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)


def read_text(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the rows of a CSV or TSV file as frames of texts with canonical names.

    Raises `FileFormatError` for a table without a candle's columns.
    """
    head = source.stream.read(HEAD)
    table = _table(source, head)
    names = [f"column {place}" for place in range(table.width)]
    rows = io.BufferedReader(Rejoined(head[table.start :], source.stream), BLOCK)
    if not rows.peek(1):
        return
    reader = pa_csv.open_csv(
        rows,
        read_options=pa_csv.ReadOptions(column_names=names, block_size=BLOCK, use_threads=False),
        parse_options=pa_csv.ParseOptions(delimiter=table.separator),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=[names[place] for place in table.places.values()],
            null_values=NULLS,
            strings_can_be_null=True,
        ),
    )
    day = lean(source.stems[0]) if table.headerless else None
    for rows_of in _together(reader):
        named = pl.DataFrame(rows_of.rename_columns(list(table.places)))
        frame = whole_times(named.select(pl.all().str.strip_chars()), korean=table.korean)
        yield frame if day is None else _on_its_day(frame, day)


def _together(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= ROWS:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def _table(source: Source, head: bytes) -> Table:
    if head.startswith(UTF16):
        raise FileFormatError(f"{source.name}: the text is UTF-16", hint="save it as UTF-8")
    if not head.strip():
        raise FileFormatError(f"{source.name}: the file is empty")
    lines = head.removeprefix(UTF8_MARK).splitlines(keepends=True)[: MOST_TITLE_LINES + 1]
    start = len(head) - len(head.removeprefix(UTF8_MARK))
    separator = _separator(lines, source.suffix)
    rows = [next(csv.reader([line.decode("utf-8", "replace")], delimiter=separator), []) for line in lines]
    for number, (line, row) in enumerate(zip(lines, rows, strict=True)):
        places = by_place(row)
        if places is not None:
            _refuse_unknown_header(source.name, rows[number - 1 : number], row)
            return Table(start, len(row), separator, places, headerless=True)
        start += len(line)
        places = by_header(row)
        if all(name in places for name in CANDLE_COLUMNS):
            source.notes.update(header_notes(row))
            return Table(start, len(row), separator, places, headerless=False, korean=in_korean_time(row))
    nearest = max(rows, key=lambda row: len(by_header(row)))
    raise missing_columns(source.name, list(by_header(nearest)), nearest)


def _refuse_unknown_header(name: str, above: list[list[str]], row: list[str]) -> None:
    """Raise where names stand over the columns: taking these by place would guess what they are."""
    for names in above:
        if len(names) == len(row):
            raise missing_columns(name, list(by_header(names)), names)


def _separator(lines: list[bytes], suffix: str) -> str:
    if suffix == ".tsv":
        return "\t"
    return max(SEPARATORS, key=lambda separator: sum(line.count(separator.encode()) for line in lines))


def _on_its_day(frame: pl.DataFrame, day: Lean) -> pl.DataFrame:
    """Turn milliseconds since midnight into timestamps."""
    times = frame["timestamp"].cast(pl.Int64, strict=False)
    if (times >= DAY).any():
        return frame
    return frame.with_columns((times + day.midnight).alias("timestamp"))
