"""Formats of files by their suffixes.

To add one: a row here, what reads it in `READERS` of `reading`, what writes it in `WRITERS` of `writing`.
"""

from __future__ import annotations

__all__ = ["FORMATS", "PACKED", "READABLE", "WALKED"]

FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".prn": "csv",
    ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson",
    ".parquet": "parquet", ".pq": "parquet",
    ".feather": "arrow", ".arrow": "arrow", ".ipc": "arrow",
    ".xlsx": "excel",
}  # fmt: skip
PACKED = (".gz", ".zip")
READABLE = (*FORMATS, *PACKED)
# Folders and zip files are walked for what is surely meant as data; a .txt in it is more often a note.
WALKED = tuple(suffix for suffix in READABLE if suffix not in (".txt", ".prn"))
