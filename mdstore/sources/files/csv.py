"""CSV and TSV in, as columns of text: the store parses them, so a bad value is judged with its row.

Neither pyarrow's reader nor the cast from text loses a bit; 700,000 random doubles came back exact.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from mdstore.core.column_names import COLUMN_ALIASES, clean
from mdstore.core.excerpts import excerpt
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.errors import FileFormatError
from mdstore.sources.files.header import Columns, by_header, by_place, header_notes, missing_columns
from mdstore.sources.files.lean import lean
from mdstore.sources.files.opening import Source

__all__ = ["read_text"]

HEAD = 64 << 10
# Pieces that end with a line, each parsed from memory: about 60,000 rows. pyarrow's reader of streams leaves
# a thread behind after an error, which calls into Python while the interpreter ends: `terminate`, exit 134.
BLOCK = 4 << 20
SEPARATORS = (",", "\t", ";", "|")
# A title or a link may stand above the header, as in CryptoDataDownload's files.
MOST_TITLE_LINES = 5
# Rows that are looked at to tell columns without a header.
SAMPLE = 200
# Only what is empty is absent: NA is a symbol (Nano Labs), and no number says so by itself.
NULLS = [""]
UTF16 = (b"\xff\xfe", b"\xfe\xff")
UTF8_MARK = b"\xef\xbb\xbf"
ROW_NUMBER = re.compile(r"Row #(\d+)")
# What stands in the column of opens where a header is repeated: two files were put together.
HEADINGS = pl.Series(
    [
        way(alias)
        for names in COLUMN_ALIASES.values()
        for alias in names
        for way in (str, str.title, str.upper)
    ]
).unique()


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows begin in the bytes, and what the columns are."""

    start: int
    separator: str
    names: list[str]
    places: dict[str, int]
    headerless: bool


def read_text(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the rows of a CSV or TSV file as frames of texts with canonical names.

    Raises `FileFormatError` for a table without a candle's columns.
    """
    head = source.stream.read(HEAD)
    layout = _layout(source, head)
    columns = Columns(layout.names, layout.places, source)
    day = lean(source, _sample(head[layout.start :], layout.separator)) if layout.headerless else None
    if day is not None:
        source.symbol, source.timeframe = day.symbol, day.timeframe
        source.notes.add(day.note)
    done = 0
    for block in _blocks(head[layout.start :], source):
        rows = _rows(block, layout, columns.wanted, done, source.name)
        done += rows.height
        frame = columns.frame(_without_headings(rows, layout, columns, source))
        yield frame if day is None else day.frame(frame)


def _blocks(held: bytes, source: Source) -> Iterator[bytes]:
    """Yield a stream's bytes, `held` before them, in pieces that end where a line does."""
    while more := source.stream.read(BLOCK):
        block = held + more
        # A file of the old Macs ends its lines with \r; the last may be half of a \r\n.
        end = block.rfind(b"\n") + 1 or block.rfind(b"\r", 0, -1) + 1
        if end:
            yield block[:end]
        elif len(block) > BLOCK:
            raise FileFormatError(f"{source.name}: a line is longer than {BLOCK >> 20} MB; this is no table")
        held = block[end:]
    if held:
        yield held


def _rows(block: bytes, layout: Layout, wanted: list[int], done: int, name: str) -> pl.DataFrame:
    """Parse a piece of a file; `done` rows were before it."""
    names = [f"column {place}" for place in range(len(layout.names))]
    kept = [names[place] for place in wanted]
    if not block.strip():
        return pl.DataFrame(schema=dict.fromkeys(kept, pl.String))
    parse = partial(_parse, block, layout.separator, names, kept)
    try:
        try:
            frame = pl.DataFrame(parse(threads=True))
        except pa.ArrowInvalid:  # the quicker way, by threads that are there already, does not number rows
            frame = pl.DataFrame(parse(threads=False))
    except pa.ArrowInvalid as error:
        said = ROW_NUMBER.sub(lambda row: f"Row #{int(row[1]) + done}", str(error))
        raise FileFormatError(f"{name}: cannot be read: {excerpt(said, 200)}") from error
    # To strip values takes half as long as to parse them.
    return frame.select(pl.all().str.strip_chars()) if b" " in block else frame


def _parse(block: bytes, separator: str, names: list[str], kept: list[str], *, threads: bool) -> pa.Table:
    return pa_csv.read_csv(
        pa.BufferReader(block),
        read_options=pa_csv.ReadOptions(column_names=names, block_size=len(block) + 1, use_threads=threads),
        parse_options=pa_csv.ParseOptions(delimiter=separator),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=kept,
            null_values=NULLS,
            strings_can_be_null=True,
        ),
    )


