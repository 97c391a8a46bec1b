"""Candle files in and out: CSV, TSV, JSON, Parquet, Feather and Arrow, gzipped or zipped.

`read` gives what a file holds as parts with bounded frames that `store.write` and `store.write_many` take;
`write` makes a file of a frame of candles. No number loses a bit on the way.
"""

from mdstore.sources.files.file_names import guess
from mdstore.sources.files.formats import READABLE
from mdstore.sources.files.opening import candle_files, other_files, stem
from mdstore.sources.files.reading import NoRowsError, Part, read
from mdstore.sources.files.writing import WRITABLE, write, write_to

__all__ = [
    "READABLE",
    "WRITABLE",
    "NoRowsError",
    "Part",
    "candle_files",
    "guess",
    "other_files",
    "read",
    "stem",
    "write",
    "write_to",
]
