"""What errors advise on the command line: it speaks of commands and options, and doing it works."""

import json
import re
import shlex

import pytest

import mdstore
from tests.project.test_hints import PYTHON
from tests.support.candles import walk
from tests.support.command_line import HEADER, ROW, candles_file


@pytest.fixture
def advised(filled, tmp_path):
    """As `filled`, with files that are refused; runs a command that fails, and returns what it advises."""
    candles_file(tmp_path)
    bad = ROW.format(0) + "2025-09-01T00:01:00,3,2,1,1,1\n"
    (tmp_path / "bad-1m.csv").write_text(HEADER + bad)
    odd = "".join(f"{86400 + at * 60 + at // 4},1,1,1,1,1\n" for at in range(5))
    (tmp_path / "odd-1m.csv").write_text(HEADER + odd)
    (tmp_path / "even-1m.csv").write_text(HEADER + "86400,1,1,1,1,1\n86460,1,1,1,1,1\n")
    (tmp_path / "two-1m.csv").write_text("symbol," + HEADER + "A," + ROW.format(0) + "B," + ROW.format(1))
    (tmp_path / "nameless_prices.csv").write_text(HEADER + ROW.format(0))

    def run(*arguments):
        error = filled(*arguments, code=1).stderr
        assert error.count("Hint: ") == 1, error
        return error.partition("Hint: ")[2].splitlines()[0]

    return run


@pytest.mark.parametrize(
    ("command", "advice", "followed"),
    [
        ("import bad-1m.csv", "--on-invalid quarantine", "import bad-1m.csv --on-invalid quarantine"),
        ("import odd-1m.csv --unit s", "--align floor", "import odd-1m.csv --unit s --align floor"),
        ("import even-1m.csv", "--unit s", "import even-1m.csv --unit s"),
        (
            "import nameless_prices.csv -t 1m",
            "--symbol KRW-BTC",
            "import nameless_prices.csv -t 1m --symbol X",
        ),
        (
            "import nameless_prices.csv -t 1m",
            "--symbol-from-filename '{symbol}_prices'",
            "import nameless_prices.csv -t 1m --symbol-from-filename '{symbol}_prices'",
        ),
        (
            "import nameless_prices.csv -s X",
            "--timeframe 1d",
            "import nameless_prices.csv -s X --timeframe 1d",
        ),
        ("import KRW-BTC-1m.csv -t 1h", "-t 1m", "import KRW-BTC-1m.csv -t 1m"),
        ("show KRW-BTC 60", "60m (minutes), which is 1h", "show KRW-BTC 60m"),
        ("show KRW-BTC 2h", "--from '1h'", "show KRW-BTC 2h --from '1h'"),
        ("export x.csv -t 1h --tz Asia/Seoul", "--from 1m", "export x.csv -t 1h --tz Asia/Seoul --from 1m"),
        ("show KRW-BTC --from 1m", "such as 1h", "show KRW-BTC 1h --from 1m"),
        ("show KRW-BTC 7m --from 1h", "derive it from 1m", "show KRW-BTC 7m --from 1m"),
        ("export x.csv -t 2h", "--from '1h'", "export x.csv -t 2h --from '1h'"),
        ("screen 'close > 1' -t 2h", "--from '1h'", "screen 'close > 1' -t 2h --from '1h'"),
        ("screen 'close = 1' -t 1m", "write '=='", "screen 'close == 1' -t 1m"),
        ("gaps NEW 1h --missing", "--start", "gaps NEW 1h --missing --start 2025-09-01"),
        ("cover NEW 1d --end 2025-01-01", "--new", "cover NEW 1d --end 2025-01-01 --new"),
    ],
)
def test_what_is_advised_works(advised, filled, command, advice, followed):
    assert advice in advised(*shlex.split(command))
    filled(*shlex.split(followed))


def test_what_is_there_is_replaced_as_advised(advised, filled):
    for command in (["backup", "copy.sqlite3"], ["export", "x.csv", "-t", "1m"]):
        filled(*command)
        assert advised(*command) == "--force replaces it"
        filled(*command, "--force")


@pytest.mark.parametrize(
    ("command", "wrong", "meant"),
    [
        ("show {} 1m", "KRW-BTX", "KRW-BTC"),
        ("show {} 1m --no-chart", "krw-eth", "KRW-ETH"),
        ("calendar A* {}", "XNY", "XNYS"),
        ("show KRW-BTC 1d --from 1h --tz {}", "Asia/Soul", "Asia/Seoul"),
        ("show KRW-ETH {}", "1T", "1m"),
        ("show KRW-ETH {}", "'1 min'", "1m"),
        ("screen close.{}(3) -t 1m", "rolling_men", "rolling_mean"),
    ],
)
def test_what_may_have_been_meant_can_be_said(advised, filled, command, wrong, meant):
    if command.startswith("calendar"):
        pytest.importorskip("exchange_calendars")
    hint = advised(*shlex.split(command.format(wrong)))
    assert re.search(r"did you mean '?([\w/-]+)", hint)[1] == meant
    filled(*shlex.split(command.format(meant)))


