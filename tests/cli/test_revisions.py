"""`mdstore revisions`, and the bars as they were known before: `--as-of`, `--fill`."""

import json
import re

import polars as pl
import pytest

import mdstore
from tests.support.candles import walk
from tests.support.command_line import in_widths


@pytest.fixture
def corrected(cli, tmp_path):
    """As `cli`, with two bars that were corrected an hour after they had been stored; `.then` is between."""
    clock = [1_756_700_000.0]
    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=lambda: clock[0]) as store:
        rows = [(f"2025-09-01T00:0{at}", 150_700_000, 150_803_000, 150_640_000, 150_700_000, 1.5)
                for at in (0, 1, 2, 5)]  # fmt: skip
        store.write("KRW-BTC", "1m", rows, source="bot")
        clock[0] += 3600
        changed = [
            (rows[0][0], 150_700_000, 150_900_000, 150_640_000, 150_700_000, 1.53125),
            (rows[1][0], 150_700_000, 150_803_000, 150_640_000, 150_700_000, 1.5000000000000002),
            ("2025-09-01T00:06", 1, 1, 1, 1, 1),
        ]
        store.write("KRW-BTC", "1m", changed, source="upbit")
        store.write("KRW-ETH", "1m", walk(3))
    cli.then = "2025-09-01T04:30"
    return cli


def test_changes_are_told_value_by_value(corrected):
    done = corrected("revisions")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[1] == [
        "KRW-BTC", "1m", "2025-09-01", "00:00", "2025-09-01", "05:13:20", "high", "150,803,000",
        "150,900,000", "upbit",
    ]  # fmt: skip
    assert lines[2] == ["volume", "1.50000", "1.53125"]
    assert lines[3][-4:] == ["volume", "1.5", "1.5000000000000002", "upbit"]
    assert "2 changes" in done.stderr
    assert corrected("revisions", "KRW-BTC", "1m").stdout.split()[:2] == ["bar", "changed_at"]
    few = corrected("revisions", "-n", "1")
    assert "150,900,000" not in few.stdout
    assert "the latest 1 of 2 changes; --rows shows more, --json all" in few.stderr
    rows = json.loads(corrected("revisions", "--json", "--end", "2025-09-01T00:01").stdout)
    assert [(row["timestamp"], row["high"], row["new_high"]) for row in rows] == [
        ("2025-09-01T00:00:00+00:00", 150_803_000.0, 150_900_000.0)
    ]
    assert "no bar has changed" in corrected("revisions", "KRW-ETH").stdout
    assert "no bar in this range" in corrected("revisions", "--start", "2025-09-02").stdout
    given = corrected("revisions", "KRW-BTC", "-t", "1m").stdout
    assert given == corrected("revisions", "KRW-BTC", "1m").stdout
    assert "given twice" in corrected("revisions", "KRW-BTC", "1m", "-t", "1m", code=2).output


def test_changes_fit_any_width(corrected, monkeypatch):
    for width in in_widths(monkeypatch):
        out = corrected("revisions", "--end", "2025-09-01T00:01").stdout
        assert re.search(r"2025-09-01 00:00 .*high +150,803,000 +150,900,000", out)
        assert max(map(len, out.splitlines()[:3])) <= max(width, 52)


def test_show_and_export_as_it_was_known(corrected, tmp_path):
    now = json.loads(corrected("show", "KRW-BTC", "--json").stdout)
    then = json.loads(corrected("show", "KRW-BTC", "--json", "--as-of", corrected.then).stdout)
    assert (now[0]["high"], then[0]["high"]) == (150_900_000, 150_803_000)
    assert (len(now), len(then)) == (5, 4)
    corrected("export", "then.parquet", "KRW-BTC", "--as-of", corrected.then)
    assert pl.read_parquet(tmp_path / "then.parquet")["volume"].to_list() == [1.5] * 4
    early = corrected("show", "KRW-BTC", "--as-of", "2025-01-01").stdout
    assert "were known as of 2025-01-01; stored are 2025-09-01 00:00" in early
    assert "as of: 'soon'" in corrected("show", "KRW-BTC", "--as-of", "soon", code=1).stderr


def test_show_and_export_fill_what_is_missing(corrected, tmp_path):
    flat = corrected("show", "KRW-BTC", "--fill", "flat").stdout
    assert re.search(r"00:03 +150,700,000 .* 0\.0+ +filled\n", flat)
    assert re.search(r"00:05 +150,700,000 .* 1\.50*\n", flat)
    null = corrected("show", "KRW-BTC", "--fill", "null").stdout
    assert re.search(r"00:03 +filled\n", null)
    assert "150,000,000 ┤" in null
    assert "filled" not in corrected("show", "KRW-BTC", "--fill", "null", "--end", "2025-09-01T00:02").stdout
    corrected("export", "x.csv", "KRW-BTC", "--fill", "flat", "--as-of", corrected.then)
    frame = pl.read_csv(tmp_path / "x.csv")
    assert frame.columns[-2:] == ["volume", "filled"]
    assert frame["filled"].to_list() == [False, False, False, True, True, False]
    long = ("--fill", "flat", "--start", "0001-01-01", "--end", "2025-09-02")
    assert "fill: from start to end" in corrected("show", "KRW-BTC", *long, code=1).stderr
    assert "Invalid value" in corrected("show", "KRW-BTC", "--fill", "linear", code=2).output
