"""`mdstore import`: what lands, what is said of it, and what becomes of a bad file."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

import mdstore
from mdstore.sources.files import write
from tests.support.candles import walk
from tests.support.command_line import (
    HEADER,
    ROW,
    candles_file,
    finished,
    mdstore_process,
    wait_until_wal_grows,
)
from tests.support.real import real


def test_import_says_what_landed_and_what_it_inferred(cli, tmp_path):
    candles_file(tmp_path)
    done = cli("import", "KRW-BTC-1m.csv")
    assert re.search(r"KRW-BTC-1m.csv +KRW-BTC +1m +5 +0 +0 +2025-09-01 00:00 +2025-09-01 00:04", done.stdout)
    assert "the symbol was taken from the file's name; --symbol says otherwise" in done.stderr
    again = cli("import", "KRW-BTC-1m.csv")
    assert re.search(r"KRW-BTC +1m +0 +0 +5 ", again.stdout)


def test_options_go_before_what_the_file_says(cli, tmp_path):
    candles_file(tmp_path, "AAPL_data-1m.csv")
    cli("import", "AAPL_data-1m.csv", "--symbol", "X", "--timeframe", "1m")
    cli("import", "AAPL_data-1m.csv", "--symbol-from-filename", "{symbol}_*")
    series = json.loads(cli("series", "--json").stdout)
    assert [(one["symbol"], one["timeframe"]) for one in series] == [("AAPL", "1m"), ("X", "1m")]


def test_align_and_unit_are_passed_on(cli, tmp_path):
    (tmp_path / "X-1m.csv").write_text(HEADER + "86400,1,1,1,1,1\n86460,1,1,1,1,1\n86550,1,1,1,1,1\n")
    assert "cannot tell the unit" in cli("import", "X-1m.csv", code=1).stderr
    assert "--align floor" in cli("import", "X-1m.csv", "--unit", "s", code=1).stderr
    cli("import", "X-1m.csv", "--unit", "s", "--align", "floor")
    assert json.loads(cli("series", "--json").stdout)[0]["first"] == "1970-01-02T00:00:00+00:00"
    (tmp_path / "X-1m.csv").write_text(HEADER + "946684800,1,1,1,1,1\n946684860000,1,1,1,1,1\n")
    cli("import", "X-1m.csv")  # numbers of two units, each of which is told by its size
    assert json.loads(cli("series", "--json").stdout)[0]["last"] == "2000-01-01T00:01:00+00:00"


def test_a_bad_file_in_a_folder_is_reported_and_the_others_land(cli, tmp_path):
    candles_file(tmp_path, "A-1m.csv")
    (tmp_path / "B-1m.csv").write_text("what,is,this\n")
    (tmp_path / "C-1m.csv").write_text(HEADER + ROW.format(0) + "2025-09-01T00:01:00,3,2,1,1,1\n")
    candles_file(tmp_path, "D-1m.csv")
    done = cli("import", ".", code=1)
    assert "error: B-1m.csv: no column for timestamp" in done.stderr
    assert "error: C-1m.csv: row 1" in done.stderr
    assert "--on-invalid quarantine" in done.stderr
    assert "2 of 4 files landed whole" in done.stderr
    assert [one["symbol"] for one in json.loads(cli("series", "--json").stdout)] == ["A", "D"]


def test_sp500_with_its_dirty_row_quarantined(cli):
    done = cli("import", real("sp500"), "--on-invalid", "quarantine", "--json")
    report = json.loads(done.stdout)
    assert len(report["files"]) == 59
    assert (report["totals"]["inserted"], report["totals"]["quarantined"]) == (72_869, 1)
    assert report["failures"] == []
    quarantine = json.loads(cli("sql", "--json", "FROM quarantine").stdout)
    assert [(one["symbol"], one["column"], one["rule"]) for one in quarantine] == [
        ("AOS", "high", "open <= high")
    ]


@pytest.mark.long
def test_every_recorded_source_lands(cli):
    sources = list(map(real, ("upbit", "lean", "smtm", "plotly", "binance_kline", "freqtrade")))
    done = cli("import", *sources, "--json", "--on-conflict", "last", code=1)
    report = json.loads(done.stdout)
    assert [Path(one["file"]).name for one in report["failures"]] == ["XRP_ETH-trades.feather"]
    rows = {
        (one["symbol"], one["timeframe"]): one["rows"] for one in json.loads(cli("series", "--json").stdout)
    }
    assert rows["BTC_KRW", "1m"] == 47_598
    assert rows["KRW-BTC", "3m"] == 300
    assert rows["BTCUSD", "1m"] == 12_423
    assert rows["UNITTEST_BTC", "1m"] == 13_681
    # Feather and JSON of the same candles differ by an ulp in many rows: the later file's bits are stored.
    updated = {Path(one["file"]).name: one["updated"] for one in report["files"]}
    assert updated["UNITTEST_BTC-1m.json"] == 5_655


def test_files_that_differ_by_an_ulp_do_not_overwrite_each_other_unasked(cli):
    done = cli("import", real("freqtrade"), "--json", code=1)
    failed = {Path(one["file"]).name: one["error"] for one in json.loads(done.stdout)["failures"]}
    assert set(failed) == {"UNITTEST_BTC-1m.json", "XRP_ETH-trades.feather"}
    assert "UNITTEST_BTC-1m.feather, which was imported before it" in failed["UNITTEST_BTC-1m.json"]


@pytest.mark.long
def test_lean_zips_land_in_one_transaction_each(cli):
    report = json.loads(cli("import", real("lean", "minute"), "--json").stdout)
    assert {tuple(one["symbols"]) for one in report["files"]} == {("BTCUSD",)}
    assert any("midnight UTC" in note for one in report["files"] for note in one["notes"])


def test_a_zip_of_several_series_lands_whole_or_not_at_all(cli, tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("A-1m.csv", HEADER + ROW.format(0))
        archive.writestr("B-1m.csv", HEADER + "2025-09-01,3,2,1,1,1\n")
    cli("import", "x.zip", code=1)
    assert not (tmp_path / "market_data.sqlite3").exists()
    cli("import", "x.zip", "--on-invalid", "drop")
    assert [one["symbol"] for one in json.loads(cli("series", "--json").stdout)] == ["A"]


def test_several_symbols_are_not_buried_under_one(cli, tmp_path):
    (tmp_path / "x.csv").write_text("symbol," + HEADER + "A," + ROW.format(0) + "B," + ROW.format(1))
    done = cli("import", "x.csv", "--symbol", "C", "-t", "1m", code=1)
    assert "its symbol column holds several (A, B...)" in done.stderr
    cli("import", "x.csv", "-t", "1m")


@pytest.mark.parametrize(
    ("name", "message"),
    [("prices_of_mine-1m.csv", "which symbol?"), ("A.csv", "which timeframe?")],
)
def test_what_cannot_be_told_is_asked_for(cli, tmp_path, name, message):
    (tmp_path / name).write_text(HEADER + ROW.format(0))
    assert message in cli("import", name, code=1).stderr


def test_paths_that_are_not_there_or_hold_nothing(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "error: nowhere: no such file or folder" in cli("import", "nowhere", code=1).stderr
    assert "error: empty: no candle files" in cli("import", "empty", code=1).stderr
    assert (
        "not both" in cli("import", "empty", "-s", "A", "--symbol-from-filename", "{symbol}", code=2).output
    )
    assert not (tmp_path / "market_data.sqlite3").exists()


def test_a_store_is_no_data_file(filled):
    done = filled("import", "market_data.sqlite3", code=1)
    assert "market_data.sqlite3: .sqlite3 is no format that can be read" in done.stderr


@pytest.mark.slow
def test_ctrl_c_rolls_the_file_back_and_says_how_far_it_got(tmp_path):
    candles_file(tmp_path, "A-1m.csv")
    rows = (f"{1_500_000_000_000 + i * 60_000},1.5,2.5,0.5,2.0,{i}\n" for i in range(1_500_000))
    (tmp_path / "B-1m.csv").write_text(HEADER + "".join(rows))
    process = mdstore_process(tmp_path, "import", "A-1m.csv", "B-1m.csv")
    wait_until_wal_grows(tmp_path / "market_data.sqlite3-wal")
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert code == 130, err
    assert "Traceback" not in err
    assert "A-1m.csv" in out
    said = re.search(
        r"interrupted: 1 of 2 files landed, 5 rows; B-1m.csv was rolled back after ([\d,]+) rows", err
    )
    assert int(said[1].replace(",", "")) >= 50_000
    assert "Run the same command again" in err
    with mdstore.open(tmp_path / "market_data.sqlite3", create=False) as store:
        assert store.maintenance.check() == []
        assert store.series()["symbol"].to_list() == ["A"]


@pytest.mark.parametrize("extra", [[], ["--align", "floor"], ["--on-invalid", "drop"]])
@pytest.mark.parametrize("name", ["A.csv", "A-1h.csv"])
def test_rows_closer_than_the_timeframe_are_refused(cli, tmp_path, extra, name):
    candles_file(tmp_path, name)
    given = ["-t", "1h"] if name == "A.csv" else []
    done = cli("import", name, *given, *extra, code=1)
    assert "these rows are 1m apart, too close for 1h bars. Hint: did you mean -t 1m?" in done.stderr
    assert not (tmp_path / "market_data.sqlite3").exists()


def test_rows_wider_apart_than_the_timeframe_are_stored_with_a_note(cli, tmp_path):
    write(walk(24, start=1_756_684_800_000, step=3_600_000), tmp_path / "A.csv")
    assert "A.csv: rows are 1h apart, stored as 5m as asked" in cli("import", "A.csv", "-t", "5m").stderr
    assert "apart" not in cli("import", "A.csv", "-t", "1h").stderr


def test_times_that_waver_are_not_refused(cli, tmp_path):
    times = (1_756_684_800 + i * 60 + i % 2 for i in range(20))
    (tmp_path / "A.csv").write_text(HEADER + "".join(f"{time},1,1,1,1,1\n" for time in times))
    cli("import", "A.csv", "-t", "1m", "--align", "floor")


def test_a_file_of_which_no_row_could_be_stored_is_no_success(cli, tmp_path):
    rows = "".join(f"week {day} of 2024,1,2,0.5,1.5,10\n" for day in range(1, 6))
    (tmp_path / "A.csv").write_text(HEADER + rows)
    for _ in range(2):
        done = cli("import", "A.csv", "-t", "1d", "--on-invalid", "quarantine", code=1)
        said = "error: A.csv: none of its 5 rows was stored: each breaks the rule 'timestamp is a time'"
        assert said in done.stderr
        assert "write times as 2025-09-01 00:00, or say how they are written, as --date-format" in done.stderr
    assert "each breaks a rule" in cli("import", "A.csv", "-t", "1d", "--on-invalid", "drop", code=1).stderr


def test_a_first_import_that_fails_leaves_no_store(cli, tmp_path):
    (tmp_path / "A-1m.csv").write_text("what,is,this\n")
    cli("import", "A-1m.csv", code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["A-1m.csv"]
    with mdstore.open(tmp_path / "market_data.sqlite3"):
        pass
    cli("import", "A-1m.csv", code=1)
    assert (tmp_path / "market_data.sqlite3").exists()


def test_a_store_that_another_has_open_is_not_removed(tmp_path):
    from mdstore.cli.shared.store import remove_unused

    with mdstore.open(tmp_path / "x.sqlite3"):
        remove_unused(tmp_path / "x.sqlite3")
        assert (tmp_path / "x.sqlite3").exists()
    remove_unused(tmp_path / "x.sqlite3")
    assert not (tmp_path / "x.sqlite3").exists()


def test_a_file_that_may_not_be_read_is_one_bad_file(cli, tmp_path, monkeypatch):
    candles_file(tmp_path, "A-1m.csv")
    secret = candles_file(tmp_path, "B-1m.csv")
    really = Path.open

    def refuse(path, *arguments, **options):
        if path.name == secret.name:
            raise PermissionError(13, "Permission denied", path.name)
        return really(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(os, "access", lambda path, *_, **__: Path(path).name != secret.name)
    done = cli("import", "A-1m.csv", "B-1m.csv", code=1)
    assert "error: B-1m.csv: Permission denied" in done.stderr
    assert "1 of 2 files landed whole" in done.stderr


def test_other_files_in_a_folder_are_counted(cli, tmp_path):
    (tmp_path / "data").mkdir()
    candles_file(tmp_path / "data", "A-1m.csv")
    (tmp_path / "data" / "notes.txt").touch()
    (tmp_path / "data" / "chart.png").touch()
    assert "note: 2 other files skipped" in cli("import", "data").stderr
    assert "skipped" not in cli("import", "data/A-1m.csv").stderr


@pytest.mark.parametrize(
    ("timeframe", "hint"),
    [
        ("60", "did you mean 60m (minutes), which is 1h?"), ("5", "did you mean 5m?"),
        ("minute60", "did you mean -t 1m?"), ("MINUTE_1", "is no timeframe"),
    ],
)  # fmt: skip
def test_other_programs_timeframes_are_offered_as_ours(cli, tmp_path, timeframe, hint):
    candles_file(tmp_path)
    assert hint in cli("import", "KRW-BTC-1m.csv", "-t", timeframe, code=1).stderr


@pytest.mark.parametrize("timeframe", ["1min", "M1", "minute1", "60s"])
def test_other_programs_timeframes_are_taken(cli, tmp_path, timeframe):
    candles_file(tmp_path)
    cli("import", "KRW-BTC-1m.csv", "-t", timeframe)
    assert cli("show", "KRW-BTC", timeframe).stdout


@pytest.mark.parametrize("width", [40, 60, 80, 95])
def test_the_import_summary_is_readable_in_any_width(cli, tmp_path, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    long = "a_long_name_that_somebody_gave_to_the_file_of_KRW-BTC-1m.csv"
    candles_file(tmp_path, long)
    out = cli("import", long, "-s", "KRW-BTC").stdout.splitlines()
    assert out[0].split()[:2] == ["file", "symbol"]
    assert re.match(r"a_long[^ ]*….*-1m\.csv +KRW-BTC .*5", out[1])
    assert max(map(len, out[:2])) <= width
    assert re.match(r"no room here for (timeframe, )?(inserted, )?updated", out[2])
    candles_file(tmp_path, "B-1m.csv")
    again = cli("import", "B-1m.csv", long, "-s", "KRW-BTC").stdout
    assert re.search(r"^total .*10", again, re.MULTILINE)
    assert "unchanged" in again.splitlines()[0]


def test_written_files_are_what_import_takes(cli, tmp_path):
    write(walk(50), tmp_path / "KRW-BTC-1m.parquet")
    assert json.loads(cli("import", "KRW-BTC-1m.parquet", "--json").stdout)["totals"]["inserted"] == 50


def test_a_complete_file_leaves_nothing_to_be_asked_for(cli, tmp_path):
    rows = [f"2025-09-01T00:0{minute},1,2,1,1.5,3" for minute in (0, 1, 4)]
    (tmp_path / "X-1m.csv").write_text("timestamp,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    cli("import", "X-1m.csv", "--complete")
    hole = json.loads(cli("gaps", "X", "1m", "--json").stdout)
    assert [(one["bars"], one["reason"], one["asked"] is not None) for one in hole] == [(2, "unknown", True)]
    assert hole[0]["source"].endswith("X-1m.csv")


# ---- where the bars come from


def test_import_notes_the_path_as_it_was_given(cli, tmp_path, store_of):
    (tmp_path / "new").mkdir()
    candles_file(tmp_path / "new", "A-1m.csv")
    (tmp_path / "long.csv").write_text(f"symbol,timeframe,{HEADER}B,1m,{ROW.format(0)}")
    cli("import", "new", "./long.csv")
    with store_of() as store:
        assert dict(store.provenance().select("symbol", "source").iter_rows()) == {
            "A": "new/A-1m.csv", "B": "long.csv",
        }  # fmt: skip


def test_a_source_is_what_the_store_takes(tmp_path, cli, store_of):
    folder = tmp_path / ("x" * 200) / ("y" * 200) / "new\nline\t"
    folder.mkdir(parents=True)
    cli("import", candles_file(folder, "A-1m.csv"))
    cli("import", candles_file(folder, f"{'Z' * 200}-1m.csv"), "-s", "Z")
    with store_of() as store:
        sources = store.provenance()["source"].to_list()
    assert sources[0].endswith("y/new?line?/A-1m.csv")
    assert len(sources[1]) == 500
    assert sources[1].endswith("Z-1m.csv")
