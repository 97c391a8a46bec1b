"""`mdstore verify`: what is counted, what is told in words, and when the exit code is 1."""

import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta

import apsw
import polars as pl
import pytest

import mdstore
from mdstore.analysis.quality_checks import CHECKS
from mdstore.store.verify import REPORT
from tests.support.candles import MINUTE, START, walk
from tests.support.command_line import in_widths


@pytest.fixture
def wrong(cli, store_of, tmp_path):
    """As `cli`, with bars behind the store's back that no candle can be."""
    with store_of() as store:
        store.write("BAD", "1m", walk(200))
        store.write("GOOD", "1h", walk(100, step=60 * MINUTE))
    with sqlite3.connect(tmp_path / "market_data.sqlite3") as con:
        con.execute(
            "UPDATE candles SET low = high + 1 WHERE symbol = 'BAD' AND timestamp < ?", (START + 60 * MINUTE,)
        )
        con.execute("DELETE FROM candles WHERE timestamp = ?", (START + 100 * MINUTE,))
    con.close()
    cli("warm", "--rebuild")  # what another program has written is taken over
    return cli


def reported(monkeypatch, rows):
    """Have `verify` find rows of (symbol, check, severity, value, detail)."""
    at = datetime(2025, 9, 1, tzinfo=UTC)
    full = [
        (symbol, "1m", check, severity, at, at + timedelta(minutes=1), 1, value, detail)
        for symbol, check, severity, value, detail in rows
    ]
    frame = pl.DataFrame(full, REPORT, orient="row")
    monkeypatch.setattr(mdstore.MarketDataStore, "verify", lambda *_, **__: frame)


def test_verify_tells_times_in_another_unit(cli, store_of, tmp_path):
    with store_of() as store:
        store.write("X", "1m", walk(10))
    con = apsw.Connection(str(tmp_path / "market_data.sqlite3"))
    for time in (START * 1000, START * 1_000_000, -START * 1000):
        con.execute("INSERT INTO candles VALUES ('X', '1m', ?, 1, 2, 0.5, 1.5, 3)", (time,))
    con.close()
    cli("warm", "--rebuild")  # what another program has written is taken over
    done = cli("verify", code=1)
    assert f"timestamp {START * 1000} is not in ms since 1970" in done.stdout
    found = json.loads(cli("verify", "--json", code=1).stdout)
    assert [one["check"] for one in found].count("unit") == 3
    assert "no year from 1 to 9999; `mdstore verify` says which" in cli("show", "X", "1m", code=1).stderr


def test_verify_of_what_is_right(holes):
    done = holes("verify", "KRW-SOL", "-t", "1h")
    assert (done.stdout, done.stderr) == ("nothing looks wrong\n", "")
    assert holes("verify", "KRW-SOL", "-t", "1h", "--json").stdout == "[]\n"


def test_verify_tells_counts_the_worst_and_what_it_means(upbit):
    done = upbit("verify")
    assert re.search(r"^BTC_KRW +1m +gap +1$", done.stdout, re.MULTILINE)
    assert re.search(r"^warning +gap  BTC_KRW 1m  2025-09-03 19:25  2 missing bars in 2 hole", done.stdout, 8)
    assert re.search(rf"^spike +{re.escape(CHECKS['spike'])}$", done.stdout, re.MULTILINE)
    assert re.search(r"^no errors, \d+ warnings, (no|\d+) infos? in 1 series$", done.stdout, re.MULTILINE)
    assert done.stderr == ""


def test_a_candle_that_none_can_be_is_an_error(wrong):
    done = wrong("verify", code=1)
    assert re.search(r"^BAD +1m +ohlc +60$", done.stdout, re.MULTILINE)
    assert re.search(r"^error +ohlc  BAD 1m  2025-09-01 00:\d\d  low .* is above ", done.stdout, re.MULTILINE)
    assert "60 errors, " in done.stdout
    assert "1 warning" in done.stdout
    assert "GOOD" not in done.stdout
    assert wrong("verify", "GOOD").stdout == "nothing looks wrong\n"


def test_an_error_is_exit_code_1(holes, monkeypatch):
    rows = [("A", "ohlc", "error", 2.5, "low 3 is above open 1"), ("A", "stuck", "warning", 40.0, "40 bars")]
    reported(monkeypatch, rows)
    done = holes("verify", code=1)
    assert re.search(r"A +1m +ohlc +1\nA +1m +stuck +1\n", done.stdout)
    assert "error    ohlc  A 1m  2025-09-01 00:00  low 3 is above open 1\n" in done.stdout
    assert "1 error, 1 warning, no infos in 1 series\n" in done.stdout
    found = json.loads(holes("verify", "--json", code=1).stdout)
    assert [one["check"] for one in found] == ["ohlc", "stuck"]
    assert found[0]["start"] == "2025-09-01T00:00:00+00:00"


def test_the_worst_are_told_of_every_check_and_the_rest_is_counted(holes, monkeypatch):
    rows = [("A", "spike", "warning", 10.0 + at, f"spike {at}") for at in range(60)]
    rows += [("B", "stuck", "warning", 31.0, "31 bars"), ("B", "volume_outlier", "info", 8.0, "much")]
    rows += [("A", "spike", "warning", None, "... and 1,040 more")]
    reported(monkeypatch, rows)
    out = holes("verify").stdout
    told = re.findall(r"^warning .*  (\S+ \S+)$", out, re.MULTILINE)
    assert told == [*(f"spike {at}" for at in range(59, 40, -1)), "31 bars"]
    assert "1,082 findings more; --all tells them" in out
    assert "no errors, 1,101 warnings, 1 info in 2 series" in out
    assert re.search(r"A +1m +spike +1,100\n", out)
    every = holes("verify", "--all").stdout
    assert len(re.findall(r"^warning ", every, re.MULTILINE)) == 62
    assert "... and 1,040 more" in every
    assert re.search(r"^info +volume_outlier  B 1m .*much$", every, re.MULTILINE)


def test_errors_are_told_up_to_fifty(holes, monkeypatch):
    reported(monkeypatch, [(f"S{at}", "ohlc", "error", 1.0, "low") for at in range(70)])
    out = holes("verify", code=1).stdout
    assert len(re.findall(r"^error ", out, re.MULTILINE)) == 50
    assert "20 findings more" in out
    assert "... and 20 lines more; --all shows all" in out
    assert "70 errors, no warnings, no infos in 70 series" in out


def test_findings_are_wrapped_and_not_cut(upbit, monkeypatch):
    for width in in_widths(monkeypatch):
        out = upbit("verify").stdout
        assert max(map(len, out.splitlines())) <= width
        assert "…" not in out
        assert "2 missing bars in 2 hole" in re.sub(r"\s+", " ", out)


def test_ctrl_c_ends_a_verification(holes, monkeypatch):
    from mdstore.cli.shared.progress import WorkProgress

    def interrupt(self, done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(WorkProgress, "__call__", interrupt)
    done = holes("verify", code=130)
    assert (done.stdout, done.stderr) == ("", "interrupted\n")


def test_verify_has_words_for_every_check():
    assert {"gap", "timeframe", "spike"} < set(CHECKS)
