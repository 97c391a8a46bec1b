"""A few facts as HTML, for notebooks: whatever comes from data is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape

__all__ = ["facts_html", "table_html"]

MOST_ROWS = 20


def facts_html(title: str, facts: Mapping[str, object]) -> str:
    """Return a title, and under it names and values, those that are empty or zero left out.

    >>> facts_html("WriteResult", {"inserted": 3, "updated": 0, "ignored": "<b>"})
    '<p><b>WriteResult</b><br>inserted 3<br>ignored &lt;b&gt;</p>'
    """
    lines = [f"{escape(name)} {_cell(value)}" for name, value in facts.items() if value]
    return "<p>" + "<br>".join([f"<b>{escape(title)}</b>", *lines]) + "</p>"


def table_html(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], count: int, note: str = ""
) -> str:
    """Return a title and a table of the first rows, of `count` that there are.

    >>> table_html("2 of them", ["a"], [["<x>"]], 2)
    '<p><b>2 of them</b></p><table><tr><th>a</th></tr><tr><td>&lt;x&gt;</td></tr></table><p>and 1 more</p>'
    """
    shown = [row for row, _ in zip(rows, range(MOST_ROWS), strict=False)]
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in shown)
    more = [f"and {count - len(shown):,} more"] if count > len(shown) else []
    notes = "".join(f"<p>{escape(text)}</p>" for text in (*more, note) if text)
    return f"<p><b>{escape(title)}</b></p><table><tr>{head}</tr>{body}</table>{notes}"


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, tuple | list):
        return escape(", ".join(map(str, value)))
    return "" if value is None else escape(str(value))
