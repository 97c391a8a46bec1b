"""A page that needs nothing but itself: one file with its style, light and dark, no scripts, no requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files

__all__ = ["MARK", "legend", "note", "page", "section", "table", "tiles"]

MARK = "<!doctype html><!-- a report of mdstore -->"
"""What every report begins with: another report may take its place, nothing else is replaced."""
STYLE = "page.css"


def page(title: str, parts: Iterable[str]) -> str:
    """Return the whole file."""
    return (
        f'{MARK}\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_style()}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


@cache
def _style() -> str:
    """Return the style of every page. Read once: who gives rights up later cannot always read it again."""
    return files(__package__).joinpath(STYLE).read_text(encoding="utf-8")


def section(title: str, *parts: str) -> str:
    """Return a card with a title; parts are HTML."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def note(text: str) -> str:
    """Return a remark."""
    return f'<p class="note">{escape(text)}</p>'


def tiles(figures: Sequence[tuple[str, str]]) -> str:
    """Return figures with what they are, side by side."""
    shown = (
        f"<div class=tile><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in figures
    )
    return f"<div class=tiles>{''.join(shown)}</div>"


def legend(kinds: Iterable[tuple[str, str]]) -> str:
    """Return what colours stand for."""
    shown = (f'<span><i class="{kind}"></i>{escape(text)}</span>' for kind, text in kinds)
    return f"<div class=legend>{''.join(shown)}</div>"


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
    code: Sequence[int] = (),
) -> str:
    """Return a table; `numbers` are the places of columns to the right, `code` of those that are code."""

    def cell(place: int, text: str, tag: str) -> str:
        inside = f"<code>{escape(text)}</code>" if place in code and tag == "td" else escape(text)
        return f"<{tag}{' class=n' if place in numbers else ''}>{inside}</{tag}>"

    def line(values: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(cell(place, text, tag) for place, text in enumerate(values))}</tr>"

    head = line(heads, "th") if any(heads) else ""
    return f"<div class=scroll><table>{head}{''.join(line(row, 'td') for row in rows)}</table></div>"