def test_the_commands_that_are_advised_work(advised, filled, cli, tmp_path):
    assert "`mdstore series`" in advised("show", "NOTHING-LIKE", "1m")
    assert "KRW-BTC" in filled("series").stdout
    assert advised("sql", "DELETE FROM candles") == ("`mdstore import` and `mdstore delete` change candles")
    assert advised("sql", "FROM candels") == "the tables are candles, series and quarantine"
    for table in ("candles", "series", "quarantine"):
        filled("sql", f"FROM {table}")
    assert "`mdstore calendar` lists the patterns" in advised("calendar", "A*", "--remove")
    filled("calendar")
    assert "`mdstore import` makes one" in advised("-f", "new.sqlite3", "series")
    filled("-f", "new.sqlite3", "import", "KRW-BTC-1m.csv")
    filled("-f", "new.sqlite3", "delete", "KRW-BTC", "--yes")
    assert advised("-f", "new.sqlite3", "show", "KRW-BTC", "1m") == "mdstore import FILES"
    assert "leave --symbol out" in advised("import", "two-1m.csv", "-s", "C")
    filled("import", "two-1m.csv")
    assert "write sma(x, window)" in advised("screen", "sma(close)", "-t", "1m")
    filled("screen", "sma(close, 20)", "-t", "1m")


def test_calls_that_put_no_bars_together_do_not_advise_it(filled):
    for command in ("gaps KRW-ETH 1h", "verify KRW-ETH 1h", "gaps KRW-ETH KRW-BTC 2h"):
        error = filled(*shlex.split(command), code=1).stderr
        assert "no candles for" in error
        assert "can be made of" not in error


MISTAKES = """
show KRW-BTC; show KRW-BTC 7x; show KRW-BTC 1m --start when; show KRW-BTC 1m --end when
show KRW-BTC 1m --as-of soon; show KRW-BTC 1m --fill flat --start 0001-01-01 --end 2025-09-02
show KRW-BTC 1m --start 1; show KRW-BTC --from 1m; show KRW-BTC 1m --tz Asia/Soul
show KRW-BTC 7m --from 1h; show KRW-BTC 2h; show '' 1m; show ' A' 1m; show NOTHING-LIKE 1m
export x.xlsx -t 1m; export no/where/x.csv -t 1m; export x.csv -t 7m --from 1h; export x.csv NOTHING-LIKE
sql SELEC; sql 'DELETE FROM candles'; sql 'FROM nowhere'; sql ''; sql 'SELECT INTERVAL 1 MONTH'
screen 'close = 1' -t 1m; screen 'close > 1' 'close > 1' -t 1m; screen 'sma(close)' -t 1m
screen nothing -t 1m
gaps NEW 1h --missing; gaps NEW; gaps KRW-ETH 1h; gaps -t 1d; gaps KRW-ETH --start when; verify NEW
verify -t 1d; cover KRW-ETH --start 2025-09-01 --source ''; cover KRW-ETH --start 2025-09-02 --end 2025-09-01
cover NEW --end 2025-09-01; calendar '' 24/7; calendar A* --remove; revisions NEW; revisions KRW-ETH 1x
delete NEW; delete KRW-ETH 7x --yes; delete KRW-ETH --wait 1e9; backup market_data.sqlite3; backup .
replay no.txt; replay KRW-BTC-1m.csv -t 7x; replay no.txt --speed 0
import bad-1m.csv; import odd-1m.csv; import odd-1m.csv --unit s; import nameless_prices.csv; import nowhere
import two-1m.csv -s C; import KRW-BTC-1m.csv -s ' '; import KRW-BTC-1m.csv -t 1h; import market_data.sqlite3
import KRW-BTC-1m.csv --symbol-from-filename x; -f bad-1m.csv series; -f nowhere.sqlite3 check
"""


@pytest.mark.parametrize("command", [one.strip() for one in re.split(r"[;\n]", MISTAKES) if one.strip()])
def test_no_error_speaks_python(advised, filled, tmp_path, command):
    (tmp_path / "no.txt").write_text("hello\n")
    error = filled(*shlex.split(command), code=1).stderr
    assert error.startswith(("error: ", "note: ")), error
    of_the_user = r"\{.*?\}|'[^']*'|\S+\.(csv|sqlite3)"
    assert not PYTHON.search(re.sub(of_the_user, "", error)), error


def test_failures_in_json_are_told_as_on_stderr(advised, filled):
    done = filled("import", "bad-1m.csv", "--json", code=1)
    (failure,) = json.loads(done.stdout)["failures"]
    assert failure["error"].endswith("--on-invalid quarantine sets bad rows aside and lands the others")


def test_bars_that_fill_holes_are_left_out_as_advised(advised, filled, tmp_path):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.write("HOLES", "1m", walk(9).filter(walk(9)["open"] != walk(9)["open"][4]))
    filled("export", "holes.csv", "HOLES", "--fill", "flat")
    assert "export without --fill" in advised("import", "holes.csv")
    filled("export", "holes.csv", "HOLES", "--force")
    filled("import", "holes.csv")
