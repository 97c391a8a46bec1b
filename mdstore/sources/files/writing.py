"""Files out: a frame of candles as a file, whole or not at all, no bit lost."""

from __future__ import annotations

import gzip
import io
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO, cast

import polars as pl

from mdstore.errors import FileFormatError

__all__ = ["WRITABLE", "write", "write_to"]


def _csv(frame: pl.DataFrame, file: IO[bytes]) -> None:
    _times_as_text(frame).write_csv(file)


def _tsv(frame: pl.DataFrame, file: IO[bytes]) -> None:
    _times_as_text(frame).write_csv(file, separator="\t")


def _json(frame: pl.DataFrame, file: IO[bytes]) -> None:
    _times_as_text(frame).write_json(cast(io.IOBase, file))


def _ndjson(frame: pl.DataFrame, file: IO[bytes]) -> None:
    _times_as_text(frame).write_ndjson(file)


def _parquet(frame: pl.DataFrame, file: IO[bytes]) -> None:
    frame.write_parquet(file)


def _arrow(frame: pl.DataFrame, file: IO[bytes]) -> None:
    # The newest string layout of Arrow is unknown to many readers of Feather.
    frame.write_ipc(file, compat_level=pl.CompatLevel.oldest())


WRITERS: dict[str, Callable[[pl.DataFrame, IO[bytes]], None]] = {
    ".csv": _csv, ".tsv": _tsv, ".json": _json, ".ndjson": _ndjson, ".jsonl": _ndjson,
    ".parquet": _parquet, ".feather": _arrow, ".arrow": _arrow, ".ipc": _arrow,
}  # fmt: skip
TEXT = (".csv", ".tsv", ".json", ".ndjson", ".jsonl")
WRITABLE = (*WRITERS, *(f"{suffix}.gz" for suffix in TEXT))


def write(frame: pl.DataFrame, path: Path | str) -> None:
    """Write a frame of candles to `path`, in the format its suffix names; replaces a file that is there.

    Doubles are written so that they read back bit for bit; in text formats times are ISO 8601 with a Z. The
    file appears whole or not at all. Raises `FileFormatError` for a suffix that cannot be written.
    """
    path = Path(path)
    packed = path.suffix.lower() == ".gz"
    suffix = Path(path.stem).suffix.lower() if packed else path.suffix.lower()
    if suffix not in WRITERS or (packed and suffix not in TEXT):
        raise FileFormatError(f"{path.name}: cannot write this format; writable are {' '.join(WRITABLE)}")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            _write_packed(frame, file, WRITERS[suffix]) if packed else WRITERS[suffix](frame, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # the name that the user knows
        raise


def write_to(frame: pl.DataFrame, file: IO[bytes], suffix: str) -> None:
    """Write a frame of candles to an open file, such as a pipe, in the format of a suffix, as `.csv`."""
    whole = io.BytesIO()  # Polars wants to seek in some formats; and a pipe is given all or nothing
    WRITERS[suffix](frame, whole)
    file.write(whole.getbuffer())
    file.flush()


def _write_packed(
    frame: pl.DataFrame, file: BinaryIO, writer: Callable[[pl.DataFrame, IO[bytes]], None]
) -> None:
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
        writer(frame, cast("IO[bytes]", packed))


def _times_as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Write times the way every reader understands: ISO 8601, milliseconds only where there are some.

    In UTC, or with the offset of the zone that the times are in.
    """
    times = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    return frame.with_columns(_iso(frame[name]) for name in times)


def _iso(times: pl.Series) -> pl.Series:
    whole = bool((times.dt.millisecond() == 0).all())
    zone = "Z" if getattr(times.dtype, "time_zone", None) in (None, "UTC") else "%:z"
    return times.dt.to_string(f"%Y-%m-%dT%H:%M:%S{'' if whole else '%.3f'}{zone}")
