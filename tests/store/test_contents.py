"""The store as a collection of its series, and what notebooks show of it and of its results."""

import re

import polars as pl
import pytest

import mdstore
from tests.support.candles import walk

HOSTILE = "<img src=x onerror=alert(1)>"


def test_a_store_is_a_collection_of_its_series(store):
    assert len(store) == 0
    assert list(store) == []
    assert store  # an empty one is a store all the same
    for symbol, timeframe in (("KRW-BTC", "1m"), ("KRW-BTC", "1h"), ("A", "1m")):
        store.write(symbol, timeframe, walk(3, step=3_600_000 if timeframe == "1h" else 60_000))
    assert len(store) == 3
    assert list(store) == [("A", "1m"), ("KRW-BTC", "1h"), ("KRW-BTC", "1m")]
    assert ("KRW-BTC", "1m") in store
    assert ("KRW-BTC", mdstore.Timeframe.parse("1h")) in store
    assert "A" in store
    for other in (
        ("KRW-BTC", "5m"),
        ("B", "1m"),
        "B",
        "1m",
        ("A",),
        ("A", "1m", 5),
        5,
        None,
        ("A", "no"),
        (None, "1m"),
    ):
        assert other not in store
    store.delete("A")
    assert ("A", "1m") not in store
    assert [symbol for symbol, _ in store] == ["KRW-BTC", "KRW-BTC"]


def test_once_closed_it_says_so(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        pass
    for call in (lambda: len(store), lambda: list(store), lambda: ("A", "1m") in store):
        with pytest.raises(mdstore.StoreClosedError):
            call()
    assert store._repr_html_() == "<p><b>s.sqlite3</b> (closed)</p>"
    assert store


def tags(html):
    return set(re.findall(r"<(/?\w+)", html))


def test_notebooks_show_the_store_and_results_and_no_markup_of_the_data(tmp_path):
    with mdstore.open(tmp_path / "a <b>.sqlite3") as store:
        rows = walk(3).with_columns(pl.lit("x").alias("<script>"))
        result = store.write(HOSTILE, "1m", rows)
        for number in range(30):
            store.write(f"S{number:02}", "1m", walk(1_500))
        screen = store.screen("1m", lambda frame: 1 / 0 if "S" in frame["symbol"][0] else HOSTILE)
        explanation = store.explain(sql=f"SELECT '{HOSTILE}' AS x")
        shown = [one._repr_html_() for one in (store, result, screen, explanation)]
    for html in shown:
        assert tags(html) <= {
            "p",
            "/p",
            "b",
            "/b",
            "br",
            "table",
            "/table",
            "tr",
            "/tr",
            "th",
            "/th",
            "td",
            "/td",
            "pre",
            "/pre",
        }
        assert html.count("<p>") == html.count("</p>")
    whole, written, found, how = shown
    assert "a &lt;b&gt;.sqlite3: 31 series, 45,003 candles" in whole
    assert "&lt;img" in whole
    assert "and 11 more" in whole
    assert whole.count("<tr>") == 21
    assert written == (
        "<p><b>WriteResult</b><br>inserted 3<br>first 2025-09-01 00:00<br>last 2025-09-01 00:02"
        "<br>ignored &lt;script&gt;</p>"
    )
    assert "1 symbol<" in found
    assert "30 failed" in found
    assert "ZeroDivisionError" in found
    assert how.startswith("<pre>1 rows in")


def test_a_store_that_is_only_read_shows_why(tmp_path):
    mdstore.open(tmp_path / "s.sqlite3").close()
    with mdstore.open(tmp_path / "s.sqlite3", read_only=True) as store:
        assert "for reading only: it was opened so" in store._repr_html_()
