"""The command line: what lands, what is printed where, how it ends."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import mdstore
from mdstore.cli import app
from mdstore.sources.files import write
from tests.support.candles import walk
from tests.support.paths import ROOT
from tests.support.real import real

README = ROOT / "README.md"
COMMANDS = [
    "demo", "import", "export", "show", "screen", "sql", "series", "delete", "warm", "compact", "stats",
    "backup", "check", "gaps", "cover", "verify", "calendar", "revisions", "replay",
]  # fmt: skip
HEADER = "timestamp,open,high,low,close,volume\n"
# What the environment may hold that would change what is tested; xdist sets COLUMNS.
FOREIGN = ("MDSTORE_FILE", "COLUMNS")
ROW = "2025-09-01T00:0{}:00,1,2,0.5,1.5,10\n"


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """Run a command in an empty folder, in this process; a traceback fails the test."""
    monkeypatch.chdir(tmp_path)
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, code=0, given=None):
        done = CliRunner().invoke(app, list(map(str, arguments)), input=given, prog_name="mdstore")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done

    return run


@pytest.fixture
def filled(cli, tmp_path):
    """As `cli`, with KRW-BTC 1m and 1h and KRW-ETH 1m stored."""
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.write("KRW-BTC", "1m", walk(300))
        store.write("KRW-BTC", "1h", walk(24, start=1_756_684_800_000, step=3_600_000))
        store.write("KRW-ETH", "1m", walk(200, seed=1))
    return cli


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


# ---- import


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
    assert "--unit s, ms, us or ns" in cli("import", "X-1m.csv", code=1).stderr


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


def wait_until_wal_grows(path, size=2_000_000, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if path.exists() and path.stat().st_size > size:
            return
        time.sleep(0.01)
    pytest.fail(f"{path.name} never grew to {size} bytes")


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
    rows = "".join(f"0{day}/13/2024,1,2,0.5,1.5,10\n" for day in range(1, 6))
    (tmp_path / "A.csv").write_text(HEADER + rows)
    for _ in range(2):
        done = cli("import", "A.csv", "-t", "1d", "--on-invalid", "quarantine", code=1)
        said = "error: A.csv: none of its 5 rows was stored: each breaks the rule 'timestamp is a time'"
        assert said in done.stderr
        assert "times must be year first, as 2025-09-01" in done.stderr
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
    from mdstore.cli.shell import remove_unused

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
        ("minute60", "did you mean 1h?"), ("1min", "did you mean '1m'?"), ("MINUTE_1", "is no timeframe"),
    ],
)  # fmt: skip
def test_other_programs_timeframes_are_offered_as_ours(cli, tmp_path, timeframe, hint):
    candles_file(tmp_path)
    assert hint in cli("import", "KRW-BTC-1m.csv", "-t", timeframe, code=1).stderr


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


# ---- export


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


# ---- show, sql, series


def test_show_prints_table_and_chart(filled):
    done = filled("show", "KRW-ETH", "-n", "3")
    assert "KRW-ETH 1m" in done.stdout
    assert "┃" in done.stdout
    assert re.findall(r"2025-09-01 03:1\d", done.stdout)[-3:] == [
        "2025-09-01 03:17",
        "2025-09-01 03:18",
        "2025-09-01 03:19",
    ]
    assert "┃" not in filled("show", "KRW-ETH", "--no-chart").stdout


WIDTHS = [40, 60, 80]


@pytest.fixture
def coins(cli, tmp_path):
    """As `cli`, with Korean prices that fill a line."""
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        rows = [(f"2025-09-01T00:{i:02}", 173_400_000, 173_623_000, 173_223_000, 173_500_000, 1.51931528)
                for i in range(30)]  # fmt: skip
        store.write("KRW-BTC", "1m", rows)
    return cli


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_is_ever_cut(coins, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = coins("show", "KRW-BTC", "--no-chart").stdout
    assert len(re.findall(r"2025-09-01 00:2\d.* 173,500,000(?: |$)", shown, re.MULTILINE)) == 10
    lacking = {40: "open, high, low,", 60: "open, volume;"}
    assert f"no room here for {lacking[width]}" in shown if width in lacking else "no room" not in shown
    assert max(map(len, shown.splitlines()[:11])) <= width
    query = coins("sql", "SELECT * FROM candles").stdout
    whole = r"KRW-BTC +1m +2025-09-01 00:00 +173400000 +173623000 +173223000 +173500000 +1\.51931528$"
    assert re.search(whole, query, re.MULTILINE)


@pytest.mark.parametrize("width", WIDTHS)
def test_series_fit_any_width(filled, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    out = filled("series").stdout
    assert max(map(len, out.splitlines()[:4])) <= width
    assert re.search(r"KRW-BTC +1m .*300", out)


def test_long_texts_are_cut_with_a_mark(cli, tmp_path, monkeypatch):
    candles_file(tmp_path, "A-1m.csv")
    with (tmp_path / "A-1m.csv").open("a") as file:
        file.write("2025-09-01T00:07:00,1,2,173223000.12345678,1,1\n")
    cli("import", "A-1m.csv", "--on-invalid", "quarantine")
    whole = cli("sql", "FROM quarantine").stdout
    assert "…" not in whole
    assert '"volume": "1"}' in whole
    monkeypatch.setenv("COLUMNS", "80")
    cut = cli("sql", "FROM quarantine").stdout
    assert "…" in cut
    assert len(cut.splitlines()) == 2
    assert "173223000.12345678" in cut  # a number, though in a column of texts


def test_sql_does_not_group_digits_and_writes_huge_floats_shortly(filled):
    out = filled("sql", "SELECT 20250903 AS day, 2025 AS year, 1e300::DOUBLE AS huge, 1234.5 AS price").stdout
    assert re.search(r"20250903 +2025 +1e\+300 +1234\.5", out)


def test_midnight_is_a_time_of_day_among_times_of_day(filled):
    assert "2025-09-01 00:00 " in filled("show", "KRW-BTC", "1h", "--end", "2025-09-01T01:00").stdout
    assert "2025-09-01 00:00" in filled("sql", "FROM candles ORDER BY timestamp", "-n", "9").stdout
    assert "00:00" not in filled("sql", "SELECT TIMESTAMP '2025-09-01' AS day").stdout


def test_a_range_without_bars_says_which_there_are(filled):
    out = filled("show", "KRW-ETH", "--start", "2030-01-01").stdout
    assert out == ("no bars of KRW-ETH 1m in this range; stored are 2025-09-01 00:00 to 2025-09-01 03:19\n")


def test_the_chart_is_as_wide_as_the_terminal(filled, monkeypatch):
    monkeypatch.setenv("COLUMNS", "180")
    assert "over these 166 bars" in filled("show", "KRW-BTC", "1m").stdout


@pytest.mark.parametrize("arguments", [["show", "KRW-ETH"], ["show", "KRW-ETH", "--json"], ["series"]])
def test_a_terminal_without_unicode_gets_what_it_can_write(filled, tmp_path, monkeypatch, arguments):
    filled("series")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    code, out, err = finished(mdstore_process(tmp_path, *arguments))
    assert (code, "Traceback" in err) == (0, False), err
    assert out.isascii()
    assert ("+#" in out.replace(" ", "") or "|" in out) == (arguments == ["show", "KRW-ETH"])


def test_show_json_is_exact(filled, tmp_path):
    rows = json.loads(filled("show", "KRW-ETH", "-n", "300", "--json").stdout)
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        frame = store.candles("KRW-ETH", "1m")
    assert [row["close"] for row in rows] == frame["close"].to_list()
    assert rows[0]["timestamp"] == "2025-09-01T00:00:00+00:00"


def test_show_asks_which_timeframe_and_suggests_symbols(filled):
    done = filled("show", "KRW-BTC", code=1)
    assert "several timeframes of KRW-BTC are stored: 1h, 1m" in done.stderr
    assert "Did you mean KRW-BTC?" in filled("show", "krw-btx", code=1).stderr
    assert "error:" in filled("show", "KRW-BTX", "1m", code=1).stderr
    assert "is no timeframe" in filled("show", "KRW-BTC", "7x", code=1).stderr
    assert "no bars" in filled("show", "KRW-ETH", "--start", "2030-01-01").stdout
    assert "start" in filled("show", "KRW-ETH", "--start", "whenever", code=1).stderr


def test_prices_have_the_digits_they_need(cli, tmp_path):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.write(
            "KRW-BTC", "1d", [("2025-09-01", 150_700_000, 150_803_000, 150_640_000, 150_803_000, 1.51931528)]
        )
        store.write("ADABTC", "1d", [("2025-09-01", 0.0000282, 0.00002821, 0.00002817, 0.00002818, 85342.7)])
    assert re.search(
        r"150,700,000 +150,803,000 +150,640,000 +150,803,000 +1\.51931528", cli("show", "KRW-BTC").stdout
    )
    assert re.search(r"0\.00002820 +0\.00002821 +0\.00002817 +0\.00002818", cli("show", "ADABTC").stdout)


def test_sql_prints_a_table_or_json_or_reads_stdin(filled):
    query = "SELECT symbol, timeframe, count(*) AS bars FROM candles GROUP BY ALL ORDER BY ALL"
    assert re.search(r"KRW-BTC +1h +24", filled("sql", query).stdout)
    assert json.loads(filled("sql", "--json", "-", given=query).stdout)[0] == {
        "symbol": "KRW-BTC", "timeframe": "1h", "bars": 24,
    }  # fmt: skip
    many = filled("sql", "FROM candles", "-n", "3")
    assert "3 of 524 rows" in many.stderr
    odd = json.loads(
        filled(
            "sql", "--json", "SELECT 'nan'::DOUBLE AS a, [1, 2] AS b, DATE '2025-09-01' AS c, NULL AS d"
        ).stdout
    )
    assert odd == [{"a": None, "b": [1, 2], "c": "2025-09-01", "d": None}]


@pytest.mark.parametrize("query", ["SELEC", "DELETE FROM candles", "SELECT nothing FROM candles"])
def test_bad_sql_is_an_error_and_changes_nothing(filled, query):
    done = filled("sql", query, code=1)
    assert done.stderr.startswith("error: ")
    assert done.stdout == ""
    assert len(json.loads(filled("series", "--json").stdout)) == 3


def test_errors_of_sql_hint_at_what_is_wrong(filled):
    assert "the tables are candles" in filled("sql", "FROM nowhere", code=1).stderr
    assert "the tables are candles" in filled("sql", "SELECT nothing FROM candles", code=1).stderr
    assert "the tables are" not in filled("sql", "SELECT 1 +", code=1).stderr
    assert "`mdstore import` and `mdstore delete`" in filled("sql", "DELETE FROM candles", code=1).stderr


def test_errors_speak_of_commands(filled):
    assert "`mdstore series` lists them" in filled("show", "NOTHING-LIKE", "1m", code=1).stderr
    filled("delete", "KRW-ETH", "--yes")
    assert "1 symbol is stored" in filled("show", "NOTHING-LIKE", "1m", code=1).stderr
    filled("delete", "KRW-BTC", "--yes")
    assert "Hint: mdstore import FILES" in filled("show", "NOTHING-LIKE", "1m", code=1).stderr


def test_wait_bounds_how_long_another_writer_is_waited_for(filled, tmp_path):
    candles_file(tmp_path)
    writer = f"""
        import sqlite3, sys
        con = sqlite3.connect({str(tmp_path / "market_data.sqlite3")!r}, isolation_level=None)
        con.execute("BEGIN IMMEDIATE"); print("in", flush=True); sys.stdin.read()
    """
    code = "\n".join(line.strip() for line in writer.strip().splitlines())
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        taken = []
        for wait in ("2", "0"):
            began = time.monotonic()
            done = filled("import", "KRW-BTC-1m.csv", "--wait", wait, code=1)
            taken.append(time.monotonic() - began)
        process.stdin.close()
    assert taken[0] > 2
    assert taken[1] < taken[0]
    assert "or give a longer --wait" in done.stderr
    filled("import", "KRW-BTC-1m.csv", "--wait", "0.2")


def test_wide_tables_stay_whole_in_a_pipe(filled):
    long = "x" * 400
    assert long in filled("sql", f"SELECT 1 AS a, '{long}' AS b").stdout


def test_series(filled):
    out = filled("series").stdout
    assert re.search(r"KRW-BTC +1m +2025-09-01 00:00 +2025-09-01 04:59 +300 +[\d.]+ KB", out)
    assert json.loads(filled("series", "--json").stdout)[0]["first"] == "2025-09-01T00:00:00+00:00"


# ---- delete, backup, check


def test_delete_asks_and_yes_does_not(filled):
    done = filled("delete", "KRW-BTC", "1m", given="n\n", code=1)
    assert "Delete KRW-BTC 1m, 300 rows?" in done.output
    assert "300 rows deleted" in filled("delete", "KRW-BTC", "1m", given="y\n").stdout
    done = filled("delete", "KRW-ETH", "--start", "2025-09-01T01:00", "--yes", "--json")
    assert json.loads(done.stdout) == {"deleted": 140}
    assert "Did you mean KRW-ETH?" in filled("delete", "KRW-ETX", code=1).stderr


def test_backup_and_check(filled, tmp_path):
    assert "copy.sqlite3 written" in filled("backup", "copy.sqlite3").stdout
    before = (tmp_path / "copy.sqlite3").read_bytes()
    assert "--force replaces it" in filled("backup", "copy.sqlite3", code=1).stderr
    assert (tmp_path / "copy.sqlite3").read_bytes() == before
    filled("backup", "copy.sqlite3", "--force")
    assert "is a folder" in filled("backup", tmp_path, code=1).stderr
    assert "is sound" in filled("-f", "copy.sqlite3", "check").stdout
    assert json.loads(filled("check", "--json").stdout) == []
    (tmp_path / "broken.sqlite3").write_bytes(b"no database at all" * 300)
    assert "error:" in filled("-f", "broken.sqlite3", "check", code=1).stderr


# ---- all commands


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "x.csv"], ["show", "A"], ["sql", "SELECT 1"], ["series"], ["delete", "A", "--yes"],
        ["backup", "y.sqlite3"], ["check"], ["gaps"], ["verify"], ["calendar", "A", "24/7"], ["revisions"],
    ],
)  # fmt: skip
def test_only_import_and_demo_create_a_store(cli, tmp_path, arguments):
    done = cli(*arguments, code=1)
    assert done.stderr.startswith("error: ")
    assert not list(tmp_path.iterdir())


def test_the_store_is_named_before_or_after_the_command_or_by_the_environment(cli, tmp_path, monkeypatch):
    candles_file(tmp_path)
    cli("-f", "a.sqlite3", "import", "KRW-BTC-1m.csv")
    cli("import", "KRW-BTC-1m.csv", "--store", "b.sqlite3")
    monkeypatch.setenv("MDSTORE_FILE", "c.sqlite3")
    cli("import", "KRW-BTC-1m.csv")
    assert sorted(path.name for path in tmp_path.glob("*.sqlite3")) == ["a.sqlite3", "b.sqlite3", "c.sqlite3"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli, command):
    assert "--store" in cli(command, "--help").stdout


def test_screen_finds_the_symbols_for_which_a_condition_holds(filled, tmp_path):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        held = store.screen("1m", ["close > sma(close, 20)", "close / close.shift(1) - 1"]).rows
    condition, change = held.columns[1:]
    options = ("--timeframe", "1m", condition, change)
    found = json.loads(filled("screen", *options, "--json").stdout)
    assert found == held.filter(condition).drop(condition).rows(named=True)
    every = json.loads(filled("screen", *options, "--json", "--all").stdout)
    assert every == held.rows(named=True)
    done = filled("screen", "count(close)", "-t", "1m", "-n", "50")
    assert done.stdout.split() == ["symbol", "count(close)", "KRW-BTC", "50", "KRW-ETH", "50"]
    assert "2 symbols of 2" in done.stderr
    assert "KRW-BTC" not in filled("screen", "close.last()", "-t", "1m", "-s", "KRW-ETH").stdout


def test_screen_says_what_it_cannot_tell_and_which_symbols_end_earlier(filled):
    done = filled("screen", "close > sma(close, 250)", "-t", "1m")
    assert "cannot be told for 1 symbol, for want of bars" in done.stderr
    assert (
        "1 symbol ends earlier than the others: KRW-ETH 2025-09-01 03:19, not 2025-09-01 04:59" in done.stderr
    )
    weekly = filled("screen", "count(close)", "-t", "2h", "--from", "1m")
    assert weekly.stdout.split()[2:] == ["KRW-BTC", "3", "KRW-ETH", "2"]


def test_screen_says_what_is_wrong_with_a_condition(filled):
    assert "did you mean rolling_mean" in filled("screen", "close.rolling_men(3)", "-t", "1m", code=1).stderr
    assert "several timeframes" in filled("screen", "close > 1", code=1).stderr
    assert "not known" in filled("screen", "__import__(close)", "-t", "1m", code=1).stderr


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
    assert "2025-08-31 15:00" in (tmp_path / "days.csv").read_text().replace("T", " ")
    assert "say which, such as 1h" in filled("show", "KRW-BTC", "--from", "1m", code=1).stderr
    assert "--tz is for derived bars" in filled("show", "KRW-BTC", "1h", "--tz", "Asia/Seoul", code=1).stderr
    assert "derive it from" in filled("show", "KRW-BTC", "7m", "--from", "1h", code=1).stderr
    assert "Asia/Seoul" in filled("show", "KRW-BTC", "1d", "--from", "1h", "--tz", "Asia/Soul", code=1).stderr


def test_warm_compact_and_stats_look_after_the_packs(filled, tmp_path):
    stats = json.loads(filled("stats", "--json").stdout)
    assert (stats["rows"], stats["packs"], stats["loose_rows"]) == (524, 0, 524)
    assert filled("warm").stdout == "524 rows put into packs\n"
    assert json.loads(filled("warm", "--json").stdout) == {"rows": 0}
    assert filled("compact").stdout == "1 pack, 0 B saved\n"
    assert json.loads(filled("compact", "--json").stdout) == {"bytes_saved": 0, "packs": 1}
    assert "524 in 3 cells and 1 pack, 0 loose" in filled("stats").stdout
    assert filled("warm", "--rebuild").stdout == "524 rows put into packs\n"
    shutil.rmtree(tmp_path / "market_data.sqlite3-packs")
    (tmp_path / "market_data.sqlite3-packs").write_text("in the way")
    assert "cannot be written" in filled("warm", "--rebuild", code=1).stderr


def test_ctrl_c_ends_a_warming_and_the_next_goes_on(filled, tmp_path, monkeypatch):
    from mdstore.candles.packs import seal_policy as upkeep
    from mdstore.cli.progress import WorkProgress

    def interrupt(self, done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(upkeep, "BUILD_ROWS", 1)
    with monkeypatch.context() as patched:
        patched.setattr(WorkProgress, "__call__", interrupt)
        assert "interrupted" in filled("warm", code=130).stderr
    assert 0 < json.loads(filled("stats", "--json").stdout)["sealed_rows"] < 524
    filled("warm")
    assert json.loads(filled("stats", "--json").stdout)["loose_rows"] == 0


def test_the_commands_are_all_listed_here(cli):
    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert names == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command):
    if not README.exists():
        pytest.skip("no README.md: these tests run from a clone")
    assert re.search(rf"mdstore (-f \S+ )?{command}\b", README.read_text()), (
        f"README.md says nothing of `mdstore {command}`"
    )


def test_symbols_complete(filled):
    from mdstore.cli.shell import complete_symbol

    class Context:
        params = {}  # noqa: RUF012 - stands in for typer's

        def find_root(self):
            return self

    assert complete_symbol(Context(), "KRW-B") == ["KRW-BTC"]
    Context.params = {"file": Path("nowhere.sqlite3")}
    assert complete_symbol(Context(), "K") == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["series"], 1, "error: "),
        (["import", "nowhere.csv"], 1, "error: nowhere.csv: no such file or folder"),
        (["show"], 2, "Missing argument"),
        (["sow"], 2, "No such command"),
        (["show", "A", "-n", "0"], 2, "Invalid value"),
    ],
)
def test_mistakes_end_without_a_traceback(tmp_path, arguments, code, message):
    returned, out, err = finished(mdstore_process(tmp_path, *arguments))
    assert (returned, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.write("A", "1m", walk(20_000))
    process = mdstore_process(tmp_path, "show", "A", "-n", "20000", "--json")
    process.stdout.readline()
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)


def test_version(cli):
    assert re.fullmatch(r"mdstore \d+\.\d+\.\d+\n", cli("--version").stdout)


def test_help_loads_only_the_commands(tmp_path):
    code = "import sys, mdstore.cli; print(*[m for m in sys.modules if m.startswith('mdstore.cli.')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert sorted(done.stdout.split()) == [
        "mdstore.cli.commands",
        "mdstore.cli.continuity",
        "mdstore.cli.maintenance",
        "mdstore.cli.replaying",
        "mdstore.cli.shell",
    ]


def test_written_files_are_what_import_takes(cli, tmp_path):
    write(walk(50), tmp_path / "KRW-BTC-1m.parquet")
    assert json.loads(cli("import", "KRW-BTC-1m.parquet", "--json").stdout)["totals"]["inserted"] == 50


# ---- replay


def upbit_recording(folder, minutes=3):
    """Trades and books as a recorder writes them; nothing of it was ever traded."""
    start = 1_756_684_800_000
    lines = []
    for at in range(minutes * 60 + 10):
        stamp = start + at * 1000
        trade = {
            "ty": "trade", "cd": "KRW-BTC", "tms": stamp, "ttms": stamp, "tp": 150_000_000 + at % 7 * 1000,
            "tv": 0.5, "ab": "BID", "sid": stamp * 1000, "st": "REALTIME",
        }  # fmt: skip
        lines.append(f"{stamp * 1_000_000 + 300_000_000} {json.dumps(trade)}\n")
    path = folder / "upbit.ws.gz"
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


def test_replay_shows_each_symbol_and_stores_nothing(cli, tmp_path):
    done = cli("replay", upbit_recording(tmp_path), "-t", "1m")
    assert re.search(r"KRW-BTC +190 +0 +0 +150,000,000 +[▁▂▃▄▅▆▇█]{24} .*300", done.stdout)
    assert "190 messages: 189.0 s of upbit" in done.stderr
    assert not (tmp_path / "market_data.sqlite3").exists()


def test_replay_stores_bars_that_were_seen_from_start_to_end(cli, tmp_path):
    path = upbit_recording(tmp_path)
    assert (
        "2 bars stored; 2 have closed, 1 are forming, 1 were"
        in cli("replay", path, "-t", "1m", "--save").stderr
    )
    frame = json.loads(cli("show", "KRW-BTC", "--json").stdout)
    assert [bar["timestamp"][14:16] for bar in frame] == ["01", "02"]
    assert {bar["volume"] for bar in frame} == {30.0}
    again = json.loads(cli("replay", path, "-t", "1m", "--save", "--json").stdout)
    assert (again["venue"], again["messages"], again["bars_stored"]) == ("upbit", 190, 2)
    assert again["symbols"][0]["price"] == 150_000_000.0


def test_what_replay_cannot_play_leaves_nothing_behind(cli, tmp_path):
    (tmp_path / "no.txt").write_text("hello\n")
    assert "no recorded message" in cli("replay", "no.txt", "-t", "1m", "--save", code=1).stderr
    assert "No such file" in cli("replay", "missing.gz", "-t", "1m", "--save", code=1).stderr
    path = upbit_recording(tmp_path, minutes=0)
    assert "no timeframe" in cli("replay", path, "-t", "7x", "--save", code=1).stderr
    assert "speed" in cli("replay", path, "--speed", "0", code=1).stderr
    assert "say of which --timeframe" in cli("replay", path, "--save", code=2).stderr
    assert "0 bars stored" in cli("replay", path, "-t", "1m", "--save").stderr
    assert not (tmp_path / "market_data.sqlite3").exists()


def test_replay_keeps_its_pace_and_ends_on_ctrl_c(tmp_path):
    process = mdstore_process(tmp_path, "replay", upbit_recording(tmp_path), "--speed", "2")
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert code == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert re.search(r"KRW-BTC +\d+ ", out)


def test_replay_shows_what_it_played_of_a_recording_that_was_cut(cli, tmp_path):
    path = upbit_recording(tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    done = cli("replay", path, "-t", "1m", "--save", code=1)
    assert re.search(r"KRW-BTC +1\d\d ", done.stdout)
    assert "damaged after line" in done.stderr
    assert "1 bar stored" in done.stderr


def test_replay_by_the_wrong_venue_is_no_success(cli, tmp_path):
    path = upbit_recording(tmp_path)
    assert "are they of binance?" in cli("replay", path, "--venue", "binance", code=1).stderr
