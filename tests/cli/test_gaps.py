"""`mdstore gaps`: holes at a glance and one by one, what is worth asking for, and where bars came from."""

import json
import re
import sqlite3

import pytest

from tests.support.candles import walk
from tests.support.command_line import finished, in_widths, mdstore_process, strip_of

# ---- at a glance


def test_the_two_minutes_that_upbit_lacks(upbit):
    out = upbit("gaps").stdout
    assert re.search(r"BTC_KRW +1m +2025-09-01 00:00 +2025-10-04 01:19 +47,598 +99\.99 % +2  ", out)
    assert strip_of(out, "BTC_KRW").count("▄") == 2
    assert set(strip_of(out, "BTC_KRW")) == {"█", "▄"}
    done = upbit("gaps", "BTC_KRW")
    assert re.search(r"2025-09-03 19:25 +2025-09-03 19:26 +1 +unknown +never", done.stdout)
    assert re.search(r"2025-09-07 18:20 +2025-09-07 18:21 +1 +unknown +never", done.stdout)
    assert "2 bars missing in 2 holes: unknown 2\n" in done.stdout
    assert re.search(r"2025-09-01 00:00 +2025-10-04 01:20 +\S*/upbit/BTC_KRW_1m.csv +20", done.stdout)
    missing = json.loads(upbit("gaps", "BTC_KRW", "--missing", "--end", "2025-10-04", "--json").stdout)
    assert [one["start"][:16] for one in missing] == ["2025-09-03T19:25", "2025-09-07T18:20"]


def test_series_at_a_glance(holes, store_of):
    done = holes("gaps")
    assert re.search(r"KRW-ETH +1m +2025-09-01 00:00 +2025-09-02 09:19 +1,740 +87\.00 % +60", done.stdout)
    assert "3 series, 1,061 bars worth asking for" in done.stderr
    assert set(strip_of(done.stdout, "KRW-ETH")) == set("█░!▁")
    assert set(strip_of(done.stdout, "KRW-SOL")) == set("█▁▄")
    assert set(strip_of(done.stdout, "KRW-SOL", "1h")) == {"█"}
    with store_of() as store:
        coverage = store.coverage()
    shown = json.loads(holes("gaps", "--json").stdout)
    times = [one.pop(name) for one in shown for name in ("first", "last")]
    assert shown == coverage.drop("first", "last").rows(named=True)
    assert times[:2] == ["2025-09-01T00:00:00+00:00", "2025-09-02T09:19:00+00:00"]
    one = json.loads(holes("gaps", "-t", "60m", "--json").stdout)
    assert [(each["symbol"], each["timeframe"]) for each in one] == [("KRW-SOL", "1h")]
    few = holes("gaps", "-n", "1")
    assert "KRW-SOL" not in few.stdout
    assert "--rows shows more than 1" in few.stderr


def test_a_glance_at_a_range_counts_what_is_in_it(holes, store_of):
    day = ("--start", "2025-09-01T09:00", "--end", "2025-09-01T14:00")
    shown = {one["symbol"]: one for one in json.loads(holes("gaps", "-t", "1m", *day, "--json").stdout)}
    with store_of() as store:
        for symbol, one in shown.items():
            frame = store.candles(symbol, "1m", start=day[1], end=day[3])
            assert one["bars"] == len(frame)
    assert (shown["KRW-ETH"]["exchange_down"], shown["KRW-ETH"]["missing"]) == (200, 0)
    assert shown["KRW-SOL"]["complete"] == 0
    out = holes("gaps", "-t", "1m", *day).stdout
    assert "2025-09-01 09:00" in out.splitlines()[0]
    assert "2025-09-01 13:59" in out.splitlines()[0]
    assert strip_of(out, "KRW-SOL") == "▁" * 60
    none = holes("gaps", "--start", "2200-01-01")
    assert (none.stdout, none.stderr) == ("", "in this range there can be no bars, or none yet\n")


def test_a_range_before_all_series_is_the_axis_of_those_it_holds(holes, store_of):
    with store_of() as store:
        store.write("OLD", "1d", [(f"2020-01-0{day}", 1, 1, 1, 1, 1) for day in range(1, 5)])
    out = holes("gaps", "--end", "2020-01-04").stdout
    assert re.match(r".* 2020-01-01.* 2020-01-03\n", out)
    assert re.search(r"OLD +1d .* 3 +100 % +0  █{60}\n", out)
    assert re.search(r"KRW-ETH +1m .* 0 +0\n", out)


def test_a_glance_fits_any_width(holes, monkeypatch):
    for width in in_widths(monkeypatch):
        out = holes("gaps").stdout
        assert max(map(len, out.splitlines())) <= width
        assert re.search(r"^KRW-ETH .* 60(  |$)", out, re.MULTILINE)
        assert ("no room here for" in out) == (width < 120)
        # What is drawn goes before the numbers do.
        is_drawn = re.search(r"^KRW-ETH .* 60  .*[█░!▄]{9,}", out, re.MULTILINE) is not None
        assert is_drawn == ("! a fetch failed" in out) == (width >= 80)
        assert ("the drawing over time" in re.sub(r"\s+", " ", out)) == (width < 80)
        if width >= 60:
            assert re.match(r"symbol +timeframe .*bars +complete +missing", out)


