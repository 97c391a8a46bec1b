"""Days of a zone bear their date; half a bar that is moved to its start does not bury a whole one."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import polars as pl

from tests.cases.case import Import, Write, csv, flat

KST = timezone(timedelta(hours=9))
SEOUL, NEW_YORK = ZoneInfo("Asia/Seoul"), ZoneInfo("America/New_York")
TWO_DAYS = {("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}
NOTE = ("bars at midnight of their own time zone are taken as that date",)
WHOLE, HALF = ("2024-01-02T03:00:00Z", 5, 5, 5, 5, 700), ("2024-01-02T03:28:14Z", 6, 6, 6, 6, 2)
KEPT = {("A", "1h"): [("2024-01-02T03:00", 5, 700)]}
FLOOR = {"align": "floor"}


def hourly(name, rows, **more):
    return Write(name, rows, timeframe="1h", options={**FLOOR, **more.pop("options", {})}, **more)


def daily(name, times, timeframe="1d", bars=TWO_DAYS, notes=NOTE, **options):
    return Write(name, flat(times), timeframe=timeframe, options=options, bars=bars, result={"notes": notes})


def polars(zone, *moments):
    return pl.Series([datetime.fromisoformat(one) for one in moments]).dt.replace_time_zone(zone)


CASES = [
    # ---- days of a zone
    *(
        daily(f"{what}{', floored' if options else ''}", times, **options)
        for options in ({}, FLOOR)
        for what, times in {
            "texts with an offset": ["2024-01-02T00:00+09:00", "2024-01-03T00:00:00+09:00"],
            "texts without a colon in it": ["2024-01-02 00:00:00+0900", "2024-01-03 00:00:00+0900"],
            "datetimes": [datetime(2024, 1, 2, tzinfo=KST), datetime(2024, 1, 3, tzinfo=KST)],
            "a column of Seoul": polars("Asia/Seoul", "2024-01-02", "2024-01-03"),
            "a column of New York": polars("America/New_York", "2024-01-02", "2024-01-03"),
            "objects of two zones": pl.Series(
                [datetime(2024, 1, 2, tzinfo=SEOUL), datetime(2024, 1, 3, tzinfo=NEW_YORK)], dtype=pl.Object
            ),
        }.items()
    ),
    daily(
        "days over the change of the clocks",
        polars("America/New_York", "2024-03-10", "2024-03-11"),
        bars={("A", "1d"): [("2024-03-10", 1), ("2024-03-11", 2)]},
    ),
    daily(
        "weeks from Monday in Seoul",
        ["2024-01-01T00:00+09:00", "2024-01-08T00:00+09:00"],
        "1w",
        bars={("A", "1w"): [("2024-01-01", 1), ("2024-01-08", 2)]},
    ),
    daily(
        "months in Seoul",
        ["2024-01-01T00:00+09:00", "2024-02-01T00:00+09:00"],
        "1M",
        bars={("A", "1M"): [("2024-01-01", 1), ("2024-02-01", 2)]},
    ),
    daily("midnights of UTC stay", ["2024-01-02T00:00Z", "2024-01-03T00:00+00:00"], notes=()),
    daily("dates stay", ["2024-01-02", "2024-01-03"], notes=()),
    Write(
        "hours of a zone are moments",
        flat(["2024-01-02T00:00+09:00", "2024-01-02T01:00+09:00"]),
        timeframe="1h",
        bars={("A", "1h"): [("2024-01-01T15:00", 1), ("2024-01-01T16:00", 2)]},
        result={"notes": ()},
    ),
    Write(
        "a time of day of a zone is no date",
        flat(["2024-01-02T09:00+09:00"]),
        timeframe="1d",
        bars={("A", "1d"): [("2024-01-02", 1)]},
    ),
    Write(
        "nor is one beside midnight",
        flat(["2024-01-02T09:30+09:00"]),
        timeframe="1d",
        refused="starts a 1d bar",
        hint="align='floor' stores it under 2024-01-02",
        then={"data": flat(["2024-01-02"])},
        bars={("A", "1d"): [("2024-01-02", 1)]},
    ),
    Write(
        "days of several symbols",
        {**flat(["2024-01-02T00:00+09:00", "2024-01-02T00:00-05:00"]), "symbol": ["A", "B"]},
        symbol=None,
        timeframe="1d",
        bars={("A", "1d"): [("2024-01-02", 1)], ("B", "1d"): [("2024-01-02", 2)]},
        result={"notes": NOTE},
    ),
    Import(
        "a file of days of Seoul",
        {"A-1d.csv": csv(flat(["2024-01-02T00:00:00+09:00", "2024-01-03T00:00:00+09:00"]))},
        bars=TWO_DAYS,
        said=["midnight of their own time zone"],
    ),
    # ---- half a bar beside a whole one
    hourly(
        "half a bar behind the whole one",
        [WHOLE, HALF],
        bars=KEPT,
        result={"inserted": 1, "withheld": 1, "duplicates": 0, "conflicts": 0, "rows": 2},
    ),
    hourly(
        "half a bar before the whole one", [HALF, WHOLE], bars=KEPT, result={"inserted": 1, "withheld": 1}
    ),
    hourly("in several chunks", iter([[WHOLE], [HALF]]), bars=KEPT, result={"inserted": 1, "withheld": 1}),
    hourly(
        "two moved rows of a bar are a conflict",
        [HALF, ("2024-01-02T03:40:00Z", 7, 7, 7, 7, 3)],
        refused="comes twice with different values",
        hint="on_conflict='last'",
        then={"on_conflict": "last"},
        bars={("A", "1h"): [("2024-01-02T03:00", 7, 3)]},
    ),
    hourly(
        "two equal moved rows are one",
        [HALF, HALF],
        bars={("A", "1h"): [("2024-01-02T03:00", 6, 2)]},
        result={"inserted": 1, "duplicates": 1, "withheld": 0},
    ),
    hourly(
        "a moved row alone is moved",
        [HALF],
        bars={("A", "1h"): [("2024-01-02T03:00", 6, 2)]},
        result={"inserted": 1, "withheld": 0},
    ),
    Write(
        "half a bar of each symbol",
        {
            "symbol": ["A", "A", "B"],
            "timestamp": [WHOLE[0], HALF[0], HALF[0]],
            "open": [5, 6, 6],
            "high": [5, 6, 6],
            "low": [5, 6, 6],
            "close": [5, 6, 6],
            "volume": [700, 2, 2],
        },
        symbol=None,
        timeframe="1h",
        options=FLOOR,
        bars={("A", "1h"): [("2024-01-02T03:00", 5, 700)], ("B", "1h"): [("2024-01-02T03:00", 6, 2)]},
        result={"withheld": 1, "inserted": 2},
    ),
]
