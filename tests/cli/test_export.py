"""`mdstore export`: files that hold the same to the last bit."""

import json

import polars as pl
import pytest

import mdstore


@pytest.mark.parametrize("suffix", ["csv", "tsv.gz", "json", "ndjson", "parquet", "feather", "arrow"])
def test_export_and_import_are_exact(filled, tmp_path, suffix):
    filled("export", f"out.{suffix}", "-t", "1m")
    done = filled("-f", "other.sqlite3", "import", f"out.{suffix}", "--json")
    assert json.loads(done.stdout)["totals"]["inserted"] == 500
    with (
        mdstore.open(tmp_path / "market_data.sqlite3") as one,
        mdstore.open(tmp_path / "other.sqlite3") as other,
    ):
        assert one.candles(None, "1m").rows() == other.candles(None, "1m").rows()


def test_export_takes_symbols_and_ranges(filled, tmp_path):
    filled("export", "x.parquet", "KRW-ETH", "--start", "2025-09-01T00:10", "--end", "2025-09-01T00:15")
    frame = pl.read_parquet(tmp_path / "x.parquet")
    assert frame.columns == ["symbol", "timeframe", "timestamp", "open", "high", "low", "close", "volume"]
    assert frame["symbol"].to_list() == ["KRW-ETH"] * 5


def test_a_whole_store_goes_into_one_file_and_back(filled, tmp_path, store_of):
    filled("export", "all.csv.gz")
    done = filled("-f", "other.sqlite3", "import", "all.csv.gz", "--json")
    assert json.loads(done.stdout)["totals"]["inserted"] == 524
    with store_of() as one, mdstore.open(tmp_path / "other.sqlite3") as other:
        assert list(one) == list(other)
        for symbol, timeframe in one:
            assert one.candles(symbol, timeframe).equals(other.candles(symbol, timeframe))


def test_the_timeframe_may_be_the_last_of_the_symbols(filled, tmp_path):
    filled("export", "x.parquet", "KRW-BTC", "1h")
    assert pl.read_parquet(tmp_path / "x.parquet")["timeframe"].to_list() == ["1h"] * 24
    filled("export", "x.parquet", "KRW-BTC", "KRW-ETH", "--force")
    counts = pl.read_parquet(tmp_path / "x.parquet").group_by("symbol", "timeframe").len().sort("len").rows()
    assert counts == [("KRW-BTC", "1h", 24), ("KRW-ETH", "1m", 200), ("KRW-BTC", "1m", 300)]
    assert "no candles of KRW-BTX in" in filled("export", "y.csv", "KRW-BTX", code=1).stderr
    assert "no candles of KRW-BTX in" in filled("export", "y.csv", "KRW-BTC", "KRW-BTX", code=1).stderr


def test_bars_that_have_not_ended_are_left_out_where_asked(filled, tmp_path, store_of):
    with store_of() as store:
        store.delete("KRW-BTC", "1h", start="2025-09-01T23:00")
    filled("export", "open.csv", "-t", "2h", "--from", "1h")
    refused = filled("-f", "other.sqlite3", "import", "open.csv", code=1).stderr
    assert "bars that have not ended" in refused
    assert "export with --closed" in refused
    filled("export", "closed.csv", "-t", "2h", "--from", "1h", "--closed")
    done = filled("-f", "other.sqlite3", "import", "closed.csv", "--json")
    assert json.loads(done.stdout)["totals"]["inserted"] == 11


def test_export_does_not_replace_unless_forced(filled, tmp_path):
    (tmp_path / "x.csv").write_text("precious")
    assert "--force" in filled("export", "x.csv", "-t", "1m", code=1).stderr
    assert (tmp_path / "x.csv").read_text() == "precious"
    assert json.loads(filled("export", "x.csv", "-t", "1m", "--force", "--json").stdout) == {
        "file": "x.csv",
        "rows": 500,
    }


def test_export_where_there_is_no_folder(filled):
    done = filled("export", "no/where/x.csv", "-t", "1m", code=1)
    assert done.stderr == "error: no/where/x.csv: No such file or directory\n"
    assert "cannot write this format" in filled("export", "x.xlsx", "-t", "1m", code=1).stderr


def test_show_and_export_put_bars_together(filled, tmp_path):
    rows = json.loads(filled("show", "KRW-BTC", "2h", "--from", "1h", "--json", "-n", "100").stdout)
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        expected = store.resample("KRW-BTC", "2h", source="1h")
    assert [row["close"] for row in rows] == expected["close"].to_list()
    assert rows[-1]["closed"] is True
    assert "closed" not in filled("show", "KRW-BTC", "2h", "--from", "1h", "--no-chart").stdout
    assert "closed" in filled("show", "KRW-BTC", "5h", "--from", "1h", "--no-chart").stdout
    assert "with --from '1h'" in filled("show", "KRW-BTC", "2h", code=1).stderr
    filled("export", "days.csv", "-t", "1d", "--from", "1h", "--tz", "Asia/Seoul")
    assert ",2025-09-01T00:00:00+09:00," in (tmp_path / "days.csv").read_text()
    assert "say which, such as 1h" in filled("show", "KRW-BTC", "--from", "1m", code=1).stderr
    assert (
        "tz is for derived bars. Hint: name the stored timeframe, e.g. --from 1m"
        in filled("export", "x.csv", "-t", "1h", "--tz", "Asia/Seoul", code=1).stderr
    )
    assert "derive it from" in filled("show", "KRW-BTC", "7m", "--from", "1h", code=1).stderr
    assert "Asia/Seoul" in filled("show", "KRW-BTC", "1d", "--from", "1h", "--tz", "Asia/Soul", code=1).stderr
