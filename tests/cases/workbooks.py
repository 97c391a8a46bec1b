"""Excel workbooks: the sheet that holds candles, with dates, numbers and texts as they are typed in it."""

from datetime import datetime

from tests.cases.case import Import
from tests.support.workbooks import workbook

TITLES = ["Date", "Open", "High", "Low", "Close", "Volume"]
ROWS = [[datetime(2024, 1, 2), 10, 14, 9, 12, 5], [datetime(2024, 1, 3), 12, 13, 8, 9, 7]]
TEXTS = [["2024-01-02", "10", "14", "9", "12", "5"], ["2024-01-03", "12", "13", "8", "9", "7"]]
DAYS = {("A", "1d"): [("2024-01-02", 12, 5, 10, 14, 9), ("2024-01-03", 9, 7, 12, 13, 8)]}
HOURS = {("A", "1h"): [("2024-01-02T09:00", 12, 5, 10, 14, 9), ("2024-01-02T10:00", 9, 7, 12, 13, 8)]}


def book(*rows, **sheets):
    return {"A.xlsx": workbook({"prices": list(rows), **sheets} if rows else sheets)}


CASES = [
    Import("a sheet with dates", book(TITLES, *ROWS), bars=DAYS),
    Import("a sheet with texts", book(TITLES, *TEXTS), bars=DAYS),
    Import("a sheet with hours", book(TITLES, [datetime(2024, 1, 2, 9), *ROWS[0][1:]], [datetime(2024, 1, 2, 10), *ROWS[1][1:]]), bars=HOURS),
    Import("a title above, blank rows below", book(["Prices of A"], TITLES, *ROWS, [None] * 6, ["", "", "", "", "", ""]), bars=DAYS),
    Import("a column of notes", book([*TITLES, "Note"], [*ROWS[0], "x"], [*ROWS[1], None]), bars=DAYS, said=["columns not kept: Note"]),
    Import("a sheet before it that holds others", book(notes=[["Hello"], ["World"]], prices=[TITLES, *ROWS]), bars=DAYS, said=["A.xlsx: the candles are those of the sheet prices, of 2 sheets"]),
    Import("sheets of two symbols", book(A=[TITLES, *ROWS], B=[TITLES, *TEXTS]), bars={**DAYS, ("B", "1d"): DAYS["A", "1d"]}),
    Import("two sheets that are nobody's", book(prices=[TITLES, *ROWS], adjusted=[TITLES, *TEXTS]), refused="A.xlsx: 2 sheets hold candles: .*prices.*adjusted", hint="save each as a file of its own", then=[], then_files=book(TITLES, *ROWS), then_bars=DAYS),
    Import("words below", book(TITLES, *ROWS, [None] * 6, ["Source: somebody", *[None] * 5]), bars=DAYS, said=["lines of words were skipped, such as 'Source: somebody'"]),
    Import("what was asked for above, as of Bloomberg", book(["Security", "A US Equity"], ["Start Date", datetime(2024, 1, 2)], ["End Date", datetime(2024, 1, 3)], ["Period", "D"], ["Currency", "USD"], [None], ["Date", "PX_OPEN", "PX_HIGH", "PX_LOW", "PX_LAST", "PX_VOLUME"], *reversed(ROWS)), bars=DAYS),
    Import("dates as numbers", book(TITLES, [45293, *ROWS[0][1:]], [45294, *ROWS[1][1:]]), refused="between 45293.0 and 45294.0: they look like dates as a spreadsheet counts them", hint="--unit excel", then=["--unit", "excel"], then_bars=DAYS),
    Import("dates YYYYMMDD", book(TITLES, [20240102, *ROWS[0][1:]], [20240103, *ROWS[1][1:]]), refused="look like dates written YYYYMMDD", hint="--date-format %Y%m%d", then=["--date-format", "%Y%m%d"], then_bars=DAYS),
    Import("times of day as parts of a day", book(["Date", "Time", *TITLES[1:]], [datetime(2024, 1, 2), 0.375, *ROWS[0][1:]], [datetime(2024, 1, 2), 10 / 24, *ROWS[1][1:]]), bars=HOURS),
    Import("Korean titles", book(["일자", "시가", "고가", "저가", "종가", "거래량"], *ROWS), bars=DAYS),
    Import("numbers as people write them", book(TITLES, ["2024-01-02", "1,010.5", "1,010.5", "1,010.5", "1,010.5", "41.15K"], ["2024-01-03", 9.5, 9.5, 9.5, 9.5, "-"]), bars={("A", "1d"): [("2024-01-02", 1010.5, 41150), ("2024-01-03", 9.5, 0)]}),
    Import("no volume", book(TITLES[:5], *(row[:5] for row in ROWS)), refused="A.xlsx: no column for volume; found 'Date', 'Open'", hint="--volume none", then=["--volume", "none"], then_bars={("A", "1d"): [("2024-01-02", 12, 0), ("2024-01-03", 9, 0)]}),
    Import("names of one's own", book(["wann", "aa", "bb", "cc", "dd", "ee"], *ROWS), refused="no column for .*found 'wann', 'aa'", hint="--columns 'time=its name'", then=["--columns", "time=wann,open=aa,high=bb,low=cc,close=dd,volume=ee"], then_bars=DAYS),
    Import("a cell that is no number", book(TITLES, ROWS[0], [datetime(2024, 1, 3), "soon", 13, 8, 9, 7]), refused="row 1 of A 1d: open = soon", hint="--on-invalid", then=["--on-invalid", "drop"], then_bars={("A", "1d"): DAYS["A", "1d"][:1]}),
    Import("no rows", book(TITLES), said=["A.xlsx: a header and no rows"]),
    Import("no sheet of candles", book(["Hello"], ["World"]), refused="A.xlsx: no column for timestamp, open, high, low, close, volume; found 'Hello'", hint="--columns", then=[], then_files=book(TITLES, *ROWS), then_bars=DAYS),
]  # fmt: skip
