"""Which column of a table is what: by its header, or by its place where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from mdstore.core.column_names import recognise
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.errors import FileFormatError, Hint

__all__ = [
    "by_header",
    "by_place",
    "canonical",
    "header_notes",
    "in_korean_time",
    "missing_columns",
    "whole_times",
]

# What tables without a header hold, by their number of columns: plain candles, Kraken's with the number of
# trades, Binance's klines. The first six are the same in all.
WIDTHS = (6, 7, 12)
# The names an index gets that was saved without one; it holds the time when no other column does.
INDEX_NAMES = ("", "unnamed: 0", "__index_level_0__", "index")
# Upbit's: the start of the bar in Korean time, which has been UTC+9 without summer time since 1988.
KOREAN, ITS_UTC = "candle_date_time_kst", "candle_date_time_utc"
KOREA = "+09:00"
LONGEST_DATE = 10
FILLED = "filled"


def by_header(names: Sequence[str]) -> dict[str, int]:
    """Map the canonical columns found in a header to their places.

    `time of day` is the place of a second column that completes a date. Raises `FileFormatError` for bars
    that were made up to fill holes.
    """
    clean = _clean(names)
    found = {canonical: clean.index(name) for canonical, name in recognise(clean).items()}
    if FILLED in clean and "open" in found:
        raise FileFormatError(
            f"a column {FILLED!r} says which bars fill holes: they are not to be stored",
            hint=Hint(
                "read without fill=, or leave these rows and the column out",
                "export without --fill, or leave these rows and the column out",
            ),
        )
    if in_korean_time(names):
        # Also before a `timestamp` beside it, which is the time of the last tick.
        found["timestamp"] = clean.index(KOREAN)
    elif "timestamp" not in found and clean and clean[0] in INDEX_NAMES:
        found["timestamp"] = 0
    if "timestamp" in found and clean[found["timestamp"]] == "date" and "time" in clean:
        found["time of day"] = clean.index("time")
    return found


def in_korean_time(names: Sequence[str]) -> bool:
    """Tell whether the only start of the bars in a table is in Korean time."""
    clean = _clean(names)
    return KOREAN in clean and ITS_UTC not in clean


def header_notes(names: Sequence[str]) -> set[str]:
    """Return what must be said of a header that names the time unusually or not at all."""
    if in_korean_time(names):
        return {f"{KOREAN} was read as Korean time, UTC+9"}
    clean = _clean(names)
    if "timestamp" not in recognise(clean) and clean and clean[0] in INDEX_NAMES:
        return {"the first column has no name and was taken as the time"}
    return set()


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
    return whole_times(picked, korean=in_korean_time(names))


def whole_times(frame: pl.DataFrame, *, korean: bool) -> pl.DataFrame:
    """Put a date and its time of day together; one day's bars under one date would replace each other.

    `korean` times without a zone are given theirs.
    """
    if korean:
        return frame.with_columns(_from_korea(frame["timestamp"]))
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
        f"{name}: no column for {', '.join(missing)}; found {listed}",
        hint=f"name the columns {', '.join(CANDLE_COLUMNS)}{volume}",
    )


def _clean(names: Sequence[str]) -> list[str]:
    return [name.strip().strip("<>").lower() for name in names]


def _from_korea(times: pl.Series) -> pl.Series:
    """Give zone-less times in Korea their zone; what is no time stays for the store to judge."""
    if times.dtype == pl.String:
        whole = times.str.replace(r"^(\d{4}[-/]?\d\d[-/]?\d\d)$", "$1 00:00")
        return whole.str.replace(r"(:\d\d(?:\.\d+)?)$", f"${{1}}{KOREA}")
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is None:
        return times - timedelta(hours=9)
    return times


def _are_dates(texts: pl.Series) -> bool:
    lengths = texts.str.strip_chars().str.len_chars().max()
    return isinstance(lengths, int) and lengths <= LONGEST_DATE


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
