"""Rows without a header: the order of their columns is the one in which every candle keeps the rules."""

import json
from functools import partial

import pandas as pd
import polars as pl

from mdstore.core.column_orders import ORDERS
from tests.cases.case import Import, Write

CANDLES = [(10, 14, 9, 12), (12, 13, 8, 9), (12, 13, 8, 9)]
AMBIGUOUS = [["2024-01-02", 9, 12, 12, 9, 5], ["2024-01-03", 8, 9, 9, 8, 7]]
RISING = {("A", "1d"): [("2024-01-02", 12, 5, 9, 12, 9), ("2024-01-03", 9, 7, 8, 9, 8)]}
FALLING = {("A", "1d"): [("2024-01-02", 9, 5, 12, 12, 9), ("2024-01-03", 8, 7, 9, 9, 8)]}
SEVERAL = "no header, and several orders of the columns fit all rows: .*Bitfinex.*Coinbase"
BY_PLACE = "no header: the columns were taken by their place as timestamp, "
PLAIN = {("A", "1d"): [("2024-01-02", 12, 5, 10, 14, 9), ("2024-01-03", 9, 7, 12, 13, 8)]}


OF_CLOCK = {
    "09:31": ("1m", ["2024-01-02T09:30", "2024-01-02T09:31"]),
    "09:01": ("1m", ["2024-01-02T09:00", "2024-01-02T09:01"]),
    "100000": ("1h", ["2024-01-02T09:00", "2024-01-02T10:00"]),
}


def rows(order):
    return [line.split(",") for line in order.example.splitlines()]


def values(order):
    """Rows as an exchange gives them in JSON: numbers are numbers."""
    return [
        [
            cell
            if not cell.replace(".", "", 1).isdigit() or (at and order.names[at] == "date")
            else json.loads(cell)
            for at, cell in enumerate(row)
        ]
        for row in rows(order)
    ]


def bars(order):
    symbol = order.example.partition(",")[0] if order.names[0] == "symbol" else "A"
    volumes = [float(row[order.names.index("volume")]) for row in rows(order)]
    times = ["2024-01-02", "2024-01-03", "2024-01-04"]
    timeframe = "1d"
    if "time" in order.names:
        timeframe, times = next(value for clock, value in OF_CLOCK.items() if clock in order.example)
    return {
        (symbol, timeframe): [
            (time, close, volume, opened, high, low)
            for time, (opened, high, low, close), volume in zip(times, CANDLES, volumes, strict=False)
        ]
    }


def csv(table, separator=","):
    return "".join(separator.join(map(str, row)) + "\n" for row in table)


