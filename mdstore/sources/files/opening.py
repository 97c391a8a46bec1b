"""Bytes in: files, gzip files and the members of zip files, read once and counted."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, cast

from mdstore.core.column_names import Choice
from mdstore.core.extra_columns import Extra
from mdstore.core.time_style import TimeStyle
from mdstore.errors import FileFormatError
from mdstore.sources.files.formats import FORMATS, READABLE, WALKED

__all__ = [
    "Asked",
    "Counted",
    "Sheet",
    "Source",
    "candle_files",
    "check_suffix",
    "open_sources",
    "other_files",
    "stem",
]

BUFFER = 1 << 20


class Counted(io.RawIOBase):
    """A binary file that counts the bytes read from it, whoever reads them; nobody need close it."""

    # Takes an open file: if opening failed in here, the half-made object would be closed without one. Its
    # descriptor alone is kept, since Python warns of a file object that is dropped open.
    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        with file:
            self._descriptor = os.dup(file.fileno())
        self.count = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes: zip and Parquet files are read from their end."""
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]  # the buffer protocol's type
        """Read into `buffer`; return how many bytes."""
        size = os.readv(self._descriptor, [buffer])
        self.count += size
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; skipped bytes do not count."""
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call says of files: `whole` asks for the columns that are no candle's as well.

    `choice` is what it says of columns, `encoding` is that of texts, `extras` are the declared columns,
    `sheet` is the one to take of a workbook.
    """

    whole: bool = False
    choice: Choice = field(default_factory=lambda: Choice({}))
    encoding: str | None = None
    extras: Sequence[Extra] = ()
    sheet: str | None = None


class Sheet(NamedTuple):
    """A sheet of a workbook: its rows from the header on, and which of the workbook's hold candles."""

    name: str
    rows: list[list[Any]]
    among: tuple[str, ...]


@dataclass(slots=True)
class Source:
    """One table of bytes, unpacked: a file or a member of a zip file.

    `name` is what messages call it, `stems` are the names it goes by without their suffixes, nearest first;
    `path` is the file's. `ignored` names the columns that are no candle's.
    `notes` is for what a reader finds worth saying, `symbol` and `timeframe` for what names and rows tell it
    together. `style` is how its times are written; `sheet` is which part of a workbook it is.
    """

    name: str
    stems: tuple[str, ...]
    suffix: str
    stream: BinaryIO
    path: Path
    asked: Asked = field(default_factory=Asked)
    notes: set[str] = field(default_factory=set)
    ignored: dict[str, None] = field(default_factory=dict)
    symbol: str | None = None
    timeframe: str | None = None
    style: TimeStyle = field(default_factory=TimeStyle)
    sheet: Sheet | None = None


def candle_files(path: Path) -> list[Path]:
    """Return the data files in a folder and the folders below it, by name; a file is itself.

    Hidden files and folders are left out.
    """
    if not path.is_dir():
        return [path]
    return sorted(found for found in _files_below(path) if found.suffix.lower() in WALKED)


def other_files(path: Path) -> int:
    """Count the files that `candle_files` leaves out of a folder; hidden ones do not count."""
    if not path.is_dir():
        return 0
    return sum(found.suffix.lower() not in WALKED for found in _files_below(path))


def open_sources(path: Path, raw: Counted, asked: Asked) -> Iterator[Source]:
    """Yield what `path` (already open as `raw`) holds; a source is open until the next one is asked for."""
    buffered = cast(BinaryIO, io.BufferedReader(raw, BUFFER))
    stack = ExitStack()  # what the last source needs is closed with it, not with the walk
    if path.suffix.lower() != ".zip":
        yield _unpacked(path, path.name, path.name, (), buffered, stack, asked)
        return
    with zipfile.ZipFile(buffered) as archive:
        members, skipped = _members(archive.namelist())
        if not members:
            raise FileFormatError(
                f"{path.name}: no data file in it, only {_listed(archive.namelist())}; "
                f"readable are {' '.join(FORMATS)}, also with .gz"
            )
        for member in members:
            stack.close()
            stream = cast(BinaryIO, stack.enter_context(archive.open(member)))
            name = f"{path.name}!{member}"
            source = _unpacked(path, name, member, (stem(path.name),), stream, stack, asked)
            if skipped:
                source.notes.add(f"{path.name}: skipped what holds no candles: {_listed(skipped)}")
            yield source


def check_suffix(path: Path) -> None:
    """Raise `FileFormatError` for a file whose name says that it cannot be read, before it is opened."""
    inner = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    suffix = inner.suffix.lower()
    if suffix not in FORMATS and path.suffix.lower() != ".zip":
        raise FileFormatError(
            f"{path.name}: {suffix or 'a name without a suffix'} is no format that can be read; readable are "
            f"{' '.join(FORMATS)}, each also with .gz or in a .zip"
        )


def stem(name: str) -> str:
    """Return a file's name without its folders and its known suffixes.

    >>> stem("2024/BTC-1m.csv.gz")
    'BTC-1m'
    """
    base = PurePosixPath(name)
    while base.suffix.lower() in READABLE:
        base = base.with_suffix("")
    return base.name


def _unpacked(  # noqa: PLR0917 - one idea
    path: Path,
    name: str,
    file: str,
    outer: tuple[str, ...],
    stream: BinaryIO,
    stack: ExitStack,
    asked: Asked,
) -> Source:
    inner = PurePosixPath(file)
    if inner.suffix.lower() == ".gz":
        unzipped = stack.enter_context(gzip.GzipFile(fileobj=stream))
        stream = cast(BinaryIO, stack.enter_context(io.BufferedReader(unzipped, BUFFER)))
        inner = inner.with_suffix("")
    return Source(name, (stem(file), *outer), inner.suffix.lower(), stream, path, asked)


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of those below it; one that may not be read raises: rglob lacks it."""
    for within, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not _is_hidden(Path(name))]
        for found in (Path(within, name) for name in names if not _is_hidden(Path(name))):
            if found.is_file():
                yield found


def _refuse(error: OSError) -> None:
    raise error


def _is_hidden(path: Path | PurePosixPath) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _members(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part the members of a zip file into data and others; a .txt is data where there is nothing else."""
    there = [name for name in sorted(names) if not name.endswith("/") and not _is_hidden(PurePosixPath(name))]
    data = [name for name in there if _inner_suffix(name) in FORMATS]
    surely = [name for name in data if _inner_suffix(name) in WALKED]
    members = surely or data
    return members, [name for name in there if name not in members]


def _inner_suffix(member: str) -> str:
    path = PurePosixPath(member)
    inner = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return inner.suffix.lower()


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more
