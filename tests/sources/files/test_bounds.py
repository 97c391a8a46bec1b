"""What is read is read in bounded memory, or refused beyond a size that is said."""

import gzip
import io
import json
from unittest.mock import patch

import polars as pl
import pytest

from mdstore.errors import FileFormatError
from mdstore.sources.files import csv as csv_files
from mdstore.sources.files import json as json_files
from mdstore.sources.files import parquet_arrow, read
from tests.support.candles import walk

BARS = 3_000


def rows_of(path):
    return pl.concat(frame for part in read(path) for frame in part.frames)


def test_a_json_document_beyond_a_size_is_refused_and_the_hint_leads_on(tmp_path):
    rows = walk(BARS).with_columns(timestamp=pl.col("timestamp").to_physical()).to_dicts()
    (tmp_path / "A-1m.json").write_text(json.dumps(rows))
    (tmp_path / "A-1m.ndjson").write_text("\n".join(map(json.dumps, rows)))
    with patch.object(json_files, "MOST_DOCUMENT", 1 << 16):
        with pytest.raises(FileFormatError, match=r"more than 0 MB. Hint: write one row a line, as .ndjson"):
            rows_of(tmp_path / "A-1m.json")
        assert len(rows_of(tmp_path / "A-1m.ndjson")) == BARS
    assert len(rows_of(tmp_path / "A-1m.json")) == BARS


def test_ndjson_comes_in_bounded_pieces(tmp_path):
    rows = walk(BARS).with_columns(timestamp=pl.col("timestamp").to_physical()).to_dicts()
    (tmp_path / "A-1m.ndjson").write_text("\n".join(map(json.dumps, rows)))
    with patch.object(json_files, "CHUNK", 1_000):
        (sizes,) = ([len(frame) for frame in part.frames] for part in read(tmp_path / "A-1m.ndjson"))
    assert sizes == [1_000, 1_000, 1_000]


@pytest.mark.parametrize("name", ["A-1m.parquet.gz", "A-1m.feather.gz"])
def test_a_packed_file_is_unpacked_to_disk_beyond_a_size(tmp_path, name):
    made = io.BytesIO()
    walk(BARS).write_parquet(made) if "parquet" in name else walk(BARS).write_ipc(made)
    (tmp_path / name).write_bytes(gzip.compress(made.getvalue()))
    rolled = []
    really = parquet_arrow.tempfile.SpooledTemporaryFile.rollover

    def rollover(file):
        rolled.append(file)
        return really(file)

    with (
        patch.object(parquet_arrow, "MOST_IN_MEMORY", 1_000),
        patch.object(parquet_arrow.tempfile.SpooledTemporaryFile, "rollover", rollover),
    ):
        assert rows_of(tmp_path / name).select("open").equals(walk(BARS).select("open"))
    assert rolled


@pytest.mark.parametrize("block", [256, 1_000, 4_096])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_pieces_of_a_csv_file_end_where_lines_do(tmp_path, block, end):
    text = walk(BARS).with_columns(timestamp=pl.col("timestamp").to_physical()).write_csv()
    (tmp_path / "A-1m.csv").write_bytes(text.replace("\n", end).encode())
    with patch.object(csv_files, "BLOCK", block), patch.object(csv_files, "HEAD", 512):
        frame = rows_of(tmp_path / "A-1m.csv")
    assert frame["timestamp"].cast(pl.Int64).equals(walk(BARS)["timestamp"].to_physical())
    assert frame["close"].cast(pl.Float64).equals(walk(BARS)["close"])
