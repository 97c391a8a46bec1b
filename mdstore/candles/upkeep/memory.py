"""What the memory of this process is taken by, as far as its parts can tell."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import apsw
import pyarrow as pa

__all__ = ["memory"]

RESIDENT = 1
"""The place of the resident pages in `/proc/self/statm` (man 5 proc)."""
KIB = 1024


def memory(*, tier: int, duckdb: int) -> dict[str, int]:
    """Return bytes by part: answers kept assembled, SQLite, Arrow, DuckDB, and all of the process.

    SQLite's and Arrow's are those of all stores of the process. What is mapped of packs belongs to the
    system; as far as it is in memory it is part of `process`.
    """
    return {
        "tier": tier,
        "sqlite": apsw.status(apsw.SQLITE_STATUS_MEMORY_USED)[0],
        "arrow": pa.total_allocated_bytes(),
        "duckdb": duckdb,
        "process": _resident(),
    }


def _resident() -> int:
    """Return the bytes in memory now; where the system does not say so, the most there ever were."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[RESIDENT])
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * KIB
    return pages * os.sysconf("SC_PAGE_SIZE")
