"""What a time means that starts no bar: every reading is named with the bar of the first row, and each works."""

from datetime import date, datetime, timedelta

import pandas as pd
import polars as pl

from tests.cases.case import Import, Write, csv, flat

SUNDAYS = ["2024-01-07", "2024-01-14", "2024-01-21"]
UNDER_MONDAYS = {("A", "1w"): [("2024-01-01", 1), ("2024-01-08", 2), ("2024-01-15", 3)]}
FROM_SUNDAYS = {("A", "1w@Sun"): [(day, close) for close, day in enumerate(SUNDAYS, 1)]}
# Monday to Thursday in Seoul, and Monday again: in UTC from Sunday, without a Friday.
TRADED = ["2024-01-07", "2024-01-08", "2024-01-09", "2024-01-10", "2024-01-11", "2024-01-14"]
THE_DAY_AFTER = {
    ("A", "1d"): [(str(date.fromisoformat(day) + timedelta(1)), at) for at, day in enumerate(TRADED, 1)]
}
THE_SAME_DAY = {("A", "1d"): [(day, at) for at, day in enumerate(TRADED, 1)]}
SEOUL, KOLKATA = ([f"{day} {clock}" for day in TRADED] for clock in ("15:00:00", "18:30:00"))
DATES = [date(2024, 3, 4), date(2024, 3, 5), datetime(2024, 3, 6, 17)]
THREE_DAYS = {("A", "1d"): [("2024-03-04", 1), ("2024-03-05", 2), ("2024-03-06", 3)]}
IN_SEOUL = {"tz": "Asia/Seoul"}
SESSION = [f"2024-01-02 {hour}:30" for hour in range(14, 19)]
HALF_PAST = {("A", "1h@30m"): [(text.replace(" ", "T"), at) for at, text in enumerate(SESSION, 1)]}
ON_THE_HOUR = {("A", "1h"): [(f"2024-01-02T{hour}:00", hour - 13) for hour in range(14, 19)]}
HOLES = (0, 3, 6, 10, 13, 17, 20, 24, 27, 32, 37)
TEN_SECONDS = ["2025-03-17 19:52:27", "2025-03-17 19:52:37", "2025-03-17 19:52:47"]
EVERY_TEN = {("A", "10s@7s"): [(text.replace(" ", "T"), at) for at, text in enumerate(TEN_SECONDS, 1)]}


def epochs(texts):
    return [int(datetime.fromisoformat(f"{text}+00:00").timestamp()) for text in texts]


