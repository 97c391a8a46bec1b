"""Results for programs: frames and values as JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Any

import polars as pl

__all__ = ["json_text", "records"]


def json_text(value: Any) -> str:
    """Write JSON. A list has one item a line; floats have all their digits."""
    escaped = not (sys.stdout.encoding or "").lower().startswith("utf")
    if isinstance(value, list):
        return "[" + ",\n ".join(json.dumps(_plain(item), ensure_ascii=escaped) for item in value) + "]"
    return json.dumps(_plain(value), ensure_ascii=escaped)


def records(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as values that JSON has."""
    return [{name: _plain(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]


def _plain(value: Any) -> Any:
    """Turn a value into one that JSON has: a time into ISO 8601, NaN and infinity into null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | None) else str(value)
