"""Many series that are judged under each other: each finding is the one that its series has alone."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mdstore.analysis.quality_checks import CHECKS, findings, findings_of_each
from mdstore.core.schema import PRICES, VALUES
from tests.support.doses import dose
from tests.support.quality import LATER, calm, put, tf

LENGTHS = st.sampled_from((1, 2, 20, 21, 22, 60, 255, 256, 257, 300, 512, 600))
FACTORS = st.sampled_from((10.0, 0.1, 2.0, 0.5, 1.4, -1.0, 0.0, 1e6, float("nan"), float("inf")))
spoils = st.tuples(st.sampled_from(VALUES), st.integers(0, 599), FACTORS)
TIMES = st.sampled_from((None, "again", "before", "odd", "unit", "null"))


def divided(frame, row, factor):
    """Return the prices times a factor from a row on."""
    times = pl.when(pl.int_range(pl.len()) >= row).then(factor).otherwise(1.0)
    return frame.with_columns(pl.col(name) * times for name in PRICES)


def repeated(frame, row, rows):
    """Return the frame with the values of a row in the rows behind it, too."""
    there = pl.int_range(pl.len()).is_between(row, row + rows)
    return frame.with_columns(
        pl.when(there).then(frame[name][row]).otherwise(name).alias(name) for name in VALUES
    )


def timed(frame, row, how):
    times = frame["timestamp"].to_physical().to_list()
    other = {"again": times[0], "before": times[0] - 60_000, "odd": times[row] + 1, "unit": times[row] * 1000}
    times[row] = other.get(how)
    return frame.with_columns(timestamp=pl.Series(times, dtype=pl.Int64).cast(frame.schema["timestamp"]))


@st.composite
def series(draw):
    """Draw calm bars with a few things that are wrong with them."""
    frame = calm().head(draw(LENGTHS))
    rows = st.integers(0, len(frame) - 1)
    for name, row, factor in draw(st.lists(spoils, max_size=4)):
        at = row % len(frame)
        frame = put(frame, name, **{f"i{at}": frame[name][at] * factor})
    if draw(st.booleans()):
        frame = divided(frame, draw(rows), draw(st.sampled_from((0.5, 3.0, 1.7))))
    if draw(st.booleans()):
        frame = repeated(frame, draw(rows), draw(st.integers(1, 60)))
    if draw(st.booleans()):
        frame = frame.with_columns(volume=pl.when(pl.int_range(pl.len()) > 5).then(0.0).otherwise("volume"))
    how = draw(TIMES)
    return frame if how is None else timed(frame, draw(rows), how)


def check(frames, bar, most):
    alone = [findings(frame, bar, now=LATER, most=most) for frame in frames]
    numbers = [pl.lit(3 * at, pl.UInt32).alias("series") for at in range(len(frames))]
    under = pl.concat([frame.with_columns(one) for frame, one in zip(frames, numbers, strict=True)])
    found = findings_of_each(under, bar, now=LATER, most=most)
    expected = pl.concat([one.select(number, pl.all()) for one, number in zip(alone, numbers, strict=True)])
    # Polars divides by one number as it multiplies by its inverse: a score of 1e4 may differ in its last bit.
    assert_frame_equal(found, expected, rel_tol=1e-15, abs_tol=0)
    return found


@settings(max_examples=dose(50))
@given(
    st.lists(series(), min_size=1, max_size=6),
    st.sampled_from(("1m", "1h", "1M")),
    st.sampled_from((1, 2, 100)),
)
def test_findings_of_many_series_are_those_of_each(frames, bar, most):
    check(frames, tf(bar), most)


def test_all_that_can_be_found_in_one_series_is_found_in_company():
    """No check of the law above is one that never finds anything."""
    wrong = calm()
    frames = [
        timed(calm(60), 30, "again"), timed(calm(60), 30, "odd"), timed(calm(60), 30, "unit"),
        put(wrong, "high", i300=1.0), put(wrong, "close", i300=float("nan")), put(wrong, "low", i300=-1.0),
        wrong.with_columns(volume=pl.lit(0.0)), repeated(wrong, 100, 3), divided(wrong, 300, 0.5),
        divided(wrong, 300, 1.7), put(wrong, "close", i300=500_000.0), put(wrong, "volume", i300=1e9),
        repeated(wrong.with_columns(pl.col("close").alias(name) for name in PRICES), 100, 60),
    ]  # fmt: skip
    found = check(frames, tf("1m"), 100)
    never = {"future", "seam", "derived", "shifted", "derived_missing", "gap", "session", "timeframe"}
    assert set(found["check"]) == set(CHECKS) - never
