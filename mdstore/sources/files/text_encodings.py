"""Texts that are not UTF-8: which encoding it is, told by a header that is recognised in it alone."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Sequence
from typing import BinaryIO, cast

from mdstore.errors import FileFormatError, Hint, InvalidInputError

__all__ = ["UTF8_MARK", "WIDE", "known_encoding", "not_utf8", "recoded", "text_encoding"]

UTF8_MARK = b"\xef\xbb\xbf"
# By their mark; UTF-16 may lack it, and has a zero beside every letter of a header in English.
UTF32, UTF16 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff"), (b"\xff\xfe", b"\xfe\xff")
UNMARKED = {"utf-16-le": slice(1, 64, 2), "utf-16-be": slice(0, 64, 2)}
WIDE = ("utf-16", "utf-16-le", "utf-16-be", "utf-32")
# Those that are looked for where a text is not UTF-8, and whose they are.
ENCODINGS = {
    "cp949": "Korean", "cp932": "Japanese", "gb18030": "Chinese", "big5": "Chinese, traditional",
    "cp1251": "Russian", "cp1252": "Western Europe", "cp1250": "Polish, Czech", "cp1254": "Turkish",
}  # fmt: skip
SOME = "cp949 (Korean), cp932 (Japanese), gb18030 (Chinese), cp1251 (Russian) or latin1"
HINT = Hint(f"say which it is, as encoding='cp949': {SOME}", f"say which it is, as --encoding cp949: {SOME}")


def known_encoding(encoding: str | None) -> str | None:
    """Return the name of an encoding; raise `InvalidInputError` for one that Python does not know."""
    if encoding is None:
        return None
    try:
        return codecs.lookup(encoding).name
    except LookupError as error:
        raise InvalidInputError(f"{encoding!r} is no encoding of texts", hint=f"known are {SOME}") from error


def not_utf8(name: str) -> FileFormatError:
    """Return the error of a text that is not UTF-8, where nothing tells what it is."""
    return FileFormatError(f"{name}: cannot be read: the text is not UTF-8", hint=HINT)


def text_encoding(head: bytes, name: str, is_header: Callable[[Sequence[str]], bool]) -> str | None:
    """Return the encoding of a text by its first bytes; None for UTF-8.

    `is_header` tells whether a line's cells are recognised. Raises `FileFormatError` where nothing tells.
    """
    if head.startswith(UTF32):
        return "utf-32"
    if head.startswith(UTF16):
        return "utf-16"
    for encoding, zeros in UNMARKED.items():
        if len(head) > 1 and not any(head[zeros]):
            return encoding
    if _decoded(head, "utf-8") is not None:
        return None
    for encoding in ENCODINGS:
        text = _decoded(head, encoding)
        lines = [] if text is None else text.splitlines()[:6]
        if any(not line.isascii() and is_header(_cells(line)) for line in lines):
            return encoding
    raise not_utf8(name)


def recoded(stream: BinaryIO, head: bytes, encoding: str, name: str) -> BinaryIO:
    """Return a stream, whose first bytes were read, as UTF-8."""
    return cast("BinaryIO", _Recoded(stream, head, encoding, name))


class _Recoded(io.RawIOBase):
    """Bytes of another encoding, read as those of UTF-8."""

    def __init__(self, stream: BinaryIO, head: bytes, encoding: str, name: str) -> None:
        super().__init__()
        self._stream, self._head, self._name, self._encoding = stream, head, name, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def read(self, size: int = -1) -> bytes:
        """Return about `size` bytes; none at the end."""
        while True:
            held, self._head = self._head, b""
            more = held or self._stream.read(size)
            try:
                text = self._decoder.decode(more, final=not more)
            except UnicodeError as error:
                raise FileFormatError(f"{self._name}: the text is not {self._encoding}", hint=HINT) from error
            if text or not more:
                return text.encode()


def _decoded(head: bytes, encoding: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeError:
        return None


def _cells(line: str) -> list[str]:
    separator = max(",\t;|", key=line.count)
    return next(csv.reader([line], delimiter=separator), [])
