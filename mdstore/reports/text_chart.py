"""A candlestick chart for the terminal.

Written here because the libraries that were tried do not fit: candlestick-chart 3.1 draws nothing where open,
high, low and close are equal, has no time axis, labels 1.0001 and 1.0002 both "1.00" and writes colours into
pipes; plotext 6.1 keeps one global figure, leaves no space between candles and writes 173,500,000 as 1.735e8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import polars as pl
from rich.text import Text

__all__ = ["candlestick", "chart", "columns_for", "digits"]

RISING, FALLING, QUIET = "green", "red", "dim"
# Every cell is two half cells high; each half is empty, wick or body: (upper, lower) to the glyph.
EMPTY, WICK, BODY = 0, 1, 2
GLYPHS = {
    (EMPTY, EMPTY): " ", (WICK, WICK): "│", (BODY, BODY): "┃",
    (WICK, EMPTY): "╵", (EMPTY, WICK): "╷", (BODY, EMPTY): "╹", (EMPTY, BODY): "╻",
    (WICK, BODY): "╽", (BODY, WICK): "╿",
}  # fmt: skip
BARS = " ▁▂▃▄▅▆▇█"
NICE = (1, 2, 5, 10)
NEARLY = 1e-9  # 1.0004 is a multiple of 0.0002, though in doubles 1.0004 / 0.0002 is a little less than 5002
ROWS_PER_LABEL = 2  # at least; up to five, since steps are round
LEAST_WIDTH, LEAST_HEIGHT = 24, 8
# Caption, axis and its labels.
ROWS_AROUND = 3
VOLUME_ROWS = 2
HEIGHT_FOR_VOLUME = 12
WIDEST_STEP = 3
MOST_DIGITS = 10
WIDEST_NUMBER, MOST_DECIMALS = 1e15, 12

Bar = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scale:
    """Prices to half rows, 0 at the bottom."""

    low: float
    high: float
    halves: int

    def row(self, price: float) -> int:
        """Return the half row of a price."""
        # Halved first: the difference of two of the largest doubles overflows.
        size = self.high / 2 - self.low / 2
        if size == 0:
            return self.halves // 2
        share = (price / 2 - self.low / 2) / size
        return min(self.halves - 1, max(0, round(share * (self.halves - 1))))


def candlestick(frame: pl.DataFrame, *, title: str = "", width: int = 80, height: int = 20) -> str:
    """Draw candles as plain text of at most `width` columns and `height` lines.

    `frame` has timestamp, open, high, low, close and volume, ascending. More bars than columns are put
    together; the caption says how many a candle holds.

    >>> from datetime import datetime
    >>> flat = {"open": [2.0], "high": [2.0], "low": [2.0], "close": [2.0], "volume": [1.0]}
    >>> frame = pl.DataFrame({"timestamp": [datetime(2025, 9, 1)], **flat})
    >>> print(candlestick(frame, title="X 1d", width=40, height=8))
    X 1d  last 2  +0.00 % over this bar
      │
      │
    2 ┤╹
      │
      │
      └┬──
       2025-09-01
    """
    drawn = chart(frame, title=title, width=width, height=height).plain
    return "\n".join(line.rstrip() for line in drawn.split("\n"))


def columns_for(width: int) -> int:
    """Return how many candles fit beside a price axis of usual size."""
    return max(LEAST_WIDTH, width) - 14


def chart(frame: pl.DataFrame, *, title: str = "", width: int = 80, height: int = 20) -> Text:
    """Draw candles as `candlestick` does, in colours that rich leaves out where they are unwanted."""
    width, height = max(width, LEAST_WIDTH), max(height, LEAST_HEIGHT)
    if frame.is_empty():
        return Text(f"{title}  no bars".strip())
    rows = height - ROWS_AROUND
    volume_rows = VOLUME_ROWS if height >= HEIGHT_FOR_VOLUME else 0
    scale, labels = _axis(frame, rows - volume_rows)
    margin = max(map(len, labels.values()))
    drawn, bars_each = _fitted(frame, width - margin - 3)
    step = max(1, min(WIDEST_STEP, (width - margin - 3) // len(drawn)))
    text = _caption(frame, title, bars_each, width)
    for line in range(rows - volume_rows - 1, -1, -1):
        label = labels.get(line, "")
        text.append(f"\n{label:>{margin}} {'┤' if label else '│'}", QUIET)
        _append_cells(text, drawn, step, partial(_cell, scale, line))
    for line in range(volume_rows - 1, -1, -1):
        text.append(f"\n{'':>{margin}} │", QUIET)
        _append_cells(text, drawn, step, _volume_cell(drawn, line, volume_rows))
    return text.append_text(_time_axis(drawn["timestamp"].to_list(), margin, step, width))


def digits(values: Sequence[float], most: int = MOST_DIGITS) -> int:
    """Return how many decimals show `values` exactly, fewer where that would be more than `most` digits.

    >>> digits([150803000.0, 150700000.0]), digits([2.82e-05, 0.00002817]), digits([0.1 + 0.2, 123.5])
    (0, 8, 7)
    """
    finite = [abs(value) for value in values if math.isfinite(value) and value]
    if not finite:
        return 0
    whole = max(0, math.floor(math.log10(max(finite))) + 1)
    zeros = max(0, -math.floor(math.log10(max(finite))) - 1)
    return min(max(map(_decimals, finite)), max(0, most - whole) + zeros)


def _decimals(value: float) -> int:
    """Count the decimals of the shortest text that is this double."""
    mantissa, _, exponent = repr(value).partition("e")
    fraction = mantissa.partition(".")[2].rstrip("0")
    return max(0, len(fraction) - int(exponent or 0))


def _fitted(frame: pl.DataFrame, columns: int) -> tuple[pl.DataFrame, int]:
    """Put bars together until they fit; return them and how many make one."""
    bars_each = math.ceil(len(frame) / columns)
    if bars_each == 1:
        return frame, 1
    # Counted from the end, so that the newest candle is a full one.
    group = (len(frame) - 1 - pl.int_range(len(frame))) // bars_each
    together = frame.group_by(group.alias("group"), maintain_order=True).agg(
        pl.col("timestamp").first(), pl.col("open").first(), pl.col("high").max(),
        pl.col("low").min(), pl.col("close").last(), pl.col("volume").sum(),
    )  # fmt: skip
    return together.drop("group"), bars_each


def _axis(frame: pl.DataFrame, rows: int) -> tuple[Scale, dict[int, str]]:
    """Return the price scale and the label of each row that has one."""
    low, high = _number(frame["low"].min()), _number(frame["high"].max())
    scale = Scale(low, high, 2 * rows)
    if low == high:
        return scale, {scale.row(low) // 2: _label(low, digits([low]))}
    step = _nice((high / 2 - low / 2) * 2 * ROWS_PER_LABEL / rows)
    decimals = max(0, -math.floor(math.log10(step)))
    first, last = math.ceil(low / step - NEARLY), math.floor(high / step + NEARLY)
    ticks = [tick * step for tick in range(first, last + 1)] or [high]
    return scale, {scale.row(tick) // 2: _label(tick, decimals) for tick in ticks}


def _label(price: float, decimals: int) -> str:
    """Write a price in full, unless that would fill the line."""
    full = abs(price) < WIDEST_NUMBER and decimals <= MOST_DECIMALS
    return f"{price:,.{decimals}f}" if full else f"{price:.6g}"


def _nice(size: float) -> float:
    """Return the next larger 1, 2 or 5 times a power of ten, neither denormal nor infinite."""
    power = 10.0 ** math.floor(math.log10(min(max(size, 1e-300), 1e307)))
    return next((nice * power for nice in NICE if nice * power >= size), 10 * power)


def _number(value: object) -> float:
    assert isinstance(value, int | float)  # noqa: S101 - the frame is not empty; for mypy
    return float(value)


def _caption(frame: pl.DataFrame, title: str, bars_each: int, width: int) -> Text:
    """Say what is drawn, and over how many bars the price changed; shorter where that does not fit."""
    first, last = frame["open"][0], frame["close"][-1]
    price = f"  last {_label(last, digits([last]))}"
    change = f"  {(last / first - 1) * 100:+,.2f} %" if first else ""
    bars = f"{len(frame):,} bar{'s' if len(frame) > 1 else ''}"
    over = f" over these {bars}" if len(frame) > 1 else " over this bar"
    each = f", {bars_each:,} to a candle" if bars_each > 1 else ""
    ends = (f"{over}{each}", f", {bars}{each}", f", {bars}")
    room = width - len(title + price + change)
    end = next((end for end in ends if len(end) <= room), ends[-1])
    text = Text().append(title, "bold").append(price)
    return text.append(change, RISING if last >= first else FALLING).append(end)


def _append_cells(text: Text, drawn: pl.DataFrame, step: int, cell: Callable[[Bar], str]) -> None:
    for bar in drawn.iter_rows(named=True):
        text.append(cell(bar).ljust(step), RISING if bar["close"] >= bar["open"] else FALLING)


def _cell(scale: Scale, line: int, bar: Bar) -> str:
    high, low = scale.row(bar["high"]), scale.row(bar["low"])
    top, bottom = scale.row(max(bar["open"], bar["close"])), scale.row(min(bar["open"], bar["close"]))

    def half(row: int) -> int:
        return BODY if bottom <= row <= top else WICK if low <= row <= high else EMPTY

    return GLYPHS[half(2 * line + 1), half(2 * line)]


def _volume_cell(drawn: pl.DataFrame, line: int, rows: int) -> Callable[[Bar], str]:
    """Return what draws one line of the volume bars; `line` counts from the bottom."""
    most = _number(drawn["volume"].max())
    steps = len(BARS) - 1

    def cell(bar: Bar) -> str:
        filled = math.ceil(bar["volume"] / most * rows * steps) if most else 0
        return BARS[min(steps, max(0, filled - line * steps))]

    return cell


def _time_axis(times: Sequence[datetime], margin: int, step: int, width: int) -> Text:
    """Draw the line under the chart, ticks at some of the candles and their times under these."""
    daily = all((time.hour, time.minute, time.second) == (0, 0, 0) for time in times)
    pattern = "%Y-%m-%d" if daily else "%Y-%m-%d %H:%M" if times[-1].second == 0 else "%Y-%m-%d %H:%M:%S"
    line, labels = "", ""
    for number, time in enumerate(times):
        label, place = f"{time:{pattern}}", number * step
        fits = not labels or (place >= len(labels) + 2 and margin + 2 + place + len(label) <= width)
        line += ("┬" if fits else "─").ljust(step, "─")
        labels = labels.ljust(place) + label if fits else labels
    return Text(f"\n{'':>{margin}} └{line}\n{'':>{margin}}  {labels}", QUIET)
