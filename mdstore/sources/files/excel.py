"""Excel workbooks in: the sheets that hold candles, each a table by itself. Needs the extra `excel`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl

from mdstore.core.excerpts import excerpt, listed
from mdstore.errors import FileFormatError, Hint
from mdstore.sources.files.header import MOST_TITLE_LINES, found_in, headed
from mdstore.sources.files.opening import Sheet, Source
from mdstore.sources.files.python_columns import column

__all__ = ["read_excel", "sheets_of"]

CHUNK = 50_000
INSTALL = Hint(
    "pip install 'mdstore[excel]', or save the sheet as CSV",
    "pip install 'mdstore[excel]', or save the sheet as CSV",
)
Rows = list[list[Any]]


def sheets_of(source: Source) -> list[Source]:
    """Return the sheets of a workbook that hold candles, or the one that is asked for.

    Sheets without a row below their header count where no other has one. Where there are several, each goes
    by its own name. Raises `FileFormatError` where none holds candles, or where what reads workbooks is not
    installed.
    """
    everything = _read(source)
    wanted = {name: rows for name, rows in everything.items() if source.asked.sheet in (None, name)}
    if not wanted:
        raise FileFormatError(
            f"{source.name}: no sheet {source.asked.sheet!r}; it has {listed(list(everything))}"
        )
    found = {name: below for name, rows in wanted.items() if (below := _candles(rows, source)) is not None}
    if not found:
        longest = max(wanted.values(), key=len, default=[])
        headed(list(map(str, next(iter(longest), []))), source)
        raise AssertionError  # `headed` refuses what `found_in` did not take
    held = {name: rows for name, rows in found.items() if len(rows) > 1} or found
    if len(held) < len(everything):
        those = f"sheet{'' if len(held) == 1 else 's'} {', '.join(held)}, of {len(everything)} sheets"
        source.notes.add(f"{source.name}: the candles are those of the {those}")
    return [_sheet(source, name, rows, tuple(held)) for name, rows in held.items()]


def read_excel(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the candles of a sheet."""
    assert source.sheet is not None  # noqa: S101 - as `sheets_of` gives it
    rows = source.sheet.rows
    names = list(map(str, rows[0]))
    columns = headed(names, source)
    for start in range(1, max(len(rows), 2), CHUNK):
        part = rows[start : start + CHUNK]
        cells = {at: [None if row[at] == "" else row[at] for row in part] for at in columns.wanted}
        yield columns.frame(
            pl.DataFrame([column(f"column {at}", names[at], values) for at, values in cells.items()])
        )


def _read(source: Source) -> dict[str, Rows]:
    try:
        from python_calamine import CalamineWorkbook  # noqa: PLC0415 - an extra, for those who have workbooks
    except ImportError as error:
        raise FileFormatError(f"{source.name}: reading Excel workbooks is an extra", hint=INSTALL) from error
    workbook = CalamineWorkbook.from_filelike(source.stream)
    return {name: workbook.get_sheet_by_name(name).to_python() for name in workbook.sheet_names}


def _candles(rows: Rows, source: Source) -> Rows | None:
    """Return a sheet from its header on, without blank rows and words; None where it holds no candles."""
    for at, row in enumerate(rows[: MOST_TITLE_LINES + 1]):
        if found_in(list(map(str, row)), source) is not None:
            below = [row for row in rows[at + 1 :] if any(cell != "" for cell in row)]
            said = [row for row in below if _is_word(row)]
            if said:
                text = excerpt(_only(said[0]).strip(), 40)
                source.notes.add(f"lines of words were skipped, such as {text!r}")
            return [row, *(row for row in below if not _is_word(row))]
    return None


def _is_word(row: list[Any]) -> bool:
    """Tell a line of words alone, as under a table of a vendor."""
    return sum(cell != "" for cell in row) == 1 and not _only(row).strip()[:1].isdigit()


def _only(row: list[Any]) -> str:
    return str(next(cell for cell in row if cell != ""))


def _sheet(source: Source, name: str, rows: Rows, among: tuple[str, ...]) -> Source:
    made = replace(source, sheet=Sheet(name, rows, among), ignored={})
    if len(among) > 1:  # the file's name is that of none of them
        return replace(made, name=f"{source.name}!{name}", stems=(name,))
    if source.asked.sheet is not None:
        return replace(made, stems=(name, *source.stems))
    return made
