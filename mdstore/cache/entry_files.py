"""An answer as a file: what it is an answer to, until when, and the Arrow table, all under one digest.

A file is `MAGIC` with the version of this format, the XXH3 (128 bits) of all that follows, the length of the
head, the head (JSON, with blanks up to a multiple of 64 bytes), and an Arrow IPC stream. Nothing of it is
run, as a pickle is.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import xxhash

from mdstore.cache.data_cache import Key
from mdstore.cache.frames import form_of, packed, unpacked
from mdstore.errors import InvalidInputError

__all__ = ["DamagedFileError", "Stored", "at_once", "key_in", "name_of", "parts", "stored"]

MAGIC = b"mdstore cache 1\n"
DIGEST_BYTES, LENGTH_BYTES = 16, 4
BODY = len(MAGIC) + DIGEST_BYTES
HEAD = BODY + LENGTH_BYTES
ALIGNED = 64


class DamagedFileError(Exception):
    """The file is not what was written, or is of another version; never seen outside of the cache."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file says: of which query and version, when it was made and ends (ms; None is never)."""

    query: str
    version: str
    made: int
    ends: int | None
    digest: bytes
    form: str
    data: memoryview

    def table(self) -> Any:
        """Return the table. Raises `DamagedFileError`."""
        try:
            return unpacked(self.form, pa.py_buffer(self.data))
        except pa.ArrowException as error:
            raise DamagedFileError(str(error)) from error


def name_of(key: Key) -> str:
    """Return the name under which the query's answer is kept, of whatever version."""
    return xxhash.xxh3_128_hexdigest(key.query.encode())


def parts(key: Key, value: Any, *, made: int, ends: int | None) -> tuple[bytes, list[Any]] | None:
    """Return the digest and the bytes of a file, in pieces; None if the table has no Arrow form."""
    table = packed(value)
    if table is None:
        return None
    said = {
        "query": key.query, "version": key.version, "form": form_of(value), "made": made, "ends": ends,
        "symbols": key.symbols, "timeframe": key.timeframe, "start": key.start, "end": key.end,
    }  # fmt: skip
    head = json.dumps(said).encode()
    head += b" " * (-(HEAD + len(head)) % ALIGNED)
    body = len(head).to_bytes(LENGTH_BYTES, "little") + head
    proof = xxhash.xxh3_128(body)
    proof.update(table)
    digest = proof.digest()
    return digest, [MAGIC + digest + body, table]


def stored(data: bytes) -> Stored:
    """Return what a file says, proven by its digest. Raises `DamagedFileError`."""
    view = memoryview(data)
    digest = bytes(view[len(MAGIC) : BODY])
    if view[: len(MAGIC)] != MAGIC or xxhash.xxh3_128_digest(view[BODY:]) != digest:
        raise DamagedFileError("not what was written")
    head = HEAD + int.from_bytes(view[BODY:HEAD], "little")
    said = json.loads(bytes(view[HEAD:head]))
    told = {name: said[name] for name in ("query", "version", "made", "ends", "form")}
    return Stored(**told, digest=digest, data=view[head:])


def at_once(path: str, flags: int) -> int:
    """Open what may be no file: of a pipe that somebody has put there a read would wait for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def key_in(path: str) -> Key:
    """Return the series and range that a file's head speaks of. Raises `DamagedFileError` and `OSError`."""
    with open(path, "rb", buffering=0, opener=at_once) as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(HEAD)
        length = int.from_bytes(first[BODY:], "little")
        if not first.startswith(MAGIC) or HEAD + length > size:
            raise DamagedFileError("not what was written")
        head = file.read(length)
    try:
        said = json.loads(head)
        symbols = None if said["symbols"] is None else tuple(said["symbols"])
        return Key("", symbols, said["timeframe"], said["start"], said["end"])
    except (ValueError, LookupError, TypeError, InvalidInputError) as error:
        raise DamagedFileError("no head that can be read") from error
