"""Naive times of a zone that is said: in `tz=`, in a header, behind each time; and the hour of the change."""

import re
from datetime import UTC, date, datetime

import pandas as pd
import polars as pl

from tests.cases.case import Import, Write, csv, dated, flat

SEOUL = {"tz": "Asia/Seoul"}
AT_NINE = {("A", "1m"): [("2024-01-25T00:00", 1), ("2024-01-25T00:01", 2)]}
NINE, LATER = datetime(2024, 1, 25, 9), datetime(2024, 1, 25, 9, 1)
TEXTS = ["2024-01-25 09:00", "2024-01-25 09:01"]
DAYS = {("A", "1d"): [("2024-01-25", 1), ("2024-01-26", 2)]}
# In New York clocks are set back on 3 November 2024 at 02:00, and forward on 10 March at 02:00.
TWICE, NEVER = "2024-11-03 01:30", "2024-03-10 02:30"
ONCE = {("A", "30m"): [("2024-11-03T04:30", 1), ("2024-11-03T07:00", 3)]}


def seoul(name, times, bars=AT_NINE, timeframe="1m", **more):
    return Write(f"{name}, of Seoul", flat(times), timeframe=timeframe, bars=bars, options={**SEOUL, **more.pop("options", {})}, **more)  # fmt: skip


def unclear(name, data, symbol="A", **options):
    """A time that the clocks show twice: refused, and set aside."""
    return Write(f"{name}, set aside", data, symbol, "30m", {**options, "on_invalid": "quarantine"}, ONCE, {"quarantined": 1})  # fmt: skip


HOUR = ["2024-11-03 00:30", TWICE, "2024-11-03 02:00"]
NAIVE = [datetime(2024, 11, 3, 0, 30), datetime(2024, 11, 3, 1, 30), datetime(2024, 11, 3, 2)]
NEW_YORK = {"tz": "America/New_York"}
BY_OFFSET = ["2024-11-03T00:30-04:00", "2024-11-03T01:30-04:00", "2024-11-03T02:00-05:00"]
ALL = {("A", "30m"): [("2024-11-03T04:30", 1), ("2024-11-03T05:30", 2), ("2024-11-03T07:00", 3)]}
KST = {"candle_date_time_kst" if name == "timestamp" else name: values for name, values in flat(["2024-01-25T09:00:00", "2024-01-25T09:01:00"]).items()}  # fmt: skip
KOREAN_NOTE = ("candle_date_time_kst was read as Korean time, UTC+9",)

