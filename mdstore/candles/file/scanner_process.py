"""The scanner process: DuckDB and its SQLite live here, never beside the store's own.

Started as `python -m mdstore.candles.file.scanner_process FILE IDLE`. Requests come on standard input, one
JSON object a line. An answer is a line of JSON; rows follow it as an Arrow IPC stream and one more line,
which says whether they are all. The process reads only, and ends at the end of its input or after `IDLE`
seconds without a request.

The one request is `{"scan": view}`, for the rows of a SQLite view.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa

__all__ = ["main"]

EXTENSION = "extensions/v{version}/sqlite_scanner.duckdb_extension"
ROWS_PER_BATCH = 8_192  # small, so that the asking side takes rows while the scan goes on
SETTINGS = (
    # Several threads each open the file by themselves, and so see several snapshots.
    "SET sqlite_disable_multithreaded_scans = true",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
)


def main() -> None:
    """Serve requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    file, idle = sys.argv[1], float(sys.argv[2])
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=1 << 20)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not garble an answer
    try:
        connection = _connect()
    except duckdb.Error as error:
        _say(answers, {"error": "start", "message": str(error)})
        return
    while line := _next_line(idle):
        try:
            _answer(connection, file, json.loads(line), answers)
        except BrokenPipeError:
            return


def _next_line(idle: float) -> bytes:
    ready, _, _ = select.select([sys.stdin.buffer], [], [], idle)
    return sys.stdin.buffer.readline() if ready else b""


def _connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    load_scanner(connection)
    for setting in SETTINGS:
        connection.execute(setting)
    return connection


def load_scanner(connection: duckdb.DuckDBPyConnection) -> None:
    """Load the extension from its wheel; where there is none for the platform, let DuckDB fetch its own."""
    spec = find_spec("duckdb_extension_sqlite_scanner")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / EXTENSION.format(version=duckdb.__version__)
        if path.exists():
            connection.load_extension(str(path))
            return
    connection.execute("INSTALL sqlite")
    connection.execute("LOAD sqlite")


def _answer(
    connection: duckdb.DuckDBPyConnection, file: str, request: dict[str, Any], answers: IO[bytes]
) -> None:
    try:
        result = connection.execute("SELECT * FROM sqlite_scan(?, ?)", [file, request["scan"]])
        _send(answers, result.to_arrow_reader(ROWS_PER_BATCH))
    except duckdb.Error as error:
        _say(answers, {"error": "scan", "message": str(error)})


def _send(answers: IO[bytes], reader: pa.RecordBatchReader) -> None:
    """Send rows as they come; an error on the way comes in the line after them."""
    _say(answers, {"rows": True})
    with pa.ipc.new_stream(answers, reader.schema) as stream:
        while (batch := _next_batch(reader)) is not None:
            stream.write_batch(batch)
    _say(answers, {"complete": True})


def _next_batch(reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
    try:
        return next(reader, None)
    except (OSError, pa.ArrowException) as error:  # what Arrow makes of an error of DuckDB's
        raise duckdb.IOException(str(error)) from error


def _say(answers: IO[bytes], line: dict[str, Any]) -> None:
    answers.write(json.dumps(line).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
