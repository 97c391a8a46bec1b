"""`mdstore gaps` names the holes that all series share, and what it names is what can be said of them."""

import json
import re

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


def test_one_series_alone_shares_nothing(market):
    market("delete", "B", "--yes")
    market("delete", "C", "--yes")
    assert "a maintenance of" not in market("gaps", "A", "1m").stdout
    assert "a maintenance of" not in market("gaps").stdout


def test_rows_bound_json_too_where_they_are_given(market):
    for arguments in (("A", "1m"), (), ("A", "1m", "--missing", "--page", "10")):
        whole = json.loads(market("gaps", *arguments, "--json").stdout)
        assert len(whole) > 1
        assert json.loads(market("gaps", *arguments, "--json", "-n", "1").stdout) == whole[:1]
