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
    Import("a sheet for each symbol", book(MSFT=[TITLES, *ROWS], GOOG=[TITLES, *ROWS]), bars={("MSFT", "1d"): DAYS["A", "1d"], ("GOOG", "1d"): DAYS["A", "1d"]}, said=["2 symbols", "the symbol was taken from the names of the sheets"]),
    Import("a sheet for each symbol, and another", book(Notes=[["Hello"]], MSFT=[TITLES, *ROWS], GOOG=[["Prices"], TITLES, *ROWS]), bars={("MSFT", "1d"): DAYS["A", "1d"], ("GOOG", "1d"): DAYS["A", "1d"]}, said=["those of the sheets MSFT, GOOG, of 3 sheets"]),
    Import("a sheet for each timeframe of a symbol", book(**{"KRW-BTC 1d": [TITLES, *ROWS], "KRW-BTC 1h": [TITLES, [datetime(2024, 1, 2, 9), *ROWS[0][1:]], [datetime(2024, 1, 2, 10), *ROWS[1][1:]]]}), bars={("KRW-BTC", "1d"): DAYS["A", "1d"], ("KRW-BTC", "1h"): HOURS["A", "1h"]}),
    Import("one of several sheets", book(MSFT=[TITLES, *ROWS], GOOG=[TITLES, *ROWS[:1]]), ["--sheet", "GOOG", "-t", "1d"], bars={("GOOG", "1d"): DAYS["A", "1d"][:1]}),
    Import("sheets whose names are no symbols", book(Sheet1=[TITLES, *ROWS], Sheet2=[TITLES, *ROWS]), refused=r"A.xlsx: 2 sheets hold candles \(Sheet1, Sheet2\), and 'Sheet1' names no symbol", hint="import each by itself: --sheet 'Sheet1' --symbol", then=["--sheet", "Sheet1", "--symbol", "A"], then_bars=DAYS),
    Import("a sheet for each year", book(**{"2023": [TITLES, *ROWS], "2024": [TITLES, *ROWS]}), refused="'2023' names no symbol", hint="--sheet '2023'", then=["--sheet", "2023"], then_bars=DAYS),
    Import("sheets of several symbols under one name", book(MSFT=[TITLES, *ROWS], GOOG=[TITLES, *ROWS]), ["-s", "X"], refused="2 sheets hold candles .MSFT, GOOG., and they cannot all become 'X'", hint="--sheet 'MSFT' --symbol 'X'", then=["--sheet", "MSFT", "--symbol", "X"], then_bars={("X", "1d"): DAYS["A", "1d"]}),
    Import("sheets with a column of symbols", book(**{"2023": [["Symbol", *TITLES], ["MSFT", *ROWS[0]]], "2024": [["Symbol", *TITLES], ["MSFT", *ROWS[1]]]}), ["-t", "1d"], bars={("MSFT", "1d"): DAYS["A", "1d"]}),
    Import("a sheet without rows beside others", book(Template=[TITLES], prices=[TITLES, *ROWS]), bars=DAYS),
    Import("a sheet that is not there", book(MSFT=[TITLES, *ROWS]), ["--sheet", "GOOG"], refused="A.xlsx: no sheet 'GOOG'; it has .'MSFT'.", then=["--sheet", "MSFT"], then_bars={("MSFT", "1d"): DAYS["A", "1d"]}),
    Import("a sheet of a text", {"A.csv": "date,open,high,low,close,volume\n2024-01-02,10,14,9,12,5\n2024-01-03,12,13,8,9,7\n"}, ["--sheet", "x"], refused="A.csv: no workbook", hint="leave --sheet out", then=[], then_bars=DAYS),
    Import("sheets of two symbols", book(A=[TITLES, *ROWS], B=[TITLES, *TEXTS]), bars={**DAYS, ("B", "1d"): DAYS["A", "1d"]}),
    Import("two sheets that are nobody's", book(prices=[TITLES, *ROWS], adjusted=[TITLES, *TEXTS]), refused="A.xlsx: 2 sheets hold candles .prices, adjusted., and 'prices' names no symbol", hint="import each by itself: --sheet 'prices'", then=[], then_files=book(TITLES, *ROWS), then_bars=DAYS),
    Import("words below", book(TITLES, *ROWS, [None] * 6, ["Source: somebody", *[None] * 5]), bars=DAYS, said=["lines of words were skipped, such as 'Source: somebody'"]),
    Import("what was asked for above, as of Bloomberg", book(["Security", "A US Equity"], ["Start Date", datetime(2024, 1, 2)], ["End Date", datetime(2024, 1, 3)], ["Period", "D"], ["Currency", "USD"], [None], ["Date", "PX_OPEN", "PX_HIGH", "PX_LOW", "PX_LAST", "PX_VOLUME"], *reversed(ROWS)), bars=DAYS),
    Import("dates as numbers", book(TITLES, [45293, *ROWS[0][1:]], [45294, *ROWS[1][1:]]), refused="between 45293.0 and 45294.0: they look like dates as a spreadsheet counts them", hint="--unit excel", then=["--unit", "excel"], then_bars=DAYS),
    Import("dates YYYYMMDD", book(TITLES, [20240102, *ROWS[0][1:]], [20240103, *ROWS[1][1:]]), bars=DAYS),
    Import("times of day as parts of a day", book(["Date", "Time", *TITLES[1:]], [datetime(2024, 1, 2), 0.375, *ROWS[0][1:]], [datetime(2024, 1, 2), 10 / 24, *ROWS[1][1:]]), bars=HOURS),
    Import("Korean titles", book(["일자", "시가", "고가", "저가", "종가", "거래량"], *ROWS), bars=DAYS),
    Import("numbers as people write them", book(TITLES, ["2024-01-02", "1,010.5", "1,010.5", "1,010.5", "1,010.5", "41.15K"], ["2024-01-03", 9.5, 9.5, 9.5, 9.5, "-"]), bars={("A", "1d"): [("2024-01-02", 1010.5, 41150), ("2024-01-03", 9.5, 0)]}),
    Import("no volume", book(TITLES[:5], *(row[:5] for row in ROWS)), refused="A.xlsx: no column for volume; found 'Date', 'Open'", hint="--volume none", then=["--volume", "none"], then_bars={("A", "1d"): [("2024-01-02", 12, 0), ("2024-01-03", 9, 0)]}),
    Import("names of one's own", book(["wann", "aa", "bb", "cc", "dd", "ee"], *ROWS), refused="no column for .*found 'wann', 'aa'", hint="--columns 'time=its name'", then=["--columns", "time=wann,open=aa,high=bb,low=cc,close=dd,volume=ee"], then_bars=DAYS),
    Import("a cell that is no number", book(TITLES, ROWS[0], [datetime(2024, 1, 3), "soon", 13, 8, 9, 7]), refused="row 1 of A 1d: open = soon", hint="--on-invalid", then=["--on-invalid", "drop"], then_bars={("A", "1d"): DAYS["A", "1d"][:1]}),
    Import("no rows", book(TITLES), said=["A.xlsx: a header and no rows"]),
    Import("no sheet of candles", book(["Hello"], ["World"]), refused="A.xlsx: no column for timestamp, open, high, low, close, volume; found 'Hello'", hint="--columns", then=[], then_files=book(TITLES, *ROWS), then_bars=DAYS),
]  # fmt: skip
