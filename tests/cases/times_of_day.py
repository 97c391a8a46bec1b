"""A time of day in a column of its own is put together with its date, or refused; it is never dropped."""

import datetime as dt

import pandas as pd
import polars as pl
import pyarrow as pa

from tests.cases.case import Import, Write, csv, dated, flat

BARS = {("A", "1m"): [("2024-01-02T09:30", 1), ("2024-01-02T09:31", 2), ("2024-01-02T16:00", 3)]}
TEXTS = ["09:30:00", "09:31:00", "16:00:00"]
SEEN_IN_NEW_YORK = {("A", "1m"): [("2024-01-02T14:30", 1), ("2024-01-02T14:31", 2), ("2024-01-02T21:00", 3)]}


def written(name, data, **options):
    return Write(name, data, bars=BARS, **options)


def imported(name, text, suffix="csv", **options):
    return Import(name, {f"A-1m.{suffix}": text}, **{"bars": BARS, **options})


def moved(columns, **names):
    return {names.get(name, name): values for name, values in columns.items()}


WAYS = {
    "texts with seconds": TEXTS,
    "texts with minutes": ["09:30", "09:31", "16:00"],
    "texts without a zero": ["9:30", "9:31", "16:00"],
    "texts with fractions": ["09:30:00.000", "09:31:00.000", "16:00:00.000"],
    "texts of half days": ["9:30 AM", "9:31 AM", "4:00 PM"],
    "whole numbers HHMM": [930, 931, 1600],
    "whole numbers HHMMSS": [93000, 93100, 160000],
    "digits HHMM": ["0930", "0931", "1600"],
    "digits HHMMSS": ["093000", "093100", "160000"],
    "Python's times": [dt.time(9, 30), dt.time(9, 31), dt.time(16)],
    "texts of whole times": [f"2024-01-02 {text}" for text in TEXTS],
}
ONE_DAY = ["2024-01-02"] * 3
CASES = [
    *(written(f"a dict of columns, {way}", dated(times)) for way, times in WAYS.items()),
    *(imported(f"CSV, {way}", csv(dated(times))) for way, times in WAYS.items()),
    written("rows as dicts", pl.DataFrame(dated(TEXTS)).to_dicts()),
    written("Polars, Date and Time", pl.DataFrame(dated(dates=[dt.date(2024, 1, 2)] * 3, time=[dt.time(9, 30), dt.time(9, 31), dt.time(16)]))),
    written("Polars, Date and texts", pl.DataFrame(dated(TEXTS, dates=[dt.date(2024, 1, 2)] * 3))),
    written("Polars, naive midnights and durations", pl.DataFrame(dated(dates=[dt.datetime(2024, 1, 2)] * 3, time=[dt.timedelta(minutes=m) for m in (570, 571, 960)]))),
    written("pandas, texts", pd.DataFrame(dated(TEXTS))),
    written("pandas, Timestamps and numbers", pd.DataFrame(dated([930, 931, 1600])).assign(date=pd.Timestamp("2024-01-02"))),
    written("pandas, dates as index and times as column", pd.DataFrame(dated(TEXTS, dates=pd.to_datetime(ONE_DAY))).set_index("date")),
    written("pandas, an index without a name and times as column", pd.DataFrame(dated(TEXTS, dates=pd.to_datetime(ONE_DAY))).set_index("date").rename_axis(None)),
    written("Arrow, date32 and texts", pa.table(dated(TEXTS, dates=[dt.date(2024, 1, 2)] * 3))),
    written("dates YYYYMMDD as numbers", dated([930, 931, 1600], dates=[20240102] * 3)),
    Write("a number that is no date spoils no other", dated([930, 931], dates=[20240102, 0]), options={"on_invalid": "quarantine"}, bars={("A", "1m"): BARS["A", "1m"][:1]}, result={"quarantined": 1}),
    written("dates YYYYMMDD as texts", dated([930, 931, 1600], dates=["20240102"] * 3)),
    written("dates with a midnight of their own", dated(TEXTS, dates=["2024-01-02 00:00:00"] * 3)),
    written("trade_date and trade_time", moved(dated(TEXTS), date="trade_date", time="trade_time")),
    written("MetaTrader's brackets", moved(dated(TEXTS), date="<DATE>", time="<TIME>")),
    Write("a zone in the header", moved(dated(TEXTS), time="Time (ET)"), bars=SEEN_IN_NEW_YORK, result={"notes": ("times in Time (ET) were read as of America/New_York",)}),
    Write("a zone in the header of whole times", moved(flat([f"2024-01-02 {text}" for text in TEXTS]), timestamp="Time (ET)"), bars=SEEN_IN_NEW_YORK),
    Write("in a zone with summer time", moved(dated(TEXTS, dates=["2024-07-02"] * 3), time="Time (America/New_York)"), bars={("A", "1m"): [("2024-07-02T13:30", 1), ("2024-07-02T13:31", 2), ("2024-07-02T20:00", 3)]}),
    Write("a zone that is none all the year", moved(dated(TEXTS), time="Time (EST)"), bars=SEEN_IN_NEW_YORK, refused="EST, which is not one zone all the year", hint="America/New_York", then={"data": moved(dated(TEXTS), time="Time (America/New_York)")}),
    written("UTC in the header", moved(dated(TEXTS), time="Time (UTC)")),
    imported("CSV, a zone in the header", csv(moved(dated(TEXTS), time="Time (ET)")), bars=SEEN_IN_NEW_YORK, said=[r"times in Time \(ET\) were read as of America/New_York"]),
    imported("CSV, dates with a midnight of their own", csv(dated(TEXTS, dates=["2024-01-02 00:00:00"] * 3))),
    imported("JSON, numbers", pl.DataFrame(dated([930, 931, 1600])).write_json(), "json"),
    imported("NDJSON, texts", pl.DataFrame(dated(TEXTS)).write_ndjson(), "ndjson"),
    Write("the bar of a whole day bears no time of day", dated(["16:00:00"]), timeframe="1d", bars={("A", "1d"): [("2024-01-02", 1)]}, refused="timestamp starts a 1d bar", hint="align='floor' stores it under 2024-01-02", then={"data": {k: v for k, v in dated(["16:00:00"]).items() if k != "time"}}),
    Write("times that bear their time of day need no other", {**flat(["2024-01-02T09:30"]), "time": ["18:30"]}, bars={("A", "1m"): [("2024-01-02T09:30", 1)]}, result={"ignored": ("time",)}),
    Write("a row without a time of day is named", dated(["09:30", None]), options={"on_invalid": "quarantine"}, bars={("A", "1m"): [("2024-01-02T09:30", 1)]}, result={"quarantined": 1}),
    Write("what is no time of day is refused", dated(["soon", "later"]), bars={("A", "1m"): [("2024-01-02T09:30", 1), ("2024-01-02T09:31", 2)]}, refused="'time' stands beside the dates 'date' and holds no times of day, such as 'soon'", hint="09:30", then={"data": dated(["09:30", "09:31"])}),
    Write("the digits of a later chunk mean the same", lambda: iter([pl.DataFrame(dated([235900, 93000])), pl.DataFrame(dated([100, 200]))]), options={"on_conflict": "last"}, bars={("A", "1m"): [("2024-01-02T23:59", 1), ("2024-01-02T09:30", 2), ("2024-01-02T00:01", 1), ("2024-01-02T00:02", 2)]}),
    Write("digits of two kinds are refused", lambda: iter([pl.DataFrame(dated([100, 200])), pl.DataFrame(dated([235900, 93000]))]), bars={("A", "1m"): [("2024-01-02T01:00", 1)]}, refused="HHMM or HHMMSS", hint="09:30:00", then={"data": dated(["01:00:00"])}),
    Write("a lost time of day is no duplicate", moved(dated(TEXTS), time="when"), bars=BARS, refused=r"A 1m at 2024-01-02T00:00:00Z comes twice with different values \(rows 0 and 2\).*the rows differ in when", hint="midnight: name a column of times of day time", then={"data": dated(TEXTS)}),
    imported("a lost time of day is no duplicate, in a file", csv(moved(dated(TEXTS), time="when")), refused="2024-01-02T00:00:00Z comes twice .*; the rows differ in when", hint="midnight: name a column of times of day time", then=[], then_files={"A-1m.csv": csv(dated(TEXTS))}),
]  # fmt: skip
