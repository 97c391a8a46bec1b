"""The lines of a file, gzipped or not: past what is damaged in it, and up to where it was cut off.

A recorder's file is one gzip member a second. Where one is damaged the next is looked for, so that a bad
sector takes a second, not the rest of the hour; and none is given before its checksum is right.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

__all__ = ["Damage", "lines"]

GZIP_MAGIC: Final = b"\x1f\x8b"
MEMBER: Final = b"\x1f\x8b\x08"
GZIP: Final = 31
"""What zlib is told of a stream with gzip's header and checksum."""
BLOCK: Final = 1024**2
HELD: Final = 16 * 1024**2
"""A member that is larger is given before its checksum is known: other recorders write one for all."""
CUT: Final = "it ends before its end-of-stream marker"


class Damage(NamedTuple):
    """Something that cannot be read: why, and whether that is the end of the file, as a crash leaves it."""

    why: str
    is_end: bool


def lines(path: Path) -> Generator[bytes | Damage]:
    """Yield the lines of a file with their ends; the last may have none. Raises `OSError`."""
    with path.open("rb") as file:
        is_packed = file.peek(len(GZIP_MAGIC))[: len(GZIP_MAGIC)] == GZIP_MAGIC
        begun = b""
        for block in _unpacked(file) if is_packed else iter(partial(file.read, BLOCK), b""):
            if isinstance(block, Damage):
                begun = b""  # the line that it broke off
                yield block
                continue
            *whole, begun = (begun + block).split(b"\n")
            for line in whole:
                yield line + b"\n"
        if begun:
            yield begun


def _unpacked(file: BinaryIO) -> Iterator[bytes | Damage]:
    """Yield what the members of a file hold, each once it is known to be sound."""
    packed = _read_on(file, b"")
    while packed:
        begins, held = file.tell() - len(packed), list[bytes]()
        member = zlib.decompressobj(GZIP)
        try:
            while not member.eof:
                packed = packed or file.read(BLOCK)
                if not packed:
                    yield from held
                    yield Damage(CUT, is_end=True)
                    return
                held.append(member.decompress(packed))
                packed = b""
                if sum(map(len, held)) > HELD:
                    yield from held
                    held.clear()
        except zlib.error as error:
            yield Damage(str(error), is_end=False)
            packed = _next_member(file, begins + 1)
        else:
            yield from held
            packed = _read_on(file, member.unused_data)


def _read_on(file: BinaryIO, packed: bytes) -> bytes:
    """Return what comes next; zeros may lie between members, and do where power was cut."""
    while not (packed := packed.lstrip(b"\0")) and (packed := file.read(BLOCK)):
        pass
    return packed


def _next_member(file: BinaryIO, begins: int) -> bytes:
    """Return what begins like a member, at some place or behind it; nothing where nothing does."""
    file.seek(begins)
    found = b""
    while block := file.read(BLOCK):
        found = found[1 - len(MEMBER) :] + block
        if (at := found.find(MEMBER)) >= 0:
            return found[at:]
    return b""