LONG = [order for order in ORDERS if len(order.names) != 6 and order.names[0] != "symbol"]
OF_FILES = [order for order in ORDERS if order.names[0] == "symbol"]
CASES = [
    *(Import(f"{order.whose}: {', '.join(order.names[:9])}, in a file", {"A.csv": order.example}, bars=bars(order), said=["no header: the columns were taken by their place as " + ", ".join(order.names)]) for order in ORDERS),
    *(Import(f"{order.whose}: {', '.join(order.names[:9])}, with semicolons", {"A.csv": order.example.replace(",", ";")}, bars=bars(order)) for order in ORDERS),
    *(Import(f"{order.whose}: {', '.join(order.names[:9])}, in JSON", {"A.json": json.dumps(values(order))}, bars=bars(order)) for order in ORDERS if order not in OF_FILES),
    *(Write(f"{order.whose}: rows of {len(order.names)}, {order.names[2]} third", values(order), timeframe=next(key[1] for key in bars(order)), bars=bars(order)) for order in LONG),
    Write("rows of six are as documented", [["2024-01-02", 10, 14, 9, 12, 5], ["2024-01-03", 12, 13, 8, 9, 7]], timeframe="1d", bars=PLAIN),
    Write("rows of six in another order, as said", [["2024-01-02", 10, 12, 14, 9, 5], ["2024-01-03", 12, 9, 13, 8, 7]], timeframe="1d", options={"columns": ["time", "open", "close", "high", "low", "volume"]}, bars=PLAIN),
    Write("rows of six in another order are refused", [["2024-01-02", 10, 12, 14, 9, 5], ["2024-01-03", 12, 9, 13, 8, 7]], timeframe="1d", refused="breaks the rule", hint="on_invalid", then={"columns": ["time", "open", "close", "high", "low", "volume"]}, bars=PLAIN),
    Import("a turnover in whole numbers is no count of trades", {"A.csv": csv([[1704153600, 10, 14, 9, 12, 5, 60], [1704240000, 12, 13, 8, 9, 70, 700]])}, bars={("A", "1d"): [("2024-01-02", 12, 5), ("2024-01-03", 9, 70)]}, said=[BY_PLACE + "open, high, low, close, volume, turnover"]),
    Import("trades of a coin that costs next to nothing are no turnover", {"A.csv": csv([[1704153600, 0.01, 0.02, 0.01, 0.01, 5, 0], [1704240000, 0.01, 0.02, 0.01, 0.01, 70, 1]])}, bars={("A", "1d"): [("2024-01-02", 0.01, 5), ("2024-01-03", 0.01, 70)]}, said=[BY_PLACE + "open, high, low, close, volume, trades"]),
    Import("two orders fit: rising", {"A.csv": csv(AMBIGUOUS)}, refused=SEVERAL, hint="--columns 'time,open,close,high,low,volume'", then=["--columns", "time,open,close,high,low,volume"], then_bars=RISING),
    Import("two orders fit: falling", {"A.json": json.dumps(AMBIGUOUS)}, refused=SEVERAL, hint="name them by their place", then=["--columns", "time,low,high,open,close,volume"], then_bars=FALLING),
    Write("two orders of rows of seven fit", [[*row, 60] for row in AMBIGUOUS], timeframe="1d", options={"columns": ["time", "open", "close", "high", "low", "volume", "turnover"]}, bars=RISING),
    Import("bars that stand at one price are the same in every order", {"A.csv": "2024-01-02,5,5,5,5,1\n2024-01-03,6,6,6,6,2\n"}, bars={("A", "1d"): [("2024-01-02", 5, 1), ("2024-01-03", 6, 2)]}, said=[BY_PLACE + "open, high, low, close, volume"]),
    Import("one bad row does not hide the order", {"A.csv": "2024-01-02,10,12,14,9,5\n2024-01-03,12,9,13,8,7\n2024-01-04,12,9,13,8,7\n2024-01-05,12,99,13,8,7\n"}, refused="row 3 of A 1d: high = 13 breaks the rule", hint="--on-invalid", then=["--on-invalid", "drop"], then_bars={("A", "1d"): [*PLAIN["A", "1d"], ("2024-01-04", 9, 7, 12, 13, 8)]}),
    Import("columns by their place, with a name of one's own", {"A.csv": "x,2024-01-02,5,10,14,9,12\nx,2024-01-03,7,12,13,8,9\n"}, ["--columns", "what,time,volume,open,high,low,close"], bars=PLAIN, said=["columns not kept: what"]),
    Import("columns by their place lack one", {"A.csv": "2024-01-02,10,14,9,12,5\n2024-01-03,12,13,8,9,7\n"}, ["--columns", "time,open,high,low,last,x"], refused="no column for volume; found 'time', 'open'", hint="--volume none", then=["--columns", "time,open,high,low,close,volume"], then_bars=PLAIN),
    *(Write(f"a {name} frame whose columns are numbered", make([[1704153600000, 10, 14, 9, 12, 5], [1704240000000, 12, 13, 8, 9, 7]]), timeframe="1d", bars=PLAIN) for name, make in (("pandas", pd.DataFrame), ("Polars", partial(pl.DataFrame, orient="row")))),
    Write("a pandas frame of texts and times whose columns are numbered", pd.DataFrame([["2024-01-02", 10, 14, 9, 12, 5], [pd.Timestamp("2024-01-03"), 12, 13, 8, 9, 7]]), timeframe="1d", bars=PLAIN),
    Write("a pandas frame of five numbered columns", pd.DataFrame([["2024-01-02", 10, 14, 9, 12], ["2024-01-03", 12, 13, 8, 9]]), timeframe="1d", refused="five columns", hint="volume='none'", then={"volume": "none"}, bars={("A", "1d"): [("2024-01-02", 12, 0), ("2024-01-03", 9, 0)]}),
    Import("MetaTrader's tabs", {"EURUSD1440.csv": "2024.01.02 00:00\t10\t14\t9\t12\t5\n2024.01.03 00:00\t12\t13\t8\t9\t7\n"}, bars={("EURUSD", "1d"): PLAIN["A", "1d"]}),
    Import("a zero before the comma", {"A.csv": "2024-01-02;10,0;14,0;9,0;12,0;5\n2024-01-03;12,0;13,0;8,0;9,0;7\n"}, bars=PLAIN),
]  # fmt: skip
