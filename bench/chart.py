"""A line chart and a dot chart as SVG, drawn by hand: the few here are not worth a plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Curve", "chart", "dots"]

WIDTH, HEIGHT = 860, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 300, 40, 48  # the names of the curves are to the right
# Okabe and Ito's colours, which people with any kind of colour vision tell apart, then a grey and black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#000000")
STEPS = (1, 2, 5, 10)
ROW = 34  # of a dot chart
NAMES = 250  # the room for the names of its rows


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line through points (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]


def chart(title: str, x_label: str, y_label: str, curves: Sequence[Curve]) -> str:
    """Return an SVG of curves over a logarithmic x, from zero upward in y."""
    xs = sorted({x for curve in curves for x, _ in curve.points})
    step = _step(max(y for curve in curves for _, y in curve.points) / 5)
    top = step * math.ceil(max(y for curve in curves for _, y in curve.points) / step)
    low, high = math.log(xs[0]), math.log(xs[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        right = (math.log(x) - low) / (high - low) * (WIDTH - LEFT - RIGHT)
        return LEFT + right, HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        _text((LEFT + WIDTH - RIGHT) / 2, 20, title, 15),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_label),
    ]
    parts.append(_text(LEFT - 48, TOP - 14, y_label, anchor="start"))
    for number in range(round(top / step) + 1):
        y = place(xs[0], number * step)[1]
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{number * step:g}", anchor="end"))
    parts += [_text(place(x, 0)[0], HEIGHT - BOTTOM + 18, _short(x)) for x in xs]
    for number, curve in enumerate(curves):
        parts += _line(curve, COLOURS[number % len(COLOURS)], number, [place(x, y) for x, y in curve.points])
    return _svg(HEIGHT, parts)


def dots(title: str, x_label: str, rows: Mapping[str, Mapping[str, float]], ours: str) -> str:
    """Return an SVG of a row of dots for each thing measured, over a logarithmic x; `ours` stands out.

    `rows` are what was measured and, for each, the value of each technique; all are above zero.
    """
    names = list(dict.fromkeys(name for values in rows.values() for name in values))
    others = [name for name in names if name != ours]
    colours = {ours: COLOURS[0]} | {name: _colour(number) for number, name in enumerate(others)}
    reached = [math.log10(value) for values in rows.values() for value in values.values()]
    low, high = math.floor(min(reached)), math.ceil(max(reached))
    right, bottom = WIDTH - 160, TOP + ROW * len(rows)

    def place(value: float) -> float:
        return NAMES + (math.log10(value) - low) / max(high - low, 1) * (right - NAMES)

    parts = [_text((NAMES + right) / 2, 20, title, 15), _text((NAMES + right) / 2, bottom + 38, x_label)]
    for power in range(low, high + 1):
        x = place(10.0**power)
        parts.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="#ddd"/>')
        parts.append(_text(x, bottom + 18, f"{10.0**power:,g}"))
    for number, (what, values) in enumerate(rows.items()):
        y = TOP + ROW * (number + 0.5)
        parts += [
            f'<path d="M{NAMES} {y}H{right}" stroke="#eee"/>',
            _text(NAMES - 10, y + 4, what, anchor="end"),
        ]
        parts += [_dot(place(values[name]), y, colours[name], name == ours) for name in (*others, ours)]
    for number, name in enumerate((ours, *others)):
        y = TOP + 14 + 20 * number
        parts += [
            _dot(right + 24, y - 4, colours[name], name == ours),
            _text(right + 38, y, name, anchor="start"),
        ]
    return _svg(max(bottom + 50, TOP + 20 * len(names) + 20), parts)


def _colour(number: int) -> str:
    """Return the colour of one of the others; the first is ours alone."""
    spare = (*COLOURS[1:], "#882255", "#7a6a00")
    return spare[number % len(spare)]


def _dot(x: float, y: float, colour: str, large: bool) -> str:
    edge = ' stroke="#000" stroke-width="1.5"' if large else ' fill-opacity="0.75"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{8 if large else 4.5}" fill="{colour}"{edge}/>'


def _svg(height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _line(curve: Curve, colour: str, number: int, places: list[tuple[float, float]]) -> list[str]:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
    y = TOP + 14 + 18 * number
    return [
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *dots,
        f'<path d="M{WIDTH - RIGHT + 16} {y - 4}h20" stroke="{colour}" stroke-width="3"/>',
        _text(WIDTH - RIGHT + 42, y, curve.name, anchor="start"),
    ]


def _text(x: float, y: float, text: str, size: int = 12, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'


def _step(least: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * step for step in STEPS if power * step >= least)


def _short(number: float) -> str:
    if number >= 1024 and number % 1024 == 0:
        return f"{number / 1024:g} Ki"
    if number >= 1_000_000:
        return f"{number / 1_000_000:g}M"
    return f"{number / 1000:g}k" if number >= 1000 else f"{number:g}"
