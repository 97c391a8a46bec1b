"""How long a read of the table takes where nothing of it is in memory, and again where it is.

In a process of its own, since it opens the file to have the system forget what it holds of it:
`python -m mdstore.candles.upkeep.cold_scan FILE`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["Scan", "scan"]

ROWS = 500_000
SCAN = """
SELECT count(*), sum(close) FROM
  (SELECT close FROM candles ORDER BY symbol, timeframe, timestamp LIMIT ?)
"""
Scan = dict[str, float]
"""Milliseconds `cold` and `warm`, and `rows`."""


def scan(path: Path) -> Scan | None:
    """Measure the read of the first rows, by the key; None where the system cannot be told to forget."""
    if not hasattr(os, "posix_fadvise"):
        return None
    command = [sys.executable, "-m", __name__, os.fspath(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if done.returncode:
        return None
    found: Scan = json.loads(done.stdout)
    return found


def _main(path: str) -> None:
    import apsw  # noqa: PLC0415 - only the process that scans needs it

    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)  # what is not on the disk yet is not forgotten
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)
    times = []
    for _ in range(2):
        con = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
        con.pragma("query_only", 1)
        began = time.perf_counter()
        rows, _ = con.execute(SCAN, (ROWS,)).fetchone() or (0, 0)
        times.append((time.perf_counter() - began) * 1000)
        con.close()
    print(json.dumps({"cold": times[0], "warm": times[1], "rows": rows}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