CASES = [
    # ---- weeks that bear another day than Monday
    Import("Sundays that begin weeks", {"A.csv": csv(flat(SUNDAYS))}, refused="rows are 1w apart", hint="where it is the first day of its bar, -t 1w@Sun stores it under 2024-01-07", then=["-t", "1w@Sun"], then_bars=FROM_SUNDAYS),
    Import("Sundays that end weeks", {"A.csv": csv(flat(SUNDAYS))}, refused="rows are 1w apart", hint="where it is the last day of its week, -t 1w --align floor stores it under 2024-01-01", then=["-t", "1w", "--align", "floor"], then_bars=UNDER_MONDAYS),
    Write("Sundays that begin weeks, in Python", flat(SUNDAYS), timeframe="1w", refused="starts a 1w bar", hint="timeframe='1w@Sun' stores it under 2024-01-07", then={"timeframe": "1w@Sun"}, bars=FROM_SUNDAYS),
    Write("Sundays that end weeks, in Python", flat(SUNDAYS), timeframe="1w", refused="starts a 1w bar", hint="align='floor' stores it under 2024-01-01", then={"align": "floor"}, bars=UNDER_MONDAYS),
    Write("Sundays that end weeks, of pandas", flat(pd.date_range("2024-01-01", periods=3, freq="W")), timeframe="1w", refused="starts a 1w bar", hint="this is 2024-01-07, a Sunday", then={"align": "floor"}, bars=UNDER_MONDAYS),
    Write("Thursdays", flat(["2024-01-04", "2024-01-11"]), timeframe="1w", refused="starts a 1w bar", hint="timeframe='7d' stores it under 2024-01-04; .*align='floor' stores it under 2024-01-01", then={"timeframe": "7d"}, bars={("A", "7d"): [("2024-01-04", 1), ("2024-01-11", 2)]}),
    Write("every third day", flat(["2024-01-04", "2024-01-07"]), timeframe="3d", refused="starts a 3d bar", hint="timeframe='3d@1d' stores it under 2024-01-04; where it lies within its bar, align='floor' stores it under 2024-01-03", then={"timeframe": "3d@1d"}, bars={("A", "3d@1d"): [("2024-01-04", 1), ("2024-01-07", 2)]}),
    # ---- days that are midnights of a zone, in UTC
    *(
        Import(f"days of {zone} in UTC{how}", {"A-1d.csv": csv(flat(times))}, refused="starts a 1d bar", hint=f"where it is midnight in {zone} \\(rows on Sundays and none on a Friday say so\\), --align {zone} stores it under 2024-01-08; .*--align floor stores it under 2024-01-07", then=["--align", zone], then_bars=THE_DAY_AFTER)
        for zone, shown in (("Asia/Seoul", SEOUL), ("Asia/Kolkata", KOLKATA))
        for how, times in (("", shown), (", with Z", [f"{text}Z" for text in shown]), (", as numbers", epochs(shown)))
    ),
    Import("days of Seoul in UTC, of the zone that is said", {"A-1d.csv": csv(flat([f"{text}Z" for text in SEOUL]))}, ["--tz", "Asia/Seoul"], bars=THE_DAY_AFTER, said=["midnight of their own time zone"]),
    Import("days of Seoul in UTC, of the zone that is said, floored", {"A-1d.csv": csv(flat([f"{text}Z" for text in SEOUL]))}, ["--tz", "Asia/Seoul", "--align", "floor"], bars=THE_DAY_AFTER),
    Import("days of Seoul as numbers, of the zone that is said", {"A-1d.csv": csv(flat(epochs(SEOUL)))}, ["--tz", "Asia/Seoul"], bars=THE_DAY_AFTER),
    Import("times of day in UTC are days of UTC by the other reading", {"A-1d.csv": csv(flat(SEOUL))}, refused="starts a 1d bar", hint="where its date as written counts, -t 1d --align floor stores it under 2024-01-07", then=["--align", "floor"], then_bars=THE_SAME_DAY),
    Write("days of Seoul in UTC, in Python", flat(SEOUL), timeframe="1d", refused="starts a 1d bar", hint="align='Asia/Seoul' stores it under 2024-01-08", then={"align": "Asia/Seoul"}, bars=THE_DAY_AFTER),
    Write("days of Seoul in UTC, as a column", flat(pl.Series(SEOUL).str.to_datetime(time_zone="UTC")), timeframe="1d", refused="starts a 1d bar", hint="align='Asia/Seoul' stores it under 2024-01-08", then={"align": "Asia/Seoul"}, bars=THE_DAY_AFTER),
    Write("months of Seoul in UTC", flat(["2023-12-31 15:00", "2024-01-31 15:00"]), timeframe="1M", refused="starts a 1M bar", hint="align='Asia/Seoul' stores it under 2024-01-01; .*align='floor' stores it under 2023-12-01", then={"align": "Asia/Seoul"}, bars={("A", "1M"): [("2024-01-01", 1), ("2024-02-01", 2)]}),
    Write("days of New York in UTC, over the change of the clocks", flat(["2024-03-08 05:00", "2024-03-11 04:00", "2024-03-12 04:00"]), timeframe="1d", options={"align": "America/New_York"}, bars={("A", "1d"): [("2024-03-08", 1), ("2024-03-11", 2), ("2024-03-12", 3)]}),
    Write("a local clock at 00:00 UTC", flat(["2024-01-01 19:00", "2024-01-02 19:00"]), timeframe="1d", refused="starts a 1d bar", hint="where it is the clock of America/New_York at 00:00 UTC, tz='America/New_York' stores it under 2024-01-02; where its date as written counts, align='floor' stores it under 2024-01-01", then={"tz": "America/New_York"}, bars={("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}),
    Write("a zone of bars that bear no date", flat(["2024-01-02 15:30"]), timeframe="1h", options={"align": "Asia/Seoul"}, refused="align='Asia/Seoul' takes the dates of days and longer bars, and these are 1h bars", hint="align='floor'", then={"align": "floor"}, bars={("A", "1h"): [("2024-01-02T15:00", 1)]}),
    Write("neither a zone nor a way", flat(["2024-01-02 15:30"]), timeframe="1d", options={"align": "Asia/Seol"}, refused="align='Asia/Seol' is neither 'floor' nor a time zone", hint="Asia/Seoul", then={"align": "Asia/Seoul"}, bars={("A", "1d"): [("2024-01-03", 1)]}),
    # ---- the date that a time itself shows
    Write("dates beside a time, of a zone, floored", flat(DATES), timeframe="1d", options={**IN_SEOUL, "align": "floor"}, bars=THREE_DAYS),
    Write("dates beside a time, as objects, of a zone", flat(pl.Series(DATES[:2], dtype=pl.Object)), timeframe="1d", options=IN_SEOUL, bars={("A", "1d"): THREE_DAYS["A", "1d"][:2]}),
    Write("dates beside a time, of a zone", flat(DATES), timeframe="1d", options=IN_SEOUL, refused="row 2 of A 1d: timestamp = 2024-03-06 17:00:00 breaks", hint="align='floor' stores it under 2024-03-06", then={"align": "floor"}, bars=THREE_DAYS),
    Write("one time beside dates is the only bad row", flat(DATES), timeframe="1d", options={**IN_SEOUL, "on_invalid": "quarantine"}, bars={("A", "1d"): THREE_DAYS["A", "1d"][:2]}, result={"quarantined": 1}),
    Write("a time of a zone bears its own date", flat(["2024-01-08T05:00+09:00"]), timeframe="1d", refused="starts a 1d bar", hint="where its date as written counts, align='floor' stores it under 2024-01-08", then={"align": "floor"}, bars={("A", "1d"): [("2024-01-08", 1)]}),
    Write("a time of a zone that is said bears its own date", flat(["2024-01-08 05:00"]), timeframe="1d", options={**IN_SEOUL, "align": "floor"}, bars={("A", "1d"): [("2024-01-08", 1)]}),
    Write("a week of a time of a zone", flat(["2024-01-08T05:00+09:00"]), timeframe="1w", options={"align": "floor"}, bars={("A", "1w"): [("2024-01-08", 1)]}),
    # ---- bars of hours that begin elsewhere
    Import("hours from half past", {"A-1h.csv": csv(flat(SESSION))}, refused="starts a 1h bar", hint="no 1h bar begins at 2024-01-02 14:30Z: where bars begin there, -t 1h@30m stores it under 2024-01-02 14:30Z; .*--align floor stores it under 2024-01-02 14:00Z", then=["-t", "1h@30m"], then_bars=HALF_PAST),
    Import("hours from half past, by the other reading", {"A-1h.csv": csv(flat(SESSION))}, refused="starts a 1h bar", hint="-t 1h --align floor", then=["-t", "1h", "--align", "floor"], then_bars=ON_THE_HOUR),
    Write("hours from half past, in Python", flat(SESSION), timeframe="1h", refused="starts a 1h bar", hint="timeframe='1h@30m'", then={"timeframe": "1h@30m"}, bars=HALF_PAST),
    Write("hours of New York from half past nine", flat(pd.date_range("2024-01-02 09:30", periods=5, freq="1h", tz="America/New_York")), timeframe="1h", refused="starts a 1h bar", hint="timeframe='1h@30m'", then={"timeframe": "1h@30m"}, bars=HALF_PAST),
    Import("hours of India", {"A-1h.csv": csv(flat(["2024-01-02 09:15", "2024-01-02 10:15", "2024-01-02 11:15"]))}, ["--tz", "Asia/Kolkata"], refused="starts a 1h bar", hint="-t 1h@45m stores it under 2024-01-02 03:45Z", then=["--tz", "Asia/Kolkata", "-t", "1h@45m"], then_bars={("A", "1h@45m"): [("2024-01-02T03:45", 1), ("2024-01-02T04:45", 2), ("2024-01-02T05:45", 3)]}),
    Write("what ends its bar begins none", flat(["2024-01-02 14:59:59.999", "2024-01-02 15:59:59.999"]), timeframe="1h", refused="starts a 1h bar", hint="are they 1h bars\\? no 1h bar begins at 2024-01-02 14:59:59Z: where it lies within its bar, or ends it, align='floor'", then={"align": "floor"}, bars={("A", "1h"): [("2024-01-02T14:00", 1), ("2024-01-02T15:00", 2)]}),
    # ---- columns that differ by case, and periods
    *(
        Write(f"Hyperliquid's T before its t, {name}", [dict(zip("TtsiohlcvN", (1704153659999 + 60000 * at if end else 1704153600000 + 60000 * (at + 1), 1704153600000 + 60000 * at, "A", "1m", "1", "1", "1", str(at + 1), "10", 5), strict=True)) | {"h": str(at + 1), "o": str(at + 1), "l": str(at + 1)} for at in (0, 1)], bars={("A", "1m"): [("2024-01-02T00:00", 1), ("2024-01-02T00:01", 2)]})
        for name, end in (("to the last millisecond", True), ("to the next bar", False))
    ),
    Write("periods of pandas", pd.DataFrame({k: v for k, v in flat(SUNDAYS[:2]).items() if k != "timestamp"}, index=pd.period_range("2024-01-02", periods=2, freq="D")), timeframe="1d", bars={("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}),
    Write("weeks of pandas as periods", pd.DataFrame(flat(pd.period_range("2024-01-01", periods=2, freq="W"), [1, 2])), timeframe="1w", bars={("A", "1w"): [("2024-01-01", 1), ("2024-01-08", 2)]}),
    # ---- distances of no bars, and a column of timeframes that is not so
    Import("trades", {"A.csv": csv(flat([f"2024-01-02 09:{clock}" for clock in ("00:00", "00:17", "02:31", "04:02", "07:40", "09:11")]))}, refused="rows are irregularly spaced, 91s at most often: these are trades, or bars with holes", hint="-t 1m", then=["-t", "1m", "--align", "floor", "--on-conflict", "last"], then_bars={("A", "1m"): [("2024-01-02T09:00", 1), ("2024-01-02T09:02", 3), ("2024-01-02T09:04", 4), ("2024-01-02T09:07", 5), ("2024-01-02T09:09", 6)]}),
    Import("bars with holes", {"A.csv": csv(flat([f"2024-01-02 09:{minute:02}" for minute in HOLES]))}, refused="rows are irregularly spaced, 3m", hint="-t 1m", then=["-t", "1m"], then_bars={("A", "1m"): [(f"2024-01-02T09:{minute:02}", at) for at, minute in enumerate(HOLES, 1)]}),
    Import("a column that says M1 of rows 10s apart", {"A.csv": csv(flat(TEN_SECONDS, timeframe=["M1"] * 3))}, refused="its timeframe column says M1, and its rows are 10s apart", hint="-t 10s stores them as that", then=["-t", "10s@7s"], then_bars=EVERY_TEN),
    Import("a column that says M1 of rows 10s apart, then as asked", {"A.csv": csv(flat(TEN_SECONDS, timeframe=["M1"] * 3))}, ["-t", "10s"], refused="starts a 10s bar", hint="-t 10s@7s stores it under 2025-03-17 19:52:27Z", then=["-t", "10s@7s"], then_bars=EVERY_TEN),
    # ---- local times of nowhere
    Write("local times without their zone", {"Local time" if k == "timestamp" else k: v for k, v in flat(["2024-01-02 18:30"]).items()}, refused="'Local time' holds times of a local clock, and no zone", hint="tz='Asia/Seoul'", then=IN_SEOUL, bars={("A", "1m"): [("2024-01-02T09:30", 1)]}),
    Import("local times without their zone, in a file", {"A-1m.csv": csv({"Local time" if k == "timestamp" else k: v for k, v in flat(["2024-01-02 18:30"]).items()})}, refused="'Local time' holds times of a local clock, and no zone", hint="--tz Asia/Seoul", then=["--tz", "Asia/Seoul"], then_bars={("A", "1m"): [("2024-01-02T09:30", 1)]}),
    Write("local times that are of UTC", {"Local time" if k == "timestamp" else k: v for k, v in flat(["2024-01-02 09:30"]).items()}, options={"tz": "UTC"}, bars={("A", "1m"): [("2024-01-02T09:30", 1)]}),
    Write("local times with their zone", {"Local time" if k == "timestamp" else k: v for k, v in flat(["02.01.2024 18:30:00.000 GMT+0900", "15.01.2024 18:30:00.000 GMT+0900"]).items()}, bars={("A", "1m"): [("2024-01-02T09:30", 1), ("2024-01-15T09:30", 2)]}),
]  # fmt: skip
