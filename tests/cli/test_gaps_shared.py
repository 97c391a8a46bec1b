"""`mdstore gaps` names the holes that all series share, and what it names is what can be said of them."""

import json
import re
from datetime import date

import polars as pl
import pytest

from tests.support.candles import walk

ALL = "all 3 series of 1m lack 2025-09-01 01:00 to 2025-09-01 01:30 (30 bars): a maintenance of"


@pytest.fixture
def market(cli, store_of):
    bars = walk(300)
    with store_of() as store:
        for number, symbol in enumerate(("A", "B", "C")):
            quiet = 200 + 5 * number  # a hole of each alone
            store.write(symbol, "1m", pl.concat([bars[:60], bars[90:quiet], bars[quiet + 3 :]]))
        store.write("A", "1h", walk(5, step=3_600_000))
    return cli


def test_a_hole_of_all_is_named_in_both_views(market):
    for arguments in ((), ("-t", "1m"), ("A", "1m"), ("A", "B", "1m")):
        said = market("gaps", *arguments).stdout
        assert ALL in said, arguments
        assert said.count("a maintenance of") == 1


def test_saying_so_as_it_advises_ends_it(market):
    command = re.search(r"mdstore (cover .*) says so", market("gaps").stderr)[1]
    assert market(*command.split()).stdout.startswith("3 symbols 1m from 2025-09-01 01:00")
    said = market("gaps", "A", "1m").stdout
    assert "a maintenance of" not in said
    assert "exchange_down 30" in said


@pytest.mark.parametrize("of_whom", [("A", "B", "C"), ("B",)])
def test_where_the_source_says_that_nothing_was_traded_it_was_there(market, of_whom):
    for symbol in of_whom:
        market(
            "cover", symbol, "-t", "1m", "--start", "2025-09-01T01:00", "--end", "2025-09-01T01:30",
            "--reason", "no_trade", "--source", "upbit",
        )  # fmt: skip
    for arguments in ((), ("A", "1m")):
        assert "a maintenance of" not in market("gaps", *arguments).output


def test_one_series_alone_shares_nothing(market):
    market("delete", "B", "--yes")
    market("delete", "C", "--yes")
    assert "a maintenance of" not in market("gaps", "A", "1m").stdout
    assert "a maintenance of" not in market("gaps").stdout


@pytest.mark.parametrize("within", [(), ("--start", "2017-12-21", "--end", "2017-12-29")])
def test_a_holiday_of_stocks_is_no_maintenance(cli, store_of, within):
    days = [f"2017-{month}-{day:02}" for month in (11, 12) for day in range(1, 31)]
    traded = [day for day in days if date.fromisoformat(day).weekday() < 5 and day != "2017-12-25"]
    with store_of() as store:
        for symbol in ("AAPL", "MSFT"):
            store.write(symbol, "1d", [(day, 1, 2, 1, 2, 5) for day in traded])
    for arguments in (("AAPL", "1d"), ()):
        done = cli("gaps", *arguments, *within)
        assert "maintenance" not in done.output
        assert "exchange_down" not in done.stderr
        assert "mdstore calendar 'AAPL' XNYS" in done.stderr


def test_rows_bound_json_too_where_they_are_given(market):
    for arguments in (("A", "1m"), (), ("A", "1m", "--missing", "--page", "10")):
        whole = json.loads(market("gaps", *arguments, "--json").stdout)
        assert len(whole) > 1
        assert json.loads(market("gaps", *arguments, "--json", "-n", "1").stdout) == whole[:1]
