"""Charts as SVG inside of a page: texts, no scripts, colours by classes of the page's style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import groupby

__all__ = ["area", "columns", "mosaic", "ranges", "shares"]

WIDTH = 920
LABEL = 12
"""The size of letters; the page scales a picture by its width."""
DECADES = 1e12
"""The most that a logarithmic axis spans."""


def shares(parts: Sequence[tuple[str, float, str, str]]) -> str:
    """Draw one bar of parts: (class, size, name, the size as a text), in the given order."""
    whole, height, at, drawn = sum(size for _, size, *_ in parts) or 1.0, 34, 0.0, []
    for kind, size, name, text in parts:
        width = WIDTH * size / whole
        drawn.append(
            f'<rect class="{kind}" x="{at:.1f}" y="0" width="{width:.1f}" height="{height}">'
            f"{_title(f'{name}: {text}')}</rect>"
        )
        at += width
    return _picture(height, "".join(drawn), "sizes by part")


def columns(values: Sequence[float], labels: Sequence[str], titles: Sequence[str]) -> str:
    """Draw a column for each value; labels stand below, empty ones are left out."""
    height, foot, top = 150, 22, max(values, default=0.0) or 1.0
    step = WIDTH / max(1, len(values))
    drawn = [f'<line class="axis" x1="0" x2="{WIDTH}" y1="{height}" y2="{height}"/>']
    for place, (value, label, title) in enumerate(zip(values, labels, titles, strict=True)):
        size, at = (height - 18) * value / top, place * step
        drawn.append(
            f'<g><rect class="hit" x="{at:.1f}" y="0" width="{step:.1f}" height="{height}"/>'
            f'<rect class="column" x="{at + step * 0.12:.1f}" y="{height - size:.1f}" '
            f'width="{step * 0.76:.1f}" height="{size:.1f}" rx="2"/>{_title(title)}</g>'
        )
        centre, anchor = (WIDTH, "end") if place == len(values) - 1 else (at + step / 2, "middle")
        if value == top and size:
            drawn.append(_text(centre, 11, f"{value:,.0f}", anchor))
        if label:
            drawn.append(_text(centre, height + 16, label, anchor))
    return _picture(height + foot, "".join(drawn), "values over time")


def area(
    points: Sequence[tuple[float, float]],
    ticks: Sequence[tuple[float, str]],
    tops: Sequence[tuple[float, str]],
    ahead: Sequence[tuple[float, float]] = (),
) -> str:
    """Draw a line through points with the area below; `ahead` goes on dashed.

    `ticks` are places and texts of the horizontal axis, `tops` of the vertical one.
    """
    height, foot, left = 190, 22, 70
    everything = [*points, *ahead]
    first, last = (pick(x for x, _ in everything) for pick in (min, max))
    high = max([*(y for _, y in everything), *(y for y, _ in tops)], default=1.0) or 1.0

    def place(x: float, y: float) -> str:
        across = (x - first) / ((last - first) or 1.0)
        return f"{left + across * (WIDTH - left - 8):.1f},{height - y / high * (height - 14):.1f}"

    line = " ".join(place(x, y) for x, y in points)
    drawn = []
    for value, text in tops:
        y = height - value / high * (height - 14)
        drawn.append(f'<line class="grid" x1="{left}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(_text(left - 8, y + 4, text, "end"))
    floor = f"{place(points[0][0], 0)} {line} {place(points[-1][0], 0)}"
    drawn += [f'<polygon class="area" points="{floor}"/>', f'<polyline class="line" points="{line}"/>']
    if ahead:
        more = " ".join(place(x, y) for x, y in (points[-1], *ahead))
        drawn.append(f'<polyline class="line ahead" points="{more}"/>')
    for x, text in ticks:
        at, anchor = float(place(x, 0).split(",")[0]), "middle"
        anchor = "start" if at < left + 40 else "end" if at > WIDTH - 40 else anchor
        drawn.append(_text(at, height + 16, text, anchor))
    return _picture(height + foot, "".join(drawn), "size over time")


def ranges(rows: Sequence[tuple[str, Sequence[float], str]], unit_text: Sequence[tuple[float, str]]) -> str:
    """Draw a line for each row from its first value to its last on a logarithmic axis, a dot at each value.

    `unit_text` are values of the axis and how they are written.
    """
    left, height, foot = 240, 26 * len(rows), 24
    values = [value for _, found, _ in rows for value in found if value > 0]
    low = min([*values, *(value for value, _ in unit_text[:1])], default=1.0)
    high = max(values, default=1.0) * 1.3
    low = max(low, high / DECADES)
    shown = [(value, text) for value, text in unit_text if low / 10 < value < high * 10]
    low = min(low, shown[0][0]) if shown else low

    def across(value: float) -> float:
        share = math.log(max(value, low) / low) / (math.log(high / low) or 1.0)
        return left + share * (WIDTH - left - 20)

    drawn = []
    for value, text in shown:
        if low <= value <= high:
            x = across(value)
            drawn.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>')
            drawn.append(_text(x, height + 17, text, "middle"))
    for place, (name, found, title) in enumerate(rows):
        y = 26 * place + 13
        drawn.append(f"<g>{_text(0, y + 4, name, 'start')}")
        drawn.append(
            f'<line class="span" x1="{across(found[0]):.1f}" x2="{across(found[-1]):.1f}" y1="{y}" y2="{y}"/>'
        )
        for number, value in enumerate(found):
            drawn.append(f'<circle class="dot d{number}" cx="{across(value):.1f}" cy="{y}" r="5"/>')
        drawn.append(f"{_title(title)}</g>")
    return _picture(height + foot, "".join(drawn), "times on a logarithmic axis")


def mosaic(
    rows: Sequence[tuple[str, Sequence[tuple[str, str]]]],
    size: tuple[float, float],
    left: int = 0,
    ends: tuple[str, str] | None = None,
) -> str:
    """Draw rows of cells, each of a class (empty: none) and with a title; equal ones side by side are one.

    `size` is the width and height of a cell, `left` the room for the names of rows; `ends` are what stands
    below the first and the last column.
    """
    across, down = size
    drawn, foot = [], len(rows) * down
    if ends is not None:
        right = left + across * max(len(cells) for _, cells in rows)
        drawn = [_text(left, foot + 14, ends[0], "start"), _text(right, foot + 14, ends[1], "end")]
        foot += 20
    for line, (name, cells) in enumerate(rows):
        y, at = line * down, 0
        if name:
            drawn.append(_text(left - 8, y + down / 2 + 4, name, "end"))
        for (kind, title), run in groupby(cells):
            length = sum(1 for _ in run)
            if kind:
                drawn.append(
                    f'<rect class="{kind}" x="{left + at * across:.2f}" y="{y:.1f}" '
                    f'width="{length * across:.2f}" height="{down - 1 if left else down:.1f}">'
                    f"{_title(title) if title else ''}</rect>"
                )
            at += length
    return _picture(foot, "".join(drawn), "cells by kind")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _title(text: str) -> str:
    """Return what a browser shows when the mouse rests there."""
    return f"<title>{escape(text)}</title>"


def _picture(height: float, inside: str, label: str) -> str:
    box = f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{label}" font-size="{LABEL}"'
    return f"<svg {box}>{inside}</svg>"
