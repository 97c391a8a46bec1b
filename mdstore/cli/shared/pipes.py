"""Pipes: `-` in place of a file. The format of candles is said by a flag, since no name does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from mdstore.errors import FileFormatError

__all__ = ["PIPE", "SOURCE", "PipeFormat", "piping", "spooled"]

PIPE = Path("-")
SOURCE = "standard input"


class PipeFormat(StrEnum):
    """Formats of what comes or goes through a pipe."""

    CSV, TSV, JSON, NDJSON = "csv", "tsv", "json", "ndjson"
    PARQUET, FEATHER, ARROW = "parquet", "feather", "arrow"


@contextmanager
def spooled(form: PipeFormat) -> Iterator[Path]:
    """Yield a file with what standard input holds: formats with their index at the end need all of it.

    It is in a temporary folder, of a name that tells no symbol, and is gone afterwards.
    """
    import shutil  # noqa: PLC0415 - the help page, which has the formats, need not wait for these
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="mdstore-import-") as folder:
        path = Path(folder) / f"-.{form.value}"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
            if not file.tell():
                raise FileFormatError(f"{SOURCE} is empty", hint="what stands before the pipe wrote nothing")
        yield path


@contextmanager
def piping(name: str) -> Iterator[Path]:
    """Yield where to make a file in a temporary folder; it goes to standard output once it is whole."""
    import shutil  # noqa: PLC0415 - see above
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="mdstore-") as folder:
        path = Path(folder) / name
        yield path
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
