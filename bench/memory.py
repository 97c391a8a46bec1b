"""A fresh process that writes rows and says what it took: `python -m bench.memory STORE ROWS.arrow WAY`.

The base is the peak after the imports and a small write and read, so that it holds every library's own
memory; what comes on top is the write's, with the rows that wait for their pack. `frame` reads all rows into
a frame first, which is the caller's memory and counted here too; `batches` hands over a reader that never
holds more than a batch.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa

import mdstore
from bench import candles

__all__ = ["main"]

STATUS = Path("/proc/self/status")
PER_MB = 1 << 20 if sys.platform == "darwin" else 1 << 10  # macOS counts bytes, others KiB


def peak_mb() -> float:
    """Return the most memory this process has held so far."""
    if STATUS.exists():
        # Linux's ru_maxrss begins with the parent's peak, which the child was forked with.
        lines = (line.split() for line in STATUS.read_text().splitlines())
        return next(int(words[1]) for words in lines if words[0] == "VmHWM:") / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PER_MB


def main() -> None:
    """Write, and print the base and the peak as JSON."""
    store_path, rows_path, way = sys.argv[1:]
    with mdstore.open(store_path) as store:
        store.write("WARM", "1m", candles.frame(1_000, seed=0))
        store.candles("WARM", "1m")
        base = peak_mb()
        if way == "frame":
            result = store.write("A", "1m", pl.read_ipc(rows_path))
        else:
            with pa.OSFile(rows_path) as file, pa.ipc.open_file(file) as batches:
                result = store.write(
                    "A", "1m", (batches.get_batch(i) for i in range(batches.num_record_batches))
                )
        print(json.dumps({"base_mb": base, "peak_mb": peak_mb(), "inserted": result.inserted}))


if __name__ == "__main__":
    main()
