"""Which column of a table is what: by its header, or by its place where there is none."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mdstore.errors import FileFormatError
from mdstore.schema import CANDLE_COLUMNS, recognise

__all__ = ["by_header", "by_place", "canonical", "missing_columns"]

# What tables without a header hold, by their number of columns: plain candles, Kraken's with the number of
# trades, Binance's klines. The first six are the same in all.
WIDTHS = (6, 7, 12)
# The names an index gets that was saved without one; it holds the time when no other column does.
INDEX_NAMES = ("", "unnamed: 0", "__index_level_0__", "index")
LONGEST_DATE = 10


def by_header(names: Sequence[str]) -> dict[str, int]:
    """Map the canonical columns found in a header to their places.

    `time of day` is the place of a second column that completes a date.
    """
    clean = [name.strip().strip("<>").lower() for name in names]
    found = {canonical: clean.index(name) for canonical, name in recognise(clean).items()}
    if "timestamp" not in found and clean and clean[0] in INDEX_NAMES:
        found["timestamp"] = 0
    if "timestamp" in found and clean[found["timestamp"]] == "date" and "time" in clean:
        found["time of day"] = clean.index("time")
    return found


def by_place(row: Sequence[str]) -> dict[str, int] | None:
    """Map the canonical columns to their places in a row without a header; None if it is no candle."""
    if len(row) not in WIDTHS or not row[0].strip()[:1].isdigit() or not all(map(_is_number, row[1:6])):
        return None
    return {name: place for place, name in enumerate(CANDLE_COLUMNS)}


def canonical(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the candle columns of `frame`, and symbol and timeframe if there, under canonical names."""
    names = frame.columns
    places = by_header(names)
    picked = frame.select(frame[names[place]].alias(name) for name, place in places.items())
    return whole_times(picked)


def whole_times(frame: pl.DataFrame) -> pl.DataFrame:
    """Put a date and its time of day together; one day's bars under one date would replace each other."""
    if "time of day" not in frame.columns:
        return frame
    date, time = frame["timestamp"], frame["time of day"]
    if date.dtype == pl.Date and time.dtype == pl.Time:
        frame = frame.with_columns(pl.col("timestamp").dt.combine(pl.col("time of day"), "ms"))
    elif date.dtype == pl.String and time.dtype == pl.String and _are_dates(date):
        frame = frame.with_columns(pl.concat_str("timestamp", "time of day", separator=" "))
    return frame.drop("time of day")


def missing_columns(name: str, found: Sequence[str], there: Sequence[str]) -> FileFormatError:
    """Return the error for a table that lacks columns of a candle."""
    missing = [column for column in CANDLE_COLUMNS if column not in found]
    volume = "; where there is no volume, add a column of zeros" if missing == ["volume"] else ""
    listed = ", ".join(repr(column.strip()) for column in there) or "nothing"
    return FileFormatError(
        f"{name}: no column for {', '.join(missing)}; found {listed}. Hint: name the columns "
        f"{', '.join(CANDLE_COLUMNS)}{volume}"
    )


def _are_dates(texts: pl.Series) -> bool:
    lengths = texts.str.strip_chars().str.len_chars().max()
    return isinstance(lengths, int) and lengths <= LONGEST_DATE


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
