"""What a page holds of a series, ready to land: its rows, bad ones, and the range that it proves."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mdstore.core.hole_reasons import STATED
from mdstore.core.time_bounds import FOREVER
from mdstore.core.time_style import TimeStyle
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import InvalidInputError
from mdstore.sources.sync.coordinator import LATE_MS, Page
from mdstore.sources.sync.page_proof import Proven, checked_rows, proven
from mdstore.sources.sync.sync_place import Key, Range, Said, SyncPlace

__all__ = ["refuse_no_page", "rows_of", "rows_together", "said_of_page", "settled_from"]

IN_MS = TimeStyle("ms")


def settled_from(timeframe: Timeframe, now: int, settles: int, late: int = LATE_MS) -> int:
    """Return the start of the first bar that a source may yet amend, when its clock shows `now` (all ms).

    `settles` is how many of the latest bars it amends, besides those that come late.
    """
    settled = timeframe.floor(now - late)
    for _ in range(settles):
        settled = timeframe.floor(settled - 1)
    return settled


def said_of_page(start: int, end: int, page: Page, settled: int) -> Said:
    """Return what a page says of the range that it proves; from `settled` on (ms) it may yet be amended."""
    return Said(start, end, page.absent, settled if settled < end else FOREVER)


def refuse_no_page(source: str, wanted: str, page: object) -> None:
    """Refuse what a source gave for a page, where its times, or what it says, are none.

    Raises `InvalidInputError`.
    """
    if not isinstance(page, Page):
        raise InvalidInputError(f"{source} gave {type(page).__name__} for a page of {wanted}")
    if type(page.start) is not int or type(page.end) is not int:
        raise InvalidInputError(
            f"{source} gave a page of {wanted} from {page.start!r} to {page.end!r}: no whole ms"
        )
    if page.clock is not None and type(page.clock) is not int:
        raise InvalidInputError(
            f"{source} gave a page of {wanted} with a clock of {page.clock!r}: no whole ms"
        )
    if page.absent is not None and page.absent not in STATED:
        raise InvalidInputError(
            f"{source} says {page.absent!r} of bars of {wanted} that are not there: "
            f"a reason is one of {', '.join(STATED)}"
        )


def rows_of(  # noqa: PLR0917 - a page, what was asked for, and what is known of the source
    page: Page, key: Key, asked: Range, most: int | None, place: SyncPlace, late: int = LATE_MS
) -> Proven:
    """Return what a page holds of the range that was asked for. Raises `MarketDataError` where it is no page.

    A source that proves its pages has `most` None: a page is all that there is in its range. Of any other it
    is `page_proof` that says what a page is worth, by how many rows the source gives at `most`.
    """
    symbol, bar = key[0], Timeframe.parse(key[1])
    low, high = max(page.start, asked[0]), min(page.end, asked[1])
    if most is not None:
        part = Page(low, high, page.rows, page.absent)
        return proven(part, symbol, bar, most, (place.now(), late), place.extras(key))
    if low >= high:
        raise InvalidInputError(
            f"asked for {_of(key, asked)}, the source gave {_of(key, (page.start, page.end))}"
        )
    rows, _, bad = _checked(page.rows, key, place)
    time = pl.col("timestamp")
    outside = rows.filter((time < page.start) | (time >= page.end))
    if len(outside):
        strange = ms_to_datetime(outside["timestamp"][0])
        raise InvalidInputError(f"a page of {_of(key, (page.start, page.end))} has a bar of {strange}")
    return Proven(rows.filter((time >= low) & (time < high)), low, high, bad)


def rows_together(pages: Sequence[tuple[Page, Range]], key: Key, place: SyncPlace) -> pl.DataFrame | None:
    """Return the rows of several pages of a series, checked at once; None where each is to be looked at.

    So it is for tables that keep to the ranges that were asked for and have no bad row: as nearly always, and
    to check a page costs as much as to check ten.
    """
    tables = []
    for page, asked in pages:
        rows = page.rows
        if not isinstance(rows, pl.DataFrame) or not _keeps_to(rows, page, asked):
            return None
        tables.append(rows)
    if any(table.schema != tables[0].schema for table in tables):
        return None
    rows, _, bad = _checked(pl.concat(tables), key, place)
    return rows if not len(bad) and len(rows) == sum(map(len, tables)) else None


def _keeps_to(rows: pl.DataFrame, page: Page, asked: Range) -> bool:
    """Tell whether a table has times in the range of its page alone, and that lies in what was asked for."""
    if not asked[0] <= page.start < page.end <= asked[1] or rows.schema.get("timestamp") != pl.Int64:
        return False
    if not len(rows):
        return False
    times = rows["timestamp"]
    low, high = times.min(), times.max()
    return isinstance(low, int) and isinstance(high, int) and page.start <= low and high < page.end


def _checked(data: object, key: Key, place: SyncPlace) -> tuple[pl.DataFrame, int, pl.DataFrame]:
    bar = Timeframe.parse(key[1])
    return checked_rows(data, key[0], bar, place.now(), style=IN_MS, extras=place.extras(key))


def _of(key: Key, asked: Range) -> str:
    return f"{key[0]} {key[1]} of [{ms_to_datetime(asked[0])}, {ms_to_datetime(asked[1])})"
