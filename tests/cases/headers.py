"""Every header that the tables of names have as an example, as a file; and frames of such names."""

import polars as pl

from mdstore.core.column_names.english import ENGLISH
from mdstore.core.column_names.languages import LANGUAGES
from tests.cases.case import Import, Write, csv

CELLS = {
    "s": "A",
    "d": "09:30",
    "o": "10.5",
    "h": "14.25",
    "l": "9.5",
    "c": "12",
    "v": "500",
    "k": "7",
    "-": "1",
}
SEPARATORS = "\t;,"
EXAMPLES = [
    (language, example)
    for language, table in {"en": ENGLISH, **LANGUAGES}.items()
    for example in table.examples
]


def parts(example):
    separator = next(mark for mark in SEPARATORS if mark in example.header)
    return separator, example.header.split(separator)


def cells(example, day):
    times = {"t": f"2024-01-{day:02}", "u": str(1704067200 + 86400 * (day - 1))}
    return [{**CELLS, **times}[letter] for letter in example.columns]


def lines(example):
    separator, _ = parts(example)
    rows = [separator.join(cells(example, day)) for day in (2, 3)]
    return "\n".join([example.header, *rows]) + "\n"


def bars(example):
    timeframe, clock = ("1m", "T09:30") if "d" in example.columns else ("1d", "")
    return {("A", timeframe): [(f"2024-01-{day:02}{clock}", 12, 500, 10.5, 14.25, 9.5) for day in (2, 3)]}


def timeframe(example):
    return next(key[1] for key in bars(example))


def frame(example):
    _, names = parts(example)
    return pl.DataFrame(
        dict(zip(names, zip(*(cells(example, day) for day in (2, 3)), strict=True), strict=True))
    )


