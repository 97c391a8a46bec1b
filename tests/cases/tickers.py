"""Tickers in the names of columns: one instrument or several in one wide table."""

import pandas as pd
import polars as pl

from tests.cases.case import Import, Write

FIELDS = ("Open", "High", "Low", "Close", "Volume")
DAYS = ["2024-01-02", "2024-01-03"]
VALUES = {
    "A": [(10, 14, 9, 12, 5), (12, 13, 8, 9, 7)],
    "B": [(100, 140, 90, 120, 50), (120, 130, 80, 90, 70)],
}
ONE = {("A", "1d"): [("2024-01-02", 12, 5, 10, 14, 9), ("2024-01-03", 9, 7, 12, 13, 8)]}
BOTH = {**ONE, ("B", "1d"): [("2024-01-02", 120, 50, 100, 140, 90), ("2024-01-03", 90, 70, 120, 130, 80)]}
WAYS = (
    "{ticker}.{field}",
    "{ticker} {field}",
    "{ticker}_{field}",
    "{ticker}:{field}",
    "{field}_{ticker}",
    "{field} {ticker}",
    "{field}.{ticker}",
    "{field} ({ticker})",
    "('{field}', '{ticker}')",
    "('{ticker}', '{field}')",
)


def wide(way, tickers, small=False):
    columns = {"Date": DAYS}
    for at, field in enumerate(FIELDS):
        for ticker in tickers:
            name = way.format(ticker=ticker, field=field.lower() if small else field)
            columns[name] = [row[at] for row in VALUES[ticker]]
    return columns


def text(columns):
    quoted = [f'"{name}"' for name in columns]
    rows = [quoted, *([str(cell) for cell in row] for row in zip(*columns.values(), strict=True))]
    return "".join(",".join(row) + "\n" for row in rows)


def levels(
    tickers, order=("Close", "High", "Low", "Open", "Volume"), first="Price", names="Date", fields_first=True
):
    """A CSV file of yfinance: lines of fields, of tickers, and of the name of the index."""
    pairs = [(field, ticker) for field in order for ticker in tickers]
    top = [field for field, _ in pairs] if fields_first else [ticker for _, ticker in pairs]
    second = [ticker for _, ticker in pairs] if fields_first else [field for field, _ in pairs]
    lines = [[first, *top], ["Ticker" if first else "", *second]]
    lines += [[names, *[""] * len(pairs)]] if names is not None else []
    for at, day in enumerate(DAYS):
        cells = {
            (field, ticker): VALUES[ticker][at][FIELDS.index(field)] if field in FIELDS else 1
            for field, ticker in pairs
        }
        lines.append([day, *(str(cells[pair]) for pair in pairs)])
    return "".join(",".join(line) + "\n" for line in lines)


def frame(tickers):
    made = pd.DataFrame(
        {
            (field, ticker): [row[at] for row in VALUES[ticker]]
            for at, field in enumerate(FIELDS)
            for ticker in tickers
        },
        index=pd.DatetimeIndex(DAYS, name="Date"),
    )
    made.columns.names = ["Price", "Ticker"]
    return made


HALTED = "Date,A_Open,A_High,A_Low,A_Close,A_Volume,B_Open,B_High,B_Low,B_Close,B_Volume\n2024-01-02,10,14,9,12,5,,,,,\n2024-01-03,12,13,8,9,7,120,130,80,90,70\n"
ADJUSTED = ("Adj Close", "Close", "High", "Low", "Open", "Volume")
CASES = [
    *(Import(f"one ticker as {way}", {"prices.csv": text(wide(way, "A"))}, bars=ONE) for way in WAYS),
    *(Import(f"two tickers as {way}", {"prices.csv": text(wide(way, "AB"))}, bars=BOTH) for way in WAYS),
    *(Write(f"a frame of two tickers as {way}", pl.DataFrame(wide(way, "AB", small=True)), symbol=None, timeframe="1d", bars=BOTH) for way in WAYS),
    Import("yfinance, three lines", {"prices.csv": levels("A")}, bars=ONE),
    Import("yfinance, three lines, two tickers", {"prices.csv": levels("AB")}, bars=BOTH),
    Import("yfinance, by ticker", {"prices.csv": levels("AB", fields_first=False)}, bars=BOTH),
    Import("yfinance, older, adjusted", {"prices.csv": levels("AB", order=ADJUSTED, first="")}, bars=BOTH),
    Import("pandas, two lines and an index without a name", {"prices.csv": levels("AB", first="", names=None)}, bars=BOTH),
    Import("yfinance, with datetimes", {"prices.csv": levels("A", names="Datetime")}, bars=ONE),
    Import("yfinance, tab-separated", {"prices.tsv": levels("AB").replace(",", "\t")}, bars=BOTH),
    Write("pandas of two levels, one ticker", frame("A"), timeframe="1d", bars=ONE),
    Write("pandas of two levels, two tickers", frame("AB"), symbol=None, timeframe="1d", bars=BOTH),
    Write("pandas of two levels the other way", frame("AB").swaplevel(axis=1), symbol=None, timeframe="1d", bars=BOTH),
    Write("two tickers are not one series", frame("AB"), timeframe="1d", refused="the data is of 2 symbols", hint=r"write_many\(data\) keeps them apart", then={"symbol": None}, bars=BOTH),
    Write("a ticker of another name", frame("A"), symbol="X", timeframe="1d", refused="the data says 'A' in its column .*Open.*, and symbol='X'", hint="write it as 'A', or say rename=True", then={"rename": True}, bars={("X", "1d"): ONE["A", "1d"]}),
    Import("where one does not trade there is no bar", {"prices.csv": HALTED}, bars={**ONE, ("B", "1d"): [("2024-01-03", 90, 70, 120, 130, 80)]}),
    Import("an index without a volume", {"vix.csv": "Date,VIX Open,VIX High,VIX Low,VIX Close\n2024-01-02,10,14,9,12\n2024-01-03,12,13,8,9\n"}, refused="no column for volume; found 'Date', 'VIX Open'", hint="--volume none where there is no volume", then=["--volume", "none"], then_bars={("VIX", "1d"): [("2024-01-02", 12, 0, 10, 14, 9), ("2024-01-03", 9, 0, 12, 13, 8)]}),
    Import("bids are no ticker", {"A.csv": "Date,BID_Open,BID_High,BID_Low,BID_Close,Volume\n2024-01-02,10,14,9,12,5\n2024-01-03,12,13,8,9,7\n"}, refused="no column for open, high, low, close", hint="--columns 'open=its name'", then=["--columns", "open=BID_Open,high=BID_High,low=BID_Low,close=BID_Close"], then_bars=ONE),
    Import("a ticker in JSON", {"prices.json": pl.DataFrame(wide("{ticker}.{field}", "A")).write_json()}, bars=ONE),
]  # fmt: skip
