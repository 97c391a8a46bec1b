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
from mdstore.core.columns_found import find
from mdstore.core.excerpts import excerpt
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.errors import FileFormatError
from mdstore.sources.files.header import MOST_TITLE_LINES, Columns, by_place, found_in, headed, levels, placed
from mdstore.sources.files.lean import lean
from mdstore.sources.files.opening import Source
from mdstore.sources.files.text_encodings import UTF8_MARK, WIDE, not_utf8, recoded, text_encoding

__all__ = ["read_text"]

HEAD = 64 << 10
# Pieces that end with a line, each parsed from memory: about 60,000 rows. pyarrow's reader of streams leaves
# a thread behind after an error, which calls into Python while the interpreter ends: `terminate`, exit 134.
BLOCK = 4 << 20
SEPARATORS = (",", "\t", ";", "|")
PARTED = "part cells with a comma, a tab, ; or |"
# Rows that are looked at to tell columns without a header.
SAMPLE = 200
RAGGED = "Expected"  # pyarrow's word for a line of more or fewer cells
# Bytes behind a header that tell whether lines are wider than it: 200 lines of each file took 0.3 ms.
FEW = 2_000
# Only what is empty is absent: NA is a symbol (Nano Labs), and no number says so by itself.
NULLS = [""]
CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d)?")
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
    columns: Columns
    headerless: bool


def read_text(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the rows of a CSV or TSV file as frames of texts with canonical names.

    Raises `FileFormatError` for a table without a candle's columns.
    """
    head = _as_utf8(source, source.stream.read(HEAD))
    layout = _layout(source, head)
    columns = layout.columns
    day = lean(source, _sample(head[layout.start :], layout.separator)) if layout.headerless else None
    if day is not None:
        source.symbol, source.timeframe = day.symbol, day.timeframe
        source.notes.add(day.note)
    done = 0
    for block in _blocks(head[layout.start :], source):
        rows = _rows(block, layout, columns.wanted, done, source)
        bars = rows if done else _without_quote(rows, columns, source)
        done += rows.height
        bars = _without_headings(_without_blanks(bars, source), layout, columns, source)
        frame = columns.frame(bars)
        yield frame if day is None else day.frame(frame)


def _as_utf8(source: Source, head: bytes) -> bytes:
    """Return the first bytes of a text as UTF-8, and have the source's stream go on so."""
    encoding = source.asked.encoding or text_encoding(
        head, source.name, lambda row: found_in(row, source) is not None
    )
    if encoding in (None, "utf-8"):
        return head
    if source.asked.encoding is None and encoding not in WIDE:
        source.notes.add(f"the text was read as {encoding}, by its header")
    source.stream = recoded(source.stream, head, encoding, source.name)
    return source.stream.read(HEAD)


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


def _rows(block: bytes, layout: Layout, wanted: list[int], done: int, source: Source) -> pl.DataFrame:
    """Parse a piece of a file; `done` rows were before it."""
    names = [f"column {place}" for place in range(len(layout.names))]
    kept = [names[place] for place in wanted]
    if not block.strip():
        return pl.DataFrame(schema=dict.fromkeys(kept, pl.String))
    parse = partial(_parse, _arrows_own(block), layout.separator, names, kept)
    try:
        try:
            frame = pl.DataFrame(parse(threads=True))
        except pa.ArrowInvalid:  # the quicker way, by threads that are there already, does not number rows
            frame = pl.DataFrame(parse(threads=False))
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise not_utf8(source.name) from error
        evened = (
            _evened(block, layout.separator, names, max(wanted), source.notes)
            if RAGGED in str(error)
            else None
        )
        if evened is not None:
            return evened.select(kept)
        said = ROW_NUMBER.sub(lambda row: f"Row #{int(row[1]) + done}", str(error))
        raise FileFormatError(f"{source.name}: cannot be read: {excerpt(said, 200)}") from error
    # To strip values takes half as long as to parse them.
    return frame.select(pl.all().str.strip_chars()) if b" " in block else frame


def _evened(
    block: bytes, separator: str, names: list[str], last: int, notes: set[str]
) -> pl.DataFrame | None:
    """Parse lines that lack cells behind the `last` that is needed, or have empty ones beyond the others.

    A line of words alone, as under a table of a vendor, is skipped with a note.
    None where a line lacks one that is needed, or has more that is not empty.
    """
    try:
        rows = [row for row in csv.reader(block.decode().splitlines(), delimiter=separator) if row]
    except csv.Error:  # a cell of a megabyte
        return None
    width = len(names)
    said = [row for row in rows if len(row) == 1 and not row[0].strip()[:1].isdigit()]
    if said:
        rows = [row for row in rows if row not in said]
        notes.add(f"lines of words were skipped, such as {excerpt(said[0][0].strip(), 40)!r}")
    if any(len(row) <= last or any(cell.strip() for cell in row[width:]) for row in rows):
        return None
    cells = zip(*([*row[:width], *[""] * (width - len(row))] for row in rows), strict=True)
    evened = dict(zip(names, map(list, cells), strict=True))
    frame = pl.DataFrame(evened, schema=dict.fromkeys(names, pl.String))
    return frame.select(pl.all().str.strip_chars()).with_columns(pl.all().replace("", None))


def _arrows_own(block: bytes) -> pa.Buffer:
    """Return bytes in memory of pyarrow's.

    A thread of it may let go of Python's only after an error was raised, and the process that ends then
    aborts: two in a hundred did. The copy takes a fiftieth of the time that is taken to parse them.
    """
    memory = pa.allocate_buffer(len(block))
    memoryview(memory).cast("B")[:] = block
    return memory


def _parse(block: pa.Buffer, separator: str, names: list[str], kept: list[str], *, threads: bool) -> pa.Table:
    return pa_csv.read_csv(
        pa.BufferReader(block),
        read_options=pa_csv.ReadOptions(column_names=names, block_size=block.size + 1, use_threads=threads),
        parse_options=pa_csv.ParseOptions(delimiter=separator),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=kept,
            null_values=NULLS,
            strings_can_be_null=True,
        ),
    )


