"""Whole numbers that no Float64 is are refused: they were stored as others, and nobody was told."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore import ValidationError
from mdstore.core.whole_numbers import INEXACT, inexact

LIMIT = 2**53
numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 9).map(lambda near: LIMIT + near)
KINDS = {
    "Int64": lambda values: pl.Series("volume", values, dtype=pl.Int64),
    "UInt64": lambda values: pl.Series("volume", values, dtype=pl.UInt64),
    "Int128": lambda values: pl.Series("volume", values, dtype=pl.Int128),
    "texts": lambda values: pl.Series("volume", list(map(str, values)), dtype=pl.String),
    "decimals": lambda values: pl.Series("volume", list(map(Decimal, values)), dtype=pl.Decimal(38, 0)),
    "objects": lambda values: pl.Series("volume", values, dtype=pl.Object),
}


def bars(volumes):
    times = [f"2025-09-01T00:{minute:02}" for minute in range(len(volumes))]
    ones = {name: [1.0] * len(volumes) for name in ("open", "high", "low", "close")}
    return pl.DataFrame({"timestamp": times, **ones, "volume": volumes})


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_number_that_would_be_another_breaks_a_rule(store, kind):
    frame = bars(KINDS[kind]([5, LIMIT, LIMIT + 1, LIMIT + 2]))
    with pytest.raises(ValidationError, match=r"row 2 of A 1m: volume = 9007199254740993 breaks") as caught:
        store.write("A", "1m", frame)
    assert caught.value.bad_rows == 1
    assert "as a float" in caught.value.hint.python
    result = store.write("A", "1m", frame, on_invalid="quarantine")
    assert (result.inserted, len(store.quarantine())) == (3, 1)
    assert store.candles("A", "1m")["volume"].to_list() == [5, LIMIT, LIMIT + 2]
    assert store.quarantine()["value"].to_list() == [str(LIMIT + 1)]
    # "or as a float": who gives one knows that it is rounded
    store.write("A", "1m", bars([float(LIMIT + 1)]))


def test_rows_of_python_and_prices_too(store):
    for big in (LIMIT + 1, str(LIMIT + 1), Decimal(LIMIT + 1), -LIMIT - 1, 10**18 + 1, 10**30):
        with pytest.raises(ValidationError, match="a whole number of 2\\^53 at most"):
            store.write("A", "1m", [("2025-09-01T00:00", 1, 2, 1, 2, big)])
    top = LIMIT + 1
    with pytest.raises(ValidationError, match=f"open = {top} breaks"):
        store.write("A", "1m", [("2025-09-01T00:00", top, top, top, top, 1)])
    row = ("2025-09-01T00:00", "9007199254740992", 10**18, 1, "9007199254740993.25", "12345678901234567.1")
    store.write("B", "1m", [("2025-09-01T00:00", 1, 2, 1, 2, Decimal("9007199254740993.00"))])
    assert store.write("A", "1m", [row]).inserted == 1
    assert store.candles("A", "1m").row(0)[1:] == (2**53, 1e18, 1.0, 2**53 + 1.25, 12345678901234567.1)


def test_declared_columns_too(store):
    store.declare("trades", resample="sum")
    frame = bars([1.0, 1.0]).with_columns(trades=pl.Series([1, LIMIT + 1]))
    with pytest.raises(ValidationError, match="trades = 9007199254740993 breaks"):
        store.write("A", "1m", frame)


def test_files_too(store, tmp_path):
    from typer.testing import CliRunner

    from mdstore.cli import app

    for suffix, text in (("csv", str(LIMIT + 1)), ("json", str(LIMIT + 1))):
        path = tmp_path / f"A-1m.{suffix}"
        row = {"timestamp": "2025-09-01T00:00", "open": 1, "high": 2, "low": 1, "close": 2}
        if suffix == "csv":
            path.write_text(",".join((*row, "volume")) + "\n" + ",".join((*map(str, row.values()), text)))
        else:
            path.write_text(str([{**row, "volume": int(text)}]).replace("'", '"'))
        done = CliRunner().invoke(app, ["-f", str(tmp_path / "f.sqlite3"), "import", str(path)])
        assert done.exit_code == 1
        assert "with a decimal point" in done.stderr
        path.write_text(path.read_text().replace(text, f"{text}.0"))
        done = CliRunner().invoke(app, ["-f", str(tmp_path / "f.sqlite3"), "import", str(path)])
        assert done.exit_code == 0, done.output
        (tmp_path / "f.sqlite3").unlink()


@given(values=st.lists(numbers, min_size=1), kind=st.sampled_from(sorted(KINDS)))
def test_it_is_told_of_those_alone_that_no_float_is(values, kind):
    if kind == "UInt64":
        values = list(map(abs, values))
    made = pl.Series("volume", list(map(float, values)))
    found = inexact([made], [KINDS[kind](values)])
    wanted = ["volume" if int(float(value)) != value else None for value in values]
    if found is None:
        assert not any(wanted)
    else:
        assert found.name == INEXACT
        assert found.to_list() == wanted
