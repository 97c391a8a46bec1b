"""What `align="floor"` moves never buries what stood there; what is exported comes back."""

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import mdstore
from mdstore.cli import app
from tests.support.candles import START, bits, walk
from tests.support.doses import dose

HOUR = 3_600_000
WHOLE = (START, 5.0, 5.0, 5.0, 5.0, 700.0)
HALF = (START + 28 * 60_000, 6.0, 6.0, 6.0, 6.0, 2.0)


def values(store):
    return store.candles("A", "1h").select("close", "volume").rows()


def test_a_moved_row_does_not_replace_a_stored_bar_unasked(store):
    store.write("A", "1h", [WHOLE])
    result = store.write("A", "1h", [HALF], align="floor")
    assert (result.withheld, result.updated, result.rows) == (1, 0, 1)
    assert values(store) == [(5.0, 700.0)]
    again = store.write(
        "A", "1h", [(HALF[0], *WHOLE[1:])], align="floor"
    )  # the same values: nothing to withhold
    assert (again.withheld, again.unchanged) == (0, 1)
    asked = store.write("A", "1h", [HALF], align="floor", on_conflict="last")
    assert (asked.withheld, asked.updated) == (0, 1)
    assert values(store) == [(6.0, 2.0)]


@settings(max_examples=dose(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=25)
)
def test_the_rows_of_a_call_are_counted_once_and_exact_ones_win(tmp_path_factory, rows):
    """Against a plain model; `rows` are hours, quarters of an hour and prices."""
    data = [
        (START + hour * HOUR + quarter * 900_000, *[float(price)] * 4, 1.0) for hour, quarter, price in rows
    ]
    expected = {}
    for hour, quarter, price in rows:
        held = expected.get(hour)
        if held is None or quarter == 0 or held[0] != 0:
            expected[hour] = (quarter, float(price))
    exact = {hour: float(price) for hour, quarter, price in rows if quarter == 0}
    with mdstore.open(tmp_path_factory.mktemp("s") / "s.sqlite3") as store:
        result = store.write("A", "1h", data, align="floor", on_conflict="last")
        assert result.rows == len(rows)
        frame = store.candles("A", "1h")
    found = dict(
        zip(((frame["timestamp"].dt.epoch("ms") - START) // HOUR).to_list(), frame["close"], strict=True)
    )
    assert set(found) == set(expected)
    assert {hour: price for hour, price in found.items() if hour in exact} == exact


names = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="\0"), min_size=1, max_size=12
)


@pytest.mark.parametrize("suffix", ["csv", "json", "ndjson", "parquet", "feather", "tsv", "csv.gz"])
def test_what_export_writes_import_reads_back(tmp_path, suffix):
    symbols = [
        "NA",
        "NULL",
        "None",
        "NaN",
        "nan",
        "-",
        "N/A",
        "KRW-BTC",
        "005930",
        "^GSPC",
        "ES=F",
        'a"b',
        "a,b",
        "가",
    ]
    round_trip(tmp_path, symbols, suffix)


@settings(max_examples=dose(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    symbols=st.lists(names, min_size=1, max_size=4, unique=True),
    suffix=st.sampled_from(["csv", "json", "parquet"]),
)
def test_so_it_does_for_any_symbols(tmp_path_factory, symbols, suffix):
    round_trip(tmp_path_factory.mktemp("s"), symbols, suffix)


def round_trip(folder, symbols, suffix):
    first, second, file = folder / "a.sqlite3", folder / "b.sqlite3", folder / f"out.{suffix}"
    with mdstore.open(first) as store:
        for number, symbol in enumerate(symbols):
            store.write(symbol, "1m", walk(3, seed=number))
        stated = {symbol: bits(store.candles(symbol, "1m")) for symbol in symbols}
    run(first, "export", file, "-t", "1m")
    run(second, "import", file)
    with mdstore.open(second) as store:
        assert sorted(store.series()["symbol"].cast(pl.String)) == sorted(symbols)
        assert {symbol: bits(store.candles(symbol, "1m")) for symbol in symbols} == stated


def run(store, command, *arguments):
    done = CliRunner().invoke(app, [command, *map(str, arguments), "--store", str(store)])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
@pytest.mark.parametrize("zone", ["Asia/Seoul", "America/New_York"])
def test_days_of_a_zone_come_back_as_their_dates(tmp_path, suffix, zone):
    file = tmp_path / f"days.{suffix}"
    with mdstore.open(tmp_path / "a.sqlite3") as store:
        store.write("A", "1h", walk(24 * 200, start=START - 24 * 200 * HOUR, step=HOUR))
        made = store.candles("A", "1d", derive_from="1h", tz=zone).filter("closed")
        end = made["timestamp"][-1].isoformat()  # what has not ended is refused
        made = made.head(-1)
        dates = made["timestamp"].dt.convert_time_zone(zone).dt.date().to_list()
    run(tmp_path / "a.sqlite3", "export", file, "A", "-t", "1d", "--from", "1h", "--tz", zone, "--end", end)
    run(tmp_path / "b.sqlite3", "import", file)
    with mdstore.open(tmp_path / "b.sqlite3") as store:
        read = store.candles("A", "1d")
    assert set(dates) <= set(read["timestamp"].dt.date())
    assert (read["timestamp"].dt.hour() == 0).all()