def _without_blanks(rows: pl.DataFrame, source: Source) -> pl.DataFrame:
    """Leave out lines without a cell that matters, as spreadsheets have them at the end, with a note."""
    if not all(column.null_count() for column in rows.iter_columns()):
        return rows
    blank = pl.all_horizontal(pl.all().is_null() | (pl.all() == ""))
    kept = rows.filter(~blank)
    if len(kept) < len(rows):
        source.notes.add("lines without a value were skipped")
    return kept


def _without_quote(rows: pl.DataFrame, columns: Columns, source: Source) -> pl.DataFrame:
    """Leave out Nasdaq's first line, with a note: it bears the time of day of a last trade, and no date."""
    first, second = (*rows.to_series(columns.at("timestamp"))[:2], None, None)[:2]
    if second is None or not CLOCK.fullmatch(first or "") or CLOCK.fullmatch(second):
        return rows
    source.notes.add(f"the first line bears {first} in place of a date, and was skipped")
    return rows[1:]


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
    if not head.strip():
        raise FileFormatError(f"{source.name}: the file is empty")
    lines = head.removeprefix(UTF8_MARK).splitlines(keepends=True)[: MOST_TITLE_LINES + 1]
    start = len(head) - len(head.removeprefix(UTF8_MARK))
    separator = _separator(lines, source.suffix)
    rows = [_cells(line, separator) for line in lines]
    placed_by_hand = bool(source.asked.choice.placed)
    for number, (line, row) in enumerate(zip(lines, rows, strict=True)):
        if (told := levels(rows[number:])) is not None:
            names, height = told
            return _headed(source, start + sum(map(len, lines[number : number + height])), separator, names)
        if placed_by_hand or _begins_rows(row):
            _refuse_unknown_header(source, [] if placed_by_hand else rows[number - 1 : number], row)
            by_their_place = by_place(_sample(head[start:], separator), source)
            if by_their_place is not None:
                columns = placed(by_their_place, source)
                return Layout(start, separator, by_their_place, columns, headerless=True)
        start += len(line)
        sample = _sample(head[start : start + FEW], separator)
        for header in (_widened(row, sample), _with_index(row, sample)):
            if header is not None and found_in(header, source) is not None:
                return _headed(source, start, separator, header)
    nearest = max(rows, key=lambda row: len(find(row).there))
    return _headed(source, start, separator, nearest)  # which says what is missing


def _headed(source: Source, start: int, separator: str, names: list[str]) -> Layout:
    return Layout(start, separator, names, _columns(names, source), headerless=False)


def _columns(names: list[str], source: Source) -> Columns:
    """Return the columns of a header; where it is one cell, say how cells are parted."""
    try:
        return headed(names, source)
    except FileFormatError as error:
        if len(names) > 1:
            raise
        raise FileFormatError(error.message, hint=PARTED, found=error.found) from error


def _begins_rows(row: list[str]) -> bool:
    """Tell whether a line may be one of values: it begins with a time, or with a symbol before numbers."""
    first = row[0].strip() if row else ""
    return first[:1].isdigit() or (len(row) > len(CANDLE_COLUMNS) and row[-1].strip()[:1].isdigit())


def _with_index(names: list[str], sample: list[list[str]]) -> list[str] | None:
    """Return the names of a table of R's, whose header lacks the one of the first column; None for others."""
    wider = bool(sample) and all(len(row) == len(names) + 1 for row in (sample[0], *sample[:-1]))
    return ["", *names] if wider else None


def _widened(names: list[str], sample: list[list[str]]) -> list[str]:
    """Give names to cells that lines have beyond the header's, where all of them are empty."""
    widest = max(map(len, sample), default=0)
    beyond = widest > len(names) and not any(cell.strip() for row in sample for cell in row[len(names) :])
    return [*names, *[""] * (widest - len(names))] if beyond else names


def _sample(body: bytes, separator: str) -> list[list[str]]:
    return [_cells(line, separator) for line in body.splitlines()[:SAMPLE] if line.strip()]


def _cells(line: bytes, separator: str) -> list[str]:
    return next(csv.reader([line.decode("utf-8", "replace")], delimiter=separator), [])


def _refuse_unknown_header(source: Source, above: list[list[str]], row: list[str]) -> None:
    """Raise where names stand over the columns: taking these by place would guess what they are."""
    for names in above:
        if len(names) == len(row):
            _columns(names, source)


def _separator(lines: list[bytes], suffix: str) -> str:
    if suffix == ".tsv":
        return "\t"
    return max(SEPARATORS, key=lambda separator: sum(line.count(separator.encode()) for line in lines))
