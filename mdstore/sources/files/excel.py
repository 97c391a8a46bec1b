"""Excel workbooks in: the sheet that holds candles. Needs the extra `excel`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from mdstore.core.excerpts import excerpt, listed
from mdstore.errors import FileFormatError, Hint
from mdstore.sources.files.header import MOST_TITLE_LINES, found_in, headed
from mdstore.sources.files.json_shapes import is_instrument
from mdstore.sources.files.opening import Source
from mdstore.sources.files.python_columns import column

__all__ = ["read_excel"]

CHUNK = 50_000
INSTALL = Hint(
    "pip install 'mdstore[excel]', or save the sheet as CSV",
    "pip install 'mdstore[excel]', or save the sheet as CSV",
)


def read_excel(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the candles of the sheet that has some, or of several by their names, which are the symbols.

    Raises `FileFormatError` where none has, where several have and nothing tells of what, or where what
    reads workbooks is not installed.
    """
    try:
        from python_calamine import CalamineWorkbook  # noqa: PLC0415 - an extra, for those who have workbooks
    except ImportError as error:
        raise FileFormatError(f"{source.name}: reading Excel workbooks is an extra", hint=INSTALL) from error
    workbook = CalamineWorkbook.from_filelike(source.stream)
    sheets = {name: workbook.get_sheet_by_name(name).to_python() for name in workbook.sheet_names}
    tables = {
        name: rows[at:] for name, rows in sheets.items() if (at := _header_in(rows, source)) is not None
    }
    if not tables:
        longest: Sequence[Any] = max(sheets.values(), key=len, default=[])
        headed(list(map(_name, next(iter(longest), []))), source)
        raise AssertionError  # `headed` refuses what `found_in` did not take
    if len(tables) > 1:
        _refuse_unnamed(list(tables), source)
    elif len(sheets) > 1:
        _note_others(source, next(iter(tables)), list(sheets))
    for name, rows in tables.items():
        for frame in _frames(rows, source):
            named = len(tables) > 1 and "symbol" not in frame.columns
            yield frame.with_columns(pl.lit(name).alias("symbol")) if named else frame


def _header_in(rows: list[list[Any]], source: Source) -> int | None:
    """Return where the header of candles is among the first rows; None where there is none."""
    first = rows[: MOST_TITLE_LINES + 1]
    return next(
        (at for at, row in enumerate(first) if found_in(list(map(_name, row)), source) is not None), None
    )


def _refuse_unnamed(sheets: list[str], source: Source) -> None:
    """Raise where several sheets hold candles, and their names are not those of instruments."""
    if not all(map(is_instrument, sheets)):
        raise FileFormatError(
            f"{source.name}: {len(sheets)} sheets hold candles: {listed(sheets)}",
            hint="save each as a file of its own, or give each sheet the symbol for its name, in capitals",
        )


def _frames(rows: list[list[Any]], source: Source) -> Iterator[pl.DataFrame]:
    names = list(map(_name, rows[0]))
    columns = headed(names, source)
    kept = [row for row in rows[1:] if any(cell != "" for cell in row)]
    said = [row for row in kept if _is_word(row)]
    if said:
        source.notes.add(f"lines of words were skipped, such as {excerpt(_only(said[0]).strip(), 40)!r}")
        kept = [row for row in kept if not _is_word(row)]
    for start in range(0, max(len(kept), 1), CHUNK):
        part = kept[start : start + CHUNK]
        cells = {at: [None if row[at] == "" else row[at] for row in part] for at in columns.wanted}
        yield columns.frame(
            pl.DataFrame([column(f"column {at}", names[at], values) for at, values in cells.items()])
        )


def _is_word(row: list[Any]) -> bool:
    """Tell a line of words alone, as under a table of a vendor."""
    return sum(cell != "" for cell in row) == 1 and not _only(row).strip()[:1].isdigit()


def _only(row: list[Any]) -> str:
    return str(next(cell for cell in row if cell != ""))


def _note_others(source: Source, sheet: str, sheets: list[str]) -> None:
    source.notes.add(f"{source.name}: the candles are those of the sheet {sheet}, of {len(sheets)} sheets")


def _name(cell: object) -> str:
    return str(cell)
