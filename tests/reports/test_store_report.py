"""The report of a store: one file, whole or not at all, that needs nothing else, and says what is so."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

import mdstore
from mdstore import InvalidInputError, QueryAnalyzer, StoreFileError, write_report
from mdstore.core.sizes import size_text
from mdstore.reports import store_report
from mdstore.reports.page import MARK
from tests.support.candles import walk
from tests.support.clock import Clock
from tests.support.fragmented import bar, feed, thin_out


@pytest.fixture
def clock():
    return Clock()


VOID = {"meta", "br"}
NEEDS = re.compile(
    r"https?://|//[a-z]|url\(|@import|<script|<link|<img|<iframe|\bsrc=|javascript:", re.IGNORECASE
)


class Page(HTMLParser):
    """What a page holds: its tags closed in turn, and the text of each section by its title."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sections, self.title = [], {}, None
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.title = data
            self.sections[data] = ""
        elif self.title is not None:
            self.sections[self.title] += data + "\n"


def report_of(store, tmp_path, **options):
    path = write_report(store, tmp_path / "report.html", **options)
    text = path.read_text()
    for picture in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(picture)
    return text, Page(text).sections


def test_it_says_what_is_so_and_needs_nothing_else(store, tmp_path, clock):
    feed(store)
    thin_out(store)
    store.write("HOLES", "1m", [bar(number) for number in (0, 1, 2, 50, 51)])
    store.candles("HOLES", "1m")
    text, sections = report_of(store, tmp_path)
    assert not NEEDS.search(text)
    assert text.startswith(MARK)
    assert list(sections) == [
        "Advice", "Sizes", "Growth", "The file, page by page", "Where bars are", "How long calls take",
        "Statements", "Upkeep",
    ]  # fmt: skip
    assert "6,005" in text  # candles
    assert "fragmentation" in sections["Advice"]
    assert "candles" in sections["Sizes"]
    assert "HOLES" in sections["Where bars are"]
    assert "unknown" in sections["Where bars are"]
    assert "candles, sqlite (1)" in sections["How long calls take"]
    assert "Nobody has watched" in sections["Statements"]


def test_growth_has_its_line_and_forecast(store, tmp_path, clock):
    for day in range(4):
        feed(store, series=day + 1, bars=1_000, at_once=1_000)
        mdstore.FragmentationMonitor(store).measure()
        clock.pass_by(days=1)
    text, sections = report_of(store, tmp_path)
    assert 'class="line ahead"' in text
    assert "through 4 measures" in sections["Growth"]
    assert "measured" in sections["Upkeep"]


def test_upkeep_is_told_in_units(store, tmp_path):
    store.write("A", "1m", walk(12_000))
    store.maintenance.freeze("2030-01-01")
    store.maintenance.optimize()
    _, sections = report_of(store, tmp_path)
    told = sections["Upkeep"]
    size = size_text(store.maintenance.stats()["frozen_bytes"])
    assert f"12,000 rows, 1 series, {size}, by hand" in told
    assert "bytes" not in told


def test_names_that_are_html_stay_names(store, tmp_path):
    store.write("<script>alert(1)</script>&\"'", "1m", walk(30))
    with QueryAnalyzer(store) as analyzer:
        store.sql("SELECT '<img src=x>' AS a, count(*) FROM candles")
        analyzer.run('SELECT a.symbol AS "<b>" FROM candles a, candles b, candles c')  # among those shown
    text, _ = report_of(store, tmp_path, analyzer=analyzer)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "&lt;b&gt;" in text
    assert not NEEDS.search(text)


def test_statements_are_those_of_the_analyzer_or_those_that_it_saved(store, tmp_path):
    store.write("A", "1m", walk(3_000))
    analyzer = QueryAnalyzer(store, slow_ms=0.0)
    analyzer.run("SELECT max(close) FROM candles WHERE timestamp > 5")
    given, _ = report_of(store, tmp_path, analyzer=analyzer)
    assert "SELECT max(close) FROM candles WHERE timestamp &gt; ?" in given
    assert "threshold: half of its runs" in given
    analyzer.save()
    _, sections = report_of(store, tmp_path)
    assert "SELECT max(close) FROM candles WHERE timestamp > ?" in sections["Statements"]
    assert "Saved 2026-03-03 12:00 UTC" in sections["Statements"]


def test_an_empty_store_and_one_that_is_only_read_have_one_too(store, tmp_path):
    _, sections = report_of(store, tmp_path)
    assert "There are no series." in sections["Where bars are"]
    store.write("A", "1m", walk(100))
    with mdstore.open(store.path, read_only=True) as reader:
        _, sections = report_of(reader, tmp_path)
    assert "A" in sections["Where bars are"]


def test_an_index_that_would_help_is_among_the_advice(store, tmp_path):
    with store.repository._database.writing() as con:
        con.execute("CREATE TABLE trades (id INTEGER PRIMARY KEY, buyer TEXT)")
        con.executemany("INSERT INTO trades (buyer) VALUES (?)", ((f"b{number}",) for number in range(5_000)))
    analyzer = QueryAnalyzer(store)
    analyzer.run("SELECT * FROM trades WHERE buyer = 'b7'")
    _, sections = report_of(store, tmp_path, analyzer=analyzer)
    assert "an index of trades by buyer" in sections["Advice"]


def test_a_report_takes_the_place_of_a_report_and_of_nothing_else(store, tmp_path):
    target = tmp_path / "report.html"
    target.write_text("mine")
    with pytest.raises(StoreFileError, match="no report") as refused:
        write_report(store, target)
    assert "force=True" in str(refused.value)
    assert target.read_text() == "mine"
    write_report(store, target, force=True)
    made = target.stat().st_ino
    write_report(store, target)
    assert target.stat().st_ino != made
    with pytest.raises(InvalidInputError, match="the store itself"):
        write_report(store, store.path, force=True)


def test_what_fails_leaves_the_older_one_and_nothing_beside_it(store, tmp_path, monkeypatch):
    target = write_report(store, tmp_path / "report.html")
    before = target.read_text()

    def fail(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(store_report, "_upkeep", fail)
    with pytest.raises(RuntimeError, match="broken"):
        write_report(store, target)
    assert target.read_text() == before
    assert [one.name for one in tmp_path.glob("*report*")] == ["report.html"]
    monkeypatch.undo()
    with pytest.raises(StoreFileError, match="cannot be opened"):
        write_report(store, tmp_path / "nowhere" / "report.html")
