"""The command line on holes, findings, calendars and changes: what is printed, drawn, and how it ends."""

import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from functools import partial

import apsw
import polars as pl
import pytest
from typer.testing import CliRunner

import mdstore
from mdstore.analysis.quality_checks import CHECKS
from mdstore.cli import app
from mdstore.cli.continuity import Why
from mdstore.cli.strips import Axis, legend, strips
from mdstore.core.hole_reasons import STATED
from mdstore.store.verify import REPORT
from tests.cli.test_cli import HEADER, ROW, candles_file, cli, finished, mdstore_process
from tests.support.candles import MINUTE, START, walk
from tests.support.real import real

__all__ = ["cli"]  # a fixture

WIDTHS = [40, 60, 80, 120, 200]
COMMANDS = [["gaps"], ["verify"], ["calendar"], ["revisions"]]


@pytest.fixture
def store_of(cli, tmp_path):
    """Return the store that the commands will see."""
    return lambda: mdstore.open(tmp_path / "market_data.sqlite3")


@pytest.fixture
def holes(cli, store_of):
    """As `cli`, with KRW-ETH 1m (holes of three reasons), KRW-SOL 1m (half of it missing) and 1h."""
    bars = walk(2000)
    with store_of() as store:
        store.write("KRW-ETH", "1m", pl.concat([bars[:600], bars[800:1200], bars[1260:]]), source="bot")
        say(store, 600, 800, "exchange_down")
        say(store, 1200, 1230, "fetch_failed")
        store.write("KRW-SOL", "1m", pl.concat([bars[:500], bars[1500:1550], bars[1551:1600]]))
        hours = store.candles("KRW-SOL", "1h", derive_from="1m", end="2025-09-01T08:00")
        store.write("KRW-SOL", "1h", hours)
    return cli


def say(store, first, last, reason):
    start, end = START + first * MINUTE, START + last * MINUTE
    store.cover("KRW-ETH", "1m", start=start, end=end, reason=reason, source="upbit")


@pytest.fixture(scope="module")
def upbit_file(tmp_path_factory):
    path, file = real("upbit", "BTC_KRW_1m.csv"), tmp_path_factory.mktemp("upbit") / "upbit.sqlite3"
    done = CliRunner().invoke(app, ["-f", str(file), "import", str(path)])
    assert done.exit_code == 0, done.output
    return file


@pytest.fixture
def upbit(cli, upbit_file):
    """As `cli`, with the recorded minutes of Upbit's BTC, of which two are missing; to read only."""
    return partial(cli, "-f", upbit_file)


@pytest.fixture
def stocks(cli, tmp_path):
    """As `cli`, with five days of two stocks, a weekend among them, and a day of one that is missing."""
    pytest.importorskip("exchange_calendars")
    days = [1, 2, 3, 6, 7, 8]  # of February 2017, from a Wednesday on
    rows = [(f"2017-02-{day:02}", 1, 2, 1, 2, 5) for day in days]
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.write("AAPL", "1d", rows)
        store.write("AAP", "1d", rows[:4] + rows[5:])
    return cli


def strip_of(out, symbol, timeframe="1m"):
    return re.search(rf"^{symbol} +{timeframe} .*?  (\S*)$", out, re.MULTILINE)[1]


def in_widths(monkeypatch):
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        yield width


# ---- gaps: at a glance


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


# ---- the strips themselves


def drawn(cells, extents, holes, *, start=0, end=1000):
    """Return strips over 1 s; `holes` are (row, start, end, reason)."""
    schema = {"row": pl.Int64, "start": pl.Int64, "end": pl.Int64, "reason": pl.String}
    return strips(
        pl.DataFrame(extents, {"start": pl.Int64, "end": pl.Int64}, orient="row"),
        pl.DataFrame(holes, schema, orient="row"),
        Axis(start, end, cells),
    )


