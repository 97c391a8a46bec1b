"""What is told of many series at once is what is told of each alone: holes, why, and what looks wrong."""

import tempfile
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import mdstore
from mdstore.core.hole_reasons import STATED
from tests.support.candles import MINUTE, walk
from tests.support.doses import dose
from tests.support.holes import DAY

HOUR = DAY // 24
START = 1_735_689_600_000  # Wednesday, 2025-01-01
STEPS = {"1h": HOUR, "1d": DAY}
BARS = 80
places = st.integers(0, BARS)
ranges = st.tuples(places, places).map(sorted).filter(lambda pair: pair[0] < pair[1])
said = st.tuples(ranges, st.sampled_from((None, *STATED)))
bars = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(("NYS:A", "NYS:B", "KRX:C", "BTC", "ETH", "SOL")),
        "bar": st.sampled_from(tuple(STEPS)),
        "lacks": st.lists(ranges, max_size=3),
        "said": st.lists(said, max_size=3),
        "spoiled": st.booleans(),
        "turnover": st.booleans(),
        "corrected": st.booleans(),
        "later": st.integers(0, 3),
    }
)


def written(store, series):
    """Write a series, with what is said of its holes, and a few bars behind what is in a pack then."""
    symbol, bar = series["symbol"], series["bar"]
    frame = walk(BARS, start=START, step=STEPS[bar]).with_row_index()
    for low, high in series["lacks"]:
        frame = frame.filter(~pl.col("index").is_between(low, high - 1))
    if frame.is_empty():
        return
    if series["spoiled"]:
        frame = frame.with_columns(volume=pl.when(pl.col("index") % 40 < 35).then(0.0).otherwise("volume"))
    if series["turnover"]:
        frame = frame.with_columns(turnover=pl.col("volume") * 2)
    store.write(symbol, bar, frame.drop("index"), source="one")
    for (low, high), reason in series["said"]:
        start, end = (START + at * STEPS[bar] for at in (low, high))
        store.cover(symbol, bar, start=start, end=end, reason=reason, source="two")
    if series["corrected"]:
        values = [name for name in frame.columns if name not in ("index", "timestamp", "volume")]
        store.write(symbol, bar, frame.drop("index").tail(9).with_columns(pl.col(values) * 1.5), source="two")


def grown(store, series):
    last = store.series().filter(symbol=series["symbol"], timeframe=series["bar"])["last"]
    if len(last) and series["later"]:
        step = STEPS[series["bar"]]
        after = int(last[0].timestamp() * 1000) + 2 * step
        store.write(series["symbol"], series["bar"], walk(series["later"], start=after, step=step))


def check(store, bar):
    """Hold what is told of all series of a timeframe against what is told of each."""
    symbols = store.series().filter(timeframe=bar)["symbol"].cast(pl.String).to_list()
    if not symbols:
        return
    low, high = START + 5 * STEPS[bar], START + 60 * STEPS[bar]
    for reach in ({}, {"start": low, "end": high}):
        same(
            store.gaps(None, bar, **reach), [store.gaps(symbol, bar, **reach) for symbol in symbols], symbols
        )
        each = [store.missing(symbol, bar, **reach) for symbol in symbols]
        same(store.missing(symbols, bar, **reach), each, symbols)
    alone = pl.concat([store.verify(symbol, bar) for symbol in symbols])
    assert_frame_equal(store.verify(None, bar), alone, check_exact=True)


def same(found, each, symbols):
    both = zip(each, symbols, strict=True)
    named = pl.concat([one.select(pl.lit(symbol).alias("symbol"), pl.all()) for one, symbol in both])
    assert_frame_equal(found.with_columns(pl.col("symbol").cast(pl.String)), named, check_exact=True)


@settings(max_examples=dose(36))
@given(st.lists(bars, min_size=1, max_size=8), st.sampled_from(("loose", "sealed", "frozen")))
def test_what_is_told_of_many_series_is_what_is_told_of_each(several, how):
    with (
        tempfile.TemporaryDirectory() as folder,
        mdstore.open(Path(folder) / "market_data.sqlite3") as store,
    ):
        store.set_calendar("NYS:*", "XNYS")
        store.set_calendar("KRX:*", "XKRX")
        store.declare("turnover", resample="sum")
        for series in several:
            written(store, series)
        if how == "sealed":
            store.maintenance.warm()
        if how == "frozen":
            store.maintenance.freeze(START + 40 * DAY)
        for series in several:
            grown(store, series)
        for bar in STEPS:
            check(store, bar)
        assert_frame_equal(store.verify(), store.verify(store.series()["symbol"].unique().to_list()))


def test_holes_of_two_series_that_meet_in_time_are_two(tmp_path):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        for symbol, minutes in (("A", (0, 1, 5)), ("B", (3, 4, 9)), ("C", (0, 9))):
            rows = pl.concat(walk(1, start=START + minute * MINUTE) for minute in minutes)
            store.write(symbol, "1m", rows)
        store.cover("C", "1m", start=START, end=START + 9 * MINUTE, reason="no_trade", source="x")
        holes = store.gaps(None, "1m").select("symbol", "bars", "reason")
        expected = [("A", 3, "unknown"), ("B", 4, "unknown"), ("C", 8, "no_trade")]
        assert holes.cast({"symbol": pl.String}).rows() == expected
