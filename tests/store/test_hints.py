"""What errors advise in Python: it speaks of calls and arguments, and doing it works."""

import copy
import pickle

import polars as pl
import pytest

import mdstore
from mdstore.errors import Hint, MarketDataError, NoSuchSeriesError
from tests.support.candles import walk

ODD = [(f"2025-09-01T00:0{at}:0{at // 3}", 1, 2, 1, 2, 5) for at in range(5)]
BAD = [("2025-09-01T00:00", 1, 2, 1, 2, 5), ("2025-09-01T00:01", 3, 2, 1, 1, 1)]
SECONDS = [(86_400, 1, 2, 1, 2, 5), (86_460, 1, 2, 1, 2, 5)]


@pytest.fixture
def filled(store):
    store.write("KRW-BTC", "1m", walk(300))
    store.write("KRW-ETH", "1m", walk(200))
    return store


def hint_of(call):
    """Return what the error of a call advises."""
    with pytest.raises(MarketDataError) as caught:
        call()
    assert str(caught.value).count("Hint: ") == 1
    return str(caught.value).partition("Hint: ")[2]


@pytest.mark.parametrize(
    ("method", "given", "advice"),
    [
        ("write", ("X", "1m", BAD), "on_invalid='quarantine'"),
        ("write", ("X", "1m", ODD), "align='floor'"),
        ("write", ("X", "1m", SECONDS), "unit='s'"),
        ("candles", ("KRW-BTC", "1h"), "derive_from='1m'"),
        ("arrow", ("KRW-BTC", "1h"), "derive_from='1m'"),
        ("explain", ("KRW-BTC", "1h"), "derive_from='1m'"),
        ("screen", ("1h", "close > open"), "derive_from='1m'"),
        ("missing", ("NEW", "1h"), "start="),
    ],
)
def test_an_argument_that_is_advised_can_be_given(filled, method, given, advice):
    call = getattr(filled, method)
    assert advice in hint_of(lambda: call(*given))
    name, _, value = advice.partition("=")
    call(*given, **{name: value.strip("'") or "2025-09-01"})


def test_a_zone_is_for_derived_bars(filled):
    assert "derive_from='1m'" in hint_of(lambda: filled.candles("KRW-BTC", "1h", tz="Asia/Seoul"))
    assert len(filled.candles("KRW-BTC", "1h", tz="Asia/Seoul", derive_from="1m")) == 5


@pytest.mark.parametrize("method", ["gaps", "missing", "verify", "fingerprint", "delete"])
def test_calls_that_put_no_bars_together_do_not_advise_it(filled, method):
    call = getattr(filled, method)
    with pytest.raises(NoSuchSeriesError, match="Stored for KRW-BTC: 1m") as caught:
        call("KRW-BTC", "1h")
    assert "can be made of" not in str(caught.value)
    assert caught.value.made_of is None


def test_the_error_of_a_read_carries_what_bars_can_be_made_of(filled):
    with pytest.raises(NoSuchSeriesError) as caught:
        filled.candles("KRW-BTC", "1h")
    assert caught.value.made_of == "1m"
    assert len(filled.candles("KRW-BTC", "1h", derive_from=caught.value.made_of)) == 5


@pytest.mark.parametrize(
    ("call", "wrong", "meant"),
    [
        (lambda store, symbol: store.candles(symbol, "1m"), "KRW-BTX", "KRW-BTC"),
        (lambda store, bar: store.candles("KRW-BTC", bar, derive_from="1m"), "60", "60m"),
        (lambda store, bar: store.candles("KRW-BTC", bar), "1T", "1m"),
        (lambda store, bar: store.candles("KRW-BTC", bar), "1 min", "1m"),
        (lambda store, name: store.screen("1m", f"{name} > 1"), "clos", "close"),
        (
            lambda store, tz: store.candles("KRW-BTC", "1h", derive_from="1m", tz=tz),
            "Asia/Soul",
            "Asia/Seoul",
        ),
    ],
)
def test_what_may_have_been_meant_can_be_said(filled, call, wrong, meant):
    said = hint_of(lambda: call(filled, wrong))
    assert said.startswith((f"did you mean {meant}", f"did you mean '{meant}'"))
    call(filled, meant)