def _without_headings(rows: pl.DataFrame, layout: Layout, columns: Columns, source: Source) -> pl.DataFrame:
    """Leave out lines that repeat the header, with a note; refuse the header of another table."""
    opens = rows.to_series(columns.at("open"))
    last = opens.max()
    if not isinstance(last, str) or last < "A":  # no text among the numbers: ten times quicker than to look
        return rows
    headings = opens.is_in(HEADINGS.implode())
    if not headings.any():
        return rows
    own = [layout.names[place] for place in columns.wanted]
    for row in rows.filter(headings).iter_rows():
        if layout.headerless or [clean(cell or "") for cell in row] != list(map(clean, own)):
            raise FileFormatError(
                f"{source.name}: another header stands among the rows: {excerpt(', '.join(map(str, row)))}",
                hint="make two files of it, each with its own header",
            )
    source.notes.add("lines that repeat the header were skipped")
    return rows.filter(~headings.fill_null(value=False))


def _layout(source: Source, head: bytes) -> Layout:
    if head.startswith(UTF16):
        raise FileFormatError(f"{source.name}: the text is UTF-16", hint="save it as UTF-8")
    if not head.strip():
        raise FileFormatError(f"{source.name}: the file is empty")
    lines = head.removeprefix(UTF8_MARK).splitlines(keepends=True)[: MOST_TITLE_LINES + 1]
    start = len(head) - len(head.removeprefix(UTF8_MARK))
    separator = _separator(lines, source.suffix)
    rows = [_cells(line, separator) for line in lines]
    for number, (line, row) in enumerate(zip(lines, rows, strict=True)):
        if row[0:1] and row[0].strip()[:1].isdigit():
            layout = _without_header(source, head, start, separator)
            if layout is not None:
                _refuse_unknown_header(source.name, rows[number - 1 : number], row)
                return layout
        start += len(line)
        places = by_header(row)
        if all(name in places for name in CANDLE_COLUMNS):
            source.notes.update(header_notes(row))
            return Layout(start, separator, row, places, headerless=False)
    nearest = max(rows, key=lambda row: len(by_header(row)))
    raise missing_columns(source.name, list(by_header(nearest)), nearest)


def _without_header(source: Source, head: bytes, start: int, separator: str) -> Layout | None:
    told = by_place(_sample(head[start:], separator))
    if told is None:
        return None
    source.notes.add(told.note)
    return Layout(start, separator, told.names, told.places, headerless=True)


def _sample(body: bytes, separator: str) -> list[list[str]]:
    return [_cells(line, separator) for line in body.splitlines()[:SAMPLE]]


def _cells(line: bytes, separator: str) -> list[str]:
    return next(csv.reader([line.decode("utf-8", "replace")], delimiter=separator), [])


def _refuse_unknown_header(name: str, above: list[list[str]], row: list[str]) -> None:
    """Raise where names stand over the columns: taking these by place would guess what they are."""
    for names in above:
        if len(names) == len(row):
            raise missing_columns(name, list(by_header(names)), names)


def _separator(lines: list[bytes], suffix: str) -> str:
    if suffix == ".tsv":
        return "\t"
    return max(SEPARATORS, key=lambda separator: sum(line.count(separator.encode()) for line in lines))