IN_SUMMER = {
    "America/New_York": {("A", "1m"): [("2024-07-08T13:30", 1), ("2024-07-08T13:31", 2)]},
    "Etc/GMT+5": {("A", "1m"): [("2024-07-08T14:30", 1), ("2024-07-08T14:31", 2)]},
}
CASES = [
    # ---- every kind of naive times
    seoul("texts", TEXTS),
    seoul("texts with seconds", [f"{text}:00" for text in TEXTS]),
    seoul("texts with a T", [text.replace(" ", "T") for text in TEXTS]),
    seoul("other spellings", ["25.01.2024 9:00", "25.01.2024 9:01"]),
    seoul("digits of a date and a time of day", ["20240125 090000", "20240125 090100"]),
    seoul("datetimes", [NINE, LATER]),
    seoul("a column of datetimes", pl.Series([NINE, LATER])),
    seoul("a column in nanoseconds", pl.Series([NINE, LATER], dtype=pl.Datetime("ns"))),
    seoul("objects", pl.Series([NINE, "2024-01-25 09:01"], dtype=pl.Object)),
    Write("pandas, of Seoul", pd.DataFrame(flat(pd.to_datetime(TEXTS))), options=SEOUL, bars=AT_NINE),
    Write("a date and a time of day, of Seoul", dated(["09:00", "09:01"], dates=["2024-01-25"] * 2), options=SEOUL, bars=AT_NINE),
    Write("by its short name", flat(TEXTS), options={"tz": "KST"}, bars=AT_NINE),
    Write("several symbols, of Seoul", {**flat(TEXTS), "symbol": ["A", "A"]}, symbol=None, options=SEOUL, bars=AT_NINE),
    Import("a file, of Seoul", {"A-1m.csv": csv(flat(TEXTS))}, ["--tz", "Asia/Seoul"], bars=AT_NINE),
    Import("a file of dates and times of day, of Seoul", {"A-1m.csv": csv(dated(["09:00", "09:01"], dates=["2024-01-25"] * 2))}, ["--tz", "Asia/Seoul"], bars=AT_NINE),
    Import("a file whose timeframe is told by its rows, of Seoul", {"A.csv": csv(flat(TEXTS))}, ["--tz", "Asia/Seoul"], bars=AT_NINE),
    Write("minutes of New York, summer and winter", flat(["2024-01-25 09:30", "2024-07-25 09:30"]), options=NEW_YORK, bars={("A", "1m"): [("2024-01-25T14:30", 1), ("2024-07-25T13:30", 2)]}),
    # ---- what bears its zone, or is a moment, stays
    seoul("aware texts", ["2024-01-25T00:00Z", "2024-01-25T09:01+09:00"]),
    seoul("texts in UTC", ["2024-01-25 00:00:00 UTC", "2024-01-25 00:01 UTC"]),
    seoul("aware datetimes", [NINE.replace(hour=0, tzinfo=UTC), NINE.replace(hour=0, minute=1, tzinfo=UTC)]),
    seoul("numbers", [1706140800000, 1706140860000]),
    seoul("numbers as texts", ["1706140800", "1706140860.0"]),
    seoul("naive and aware", ["2024-01-25 09:00", "2024-01-25T00:01Z"]),
    Write("the zone in a header goes before", {"Time (Asia/Seoul)" if k == "timestamp" else k: v for k, v in flat(TEXTS).items()}, options=NEW_YORK, bars=AT_NINE),
    *(Import(f"a header that says {name}", {"A-1m.csv": csv({name if k == "timestamp" else k: v for k, v in flat(times).items()})}, bars=AT_NINE) for name, times in {"Time (UTC+9)": TEXTS, "Time (GMT+09:00)": TEXTS, "Datetime [KST]": TEXTS, "Date [UTC]": ["2024-01-25 00:00", "2024-01-25 00:01"], "Time (UTC-5)": ["2024-01-24 19:00", "2024-01-24 19:01"]}.items()),
    Write("a header with a distance from UTC beside dates", {"Time (UTC+9)" if k == "time" else k: v for k, v in dated(["09:00", "09:01"], dates=["2024-01-25"] * 2).items()}, bars=AT_NINE),
    # ---- a count since 1970 beside written times
    Import("times of Seoul beside a count are refused", {"A-1m.csv": csv({"date": TEXTS, "unix": ["1706140800", "1706140860"], **{k: v for k, v in flat(TEXTS).items() if k != "timestamp"}})}, refused=r"'date' says 2024-01-25 09:00, and 'unix' beside it is -9 h from that", hint="--columns 'time=unix'", then=["--columns", "time=unix"], then_bars=AT_NINE),
    Write("and read as said", {"date": TEXTS, "unix": [1706140800000, 1706140860000], **{k: v for k, v in flat(TEXTS).items() if k != "timestamp"}}, refused="'unix' beside it is -9 h", hint=r"columns=\{'time': 'date'\} with tz=", then={"columns": {"time": "date"}, "tz": "Asia/Seoul"}, bars=AT_NINE),
    Import("times that agree with a count", {"A-1m.csv": csv({"date": ["2024-01-25 00:00", "2024-01-25 00:01"], "unix": ["1706140800", "1706140860"], **{k: v for k, v in flat(TEXTS).items() if k != "timestamp"}})}, bars=AT_NINE, not_said=["not kept"]),
    Import("a count that lost its digits is none", {"A-1m.csv": csv({"date": ["2024-01-25 00:00", "2024-01-25 00:01"], "unix": ["1.7061E+12", "1.7061E+12"], **{k: v for k, v in flat(TEXTS).items() if k != "timestamp"}})}, bars=AT_NINE),
    Import("days beside midnights of New York", {"A-1d.csv": csv({"date": ["2024-01-25", "2024-01-26"], "unix": ["1706158800", "1706245200"], **{k: v for k, v in flat(TEXTS).items() if k != "timestamp"}})}, bars=DAYS),
    # ---- days bear their date
    seoul("days as texts", ["2024-01-25", "2024-01-26"], DAYS, "1d"),
    seoul("days as dates", [date(2024, 1, 25), date(2024, 1, 26)], DAYS, "1d"),
    seoul("days in another spelling", ["25.01.2024", "26.01.2024"], DAYS, "1d"),
    seoul("midnights", [datetime(2024, 1, 25), datetime(2024, 1, 26)], DAYS, "1d"),
    seoul("Upbit's days, which begin at nine", ["2024-01-25T09:00:00", "2024-01-26T09:00:00"], DAYS, "1d"),
    Write("days of a header's zone", {"Date (America/New_York)" if k == "timestamp" else k: v for k, v in flat(["2024-01-25", "2024-01-26"]).items()}, timeframe="1d", bars=DAYS),
    Import("days of a header's zone, in a file", {"A-1d.csv": csv({"Date (America/New_York)" if k == "timestamp" else k: v for k, v in flat(["2024-01-25", "2024-01-26"]).items()})}, bars=DAYS),
    # ---- the hour of the change
    *(unclear(f"twice, {name}", flat(times), **NEW_YORK) for name, times in {"texts": HOUR, "datetimes": NAIVE, "a column": pl.Series(NAIVE), "objects": pl.Series(NAIVE, dtype=pl.Object), "other spellings": ["Nov 3, 2024 0:30 AM", "2024-11-03 01:30", "3 Nov 2024 02:00"]}.items()),
    unclear("twice, by a header", {"Time (ET)" if k == "timestamp" else k: v for k, v in flat(HOUR).items()}),
    unclear("twice, by a header, of a column", {"Time (ET)" if k == "timestamp" else k: v for k, v in flat(pl.Series(NAIVE)).items()}),
    unclear("twice, by the zone behind it", flat([f"{text} US/Eastern" for text in HOUR])),
    unclear("twice, by date and time of day", {"Time (ET)" if k == "time" else k: v for k, v in dated(["00:30", "01:30", "02:00"], dates=["2024-11-03"] * 3).items()}),
    unclear("twice, several symbols", {**flat(HOUR), "symbol": ["A"] * 3}, None, **NEW_YORK),
    Write("twice, refused", flat(HOUR), timeframe="30m", options=NEW_YORK, refused=f"row 1 of A 30m: timestamp = {TWICE} breaks the rule 'timestamp is a time that the clocks of its zone show once'", hint="write such times with their offset", then={"data": flat(BY_OFFSET)}, bars=ALL),
    Write("never, refused", flat(["2024-03-10 01:30", NEVER]), timeframe="30m", options=NEW_YORK, refused=f"timestamp = {NEVER} breaks the rule 'timestamp is a time that the clocks", hint="on_invalid='quarantine'", then={"on_invalid": "quarantine"}, bars={("A", "30m"): [("2024-03-10T06:30", 1)]}),
    Import("twice, in a file", {"A-30m.csv": csv(flat(HOUR))}, ["--tz", "America/New_York"], refused=f"row 1 of A 30m: timestamp = {TWICE} breaks the rule 'timestamp is a time that the clocks of its zone show once'", hint="--on-invalid quarantine", then=["--tz", "America/New_York", "--on-invalid", "quarantine"], then_bars=ONCE),
    Import("twice, in a file, with offsets", {"A-30m.csv": csv(flat(HOUR))}, ["--tz", "America/New_York"], refused="show once", hint="with their offset, as 2024-11-03T01:30-04:00", then=["--tz", "America/New_York"], then_files={"A-30m.csv": csv(flat([HOUR[0], BY_OFFSET[1], HOUR[2]]))}, then_bars=ALL),
    # ---- what is no zone
    Write("a zone that is none", flat(TEXTS), options={"tz": "Asia/Seol"}, refused="'Asia/Seol' is no time zone", hint="did you mean 'Asia/Seoul'", then=SEOUL, bars=AT_NINE),
    Import("a zone that is none, in a file", {"A-1m.csv": csv(flat(TEXTS))}, ["--tz", "Asia/Seol"], refused="'Asia/Seol' is no time zone", hint="did you mean 'Asia/Seoul'", then=["--tz", "Asia/Seoul"], then_bars=AT_NINE),
    Write("local times taken for UTC", flat(["2199-01-02 09:00"]), refused="timestamp is not in the future", hint="tz='Asia/Seoul'", then={"on_invalid": "drop"}, bars={}),
    # ---- EST and the like, which people write in summer, too
    *(
        Write(f"EST in summer by {zone}", flat(["2024-07-08 09:30 EST", "2024-07-08 09:31 EST"]), refused="breaks the rule 'timestamp is a time'", hint=re.escape(f"tz={zone!r}"), then={"tz": zone}, bars=bars)
        for zone, bars in IN_SUMMER.items()
    ),
    *(
        Import(f"EST in a header by {zone}", {"A-1m.csv": csv({"Time (EST)" if k == "timestamp" else k: v for k, v in flat(["2024-07-08 09:30", "2024-07-08 09:31"]).items()})}, refused="a column says that times are of EST, which is not one zone all the year", hint=re.escape(f"--tz {zone}"), then=["--tz", zone], then_bars=bars)
        for zone, bars in IN_SUMMER.items()
    ),
    Import("EST in a header beside dates", {"A-1m.csv": csv({"Date": ["2024-07-08"] * 2, "Time (EST)": ["09:30", "09:31"], **{k: v for k, v in flat([1, 2]).items() if k != "timestamp"}})}, refused="times are of EST, which is not one zone", hint="--tz America/New_York", then=["--tz", "America/New_York"], then_bars=IN_SUMMER["America/New_York"]),
    Write("EST for the zone", flat(["2024-07-08 09:30", "2024-07-08 09:31"]), options={"tz": "EST"}, refused="'EST' is not one zone all the year", hint="'America/New_York' changes its clocks, 'Etc/GMT\\+5' does not", then={"tz": "America/New_York"}, bars=IN_SUMMER["America/New_York"]),
    Import("EST for the zone, in a file", {"A-1m.csv": csv(flat(["2024-07-08 09:30", "2024-07-08 09:31"]))}, ["--tz", "EST"], refused="'EST' is not one zone all the year", hint="'Etc/GMT\\+5' does not", then=["--tz", "Etc/GMT+5"], then_bars=IN_SUMMER["Etc/GMT+5"]),
    Write("EST by a zone that it is not of", flat(["2024-07-08 09:30 EST"]), options={"tz": "Asia/Seoul"}, refused="breaks the rule 'timestamp is a time'", hint="tz='America/New_York'", then={"tz": "America/New_York"}, bars={("A", "1m"): [("2024-07-08T13:30", 1)]}),
    # ---- Upbit's column of Korean times
    Write("Korean times alone", KST, bars=AT_NINE, result={"notes": KOREAN_NOTE}),
    Write("Korean times alone, as rows", pl.DataFrame(KST).to_dicts(), bars=AT_NINE, result={"notes": KOREAN_NOTE}),
    Write("Korean times alone, pandas", pd.DataFrame(KST), bars=AT_NINE, result={"notes": KOREAN_NOTE}),
    Write("Korean times as datetimes", {**KST, "candle_date_time_kst": [NINE, LATER]}, bars=AT_NINE, result={"notes": KOREAN_NOTE}),
    Write("Korean times beside UTC", {**KST, "candle_date_time_utc": ["2024-01-25T00:00:00", "2024-01-25T00:01:00"]}, bars=AT_NINE, result={"notes": ()}),
    Write("Korean times beside the last tick", {**KST, "timestamp": [1706140859000, 1706140919000]}, bars=AT_NINE, result={"ignored": ("timestamp",)}),
    Import("Korean times alone, in a file", {"A-1m.csv": csv(KST)}, bars=AT_NINE, said=["note: candle_date_time_kst was read as Korean time"]),
    Write("days in Korean times", {**KST, "candle_date_time_kst": ["2024-01-25T09:00:00", "2024-01-26T09:00:00"]}, timeframe="1d", bars=DAYS),
]  # fmt: skip
