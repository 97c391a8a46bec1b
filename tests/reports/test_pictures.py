"""Pictures of a store: pages by what they belong to, bars by what lacks, charts of any figures."""

from array import array
from collections import Counter
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.candles.upkeep.layout import PageMap
from mdstore.reports import coverage_map
from mdstore.reports.page_layout import MOST_CELLS, page_picture
from mdstore.reports.svg import area, columns, mosaic, ranges, shares
from tests.support.candles import MINUTE, START, walk
from tests.support.fragmented import feed

NUMBERS = st.lists(st.floats(0, 1e12), min_size=1, max_size=40)


def rects(svg):
    return [one.attrib for one in ElementTree.fromstring(svg).iter("rect")]


def test_the_map_has_every_page_with_its_owner_and_its_place(store):
    feed(store, series=5)
    pages = store.repository.upkeep.page_map()
    layout = {one.name: one.pages for one in store.repository.upkeep.tables()}
    counts = Counter(pages.names[owner] for owner in pages.owner if owner >= 0)
    assert counts == layout
    assert len(pages.owner) == store.repository.upkeep.pages().count
    place = pages.names.index("candles")
    ranks = sorted(rank for owner, rank in zip(pages.owner, pages.rank, strict=True) if owner == place)
    assert ranks == pytest.approx([number / len(ranks) for number in range(len(ranks))])


@given(st.integers(1, 3 * MOST_CELLS), st.integers(0, 3))
def test_every_cell_of_the_map_is_drawn_once(count, free):
    owner = array("h", [-1 if page % 4 < free else 0 for page in range(count)])
    picture = page_picture(PageMap(("t",), owner, array("f", [0.5]) * count), {"t": "s4"})
    drawn = rects(picture.svg)
    size = min(float(one["height"]) for one in drawn)
    across = 920 / int(920 / size)
    cells = sum(round(float(one["width"]) / across) for one in drawn)
    assert cells == -(-count // picture.pages_per_cell)
    assert picture.pages_per_cell == max(1, -(-count // MOST_CELLS))


def test_a_table_in_order_goes_from_light_to_dark_and_others_have_their_colour():
    owner = array("h", [0] * 64 + [1] * 3 + [-1] * 2)
    rank = array("f", [page / 64 for page in range(64)] + [0.0] * 5)
    picture = page_picture(PageMap(("candles", "mine"), owner, rank), {"candles": "s4"})
    kinds = [one["class"] for one in rects(picture.svg)]
    assert list(dict.fromkeys(kinds)) == [f"s{shade}" for shade in range(8)] + ["t-other", "free"]
    assert picture.legend == [
        ("s4", "candles 64"),
        ("t-other", "others 3"),
        ("free", "free, or SQLite's own 2"),
    ]


def test_what_lacks_is_drawn_where_it_lacks_by_why(store):
    bars = walk(600)
    store.write("A", "1m", pl.concat([bars[:100], bars[200:300], bars[400:]]))
    store.cover(
        "A", "1m", start=START + 200 * MINUTE - 60 * MINUTE, end=START + 200 * MINUTE, reason="exchange_down"
    )
    store.cover("A", "1m", start=START + 300 * MINUTE, end=START + 320 * MINUTE, reason="fetch_failed")
    pictures, left = coverage_map.coverage_pictures(store)
    assert (list(pictures), left) == (["1m"], 0)
    cells = []
    for one in rects(pictures["1m"]):
        cells += [one["class"]] * round(float(one["width"]) / coverage_map.SIZE[0])
    assert cells == (  # 60 cells of 10 bars each
        ["full"] * 10
        + ["most"] * 4
        + ["known"] * 6
        + ["full"] * 10
        + ["failed"] * 2
        + ["most"] * 8
        + ["full"] * 20
    )


def test_each_timeframe_has_its_picture_shortest_first_and_small_series_are_left_out(store, monkeypatch):
    monkeypatch.setattr(coverage_map, "MOST_SERIES", 3)
    store.write("A", "1d", walk(30, step=86_400_000, start=1_756_684_800_000 - 40 * 86_400_000))
    for number, name in enumerate(("B", "C", "D")):
        store.write(name, "1m", walk(50 + number))
    pictures, left = coverage_map.coverage_pictures(store)
    assert (list(pictures), left) == (["1m"], 1)
    monkeypatch.setattr(coverage_map, "MOST_SERIES", 4)
    pictures, left = coverage_map.coverage_pictures(store)
    assert (list(pictures), left) == (["1m", "1d"], 0)


@given(NUMBERS)
def test_charts_stay_inside_of_their_picture(values):
    texts = [str(value) for value in values]
    pictures = [
        shares([("full", value, text, text) for value, text in zip(values, texts, strict=True)]),
        columns(values, texts, texts),
        ranges([("a", [value], "b") for value in values], [(1.0, "1"), (1e6, "1e6")]),
        mosaic([("row", [("full", text) for text in texts])], (920 / len(values), 10)),
    ]
    for svg in pictures:
        root = ElementTree.fromstring(svg)
        *_, width, height = map(float, root.attrib["viewBox"].split())
        for one in root.iter("rect"):
            assert -1 <= float(one.get("x")) <= float(one.get("x")) + float(one.get("width")) <= width + 2
            assert -1 <= float(one.get("y")) <= float(one.get("y")) + float(one.get("height")) <= height + 2
        for one in root.iter("circle"):
            assert 0 <= float(one.get("cx")) <= width


@given(st.lists(st.floats(0, 1e12), min_size=2, max_size=20))
def test_a_line_goes_through_its_points_from_left_to_right(values):
    points = [(float(at), value) for at, value in enumerate(values)]
    root = ElementTree.fromstring(area(points, [(0.0, "first")], [(max(values), "most")], [(30.0, 1.0)]))
    line, ahead = (
        [tuple(map(float, pair.split(","))) for pair in one.get("points").split()]
        for one in root.iter("polyline")
    )
    assert len(line) == len(points)
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    assert ahead[0] == line[-1]
    assert all(0 <= y <= 190 for _, y in (*line, *ahead))