def test_the_calls_that_are_advised_work(store, tmp_path):
    assert hint_of(lambda: store.candles("A", "1m")).startswith("store.write(symbol, timeframe, data)")
    store.write("A", "1m", walk(20))
    assert hint_of(lambda: store.candles("NOTHING-LIKE", "1m")) == "store.series() lists them"
    assert store.series()["symbol"].to_list() == ["A"]
    assert "store.delete" in hint_of(lambda: store.sql("DELETE FROM candles"))
    assert store.delete("A", start=walk(20)["timestamp"][10]) == 10
    for table in ("candles", "series", "quarantine", "tickers", "orderbooks", "trades"):
        assert table in hint_of(lambda: store.sql("FROM nowhere"))
        store.sql(f"FROM {table}")
    store.maintenance.backup(tmp_path / "copy.sqlite3")
    assert (
        hint_of(lambda: store.maintenance.backup(tmp_path / "copy.sqlite3")) == "overwrite=True replaces it"
    )
    store.maintenance.backup(tmp_path / "copy.sqlite3", overwrite=True)


def test_data_is_put_right_as_advised(store):
    two = walk(4).with_columns(pl.Series("symbol", ["A", "A", "B", "B"]))
    assert hint_of(lambda: store.write("A", "1m", two)) == "write_many(data) keeps them apart"
    store.write_many(two, timeframe="1m")
    store.write("C", "1m", walk(9).filter(walk(9)["open"] != walk(9)["open"][4]))
    frame = store.candles("C", "1m", fill="flat")
    advised = hint_of(lambda: store.write("D", "1m", frame)).removeprefix("write ")
    assert store.write("D", "1m", eval(advised, {"frame": frame, "pl": pl})).inserted == 8


def test_bars_that_cannot_be_made_of_others_say_of_which(filled):
    said = hint_of(lambda: filled.candles("KRW-BTC", "90s", derive_from="1m"))
    assert said == "derive it from 1s"
    filled.write("KRW-BTC", "1s", walk(180, step=1_000))
    assert len(filled.candles("KRW-BTC", "90s", derive_from="1s")) == 2


# ---- the errors themselves


@pytest.mark.parametrize(
    ("message", "between"),
    [("no candles of X", ". "), ("was it 3?", " "), ("It is.", " "), ("LINE 1: FROM x\n        ^", "\n")],
)
def test_message_and_hint_are_two_sentences(message, between):
    error = MarketDataError(message, hint=Hint("call it", "run it"))
    assert str(error) == f"{message}{between}Hint: call it"
    assert error.said("cli") == f"{message}{between}Hint: run it"
    assert (error.message, str(MarketDataError(message))) == (message, message)


def test_an_error_comes_whole_through_pickle_and_copy():
    error = NoSuchSeriesError("no candles", hint="did you mean X?", made_of="1m")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (str(again), again.made_of, again.hint) == (str(error), "1m", error.hint)


def test_the_tables_are_named_where_a_name_is_wrong_and_not_elsewhere(store):
    for query in ("FROM nowhere", "SELECT nothing FROM candles"):
        assert "the tables are" in hint_of(lambda query=query: store.sql(query))
    with pytest.raises(mdstore.QueryError) as caught:
        store.sql("SELECT 1 +")
    assert caught.value.hint is None


def test_a_pattern_in_place_of_a_symbol_names_those_that_fit(filled):
    for symbols in ("KRW-*", ["KRW-*"], "*-[BE]T[HC]"):
        assert "give the 2 names that fit, KRW-BTC, KRW-ETH" in hint_of(lambda: filled.candles(symbols, "1m"))  # noqa: B023
    filled.candles(["KRW-BTC", "KRW-ETH"], "1m")
    for number in range(9):
        filled.write(f"S{number}", "1m", walk(1))
    assert "S0, S1, S2, S3, S4, ..." in hint_of(lambda: filled.candles("S*", "1m"))


def test_a_path_in_place_of_candles_is_read_first_or_imported(filled, tmp_path):
    path = tmp_path / "x.csv"
    walk(3).write_csv(path)
    for given in (str(path), path):
        assert "pl.read_csv(path)" in hint_of(lambda: filled.write("X", "1m", given))  # noqa: B023
    assert filled.write("X", "1m", pl.read_csv(path)).inserted == 3


def test_a_table_of_a_database_of_duckdb_is_named_alone(filled):
    for name in ("candles", "series"):
        said = hint_of(lambda: filled.sql(f"SELECT count(*) FROM memory.{name}"))  # noqa: B023
        assert said == f"write {name} alone, without the name of a database before it"
        filled.sql(f"SELECT count(*) FROM {name}")
