"""The command line as users meet it: in a process of its own, with files, in terminals of any width."""

import os
import re
import subprocess
import sys
import time

import pytest

HEADER = "timestamp,open,high,low,close,volume\n"
# What the environment may hold that would change what is tested; xdist sets COLUMNS.
FOREIGN = ("MDSTORE_FILE", "COLUMNS")
ROW = "2025-09-01T00:0{}:00,1,2,0.5,1.5,10\n"
WIDTHS = [40, 60, 80, 120, 200]


def mdstore_process(folder, *arguments, **options):
    """Start the command line as a user does: in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return subprocess.Popen(
        [sys.executable, "-m", "mdstore", *map(str, arguments)], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **options,
    )  # fmt: skip


def finished(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def candles_file(folder, name="KRW-BTC-1m.csv", rows=5):
    path = folder / name
    path.write_text(HEADER + "".join(ROW.format(i) for i in range(rows)))
    return path


def wait_until_wal_grows(path, size=2_000_000, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if path.exists() and path.stat().st_size > size:
            return
        time.sleep(0.01)
    pytest.fail(f"{path.name} never grew to {size} bytes")


def in_widths(monkeypatch):
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        yield width


def strip_of(out, symbol, timeframe="1m"):
    return re.search(rf"^{symbol} +{timeframe} .*?  (\S*)$", out, re.MULTILINE)[1]
