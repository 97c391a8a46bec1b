"""The scanner process: DuckDB and its SQLite live here, never beside the store's own.

Started as `python -m mdstore.candles.worker FILE IDLE`. Requests come on standard input, one JSON object a
line. An answer is a line of JSON; rows follow it as an Arrow IPC stream and one more line, which says
whether they are all. The process reads only, and ends at the end of its input or after `IDLE` seconds
without a request.

Requests: `{"scan": view}` gives the rows of a SQLite view; `{"sql": query, "candles": view or null, "once":
bool}` runs DuckDB SQL with the table `candles` taken from the view, read but once if so, or from the whole
file; `{"where": query}` says what such a query wants of the candles.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa

from mdstore.candles.pushdown import wanted

__all__ = ["main"]

EXTENSION = "extensions/v{version}/sqlite_scanner.duckdb_extension"
ROWS_PER_BATCH = 8_192  # small, so that the asking side takes rows while the scan goes on
SETTINGS = (
    # Several threads each open the file by themselves, and so see several snapshots.
    "SET sqlite_disable_multithreaded_scans = true",
    "SET TimeZone = 'UTC'",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
)
# The conditions are always true: they make the scanner ask for a column, where `count(*)` asks for none and
# would be given the ROWID, which these tables lack.
TABLES = {
    "candles": "SELECT symbol, timeframe, epoch_ms(timestamp)::TIMESTAMPTZ AS timestamp, "
    "open, high, low, close, volume FROM {source} WHERE timestamp IS NOT NULL",
    "series": "SELECT symbol, timeframe, epoch_ms(first)::TIMESTAMPTZ AS first, "
    "epoch_ms(last)::TIMESTAMPTZ AS last, rows, revision FROM {source} WHERE revision IS NOT NULL",
    "quarantine": "SELECT id, epoch_ms(quarantined_at)::TIMESTAMPTZ AS quarantined_at, symbol, timeframe, "
    'row, "column", rule, value, record FROM {source}',
}


class _RefusedError(Exception):
    """A query that is wrong or would write; the text is for the user."""


def main() -> None:
    """Serve requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    file, idle = sys.argv[1], float(sys.argv[2])
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=1 << 20)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not garble an answer
    try:
        connection = _connect(file)
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


def _connect(file: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"temp_directory": _spill_folder()})
    load_scanner(connection)
    for setting in SETTINGS:
        connection.execute(setting)
    connection.execute(f"ATTACH {_text(file)} AS file (TYPE sqlite, READ_ONLY)")
    return connection


def _spill_folder() -> str:
    """Return where large queries spill to: a folder of this user's own, made when it is needed."""
    return str(Path(tempfile.gettempdir()) / f"mdstore-duckdb-{os.getuid()}")


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
        if "where" in request:
            _say(answers, {"wanted": _wanted(connection, request["where"])})
        elif "scan" in request:
            result = connection.execute("SELECT * FROM sqlite_scan(?, ?)", [file, request["scan"]])
            _send(answers, result.to_arrow_reader(ROWS_PER_BATCH))
        else:
            _send_sql(connection, file, request, answers)
    except _RefusedError as error:
        _say(answers, {"error": "query", "message": str(error)})
    except (RecursionError, UnicodeError) as error:
        _say(answers, {"error": "query", "message": f"the query cannot be read: {error}"})
    except duckdb.Error as error:
        kind = "scan" if "scan" in request else "query"
        _say(answers, {"error": kind, "message": str(error)})


def _send_sql(
    connection: duckdb.DuckDBPyConnection, file: str, request: dict[str, Any], answers: IO[bytes]
) -> None:
    """Run a query over the tables, all of one snapshot: one transaction of the attached file."""
    _refuse_writing(connection, request["sql"])
    connection.execute("BEGIN")
    try:
        for table, select_ in TABLES.items():
            scanned = table == "candles" and request["candles"] is not None
            source = (
                f"sqlite_scan({_text(file)}, {_text(request['candles'])})" if scanned else f"file.{table}"
            )
            # Every scan of a view is a snapshot of its own: candles named twice are read once, and kept.
            kind = "TABLE" if scanned and request["once"] else "VIEW"
            connection.execute(f"CREATE TEMP {kind} {table} AS {select_.format(source=source)}")
        # Whole before it is sent: an error that streaming meets half way comes as "Interrupted!", or not.
        table = connection.execute(request["sql"]).to_arrow_table()
        _send(answers, table.to_reader())
    finally:
        connection.execute("ROLLBACK")


def _refuse_writing(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise _RefusedError(f"one statement at a time, this has {len(statements)}")
    # DuckDB's own parser tells what would write, attach or set. EXPLAIN is out, too: it can run a COPY.
    if statements[0].type != duckdb.StatementType.SELECT:
        raise _RefusedError(
            f"store.sql only reads, and this is {statements[0].type.name}. "
            "Hint: store.write and store.delete change candles"
        )


def _wanted(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any] | None:
    """Return the bounds a query puts on the candles; none where it is too deep to be looked through."""
    try:
        row = connection.execute("SELECT json_serialize_sql(?)", [query]).fetchone()
        return wanted(json.loads(row[0])) if row else None
    except (duckdb.Error, RecursionError, UnicodeError):
        return None


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


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


if __name__ == "__main__":
    main()
