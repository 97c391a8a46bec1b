"""Excel workbooks in: the sheet that holds candles. Needs the extra `excel`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from mdstore.errors import FileFormatError, Hint
from mdstore.sources.files.header import MOST_TITLE_LINES, found_in, headed
from mdstore.sources.files.opening import Source
from mdstore.sources.files.python_columns import column

__all__ = ["read_excel"]

CHUNK = 50_000
INSTALL = Hint(
    "pip install 'mdstore[excel]', or save the sheet as CSV",
    "pip install 'mdstore[excel]', or save the sheet as CSV",
)


def read_excel(source: Source) -> Iterator[pl.DataFrame]:
    """Yield the candles of the first sheet that has some.

    Raises `FileFormatError` where none has, or where what reads workbooks is not installed.
    """
    try:
        from python_calamine import CalamineWorkbook  # noqa: PLC0415 - an extra, for those who have workbooks
    except ImportError as error:
        raise FileFormatError(f"{source.name}: reading Excel workbooks is an extra", hint=INSTALL) from error
    workbook = CalamineWorkbook.from_filelike(source.stream)
    sheets = {name: workbook.get_sheet_by_name(name).to_python() for name in workbook.sheet_names}
    for name, rows in sheets.items():
        for at, row in enumerate(rows[: MOST_TITLE_LINES + 1]):
            if found_in(list(map(_name, row)), source) is not None:
                _note_others(source, name, list(sheets))
                yield from _frames(rows[at:], source)
                return
    longest: Sequence[Any] = max(sheets.values(), key=len, default=[])
    headed(list(map(_name, next(iter(longest), []))), source)
    raise AssertionError  # `headed` refuses what `found_in` did not take


def _frames(rows: list[list[Any]], source: Source) -> Iterator[pl.DataFrame]:
    names = list(map(_name, rows[0]))
    columns = headed(names, source)
    kept = [row for row in rows[1:] if any(cell != "" for cell in row)]
    for start in range(0, max(len(kept), 1), CHUNK):
        part = kept[start : start + CHUNK]
        cells = {at: [None if row[at] == "" else row[at] for row in part] for at in columns.wanted}
        yield columns.frame(
            pl.DataFrame([column(f"column {at}", names[at], values) for at, values in cells.items()])
        )


def _note_others(source: Source, sheet: str, sheets: list[str]) -> None:
    others = [name for name in sheets if name != sheet]
    if others:
        source.notes.add(
            f"{source.name}: the candles are those of the sheet {sheet}, of {len(sheets)} sheets"
        )


def _name(cell: object) -> str:
    return str(cell)
