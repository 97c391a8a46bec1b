"""The raw technique for bulk reads: DuckDB's `sqlite_scan` of a ready view, in a process of its own.

DuckDB brings its own SQLite, which must never be in a process that has the file open with another one; so
the raw side is a child, `python -m bench.raw_scan FILE`. It is asked by lines of JSON, times itself from
the query to the Arrow table, and sends back seconds alone: no transport is in them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import polars as pl
import pyarrow as pa

from mdstore.candles.file.scanner_process import SETTINGS, load_scanner

__all__ = ["RawScan"]

ROOT = Path(__file__).resolve().parents[1]


class RawScan:
    """A child process that scans views of one file."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-m", "bench.raw_scan", str(path)]
        self._child = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.communicate()

    def seconds(self, view: str) -> float:
        """Scan a view into an Arrow table, and return how long that took."""
        return float(self._ask({"view": view, "save": None}))

    def rows(self, view: str, folder: Path) -> pl.DataFrame:
        """Return what the scan gives, to verify it."""
        file = folder / "raw.arrow"
        self._ask({"view": view, "save": str(file)})
        with pa.OSFile(str(file)) as source:
            answer = pl.from_arrow(pa.ipc.open_file(source).read_all())
        file.unlink()
        assert isinstance(answer, pl.DataFrame)
        return answer

    def _ask(self, request: dict[str, str | None]) -> str:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(json.dumps(request), file=self._child.stdin, flush=True)
        return self._child.stdout.readline()


def main() -> None:
    """Answer requests until there are no more."""
    con = duckdb.connect()
    load_scanner(con)
    for setting in SETTINGS:
        con.execute(setting)
    for line in sys.stdin:
        request = json.loads(line)
        start = time.perf_counter()
        table = con.execute(
            "SELECT * FROM sqlite_scan(?, ?)", [sys.argv[1], request["view"]]
        ).to_arrow_table()
        seconds = time.perf_counter() - start
        if request["save"]:
            with pa.OSFile(request["save"], "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
        print(seconds, flush=True)


if __name__ == "__main__":
    main()