FLAT = "2024-01-02,1,1,1,1,10\n2024-01-03,2,2,2,2,20\n"
DAYS = {("A", "1d"): [("2024-01-02", 1, 10), ("2024-01-03", 2, 20)]}
TICKS = "time,open,high,low,close,tick_volume,real_volume\n"
CASES = [
    Import("trades are no candles", {"A.csv": "timestamp,id,type,side,price,amount,cost\n1704153600000,1,,buy,10,1,10\n"}, refused="A.csv: these are trades, not candles; found 'timestamp', 'id', 'type', 'side', 'price'", hint="make bars of the trades first"),
    Write("rows of trades are no candles", [{"timestamp": 1704153600000, "side": "buy", "price": 10, "amount": 1}], refused="these are trades, not candles: the data has", hint="make bars of the trades first"),
    *(Import(f"{language}: {example.header}, in a file", {"A.csv": lines(example)}, ["-t", timeframe(example)], bars=bars(example)) for language, example in EXAMPLES),
    *(Write(f"{language}: {example.header}", frame(example), timeframe=timeframe(example), bars=bars(example)) for language, example in EXAMPLES),
    Import("spaces, stars and dots in names", {"A.csv": " Date , Open* ,HIGH., low_ ,Close**,Vol.\n" + FLAT}, bars=DAYS),
    Import("a unit beside the names", {"A.csv": "Date,Open (USD),High (USD),Low (USD),Close (USD),Volume\n" + FLAT}, bars=DAYS),
    Import("prices in two currencies are nobody's guess", {"A.csv": "Date,Open (USD),Open (EUR),High (USD),High (EUR),Low (USD),Low (EUR),Close (USD),Close (EUR),Volume\n2024-01-02,1,5,1,5,1,5,1,5,10\n2024-01-03,2,6,2,6,2,6,2,6,20\n"}, refused="no column for open, high, low, close; found 'Date', 'Open \\(USD\\)'", hint="--columns 'open=its name'", then=["--columns", "open=Open (USD),high=High (USD)", "--columns", "low=Low (USD),close=Close (USD)"], then_bars=DAYS),
    Import("real volumes are taken where there are some", {"A.csv": TICKS + "2024-01-02,1,1,1,1,7,10\n2024-01-03,2,2,2,2,8,20\n"}, bars=DAYS, not_said=["tick_volume was taken"]),
    Import("ticks are taken where the volume is 0 throughout", {"A.csv": TICKS + "2024-01-02,1,1,1,1,10,0\n2024-01-03,2,2,2,2,20,0\n"}, bars=DAYS, said=["real_volume is 0 throughout: tick_volume was taken for the volume"]),
    Write("ticks in a later piece are as in the first", lambda: iter([pl.DataFrame({"time": ["2024-01-02"], "open": [1], "high": [1], "low": [1], "close": [1], "tick_volume": [10], "real_volume": [0]}), pl.DataFrame({"time": ["2024-01-03"], "open": [2], "high": [2], "low": [2], "close": [2], "tick_volume": [8], "real_volume": [20]})]), timeframe="1d", refused="'real_volume' is 0 in the first rows and not later: is it the volume, or 'tick_volume'?", hint="columns={'volume': 'real_volume'}", then={"columns": {"volume": "real_volume"}}, bars={("A", "1d"): [("2024-01-02", 1, 0), ("2024-01-03", 2, 20)]}),
    Import("a base volume is taken before one in money", {"A.csv": "Date,Open,High,Low,Close,Volume USD,Volume LTC\n2024-01-02,1,1,1,1,9,10\n2024-01-03,2,2,2,2,9,20\n"}, bars=DAYS),
    Import("of two coins the one that is traded", {"A.csv": "Date,Open,High,Low,Close,Volume ETH,Volume BTC\n2024-01-02,1,1,1,1,10,9\n2024-01-03,2,2,2,2,20,9\n"}, bars=DAYS),
    Import("a volume in money alone is not taken for one", {"A.csv": "Date,Open,High,Low,Close,Volume USD\n" + FLAT}, refused="no column for volume", hint="where that is the volume, --columns 'volume=Volume USD'", then=["--columns", "volume=Volume USD"], then_bars=DAYS),
    Import("an average of volumes is no volume", {"A.csv": "Date,Open,High,Low,Close,Volume_SMA\n" + FLAT}, refused="no column for volume", hint="where that is the volume, --columns 'volume=Volume_SMA'", then=["--columns", "volume=Volume_SMA"], then_bars=DAYS),
    Import("an adjusted close is not the close", {"A.csv": "Date,Open,High,Low,Adj Close,Volume\n" + FLAT}, refused="no column for close; found .*'Adj Close'", hint="--columns 'close=its name'", then=["--columns", "close=Adj Close"], then_bars=DAYS),
    Import("names without a meaning are shown", {"A.csv": "wann,auf,hi,lo,zu,menge\n" + FLAT}, refused="no column for timestamp, open, close, volume; found 'wann', 'auf'", hint="name the columns timestamp, open, high, low, close, volume, or say which one is which, as --columns 'time=its name'", then=["--columns", "time=wann,open=auf,close=zu,volume=menge"], then_bars=DAYS),
    Write("names by the hundred are bounded", {f"x{number}": [1] for number in range(3_000)}, timeframe="1d", refused=r"'x19'\] and 2,980 more$|'x19'\] and 2,980 more\. Hint", hint="name the columns timestamp", then={"data": pl.read_csv(("Date,Open,High,Low,Close,Volume\n" + FLAT).encode())}, bars=DAYS),
    Import("a volume under another name is named", {"A.csv": "Date,Open,High,Low,Close,Contracts traded\n" + FLAT}, refused="no column for volume", hint="--columns 'volume=Contracts traded'", then=["--columns", "volume=Contracts traded"], then_bars=DAYS),
    Import("ragged lines that end with an empty cell", {"A.csv": "Date,Open,High,Low,Close,Volume\n2024-01-02,1,1,1,1,10,\n2024-01-03,2,2,2,2,20,\n"}, bars=DAYS),
    Import("one line that ends with an empty cell", {"A.csv": "Date,Open,High,Low,Close,Volume\n2024-01-02,1,1,1,1,10\n2024-01-03,2,2,2,2,20,\n"}, bars=DAYS),
    Import("lines that lack empty cells at their end", {"A.csv": "Date,Open,High,Low,Close,Volume,Note,Mark\n2024-01-02,1,1,1,1,10,x,y\n2024-01-03,2,2,2,2,20\n"}, bars=DAYS),
    Import("a line that has more is refused", {"A.csv": "Date,Open,High,Low,Close,Volume\n2024-01-02,1,1,1,1,10\n2024-01-03,2,2,2,2,20,30\n"}, refused="Row #2: Expected 6 columns, got 7", then=[], then_files={"A.csv": "Date,Open,High,Low,Close,Volume\n" + FLAT}, then_bars=DAYS),
    Import("a title above the header", {"A.csv": "Prices of A\nDate,Open,High,Low,Close,Volume\n" + FLAT}, bars=DAYS),
    Import("an unnamed index", {"A.csv": ",Open,High,Low,Close,Volume\n" + FLAT}, bars=DAYS, said=["the first column has no name and was taken as the time"]),
    Import("a row number before the date", {"A.csv": ",Date,Open,High,Low,Close,Volume\n0,2024-01-02,1,1,1,1,10\n1,2024-01-03,2,2,2,2,20\n"}, bars=DAYS),
    Import("a column without a name that counts is no time", {"A.csv": ",when,Open,High,Low,Close,Volume\n0,2024-01-02,1,1,1,1,10\n1,2024-01-03,2,2,2,2,20\n2,2024-01-04,2,2,2,2,20\n"}, refused="no column for timestamp: the first has no name, and counts the rows", hint="--columns 'time=its name'", then=["--columns", "time=when"], then_bars={("A", "1d"): [*DAYS["A", "1d"], ("2024-01-04", 2, 20)]}),
    Import("a header that lacks the name of the first column", {"A.csv": "Open,High,Low,Close,Volume\n" + FLAT}, bars=DAYS, said=["the first column has no name and was taken as the time"]),
    Import("words below the table", {"A.csv": "Date,Open,High,Low,Close,Volume\n" + FLAT + "Source: the exchange\n"}, bars=DAYS, said=["lines of words were skipped, such as 'Source: the exchange'"]),
    Import("a blank line at the end", {"A.csv": "Date,Open,High,Low,Close,Volume\n" + FLAT + ",,,,,\n"}, bars=DAYS, said=["lines without a value were skipped"]),
    Import("Nasdaq's line of today", {"A.csv": '"date","close","volume","open","high","low"\n"16:00","9","9","9","9","9"\n"2024/01/03","2","20","2","2","2"\n"2024/01/02","1","10","1","1","1"\n'}, bars=DAYS, said=["the first line bears 16:00 in place of a date, and was skipped"]),
    Import("a spreadsheet's mark before the code of a stock", {"x.csv": "日期,股票代码,收盘价,最高价,最低价,开盘价,成交量\n2024-01-02,'600519,1,1,1,1,10\n2024-01-03,'600519,2,2,2,2,20\n"}, bars={("600519", "1d"): DAYS["A", "1d"]}),
    Import("Windows' line ends", {"A.csv": csv({"Date": ["2024-01-02", "2024-01-03"], "Open": [1, 2], "High": [1, 2], "Low": [1, 2], "Close": [1, 2], "Volume": [10, 20]}).replace("\n", "\r\n")}, bars=DAYS),
]  # fmt: skip