def test_a_cell_shows_holes_before_what_dominates_it():
    assert drawn(10, [(0, 1000), (500, 1000)], []) == ["█" * 10, "     █████"]
    assert drawn(10, [(0, 1000)], [(0, 305, 306, "unknown")]) == ["███▄██████"]
    assert drawn(10, [(0, 1000)], [(0, 300, 360, "unknown")]) == ["███▁██████"]
    assert drawn(10, [(0, 1000)], [(0, 305, 306, "fetch_failed"), (0, 350, 399, "unknown")]) == ["███!██████"]
    assert drawn(10, [(0, 1000)], [(0, 300, 340, "no_trade"), (0, 400, 460, "no_trade")]) == ["████░█████"]
    assert drawn(4, [(0, 1000)], [(0, 0, 250, "before_listing")]) == ["░███"]
    # What is closed counts where nothing else is: a bar an hour in a closed day is a bar.
    assert drawn(2, [(0, 1000)], [(0, 0, 499, "session_closed")]) == ["██"]
    assert drawn(2, [(0, 1000)], [(0, 0, 500, "session_closed")]) == ["·█"]
    assert drawn(2, [(0, 1000)], [(0, 500, 1000, "forming")]) == ["█ "]
    assert drawn(2, [(0, 0)], []) == ["  "]


@pytest.mark.parametrize("cells", [1, 3, 7, 60, 333, 999])
def test_no_hole_is_lost_between_cells(cells):
    for at in range(0, 1000, 37):
        line = drawn(cells, [(0, 1000)], [(0, at, at + 1, "unknown")])[0]
        assert len(line) == cells
        assert len(line.strip("█")) == 1


def test_holes_outside_of_the_axis_are_not_drawn():
    holes = [(0, 0, 100, "unknown"), (0, 900, 1000, "unknown")]
    assert drawn(4, [(0, 1000)], holes, start=200, end=800) == ["████"]
    assert drawn(4, [(0, 1000)], [(0, 0, 1000, "unknown")], start=200, end=800) == ["▁▁▁▁"]


@pytest.mark.parametrize("cells", [5, 14, 18, 20, 24, 40, 60, 120])
@pytest.mark.parametrize("days", [0.1, 1, 2.9, 3, 40, 4000])
def test_the_axis_fits_and_its_labels_stand_where_their_times_are(cells, days):
    axis = Axis(START, START + int(days * 86_400_000), cells)
    labels = axis.labels()
    assert len(labels) <= cells
    if cells < 40 or days < 3:
        return
    for found in re.finditer(r"\S+", labels[:-12]):
        at = START + found.start() * (axis.end - axis.start) // cells
        assert found[0] == f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}"
    assert labels.endswith(f"{datetime.fromtimestamp((axis.end - 1) / 1000, UTC):%Y-%m-%d}")


def test_the_legend_explains_what_occurs_and_no_more():
    lines = [text.plain for text in legend(["██▄"], Axis(0, 3 * 60_000, 3), None)]
    assert lines == ["█ bars  ▄ some missing, and nobody knows why  (a cell is 1 min)"]
    narrow = [text.plain for text in legend(["██▄!·"], Axis(0, 3 * 60_000, 3), 40)]
    assert max(map(len, narrow)) <= 40
    assert len(narrow) > 1


# ---- gaps: of symbols


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


# ---- the hint that markets close


