"""The scanner process, from the side that asks: started on first need, reused, restarted when it dies.

The process is started with `subprocess`, neither forked (DuckDB's threads would not survive) nor through
`multiprocessing` (which would run a script without a `__main__` guard again).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from mdstore.errors import Hint, ScannerError, StoreClosedError

__all__ = ["Scanner"]

MODULE = "mdstore.candles.file.scanner_process"
IDLE_SECONDS = 300.0
SHORT_OF_MEMORY = "it may be short of memory; read less at a time"
PIPE_BYTES = 1 << 20  # Linux's limit for everyone; 64 KiB, the default, costs a switch each 1,300 rows
QUIT_SECONDS = 5.0
WAKE_MS = 100


class _DiedError(Exception):
    """The process ended, or was ended, in the middle of a request."""


class Scanner:
    """A scanner process for one store file, and the lock that lets one request through at a time."""

    def __init__(self, file: Path, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._file = file
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._closed = False
        self._hang_up: weakref.finalize[..., Scanner] | None = None

    @property
    def running(self) -> bool:
        """Whether a process is there to answer without being started."""
        process = self._process
        return process is not None and self._owner == os.getpid() and process.poll() is None

    def scan(self, view: str) -> pa.Table:
        """Return all rows of a SQLite view, of one snapshot. Raises `ScannerError`."""
        return self._ask({"scan": view})

    def close(self) -> None:
        """End the process and wait for it; nothing is answered any more."""
        if self._owner != os.getpid():
            self._forget()
        with self._lock:
            self._closed = True
            self._end()

    def _ask(self, request: dict[str, Any]) -> pa.Table:
        if self._owner != os.getpid():
            self._forget()
        with self._lock:
            try:
                return self._try(request)
            except _DiedError:
                # Killed, out of memory, or idle just now: the read has changed nothing, so once more.
                return self._try_last(request)

    def _try_last(self, request: dict[str, Any]) -> pa.Table:
        try:
            return self._try(request)
        except _DiedError as error:
            raise ScannerError(
                f"the scanner process for {self._file.name} died twice on the same read ({error})",
                hint=Hint(
                    f"{SHORT_OF_MEMORY} (start=, end=, columns=)", f"{SHORT_OF_MEMORY} (--start, --end)"
                ),
            ) from error

    def _try(self, request: dict[str, Any]) -> pa.Table:
        try:
            process = self._started()
        except OSError as error:
            raise ScannerError(f"the scanner process cannot be started: {error}") from error
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - pipes; for mypy
        done = False
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            _wait(process.stdout)
            answer = _line(process)
            result = _read_table(process.stdout) if "error" not in answer else None
            if "rows" in answer:
                answer = _line(process)
            done = answer.get("error") != "start"
            if "error" in answer:
                raise ScannerError(f"DuckDB's sqlite scanner failed: {answer['message']}")
            assert result is not None  # noqa: S101 - only an error comes without one; for mypy
        except (OSError, pa.ArrowInvalid, EOFError) as error:
            raise _DiedError(_status(process)) from error
        finally:
            if not done:
                # Also after Ctrl-C: half an answer is still in the pipe, and nobody will want it.
                self._end(kill=True)
        return result

    def _started(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise StoreClosedError(f"the store {self._file.name} is closed: use it inside its `with` block")
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        if not sys.executable:
            raise ScannerError(
                "no Python executable is known (sys.executable is empty) to start the scanner with"
            )
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        process = self._process = subprocess.Popen(  # noqa: S603 - our own module, by the interpreter that runs us
            # -P: the caller's folder must not shadow a module of ours or of DuckDB's.
            [
                sys.executable,
                "-P",
                "-m",
                "mdstore.candles.file.scanner_process",
                str(self._file),
                str(self._idle_seconds),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            cwd=self._file.parent,  # its own may be gone, and DuckDB aborts in such a one
            start_new_session=True,  # a terminal's Ctrl-C is not for it
        )
        _widen(process.stdout)
        # Reaps it whenever it ends by itself, so that idleness leaves no zombie.
        threading.Thread(target=process.wait, name="mdstore-scanner-wait", daemon=True).start()
        # Where the store is dropped without being closed, the end of its input ends the process.
        self._hang_up = weakref.finalize(self, _hang_up, process)
        return process

    def _end(self, *, kill: bool = False) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if self._hang_up is not None:
            self._hang_up.detach()
        if kill:
            process.kill()
        _hang_up(process)
        try:
            process.wait(QUIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _forget(self) -> None:
        """After a fork: the process is the parent's; drop this side's copies of its pipes."""
        process, self._process = self._process, None
        self._lock, self._owner = threading.Lock(), os.getpid()
        if process is not None:
            with open(os.devnull, "r+b") as null:
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        # Closing would flush what the parent had not yet sent; this only lets go.
                        os.dup2(null.fileno(), pipe.fileno())
            process.returncode = 0  # not ours to wait for, and no warning about it


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _read_table(pipe: IO[bytes]) -> pa.Table:
    with pa.ipc.open_stream(pa.PythonFile(pipe, mode="r")) as stream:
        return stream.read_all()


def _wait(pipe: IO[bytes]) -> None:
    """Wait for an answer, waking up to notice Ctrl-C: the signal may interrupt another thread's call."""
    poll = select.poll()  # select() cannot watch descriptors above 1,023
    poll.register(pipe, select.POLLIN)
    while not poll.poll(WAKE_MS):
        pass


def _line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    line = process.stdout.readline() if process.stdout is not None else b""
    if not line.endswith(b"\n"):
        raise _DiedError(_status(process))
    answer: dict[str, Any] = json.loads(line)
    return answer


def _status(process: subprocess.Popen[bytes]) -> str:
    try:
        return f"exit status {process.wait(1.0)}"
    except subprocess.TimeoutExpired:
        return "it stopped answering"


def _widen(pipe: IO[bytes] | None) -> None:
    if pipe is not None and sys.platform == "linux":
        import fcntl  # noqa: PLC0415 - POSIX only

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
