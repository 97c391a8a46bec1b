"""Damaged files read in a process of their own: it ends as it should, however often that is tried."""

import gzip
import io

import polars as pl
import pytest

from tests.support.candles import walk
from tests.support.doses import dose

# Cut inside its last line: the reader that pyarrow has for streams left a thread alive, and one process in
# two to ten ended by `terminate called without an active exception`, exit code 134.
SCRIPT = """
import sys
import mdstore
from tests.support.doses import dose
from mdstore.sources.files import read
try:
    for part in read(sys.argv[1]):
        for frame in part.frames:
            pass
except mdstore.FileFormatError as error:
    print(error)
"""


def ragged():
    frame = walk(60_000).with_columns(timestamp=pl.col("timestamp").to_physical())
    return frame.write_csv().encode()[:-30]


def parquet():
    made = io.BytesIO()
    walk(60_000).write_parquet(made, row_group_size=10_000)
    data = bytearray(made.getvalue())
    data[4:2_004] = bytes(2_000)  # where the first page begins
    return bytes(data)


def feather():
    made = io.BytesIO()
    walk(60_000).write_ipc(made, compression="lz4")
    data = bytearray(made.getvalue())
    data[len(data) // 2 : len(data) // 2 + 2_000] = b"\xff" * 2_000
    return bytes(data)


FILES = {
    "A-1m.csv": ragged,
    "A-1m.csv.gz": lambda: gzip.compress(ragged(), 1),
    "A-1m.parquet": parquet,
    "A-1m.feather": feather,
    "A-1m.json": ragged,
}


def ends_well(python, path, times):
    for _ in range(times):
        done = python(SCRIPT, path, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"{path.name}: cannot be read" in done.stdout


@pytest.mark.variants(2)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_ends_no_process(tmp_path, python, name):
    (tmp_path / name).write_bytes(FILES[name]())
    ends_well(python, tmp_path / name, dose(3))


@pytest.mark.long
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_ends_no_process_eighty_times(tmp_path, python, name):
    (tmp_path / name).write_bytes(FILES[name]())
    ends_well(python, tmp_path / name, 80)
