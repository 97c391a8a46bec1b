"""Series over time, a line each: no hole is lost between its cells."""

import re
from datetime import UTC, datetime

import polars as pl
import pytest

from mdstore.cli.shared.timeline import Axis, legend, strips
from tests.support.candles import START


def drawn(cells, extents, holes, *, start=0, end=1000):
    """Return strips over 1 s; `holes` are (row, start, end, reason)."""
    schema = {"row": pl.Int64, "start": pl.Int64, "end": pl.Int64, "reason": pl.String}
    return strips(
        pl.DataFrame(extents, {"start": pl.Int64, "end": pl.Int64}, orient="row"),
        pl.DataFrame(holes, schema, orient="row"),
        Axis(start, end, cells),
    )


def test_a_cell_shows_holes_before_what_dominates_it():
    assert drawn(10, [(0, 1000), (500, 1000)], []) == ["█" * 10, "     █████"]
    assert drawn(10, [(0, 1000)], [(0, 305, 306, "unknown")]) == ["███▄██████"]
    assert drawn(10, [(0, 1000)], [(0, 300, 360, "unknown")]) == ["███▁██████"]
    assert drawn(10, [(0, 1000)], [(0, 305, 306, "fetch_failed"), (0, 350, 399, "unknown")]) == ["███!██████"]
    assert drawn(10, [(0, 1000)], [(0, 300, 340, "no_trade"), (0, 400, 460, "no_trade")]) == ["████░█████"]
    assert drawn(4, [(0, 1000)], [(0, 0, 250, "before_listing")]) == ["░███"]
    # What is closed counts where nothing else is: a bar an hour in a closed day is a bar.
    assert drawn(2, [(0, 1000)], [(0, 0, 499, "session_closed")]) == ["██"]
    assert drawn(2, [(0, 1000)], [(0, 0, 500, "session_closed")]) == ["·█"]
    assert drawn(2, [(0, 1000)], [(0, 500, 1000, "forming")]) == ["█ "]
    assert drawn(2, [(0, 0)], []) == ["  "]


@pytest.mark.parametrize("cells", [1, 3, 7, 60, 333, 999])
def test_no_hole_is_lost_between_cells(cells):
    for at in range(0, 1000, 37):
        line = drawn(cells, [(0, 1000)], [(0, at, at + 1, "unknown")])[0]
        assert len(line) == cells
        assert len(line.strip("█")) == 1


def test_holes_outside_of_the_axis_are_not_drawn():
    holes = [(0, 0, 100, "unknown"), (0, 900, 1000, "unknown")]
    assert drawn(4, [(0, 1000)], holes, start=200, end=800) == ["████"]
    assert drawn(4, [(0, 1000)], [(0, 0, 1000, "unknown")], start=200, end=800) == ["▁▁▁▁"]


@pytest.mark.parametrize("cells", [5, 14, 18, 20, 24, 40, 60, 120])
@pytest.mark.parametrize("days", [0.1, 1, 2.9, 3, 40, 4000])
def test_the_axis_fits_and_its_labels_stand_where_their_times_are(cells, days):
    axis = Axis(START, START + int(days * 86_400_000), cells)
    labels = axis.labels()
    assert len(labels) <= cells
    if cells < 40 or days < 3:
        return
    for found in re.finditer(r"\S+", labels[:-12]):
        at = START + found.start() * (axis.end - axis.start) // cells
        assert found[0] == f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}"
    assert labels.endswith(f"{datetime.fromtimestamp((axis.end - 1) / 1000, UTC):%Y-%m-%d}")


def test_the_legend_explains_what_occurs_and_no_more():
    lines = [text.plain for text in legend(["██▄"], Axis(0, 3 * 60_000, 3), None)]
    assert lines == ["█ bars  ▄ some missing, and nobody knows why  (a cell is 1 min)"]
    narrow = [text.plain for text in legend(["██▄!·"], Axis(0, 3 * 60_000, 3), 40)]
    assert max(map(len, narrow)) <= 40
    assert len(narrow) > 1
