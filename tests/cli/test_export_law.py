"""Export, then import, is identity: over any symbols, doubles and declared columns, in every format."""

from contextlib import chdir

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import mdstore
from mdstore.cli import app
from mdstore.core.symbols import can_name
from mdstore.core.timeframe import Timeframe
from mdstore.sources.files.writing import WRITABLE
from tests.support.candles import bits, candle_frames
from tests.support.doses import dose

NAMED = (
    "NA",
    "null",
    "0050",
    "'0050",
    '="0050"',
    "=A",
    "#A",
    "-",
    "1e5",
    "true",
    "(A)",
    "A,B",
    'A"B',
    "^GSPC",
    "²",
)
SYMBOLS = st.one_of(st.sampled_from(NAMED), st.text(min_size=1, max_size=12)).filter(can_name)
TIMEFRAMES = st.sampled_from(("1m", "1h", "1d", "1w", "1M", "90s"))
EXTRAS = {"value": "sum", "open_interest": "last"}
VALUES = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))


@st.composite
def series(draw, timeframe):
    """Draw candles of one symbol, with declared columns, some of which hold nothing."""
    frame = draw(candle_frames(Timeframe.parse(timeframe), min_rows=1, max_rows=8))
    kept = draw(st.lists(st.sampled_from(list(EXTRAS)), unique=True))
    return frame.with_columns(
        pl.Series(name, [draw(VALUES) for _ in range(len(frame))], dtype=pl.Float64) for name in kept
    )


@st.composite
def stores(draw):
    timeframe = draw(TIMEFRAMES)
    symbols = draw(st.lists(SYMBOLS, min_size=1, max_size=3, unique=True))
    return timeframe, {symbol: draw(series(timeframe)) for symbol in symbols}


def run(*arguments):
    done = CliRunner().invoke(app, arguments, prog_name="mdstore")
    assert done.exit_code == 0, done.output


def all_of(path, timeframe):
    """Return what is stored, to the bit; None is told from a number by its place."""
    found = {}
    with mdstore.open(path) as store:
        for symbol in store.series()["symbol"].cast(pl.String):
            frame = store.candles(symbol, timeframe, columns=["timestamp", *PLAIN, *EXTRAS])
            found[symbol] = (bits(frame.fill_null(0.0)), frame.select(pl.all().is_null()).rows())
    return found


PLAIN = ("open", "high", "low", "close", "volume")


@given(stores(), st.sampled_from(WRITABLE))
@settings(max_examples=dose(15))
def test_export_then_import_is_identity(tmp_path_factory, drawn, suffix):
    folder = tmp_path_factory.mktemp("law")
    timeframe, frames = drawn
    for name in ("one", "other"):
        with mdstore.open(folder / f"{name}.sqlite3") as store:
            for extra, rule in EXTRAS.items():
                store.declare(extra, resample=rule)
            for symbol, frame in frames.items() if name == "one" else ():
                store.write(symbol, timeframe, frame)
    with mdstore.open(folder / "one.sqlite3") as store:
        if store.series().is_empty():
            return
    with chdir(folder):
        run("-f", "one.sqlite3", "export", f"out{suffix}", "-t", timeframe)
        run("-f", "other.sqlite3", "import", f"out{suffix}")
    assert all_of(folder / "other.sqlite3", timeframe) == all_of(folder / "one.sqlite3", timeframe)