@pytest.mark.variants(1)
@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["gaps"], ["verify"]])
def test_what_is_drawn_can_be_written_without_unicode(holes, tmp_path, monkeypatch, arguments):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    code, out, err = finished(mdstore_process(tmp_path, *arguments))
    assert (code, "Traceback" in err) == (0, False), err
    assert out.isascii()
    assert "?" not in out
    if arguments == ["gaps"]:
        assert set(strip_of(out, "KRW-ETH")) == set("#=!.")
        assert "= missing, and known why" in out


def test_sessions_that_were_closed_are_no_holes(stocks):
    assert "worth asking for" in stocks("gaps").stderr
    assert stocks("calendar", "AA*", "NYSE").stdout == "AA* trades by XNYS: 2 stored symbols (AAP, AAPL)\n"
    out = stocks("gaps").stdout
    assert re.search(r"AAPL +1d .* 6 +100 % +0  ", out)
    assert re.fullmatch("█{23}·{14}█{23}", strip_of(out, "AAPL", "1d"))
    assert re.fullmatch("█{23}·{14}█{7,8}▄?▁{7,8}▄?█{7,8}", strip_of(out, "AAP", "1d"))
    assert "· market closed" in out
    named = stocks("gaps", "AAP", "AAPL").stdout
    assert re.search(r"AAP +2017-02-07 +2017-02-08 +1 +unknown +never\n1 bar missing in 1 hole", named)
    assert "market closed: 4 bars in 2 holes; --all lists them" in named
    assert "session_closed" not in named
    assert re.search(r"2017-02-04 +2017-02-06 +2 +session_closed", stocks("gaps", "AAPL", "--all").stdout)
    assert json.loads(stocks("gaps", "AAPL", "--json").stdout) == []
    assert len(json.loads(stocks("gaps", "AAPL", "--all", "--json").stdout)) == 1
    for arguments in (["gaps"], ["gaps", "AAP"], ["verify"]):
        assert "Hint" not in stocks(*arguments).stderr


# ---- of symbols


def test_holes_say_why_and_who_was_asked(holes):
    out = holes("gaps", "KRW-ETH").stdout
    assert re.search(r"2025-09-01 10:00 +2025-09-01 13:20 +200 +exchange_down +upbit +20\d\d-", out)
    assert re.search(r"30 +fetch_failed +upbit +20\d\d-", out)
    assert "260 bars missing in 3 holes: exchange_down 200, fetch_failed 30, unknown 30" in out
    assert re.search(r"Where the bars came from\n.*\n2025-09-01 00:00 +2025-09-02 09:20 +bot +20", out)
    assert "no bar is missing in this range" in holes("gaps", "KRW-ETH", "--end", "2025-09-01T10:00").stdout
    several = holes("gaps", "KRW-ETH", "KRW-SOL", "-t", "1m", "-n", "2")
    assert several.stdout.startswith("symbol ")
    assert "the first 2 of 5 holes; --rows shows more, --json all" in several.stderr
    assert "not said" in several.stdout
    rows = json.loads(holes("gaps", "KRW-ETH", "--json").stdout)
    assert [row["reason"] for row in rows] == ["exchange_down", "fetch_failed", "unknown"]
    assert rows[0]["start"] == "2025-09-01T10:00:00+00:00"
    assert "no bar is missing\n" in holes("gaps", "KRW-SOL", "-t", "1h").stdout


def test_holes_fit_any_width(holes, monkeypatch):
    for width in in_widths(monkeypatch):
        table, _, origins = holes("gaps", "KRW-ETH").stdout.partition("260 bars missing")
        assert max(map(len, table.splitlines())) <= width
        assert max(map(len, origins.splitlines()[1:])) <= max(width, 46)
        assert re.search(r"2025-09-01 10:00 .*200", table)


def test_what_an_update_would_ask_for(holes):
    bounds = ("--start", "2025-09-01", "--end", "2025-09-02")
    done = holes("gaps", "KRW-SOL", "-t", "1m", "--missing", *bounds)
    assert re.search(r"2025-09-01 08:20 +2025-09-02 00:00 +940\n", done.stdout)
    assert "940 bars to ask for in 1 range\n" in done.stdout
    paged = json.loads(
        holes("gaps", "KRW-SOL", "-t", "1m", "--missing", "--page", "200", *bounds, "--json").stdout
    )
    assert [one["bars"] for one in paged] == [200] * 4 + [140]
    new = holes("gaps", "NEW", "-t", "1h", "--missing", *bounds)
    assert "24 bars to ask for in 1 range" in new.stdout
    none = holes("gaps", "KRW-ETH", "--missing", "--end", "2025-09-01T12:00").stdout
    assert none == "nothing is missing: an update would ask for nothing\n"
    assert "name their symbols" in holes("gaps", "--missing", code=2).output
    assert "--page is for --missing" in holes("gaps", "KRW-ETH", "--page", "5", code=2).output


