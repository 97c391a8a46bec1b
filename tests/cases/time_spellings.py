"""Times as people write them: read at once, or refused with the readings that there are."""

import pandas as pd

from tests.cases.case import Import, Write, csv, dated, flat

MINUTES = {("A", "1m"): [("2024-01-25T09:30", 1), ("2024-01-25T09:31", 2), ("2024-01-25T16:00", 3)]}
DAYS = {("A", "1d"): [("2024-01-12", 1), ("2024-01-15", 2), ("2024-01-16", 3)]}
TWO_UNITS = ["1735689480000", "1735689540000", "1735689600000000", "1735689660000000"]
LATER = {
    ("A", "1m"): [
        ("2024-12-31T23:58", 1),
        ("2024-12-31T23:59", 2),
        ("2025-01-01T00:00", 3),
        ("2025-01-01T00:01", 4),
    ]
}
DOUBTED = ["01/02/2024", "01/03/2024", "01/04/2024"]
DAY_FIRST = {("A", "1d"): [("2024-02-01", 1), ("2024-03-01", 2), ("2024-04-01", 3)]}
MONTH_FIRST = {("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2), ("2024-01-04", 3)]}

# What is written for 09:30, 09:31 and 16:00 of 25 January 2024.
OF_MINUTES = {
    "stooq, NinjaTrader, HistData": "20240125 093000|20240125 093100|20240125 160000",
    "without seconds": "20240125 0930|20240125 0931|20240125 1600",
    "ISO 8601, basic": "20240125T093000|20240125T093100|20240125T160000",
    "Kiwoom": "20240125093000|20240125093100|20240125160000",
    "MetaTrader": "2024.01.25 09:30|2024.01.25 09:31|2024.01.25 16:00",
    "MetaTrader with seconds": "2024.01.25 09:30:00|2024.01.25 09:31:00|2024.01.25 16:00:00",
    "IB in New York": "20240125 04:30:00 US/Eastern|20240125 04:31:00 US/Eastern|20240125 11:00:00 US/Eastern",
    "IB in UTC": "20240125-09:30:00|20240125-09:31:00|20240125-16:00:00",
    "seconds with a fraction": "1706175000.0|1706175060.0|1706198400.0",
    "seconds with an exponent": "1.706175e9|1.70617506e9|1.7061984e9",
    "milliseconds with an exponent": "1.706175e12|1.70617506e12|1.7061984e12",
    "month first": "1/25/2024 9:30|1/25/2024 9:31|1/25/2024 16:00",
    "month first, half days": "01/25/2024 09:30:00 AM|01/25/2024 09:31:00 AM|01/25/2024 04:00:00 PM",
    "day first": "25/01/2024 09:30|25/01/2024 09:31|25/01/2024 16:00",
    "Dukascopy": "25.01.2024 17:30:00.000 GMT+0800|25.01.2024 17:31:00.000 GMT+0800|26.01.2024 00:00:00.000 GMT+0800",
    "JavaScript": "Thu Jan 25 2024 18:30:00 GMT+0900 (Korean Standard Time)|Thu Jan 25 2024 18:31:00 GMT+0900 (Korean Standard Time)|Fri Jan 26 2024 01:00:00 GMT+0900 (Korean Standard Time)",
    "C": "Thu Jan 25 09:30:00 2024|Thu Jan 25 09:31:00 2024|Thu Jan 25 16:00:00 2024",
    "of mail": "Thu, 25 Jan 2024 09:30:00 GMT|Thu, 25 Jan 2024 09:31:00 GMT|Thu, 25 Jan 2024 16:00:00 GMT",
    "months by name": "25-Jan-2024 09:30|25-Jan-2024 09:31|25-Jan-2024 16:00",
    "Korean half days": "2024. 1. 25. 오전 9:30:00|2024. 1. 25. 오전 9:31:00|2024. 1. 25. 오후 4:00:00",
    "Chinese half days": "2024/1/25 上午 09:30:00|2024/1/25 上午 09:31:00|2024/1/25 下午 04:00:00",
    "a zone behind": "2024-01-25 18:30 KST|2024-01-25 18:31 KST|2024-01-26 01:00 KST",
    "a short offset": "2024-01-25 18:30+09|2024-01-25 18:31+09|2024-01-26 01:00+09",
}
# What is written for 12, 15 and 16 January 2024.
OF_DAYS = {
    "month first": "1/12/2024|1/15/2024|1/16/2024",
    "month first, short": "1/12/24|1/15/24|1/16/24",
    "month first, dashes": "01-12-2024|01-15-2024|01-16-2024",
    "day first": "12/01/2024|15/01/2024|16/01/2024",
    "day first, short": "12/01/24|15/01/24|16/01/24",
    "day first, dots": "12.01.2024|15.01.2024|16.01.2024",
    "months by name": "12-Jan-2024|15-Jan-2024|16-Jan-2024",
    "months by name, short": "12-Jan-24|15-Jan-24|16-Jan-24",
    "Investing": "Jan 12, 2024|Jan 15, 2024|Jan 16, 2024",
    "words": "12 January 2024|15 January 2024|16 January 2024",
    "SAS": "12JAN2024|15JAN2024|16JAN2024",
    "spaces": "2024- 01- 12|2024- 01- 15|2024- 01- 16",
    "Korean": "2024년 01월 12일|2024년 01월 15일|2024년 01월 16일",
    "Chinese": "2024年1月12日|2024年1月15日|2024年1月16日",
    "a number with a fraction": "20240112.0|20240115.0|20240116.0",
    "midnights of Singapore": "12.01.2024 00:00:00.000 GMT+0800|15.01.2024 00:00:00.000 GMT+0800|16.01.2024 00:00:00.000 GMT+0800",
    "Korean, with points": "2024. 1. 12.|2024. 1. 15.|2024. 1. 16.",
    "Spanish": "12-ene-2024|15-ene-2024|16-ene-2024",
    "German": "12. Januar 2024|15. Januar 2024|16. Januar 2024",
    "French": "12 janv. 2024|15 janv. 2024|16 janv. 2024",
    "years first": "2024/1/12|2024/1/15|2024/1/16",
    "mixed": "2024-01-12|15 Jan 2024|20240116",
}


def quoted(texts):
    return csv(flat([f'"{text}"' for text in texts]))


def both(name, timeframe, texts, bars):
    texts = texts.split("|")
    return (
        Write(f"{name}, {timeframe}", flat(texts), timeframe=timeframe, bars=bars),
        Import(f"a file: {name}, {timeframe}", {f"A-{timeframe}.csv": quoted(texts)}, bars=bars),
    )


def doubted(format_, bars):
    return (
        Write(f"doubted, {format_}", flat(DOUBTED), timeframe="1d", bars=bars, refused=r"'01/02/2024' may be 2024-02-01 or 2024-01-02: no row has a number above 12", hint=format_, then={"date_format": format_}),
        Import(f"a file of doubted dates, {format_}", {"A-1d.csv": csv(flat(DOUBTED))}, refused=r"A-1d.csv: .*'01/02/2024' may be 2024-02-01 or 2024-01-02", hint=f"--date-format {format_}", then=["--date-format", format_], then_bars=bars),
    )  # fmt: skip


TWO_DATES = {("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}
TWO_MINUTES = {("A", "1m"): [("2024-01-02T09:30", 1), ("2024-01-02T09:31", 2)]}
CASES = [
    *(case for name, texts in OF_MINUTES.items() for case in both(name, "1m", texts, MINUTES)),
    *(case for name, texts in OF_DAYS.items() for case in both(name, "1d", texts, DAYS)),
    # ---- the order of day and month
    *doubted("%d/%m/%Y", DAY_FIRST),
    *doubted("%m/%d/%Y", MONTH_FIRST),
    Import("doubted dates whose timeframe is not known", {"A.csv": csv(flat(DOUBTED))}, refused="may be 2024-02-01 or 2024-01-02", hint="--date-format %m/%d/%Y", then=["--date-format", "%m/%d/%Y"], then_bars=MONTH_FIRST),
    Write("a later chunk tells", lambda: iter([flat(["01/02/2024"]), flat(["02/02/2024"], [2]), flat(["13/02/2024"], [3])]), timeframe="1d", bars={("A", "1d"): [("2024-02-01", 1), ("2024-02-02", 2), ("2024-02-13", 3)]}),
    Write("no chunk tells", lambda: iter([flat(["01/02/2024"]), flat(["02/02/2024"], [2])]), timeframe="1d", bars={("A", "1d"): [("2024-02-01", 1), ("2024-02-02", 2)]}, refused="may be", hint="date_format='%d/%m/%Y'", then={"date_format": "%d/%m/%Y"}),
    Write("a day that is its month's number is one", flat(["01/01/2024", "02/02/2024"]), timeframe="1d", bars={("A", "1d"): [("2024-01-01", 1), ("2024-02-02", 2)]}),
    Write("both orders and none in doubt", flat(["13/01/2024", "01/14/2024"]), timeframe="1d", bars={("A", "1d"): [("2024-01-13", 1), ("2024-01-14", 2)]}),
    Write("both orders", flat(["13/01/2024", "01/14/2024", *DOUBTED]), timeframe="1d", refused="'01/02/2024' may be .*: other rows show both orders", hint="date_format", then={"data": flat(["13/01/2024", "14/01/2024", *DOUBTED])}, bars={("A", "1d"): [("2024-01-13", 1), ("2024-01-14", 2), ("2024-02-01", 3), ("2024-03-01", 4), ("2024-04-01", 5)]}),
    Write("both orders in two chunks", lambda: iter([flat(["13/01/2024", "02/01/2024"]), flat(["01/14/2024"], [3])]), timeframe="1d", refused="'01/14/2024' has day and month in another order than dates before it", hint="date_format", then={"data": lambda: iter([flat(["13/01/2024", "02/01/2024"]), flat(["14/01/2024"], [3])])}, bars={("A", "1d"): [("2024-01-02", 2), ("2024-01-13", 1), ("2024-01-14", 3)]}),
    Write("a doubted date among others is a bad row", flat(["2024-01-12", "01/02/2024", "2024-01-16"]), timeframe="1d", options={"on_invalid": "quarantine"}, bars={("A", "1d"): [("2024-01-12", 1), ("2024-01-16", 3)]}, result={"quarantined": 1}),
    Write("two digits of a year first", flat(["24/01/02", "24/01/03"]), timeframe="1d", bars={("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}, refused="'24/01/02' may be 2002-01-24 or 2024-01-02: the year may come first", hint="%y/%m/%d", then={"date_format": "%y/%m/%d"}),
    Write("two digits of a year last", flat(["28/10/22", "27/10/22"]), timeframe="1d", bars={("A", "1d"): [("2022-10-28", 1), ("2022-10-27", 2)]}),
    Write("the last century", flat(["6-Mar-98", "9-Mar-98"]), timeframe="1d", bars={("A", "1d"): [("1998-03-06", 1), ("1998-03-09", 2)]}),
    # ---- formats that are said
    Write("a format with a time of day", flat(["02.01.2024 09:30"]), options={"date_format": "%d.%m.%Y %H:%M"}, bars={("A", "1m"): [("2024-01-02T09:30", 1)]}),
    Write("a format of dates, with any time of day", flat(["02.01.2024 9:30 AM"]), options={"date_format": "%d.%m.%Y"}, bars={("A", "1m"): [("2024-01-02T09:30", 1)]}),
    Write("a format that no table has", flat(["2024, day 2 of 1"]), timeframe="1d", options={"date_format": "%Y day %d of %m"}, bars={("A", "1d"): [("2024-01-02", 1)]}),
    Write("a format of whole numbers", flat([20240102, 20240103]), timeframe="1d", options={"date_format": "%Y%m%d"}, bars={("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}),
    Write("a format with a time of day and a zone", flat(["02.01.2024, 18:30 +09:00"]), options={"date_format": "%d.%m.%Y, %H:%M"}, bars={("A", "1m"): [("2024-01-02T09:30", 1)]}),
    Write("a format with a T", flat(["02-01-2024T09:30"]), options={"date_format": "%d-%m-%YT%H:%M"}, bars={("A", "1m"): [("2024-01-02T09:30", 1)]}),
    Write("what does not fit the format is a bad row", flat(["02/01/2024", "2024-01-03"]), timeframe="1d", options={"date_format": "%d/%m/%Y", "on_invalid": "quarantine"}, bars={("A", "1d"): [("2024-01-02", 1)]}, result={"quarantined": 1}),
    Write("a format of no dates", flat(["02/01/2024"]), timeframe="1d", options={"date_format": "%d/%Q/%Y"}, bars={("A", "1d"): [("2024-01-02", 1)]}, refused="'%d/%Q/%Y' is no format of dates", hint="date_format='%d/%m/%Y", then={"date_format": "%d/%m/%Y"}),
    Write("a date beside a time of day", dated(["09:30", "09:31"], dates=["01/02/2024"] * 2), options={"date_format": "%m/%d/%Y"}, bars={("A", "1m"): [("2024-01-02T09:30", 1), ("2024-01-02T09:31", 2)]}),
    Import("MetaTrader without a header", {"A-1d.csv": "2024.01.12,00:00,1,1,1,1,10\n2024.01.15,00:00,2,2,2,2,20\n2024.01.16,00:00,3,3,3,3,30\n"}, bars=DAYS),
    Import("months first beside times of day, without a header", {"A-1d.csv": "1/12/2024,0:00,1,1,1,1,10\n1/15/2024,0:00,2,2,2,2,20\n1/16/2024,0:00,3,3,3,3,30\n"}, bars=DAYS),
    # ---- what cannot be read
    Import("no time can be read, whatever the timeframe", {"A.csv": csv(flat(["w1 2024", "w2 2024"]))}, refused="A.csv: no time can be read, such as timestamp = 'w1 2024'", hint="--date-format", then=[], then_files={"A.csv": csv(flat(["2024-01-01", "2024-01-02"]))}, then_bars={("A", "1d"): [("2024-01-01", 1), ("2024-01-02", 2)]}),
    Import("no time can be read, of a timeframe", {"A-1d.csv": csv(flat(["w1 2024", "w2 2024"]))}, refused="timestamp = w1 2024 breaks", hint="write times as 2025-09-01 00:00", then=[], then_files={"A-1d.csv": csv(flat(["2024-01-01", "2024-01-02"]))}, then_bars={("A", "1d"): [("2024-01-01", 1), ("2024-01-02", 2)]}),
    Write("EST is no zone all the year", flat(["2024-01-02 09:30 EST"]), refused="breaks the rule 'timestamp is a time'", hint="EST is not one zone all the year: tz='America/New_York' where its clocks change, tz='Etc/GMT\\+5' where they do not", then={"tz": "America/New_York"}, bars={("A", "1m"): [("2024-01-02T14:30", 1)]}),
    *(Write(f"a number {text} among dates is a bad row", flat(["2024-01-12", text, "2024-01-16"]), timeframe="1d", options={"on_invalid": "quarantine"}, bars={("A", "1d"): [("2024-01-12", 1), ("2024-01-16", 3)]}, result={"quarantined": 1}) for text in ("5", "5.0", "5.5", "1e2", "0", "-", "12", "2024")),
    # ---- dates written as whole numbers
    *(
        Write(f"whole numbers as {name}", flat(times), timeframe=bar, bars=bars)
        for what, of in {"ints": int, "texts": str, "floats": float}.items()
        for name, times, bar, bars in (
            (f"YYYYMMDD, {what}", [of(20240102), of(20240103)], "1d", TWO_DATES),
            (f"YYYYMMDDHHMM, {what}", [of(202401020930), of(202401020931)], "1m", TWO_MINUTES),
            (f"YYYYMMDDHHMMSS, {what}", [of(20240102093000), of(20240102093100)], "1m", TWO_MINUTES),
        )
    ),
    Write("whole numbers as dates, of a zone", flat([202401021830, 202401021831]), options={"tz": "Asia/Seoul"}, bars=TWO_MINUTES),
    Write("whole numbers as dates, pandas", pd.DataFrame(flat([20240102, 20240103])), timeframe="1d", bars=TWO_DATES),
    Write("whole numbers as dates, in rows", [(20240102, 1, 1, 1, 1, 10), (20240103, 2, 2, 2, 2, 20)], timeframe="1d", bars=TWO_DATES),
    Write("milliseconds of 1976, said", flat([202401020000]), options={"unit": "ms", "align": "floor"}, bars={("A", "1m"): [("1976-05-31T14:30", 1)]}),
    Import("a file of hours written YYYYMMDDHHMM", {"A.csv": csv(flat([f"2024010{day}{hour:02}00" for day in (2, 3) for hour in range(24)]))}, bars={("A", "1h"): [(f"2024-01-0{day}T{hour:02}:00", 24 * (day - 2) + hour + 1) for day in (2, 3) for hour in range(24)]}),
    Import("a file of days written YYMMDD", {"A.csv": csv(flat([240102, 240103]))}, refused="cannot tell the unit of numbers between 240102 and 240103", hint="--date-format %y%m%d", then=["--date-format", "%y%m%d"], then_bars=TWO_DATES),
    Import("a file of Excel's days", {"A.csv": csv(flat([45293, 45294]))}, refused="cannot tell the unit of numbers between 45293 and 45294", hint="--unit excel", then=["--unit", "excel"], then_bars=TWO_DATES),
    Write("Excel's days and times of day", flat([45293.395833333336, 45293.396527777775]), refused="cannot tell the unit", hint="unit='excel'", then={"unit": "excel"}, bars=TWO_MINUTES),
    Write("hours written YYYYMMDDHH", flat([2024010209, 2024010210]), timeframe="1h", refused="is not in the future", hint="date_format='%Y%m%d%H'", then={"date_format": "%Y%m%d%H"}, bars={("A", "1h"): [("2024-01-02T09:00", 1), ("2024-01-02T10:00", 2)]}),
    # ---- numbers
    Import("dates as a spreadsheet counts them", {"A.csv": csv(flat(["45293", "45294"]))}, refused="between 45293 and 45294: they look like dates as a spreadsheet counts them", hint="--unit excel", then=["--unit", "excel"], then_bars={("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}),
    Import("and times, of Seoul", {"A.csv": csv(flat(["45293.375", "45293.3756944444"]))}, refused="as a spreadsheet counts them", hint="--unit excel", then=["--unit", "excel", "--tz", "Asia/Seoul"], then_bars={("A", "1m"): [("2024-01-02T00:00", 1), ("2024-01-02T00:01", 2)]}),
    Write("and numbers", flat([45293, 45294]), timeframe="1d", refused="spreadsheet", hint="unit='excel'", then={"unit": "excel"}, bars={("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}),
    Import("YYYYMMDDHHMM is no millisecond of 1976", {"A.csv": csv(flat(["202401250930", "202401250931"]))}, bars={("A", "1m"): [("2024-01-25T09:30", 1), ("2024-01-25T09:31", 2)]}),
    Write("nor as numbers", flat([202401250930, 202401250931]), bars={("A", "1m"): [("2024-01-25T09:30", 1), ("2024-01-25T09:31", 2)]}),
    Write("milliseconds of 1976", flat([201_830_400_000 + 60_000 * minute for minute in range(60)]), bars={("A", "1m"): [(f"1976-05-25T00:{minute:02}", minute + 1) for minute in range(60)]}),
    Write(".NET's ticks are no nanoseconds", flat([638_397_504_000_000_000, 638_398_368_000_000_000]), timeframe="1d", refused="nanoseconds, of 1990, or .NET's ticks", hint="write ticks as dates", then={"data": flat(["2024-01-02", "2024-01-03"])}, bars={("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}),
    Write("nanoseconds of 1990, as said", flat([636_768_000_000_000_000]), timeframe="1d", refused=".NET's ticks", hint="unit='ns'", then={"unit": "ns"}, bars={("A", "1d"): [("1990-03-07", 1)]}),
    Write("nanoseconds of years about 1990", flat([631_152_000_000_000_000, 662_688_000_000_000_000]), timeframe="1d", bars={("A", "1d"): [("1990-01-01", 1), ("1991-01-01", 2)]}),
    Import("seconds of 1972", {"A.csv": csv(flat(["93657600", "93744000"]))}, refused="cannot tell the unit of numbers", hint="--unit s", then=["--unit", "s"], then_bars={("A", "1d"): [("1972-12-20", 1), ("1972-12-21", 2)]}),
    Import("YYMMDD", {"A.csv": csv(flat(["240102", "240103"]))}, refused="cannot tell the unit", hint="--date-format %y%m%d", then=["--date-format", "%y%m%d"], then_bars={("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}),
    # ---- months
    *(Import(f"months as {name}", {"A.csv": csv(flat([f'"{text}"' for text in texts.split("|")]))}, bars={("A", "1M"): [("2024-01-01", 1), ("2024-02-01", 2), ("2024-03-01", 3)]}) for name, texts in {"numbers": "2024-01|2024-02|2024-03", "words": "Jan 2024|Feb 2024|Mar 2024", "short words": "Jan-2024|Feb-2024|Mar-2024", "months first": "01/2024|02/2024|03/2024", "Korean": "2024년 1월|2024년 2월|2024년 3월", "Spanish": "ene 2024|feb 2024|mar 2024"}.items()),
    *(Import(f"months as {texts}, by a format", {"A.csv": csv(flat(texts.split("|")))}, refused="time|unit", hint=hint, then=["--date-format", format_], then_bars={("A", "1M"): [("2024-01-01", 1), ("2024-02-01", 2), ("2024-03-01", 3)]}) for texts, format_, hint in (("Jan-24|Feb-24|Mar-24", "%b-%y", "--date-format"), ("202401|202402|202403", "%Y%m", "%Y%m"))),
    Write("milliseconds, then microseconds", flat([int(text) for text in TWO_UNITS]), bars=LATER),
    Write("milliseconds, then microseconds, as texts", flat(TWO_UNITS), bars=LATER),
    Write("milliseconds, then microseconds, as floats", flat([float(text) for text in TWO_UNITS]), bars=LATER),
    Import("a file of milliseconds, then microseconds", {"A-1m.csv": csv(flat(TWO_UNITS))}, bars=LATER),
    Import("its timeframe is told by its rows", {"A.csv": csv(flat(TWO_UNITS))}, bars=LATER),
    Write("few milliseconds among microseconds", flat([*range(1735689600000000, 1735689600000000 + 20 * 60_000_000, 60_000_000), 1735689540000]), bars={("A", "1m"): [("2024-12-31T23:59", 21), *((f"2025-01-01T00:{minute:02}", minute + 1) for minute in range(20))]}),
    # ---- weeks and months that begin elsewhere
    Import("bars dated by the last of their month", {"A.csv": csv(flat(["2012-01-31", "2012-02-29", "2012-03-31"]))}, refused="rows are 1M apart and bear the last day of their month, such as 2012-01-31, a Tuesday", hint="-t 1M --align floor", then=["-t", "1M", "--align", "floor"], then_bars={("A", "1M"): [("2012-01-01", 1), ("2012-02-01", 2), ("2012-03-01", 3)]}),
    Import("bars dated by the last of their month, by name", {"A-1M.csv": csv(flat(["2012-01-31", "2012-02-29", "2012-03-31"]))}, refused="starts a 1M bar", hint="1M bars bear the first of their month, and this is 2012-01-31: where it is the last day of its month, -t 1M --align floor stores it under 2012-01-01", then=["--align", "floor"], then_bars={("A", "1M"): [("2012-01-01", 1), ("2012-02-01", 2), ("2012-03-01", 3)]}),
    Import("the last days of trading", {"A.csv": csv(flat(["2023-03-31", "2023-04-28", "2023-05-31", "2023-06-30"]))}, refused="last day of their month", hint="-t 1M --align floor", then=["-t", "1M", "--align", "floor"], then_bars={("A", "1M"): [("2023-03-01", 1), ("2023-04-01", 2), ("2023-05-01", 3), ("2023-06-01", 4)]}),
    Import("months of which one is not over", {"A.csv": csv(flat(["2023-07-01", "2023-08-01", "2023-09-01", "2023-10-01", "2023-10-15"]))}, refused="rows are 1M apart", hint="-t 1M --align floor", then=["-t", "1M", "--align", "floor"], then_bars={("A", "1M"): [("2023-07-01", 1), ("2023-08-01", 2), ("2023-09-01", 3), ("2023-10-01", 4)]}),
    Import("weeks dated by their Friday", {"A.csv": csv(flat(["2024-01-05", "2024-01-12", "2024-01-19"]))}, refused="rows are 1w apart and bear another day of the week than Monday, such as 2024-01-05, a Friday", hint="-t 1w --align floor", then=["-t", "1w", "--align", "floor"], then_bars={("A", "1w"): [("2024-01-01", 1), ("2024-01-08", 2), ("2024-01-15", 3)]}),
    Import("weeks from Sunday, by name", {"A-1w.csv": csv(flat(["2024-01-07", "2024-01-14"]))}, refused="starts a 1w bar", hint="1w bars bear their Monday, and this is 2024-01-07, a Sunday: where it is the first day of its bar, -t 1w@Sun stores it under 2024-01-07; where it is the last day of its week, -t 1w --align floor stores it under 2024-01-01", then=["-t", "1w@Sun"], then_bars={("A", "1w@Sun"): [("2024-01-07", 1), ("2024-01-14", 2)]}),
    Import("weeks to Sunday, by name", {"A-1w.csv": csv(flat(["2024-01-07", "2024-01-14"]))}, refused="starts a 1w bar", hint="the last day of its week, -t 1w --align floor stores it under 2024-01-01", then=["-t", "1w", "--align", "floor"], then_bars={("A", "1w"): [("2024-01-01", 1), ("2024-01-08", 2)]}),
    Import("weeks from Sunday, by their distance", {"A.csv": csv(flat(["2024-01-07", "2024-01-14", "2024-01-21"]))}, refused="rows are 1w apart and bear another day of the week than Monday, such as 2024-01-07, a Sunday", hint="the first day of its bar, -t 1w@Sun stores it under 2024-01-07; .* -t 1w --align floor stores it under 2024-01-01", then=["-t", "1w@Sun"], then_bars={("A", "1w@Sun"): [("2024-01-07", 1), ("2024-01-14", 2), ("2024-01-21", 3)]}),
    Write("weeks from Sunday in Python", flat(["2024-01-07", "2024-01-14"]), timeframe="1w", refused="starts a 1w bar", hint="timeframe='1w@Sun' stores it under 2024-01-07; .*, align='floor' stores it under 2024-01-01", then={"timeframe": "1w@Sun"}, bars={("A", "1w@Sun"): [("2024-01-07", 1), ("2024-01-14", 2)]}),
    Import("weeks from Thursday", {"A.csv": csv(flat(["2024-01-04", "2024-01-11", "2024-01-18"]))}, bars={("A", "7d"): [("2024-01-04", 1), ("2024-01-11", 2), ("2024-01-18", 3)]}),
    Import("weeks from Thursday, by name", {"A-1w.csv": csv(flat(["2024-01-04", "2024-01-11"]))}, refused="the name seems to say 1w, and these rows are 7d apart", hint="did you mean -t 7d", then=["-t", "7d"], then_bars={("A", "7d"): [("2024-01-04", 1), ("2024-01-11", 2)]}),
    Write("weeks from Thursday in Python", flat(["2024-01-04", "2024-01-11"]), timeframe="1w", refused="starts a 1w bar", hint="7d", then={"timeframe": "7d"}, bars={("A", "7d"): [("2024-01-04", 1), ("2024-01-11", 2)]}),
    Import("days at nine", {"A.csv": csv(flat(["2024-10-15 09:00:00", "2024-10-16 09:00:00"]))}, refused="starts a 1d bar", hint="1d bars bear their first date, at 00:00 UTC, and this is 2024-10-15 .*--align floor stores it under 2024-10-15", then=["--align", "floor"], then_bars={("A", "1d"): [("2024-10-15", 1), ("2024-10-16", 2)]}),
    Import("neither symbol nor days", {"klines.csv": csv(flat(["2024-10-15 09:00:00", "2024-10-16 09:00:00"]))}, refused="which symbol", hint="give --symbol KRW-BTC. Of the times: 1d bars bear their first date, .* --align floor stores it under 2024-10-15", then=["--symbol", "A", "--align", "floor"], then_bars={("A", "1d"): [("2024-10-15", 1), ("2024-10-16", 2)]}),
    Import("neither symbol nor the order of day and month", {"klines.csv": csv(flat(DOUBTED))}, refused="which symbol", hint="give --symbol KRW-BTC. Of the times: say how dates are written: --date-format %d/%m/%Y or", then=["--symbol", "A", "--date-format", "%m/%d/%Y"], then_bars=MONTH_FIRST),
    Import("days as TradingView's bots keep them", {"A.json": '[{"date": "2024-10-15T00:00:10.236Z", "symbol": "A", "timeframe": "1D", "open": 1, "high": 1, "low": 1, "close": 1, "volume": 10}]'}, refused="starts a 1d bar", hint="1d bars bear their first date, at 00:00 UTC, and this is 2024-10-15 .*--align floor stores it under 2024-10-15", then=["--align", "floor"], then_bars={("A", "1d"): [("2024-10-15", 1)]}),
    Import("days at nine are of Seoul", {"A.csv": csv(flat(["2024-10-15 09:00:00", "2024-10-16 09:00:00"]))}, refused="starts a 1d bar", hint="where it is the clock of Asia/Seoul at 00:00 UTC, --tz Asia/Seoul stores it under 2024-10-15", then=["--tz", "Asia/Seoul"], then_bars={("A", "1d"): [("2024-10-15", 1), ("2024-10-16", 2)]}),
]  # fmt: skip
