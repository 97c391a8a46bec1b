"""Holes that all series share, compared with looking at every bar."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from mdstore.analysis.shared_holes import shared_holes

BARS = 24
REASONS = ("unknown", "no_trade", "exchange_down", "session_closed")


def runs(cells):
    """Yield (start, end, value) of each run of equal values."""
    at = 0
    for place in range(1, len(cells) + 1):
        if place == len(cells) or cells[place] != cells[at]:
            yield at, place, cells[at]
            at = place


@st.composite
def markets(draw):
    """Draw series: each begins and ends somewhere, and has a bar ("") or a hole at each place between."""
    series = []
    for _ in range(draw(st.integers(0, 4))):
        first = draw(st.integers(0, BARS - 1))
        last = draw(st.integers(first, BARS - 1))
        cells = draw(
            st.lists(st.sampled_from(("", *REASONS)), min_size=last - first + 1, max_size=last - first + 1)
        )
        cells[0] = cells[-1] = ""
        series.append((first, cells))
    return series


def by_looking(series):
    shared = []
    for at in range(BARS):
        here = [cells[at - first] for first, cells in series if first <= at < first + len(cells)]
        there = [cell for cell in here if cell != "session_closed"]
        is_quiet = "no_trade" in there
        shared.append(len(there) >= 2 and all(there) and set(there) != {"exchange_down"} and not is_quiet)
    return [(start, end) for start, end, value in runs(shared) if value]


@given(markets())
def test_it_is_what_looking_at_every_bar_finds(series):
    rows = [
        (row, first + start, first + end, reason)
        for row, (first, cells) in enumerate(series)
        for start, end, reason in runs(cells)
        if reason
    ]
    holes = pl.DataFrame(
        rows, {"row": pl.Int64, "start": pl.Int64, "end": pl.Int64, "reason": pl.String}, orient="row"
    )
    extents = pl.DataFrame(
        [(first, first + len(cells)) for first, cells in series],
        {"start": pl.Int64, "end": pl.Int64},
        orient="row",
    )
    found = shared_holes(holes, extents)
    assert found.select("start", "end").rows() == by_looking(series)