def test_a_timeframe_may_follow_the_symbols(holes, store_of):
    assert holes("gaps", "KRW-SOL", "1h").stdout == holes("gaps", "KRW-SOL", "-t", "1h").stdout
    assert holes("gaps", "KRW-SOL", "60m").stdout == holes("gaps", "KRW-SOL", "-t", "1h").stdout
    assert holes("gaps", "KRW-ETH", "KRW-SOL", "1m").stdout.startswith("symbol ")
    assert holes("gaps", "1h", "--json").stdout == holes("gaps", "-t", "1h", "--json").stdout
    assert "name their symbols" in holes("gaps", "1h", "--missing", code=2).output
    assert holes("gaps", "NEW", "1h", "--missing", "--start", "2025-09-01", "--end", "2025-09-02").stdout
    assert holes("verify", "KRW-SOL", "1h").stdout == "nothing looks wrong\n"
    with store_of() as store:
        store.write("1h", "1m", walk(10))
    assert "no bar is missing" in holes("gaps", "1h").stdout
    assert "no candles" in holes("gaps", "1h", "-t", "1d", code=1).stderr


def test_symbols_of_several_timeframes_are_shown_at_a_glance(holes):
    done = holes("gaps", "KRW-SOL")
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:3]] == [
        ["KRW-SOL", "1h"],
        ["KRW-SOL", "1m"],
    ]
    assert "KRW-ETH" not in done.stdout
    assert "2 series, 1,001 bars worth asking for\nmdstore gaps KRW-SOL 1h lists the holes" in done.stderr
    assert "3 series" in holes("gaps", "KRW-SOL", "KRW-ETH").stderr
    assert "no candles of KRW-ETX" in holes("gaps", "KRW-SOL", "KRW-ETX", code=1).stderr


def test_errors_name_no_option_that_there_is_not(holes):
    for arguments in (["gaps", "KRW-ETH", "1h"], ["verify", "KRW-ETH", "1h"]):
        done = holes(*arguments, code=1)
        assert "no candles for KRW-ETH" in done.stderr
        assert "--from" not in done.stderr
    assert "--from" in holes("show", "KRW-ETH", "1h", code=1).stderr


def test_ranges_of_any_year(holes, store_of):
    with store_of() as store:
        store.write("M", "1M", [("2025-01-01", 1, 1, 1, 1, 1), ("2025-04-01", 1, 1, 1, 1, 1)])
    for bounds in (["--start", "0001-01-01"], ["--end", "9999-12-31"]):
        assert re.search(r"^M +1M .* 2 ", holes("gaps", *bounds).stdout, re.MULTILINE)
        assert holes("gaps", "M", *bounds).stdout
        assert holes("gaps", "M", "--missing", *bounds).stdout
        assert "no bar in this range" in holes("revisions", *bounds).stdout


def test_bars_of_a_foreign_timeframe_are_listed_and_not_judged(holes, tmp_path):
    with sqlite3.connect(tmp_path / "market_data.sqlite3") as con:
        con.execute("UPDATE series SET timeframe = '7x' WHERE timeframe = '1h'")
        con.execute("UPDATE candles SET timeframe = '7x' WHERE timeframe = '1h'")
    con.close()
    holes("warm", "--rebuild")  # what another program has written is taken over
    out = holes("gaps").stdout
    assert re.search(r"KRW-SOL +7x .* 8 +0\n", out)
    assert re.search(r"KRW-SOL +7x .* 0 +0\n", holes("gaps", "--end", "2025-09-02").stdout)
    assert "written by another program" in holes("verify", code=1).stdout


# ---- of which no bar has come


def test_a_series_that_was_asked_for_in_vain_is_listed(cli, store_of):
    day = {"start": "2025-09-01", "end": "2025-09-02"}
    with store_of() as store:
        store.cover("KRW-GONE", "1m", source="upbit", **day)
        store.cover("KRW-GONE", "1m", reason="fetch_failed", start="2025-09-02", end="2025-09-02T01:00")
    said = "KRW-GONE 1m: no bar has come; fetch_failed 60, unknown 1,440"
    assert said in cli("gaps").stdout
    assert said in cli("gaps", "-t", "1m").stdout
    (row,) = json.loads(cli("gaps", "--json").stdout)
    assert (row["symbol"], row["first"], row["bars"], row["missing"], row["unknown"]) == (
        "KRW-GONE", None, 0, 60, 1_440,
    )  # fmt: skip
    for words in (("KRW-GONE",), ("KRW-GONE", "1m")):
        one = cli("gaps", *words).stdout
        assert "1500 bars missing in 2 holes: unknown 1,440, fetch_failed 60" in one.replace("1,500", "1500")
    with store_of() as store:
        store.write("KRW-BTC", "1m", walk(10), source="bot")
    both = cli("gaps").stdout
    assert said in both
    assert re.search(r"KRW-BTC +1m .* 10 +100 %", both)
    assert len(json.loads(cli("gaps", "--json").stdout)) == 2
