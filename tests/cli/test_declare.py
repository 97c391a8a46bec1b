"""`mdstore declare`: columns are declared, listed and taken back; files come and go with them."""

import json

import polars as pl
import pytest

import mdstore
from tests.support.candles import bits, walk
from tests.support.real import real

UPBIT = """\
candle_date_time_utc,opening_price,high_price,low_price,trade_price,candle_acc_trade_volume,candle_acc_trade_price,unit
2025-09-01T00:00:00,1,2,1,2,3,4.5,1
2025-09-01T00:01:00,1,2,1,2,3,,1
2025-09-01T00:02:00,1,2,1,2,3,7,1
"""


def valued(bars):
    numbers = pl.Series("value", [None if at % 4 == 2 else at / 7 for at in range(bars)])
    return walk(bars).with_columns(numbers)


def test_columns_are_declared_listed_and_taken_back(cli):
    assert cli("declare", "value", "--resample", "sum").stdout == (
        "value is kept of all symbols, all timeframes; longer bars have it by sum\n"
    )
    options = ["--resample", "last", "--source", "Open Int", "-s", "BTC*", "-s", "ETH", "-t", "1d"]
    one = json.loads(cli("declare", "oi", *options, "--json").stdout)
    lists = {"source": ["Open Int"], "symbols": ["BTC*", "ETH"], "timeframes": ["1d"]}
    assert one == {"name": "oi", "resample": "last", **lists}
    listed = cli("declare").stdout.splitlines()
    assert listed[1].split() == ["value", "sum", "all", "symbols", "all", "timeframes"]
    assert "BTC*, ETH" in listed[2]
    assert [each["name"] for each in json.loads(cli("declare", "--json").stdout)] == ["value", "oi"]
    assert cli("declare", "oi", "--remove").stdout == "oi is no longer kept\n"
    assert json.loads(cli("declare", "value", "--remove", "--json").stdout) == {"removed": "value"}
    assert cli("declare").stdout == "no column is declared: a candle's alone are kept\n"


def test_what_cannot_be_declared_says_what_can(cli):
    assert "--resample says how" in cli("declare", "value", code=2).output
    assert "takes the name" in cli("declare", "--remove", code=2).output
    assert "go with a name" in cli("declare", "--resample", "sum", code=2).output
    assert "there is no store at" in cli("declare", code=1).stderr
    wrong = cli("declare", "close", "--resample", "sum", code=1).stderr
    assert "it means something else" in wrong
    assert "--source close" in wrong
    assert cli("declare", "price_2", "--resample", "sum", "--source", "close").exit_code == 0
    assert "did you mean price_2?" in cli("declare", "price_3", "--remove", code=1).stderr


def test_upbits_own_names_are_imported_shown_and_said_to_have_changed(cli, tmp_path):
    file = tmp_path / "KRW-BTC-1m.csv"
    file.write_text(UPBIT)
    cli("declare", "value", "--resample", "sum")
    first = cli("import", file, "--json")
    assert json.loads(first.stdout)["files"][0]["ignored"] == []
    table = cli("show", "KRW-BTC", "--no-chart").stdout.splitlines()
    assert [line.split()[-1] for line in table] == ["value", "4.5", "3", "7.0"]
    made = json.loads(cli("show", "KRW-BTC", "5m", "--from", "1m", "--json").stdout)
    assert [bar["value"] for bar in made] == [11.5]
    file.write_text(UPBIT.replace(",,", ",6,").replace(",7,", ",8,"))
    cli("import", file)
    changes = cli("revisions", "KRW-BTC", "1m").stdout.splitlines()
    assert [line.split()[-4:-1] for line in changes[1:]] == [["value", "none", "6"], ["value", "7", "8"]]
    assert json.loads(cli("screen", "value > 7", "-t", "1m", "--json").stdout)[0]["symbol"] == "KRW-BTC"


@pytest.mark.parametrize("suffix", [".csv", ".tsv.gz", ".json", ".ndjson", ".parquet", ".feather", ".arrow"])
def test_what_is_exported_comes_back_to_the_bit(cli, tmp_path, suffix):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.declare("value", resample="sum")
        store.write("A", "1m", valued(50))
        store.write("B", "1m", walk(5))
    cli("export", tmp_path / f"all{suffix}", "-t", "1m")
    cli("-f", tmp_path / "other.sqlite3", "declare", "value", "--resample", "sum")
    cli("-f", tmp_path / "other.sqlite3", "import", tmp_path / f"all{suffix}")
    with mdstore.open(tmp_path / "other.sqlite3") as store:
        back = store.candles("A", "1m", columns=valued(1).columns)
        assert bits(back.drop("value")) == bits(walk(50))
        assert back["value"].to_list() == valued(50)["value"].to_list()
        assert bits(store.candles("B", "1m")) == bits(walk(5))
    cli("-f", tmp_path / "plain.sqlite3", "import", tmp_path / f"all{suffix}")
    cli("export", tmp_path / "b.csv", "B", "-t", "1m")
    assert (tmp_path / "b.csv").read_text().splitlines()[0].endswith(",volume")  # nothing of it is there


def test_binances_klines_without_a_header_have_turnover_and_trades(cli, tmp_path):
    for name in ("value", "trades", "taker_buy_volume", "taker_buy_value"):
        cli("declare", name, "--resample", "sum")
    file = real("binance_kline", "ADABTC-1m-2021-11-28.csv")
    done = json.loads(cli("import", file, "--json").stdout)
    assert done["files"][0]["ignored"] == ["close_time", "ignore"]
    raw = [line.split(",") for line in file.read_text().splitlines()]
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        names = ["value", "trades", "taker_buy_volume", "taker_buy_value"]
        found = store.candles(store.series()["symbol"][0], "1m", columns=names).rows()
    assert found == [tuple(map(float, row[7:11])) for row in raw]