def rested(weekday_hours, *, step, weekend=False):
    """Return five weeks of bars, so many hours of each day from 14:00 on, from Monday on."""
    hours = [
        at for at in range(5 * 7 * 24) if (at // 24 % 7 < 5 or weekend) and (at - 14) % 24 < weekday_hours
    ]
    return [(START + at * 60 * MINUTE, 1, 2, 1, 2, 5) for at in hours[::step]]


@pytest.mark.parametrize(
    ("timeframe", "rows", "hinted"),
    [
        (
            "1d",
            [(START + day * 1440 * MINUTE, 1, 2, 1, 2, 5) for day in range(-9100, 40) if day % 7 < 5],
            True,
        ),
        ("1d", [(START + day * 1440 * MINUTE, 1, 2, 1, 2, 5) for day in range(40) if day % 7 != 5], False),
        ("1d", [(START + day * 1440 * MINUTE, 1, 2, 1, 2, 5) for day in range(40) if day % 9], False),
        (
            "1d",
            [(START + day * 1440 * MINUTE, 1, 2, 1, 2, 5) for day in (*range(5), *range(400, 405))],
            False,
        ),
        ("1h", rested(7, step=1), True),
        ("1h", rested(7, step=5), True),
        ("1h", rested(7, step=1, weekend=True), False),
        ("1h", rested(24, step=20, weekend=True), False),
        ("1w", [(START + week * 10080 * MINUTE, 1, 2, 1, 2, 5) for week in (0, 1, 3, 4)], False),
    ],
)
def test_a_market_that_rests_at_weekends_is_hinted_at(cli, store_of, timeframe, rows, hinted):
    with store_of() as store:
        store.write("AAPL", timeframe, rows)
    hint = "if AAPL trades on an exchange with weekends, say which: mdstore calendar 'AAPL' XNYS\n"
    for arguments in (["gaps"], ["gaps", "AAPL"], ["verify"]):
        done = cli(*arguments)
        assert (f"Hint: {hint}" in done.stderr) == hinted, (arguments, done.output)
        assert done.stderr.count("Hint") == hinted
        assert "Hint" not in cli(*arguments, "--json").output
    cli("calendar", "AA*", "24/7")
    for arguments in (["gaps"], ["gaps", "AAPL"], ["verify"]):
        assert "Hint" not in cli(*arguments).stderr


def test_one_hint_is_enough_for_all(stocks):
    for arguments in (["gaps"], ["gaps", "AAP", "AAPL"], ["verify"]):
        assert stocks(*arguments).stderr.count("Hint: if AAP (and 1 more like it) trades") == 1


# ---- cover


def reasons_of(cli, *arguments):
    return [(row["reason"], row["bars"]) for row in json.loads(cli("gaps", *arguments, "--json").stdout)]


def test_why_bars_are_missing_is_said_and_taken_back(holes):
    hour = ("--start", "2025-09-01T20:30", "--end", "2025-09-01T20:40")
    said = holes("cover", "KRW-ETH", *hour, "--reason", "no_trade", "--source", "me")
    assert said.stdout == "KRW-ETH 1m from 2025-09-01 20:30 up to 2025-09-01 20:40: no_trade (said by me)\n"
    assert reasons_of(holes, "KRW-ETH", *hour) == [("no_trade", 10)]
    back = holes("cover", "KRW-ETH", "1m", *hour, "--take-back")
    assert back.stdout == "KRW-ETH 1m from 2025-09-01 20:30 up to 2025-09-01 20:40: taken back\n"
    assert reasons_of(holes, "KRW-ETH", *hour) == [("unknown", 10)]
    asked = holes("cover", "KRW-ETH", "60s", *hour).stdout
    assert asked.endswith(": asked for, and there is no more; why is unknown\n")
    assert json.loads(holes("gaps", "KRW-ETH", *hour, "--json").stdout)[0]["asked"]
    facts = json.loads(
        holes("cover", "KRW-ETH", "--end", "2020-01-01", "--reason", "before_listing", "--json").stdout
    )
    assert facts == {
        "symbol": "KRW-ETH", "timeframe": "1m", "start": None, "end": "2020-01-01T00:00:00+00:00",
        "reason": "before_listing", "source": None,
    }  # fmt: skip
    assert json.loads(holes("cover", "KRW-ETH", *hour, "--take-back", "--json").stdout)["taken_back"]


def test_what_is_covered_must_be_stored_or_said_to_be_new(holes):
    end = ("--end", "2025-09-01", "--reason", "before_listing")
    for timeframe in ([], ["1m"]):
        error = holes("cover", "KRW-ETX", *timeframe, *end, code=1).stderr
        assert "no candles of KRW-ETX" in error
        assert "Did you mean KRW-ETH? Hint: --new" in error
    assert "no candles of KRW-ETH 1d" in holes("cover", "KRW-ETH", "1d", *end, code=1).stderr
    assert "KRW-ETX" in holes("cover", "KRW-ETX", "1m", *end[:2], "--take-back", code=1).stderr
    new = holes("cover", "KRW-ETX", "1d", *end, "--new").stdout
    assert new == "KRW-ETX 1d up to 2025-09-01: before_listing\n"
    asked = ("--missing", "--start", "2025-08-30", "--end", "2025-09-02", "--json")
    assert [row["bars"] for row in json.loads(holes("gaps", "KRW-ETX", "1d", *asked).stdout)] == [1]


def test_mistakes_in_what_is_covered(holes):
    at = ("--start", "2025-09-01")
    assert "several timeframes" in holes("cover", "KRW-SOL", *at, code=1).stderr
    assert "--start, --end or both" in holes("cover", "KRW-ETH", code=2).output
    assert "--new needs a timeframe" in holes("cover", "X", *at, "--new", code=2).output
    assert "neither --reason" in holes("cover", "KRW-ETH", *at, "--take-back", "--source", "x", code=2).output
    assert "Invalid value" in holes("cover", "KRW-ETH", *at, "--reason", "bored", code=2).output
    assert "start: 'when'" in holes("cover", "KRW-ETH", "--start", "when", code=1).stderr
    assert "--source '': say" in holes("cover", "KRW-ETH", *at, "--source", "", code=1).stderr
    for back in ([], ["--take-back"]):
        empty = holes("cover", "KRW-ETH", *at, "--end", "2025-09-01", *back, code=1).stderr
        assert "the range from 2025-09-01 to 2025-09-01 is empty" in empty


def test_the_reasons_are_those_of_the_store():
    assert tuple(Why) == STATED


# ---- verify


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


def test_a_complete_file_leaves_nothing_to_be_asked_for(cli, tmp_path):
    rows = [f"2025-09-01T00:0{minute},1,2,1,1.5,3" for minute in (0, 1, 4)]
    (tmp_path / "X-1m.csv").write_text("timestamp,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    cli("import", "X-1m.csv", "--complete")
    hole = json.loads(cli("gaps", "X", "1m", "--json").stdout)
    assert [(one["bars"], one["reason"], one["asked"] is not None) for one in hole] == [(2, "unknown", True)]
    assert hole[0]["source"].endswith("X-1m.csv")


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
    from mdstore.cli.progress import WorkProgress

    def interrupt(self, done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(WorkProgress, "__call__", interrupt)
    done = holes("verify", code=130)
    assert (done.stdout, done.stderr) == ("", "interrupted\n")


def test_verify_has_words_for_every_check():
    assert {"gap", "timeframe", "spike"} < set(CHECKS)


# ---- calendar


def test_calendars_are_set_shown_and_taken_away(stocks):
    assert "every symbol trades always (24/7)" in stocks("calendar").stdout
    stocks("calendar", "AA*", "XNYS")
    done = stocks("calendar", "AAP*", "crypto")
    assert done.stdout == "AAP* trades by 24/7: 2 stored symbols (AAP, AAPL)\n"
    again = stocks("calendar", "AA*", "nyse").stdout
    assert "AA* trades by XNYS: no stored symbol\n2 symbols more fit the pattern, but also a longer" in again
    stocks("calendar", "AAPL", "XNYS")
    listed = json.loads(stocks("calendar", "--json").stdout)
    assert {one["pattern"]: one["symbols"] for one in listed} == {
        "AA*": [], "AAP*": ["AAP"], "AAPL": ["AAPL"],
    }  # fmt: skip
    assert re.search(r"AAP\* +24/7 +1 stored symbol \(AAP\)", stocks("calendar").stdout)
    assert re.search(r"AAP +24/7 +AAP\*\nAAPL +XNYS +AAPL\n", stocks("calendar", "A*").stdout)
    assert stocks("calendar", "AAP*", "--remove").stdout == "AAP* no longer trades by 24/7\n"
    shown = json.loads(stocks("calendar", "AAP", "--json").stdout)
    assert shown == [{"symbol": "AAP", "calendar": "XNYS", "pattern": "AA*"}]
    assert json.loads(stocks("calendar", "AA*", "--remove", "--json").stdout)["removed"] == "AA*"
    assert re.search(r"AAP +24/7 +none fits", stocks("calendar", "AAP").stdout)


def test_calendars_that_there_are_not(stocks):
    assert "did you mean XNYS" in stocks("calendar", "A*", "XNY", code=1).stderr
    assert "no calendar is set for 'A*'" in stocks("calendar", "A*", "--remove", code=1).stderr
    assert "PATTERN ''" in stocks("calendar", "", "24/7", code=1).stderr
    assert "no stored symbol fits Z*" in stocks("calendar", "Z*").stdout
    unknown = stocks("calendar", "ZZZ")
    assert (unknown.stderr, "24/7" in unknown.stdout) == ("ZZZ is not stored\n", True)
    assert "takes a pattern" in stocks("calendar", "--remove", code=2).output
    assert "and no name" in stocks("calendar", "A*", "XNYS", "--remove", code=2).output
    json_set = json.loads(stocks("calendar", "[A]*", "XNYS", "--json").stdout)
    assert json_set == {"pattern": "[A]*", "calendar": "XNYS", "symbols": ["AAP", "AAPL"]}
    assert "[A]* trades by XNYS" in stocks("calendar", "[A]*", "XNYS").stdout


# ---- revisions, and what was known


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
    assert "--as-of: 'soon'" in corrected("show", "KRW-BTC", "--as-of", "soon", code=1).stderr


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
    assert "--fill: from --start to --end" in corrected("show", "KRW-BTC", *long, code=1).stderr
    assert "Invalid value" in corrected("show", "KRW-BTC", "--fill", "linear", code=2).output


# ---- where imported bars come from


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


def test_the_demo_is_its_own_source(cli, tmp_path):
    cli("demo")
    with mdstore.open(tmp_path / "demo.sqlite3") as store:
        assert store.provenance()["source"].unique().to_list() == ["demo"]


# ---- all of them


def test_a_store_without_candles(cli, store_of):
    with store_of():
        pass
    words = {"calendar": "no calendar is set", "revisions": "no bar has changed"}
    for arguments in COMMANDS:
        done = cli(*arguments)
        assert words.get(arguments[0], "nothing is stored in market_data.sqlite3") in done.output
        assert cli(*arguments, "--json").stdout == "[]\n"


def test_what_is_not_stored_is_an_error_with_a_hint(holes):
    for arguments in (
        ["gaps", "KRW-ETX"], ["gaps", "X", "-t", "1m"], ["gaps", "-t", "1d"], ["verify", "X"],
        ["verify", "-t", "1d"], ["revisions", "KRW-ETX"], ["revisions", "KRW-ETH", "1d"],
        ["gaps", "X", "-t", "1m", "--missing"],
    ):  # fmt: skip
        done = holes(*arguments, code=1)
        assert done.stdout == ""
        hint = r"error: no candles (for|of) .*(`mdstore series` lists|[Dd]id you mean|Stored)"
        assert re.match(hint, done.stderr), done.stderr


def test_a_store_of_a_newer_schema_is_left_alone(holes, tmp_path):
    with sqlite3.connect(tmp_path / "market_data.sqlite3") as con:
        con.execute("INSERT INTO schema_version VALUES (99, 0, 'from the future')")
    con.close()
    for arguments in COMMANDS:
        done = holes(*arguments, code=1)
        assert done.stderr.startswith("error: ")
        assert "schema version 99" in done.stderr


def test_ranges_of_any_year(holes, store_of):
    with store_of() as store:
        store.write("M", "1M", [("2025-01-01", 1, 1, 1, 1, 1), ("2025-04-01", 1, 1, 1, 1, 1)])
    for bounds in (["--start", "0001-01-01"], ["--end", "9999-12-31"]):
        assert re.search(r"^M +1M .* 2 ", holes("gaps", *bounds).stdout, re.MULTILINE)
        assert holes("gaps", "M", *bounds).stdout
        assert holes("gaps", "M", "--missing", *bounds).stdout
        assert "no bar in this range" in holes("revisions", *bounds).stdout


def test_mistakes_in_times_and_timeframes(holes):
    assert "start: 'when'" in holes("gaps", "--start", "when", code=1).stderr
    assert "end: 'when'" in holes("gaps", "KRW-ETH", "--end", "when", code=1).stderr
    assert "is no timeframe" in holes("gaps", "-t", "1x", code=1).stderr
    assert "is no timeframe" in holes("verify", "-t", "1x", code=1).stderr
    assert "is no timeframe" in holes("revisions", "KRW-ETH", "1x", code=1).stderr
    assert "several timeframes of KRW-SOL" in holes("gaps", "KRW-SOL", "--json", code=1).stderr
    assert "several timeframes of KRW-SOL" in holes("gaps", "KRW-SOL", "--missing", code=1).stderr


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


def test_help_has_examples(cli):
    for command in ("gaps", "cover", "verify", "calendar", "revisions"):
        out = cli(command, "--help").stdout
        assert out.count(f"mdstore {command}") >= 2, out
