"""Prices in their unit, volumes from their column, times in their zone; what is taken by its place is told."""

import io
import zipfile

import pandas as pd
import polars as pl

from tests.cases.case import Import, Write, csv, flat


def zipped(name, text):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, text)
    return made.getvalue()


MINUTES = "34200000,1000000,1010000,990000,1005000,500\n34260000,1005000,1010000,990000,1000000,600\n"
COIN_MINUTES = "34200000,100.5,101,99,100.5,5.5\n34260000,100.5,101,99,100,6.25\n"
WHOLE_MINUTES = "34200000,100,101,99,100,5\n"
DAYS = (
    "20240102 00:00,1000000,1010000,990000,1005000,500\n20240103 00:00,1005000,1010000,990000,1000000,600\n"
)
HOURS = "20240102 10:00,1000000,1010000,990000,1005000,500\n"
IN_WINTER = {
    ("SPY", "1m"): [
        ("2024-01-02T14:30", 100.5, 500, 100, 101, 99),
        ("2024-01-02T14:31", 100, 600, 100.5, 101, 99),
    ]
}
OF_DAYS = {("SPY", "1d"): [("2024-01-02", 100.5, 500), ("2024-01-03", 100, 600)]}
DIVIDED = "a Lean file: times .* America/New_York.*, prices are divided by 10,000"
AS_THEY_STAND = (
    "a Lean file: times count from midnight UTC of the day in its name, prices are taken as they stand"
)


def of(day, symbol, text):
    return zipped(f"{day}_{symbol}_minute_trade.csv", text)


BY_ITS_FOLDERS = {"equity/usa/minute/spy/20240102_trade.zip": of("20240102", "spy", MINUTES)}
DATABENTO = {
    "ts_event": [1704205800000000000, 1704205860000000000], "rtype": [33, 33], "publisher_id": [2, 2], "instrument_id": [7, 7],
    "open": [100_000_000_000, 100_500_000_000], "high": [101_000_000_000] * 2, "low": [99_000_000_000] * 2,
    "close": [100_500_000_000, 100_000_000_000], "volume": [500, 600], "symbol": ["SPY", "SPY"],
}  # fmt: skip
PRETTY = {
    **DATABENTO,
    **{
        name: [f"{price / 1e9:.9f}" for price in DATABENTO[name]] for name in ("open", "high", "low", "close")
    },
}
FLOATS = {
    **DATABENTO,
    **{name: [price / 1e9 for price in DATABENTO[name]] for name in ("open", "high", "low", "close")},
}
FIXED = "prices are Databento's fixed point: whole numbers of 0.000000001, scaled"
YAHOO = "2024-01-02,100,101,99,100.5,50.25,500\n2024-01-03,100.5,101,99,100,50,600\n2024-01-04,100,101,99,100,50,700\n"
KRAKEN = "1704153600,100,101,99,100.5,12.5,500\n1704240000,100.5,101,99,100,170.25,600\n1704326400,100,101,99,100,3.5,700\n"
META = "2024.01.02,09:30,100,101,99,100.5,500\n2024.01.02,09:31,100.5,101,99,100,600\n"
BINANCE = "1704205800000,100,101,99,100.5,500,1704205859999,1,1,1,1,0\n1704205860000,100.5,101,99,100,600,1704205919999,1,1,1,1,0\n"
GAPS = {
    "a text without a number": lambda cells: [str(cells[0]), "n/a"],
    "an object without a number": lambda cells: [cells[0], "n/a"],
    "a NaN": lambda cells: pd.Series([cells[0], None]),
    "a decimal among texts": lambda cells: [str(cells[0]), "100.5"],
}


def one_bad(gap, name):
    return {**DATABENTO, name: gap(DATABENTO[name])}


FIRST_OF_SPY = {("SPY", "1m"): [("2024-01-02T14:30", 100.5, 500, 100, 101, 99)]}
LATER = flat(["2024-01-02T14:32"], symbol=["SPY"])
BY_PLACE = "no header: the columns were taken by their place as timestamp, open, high, low, close, volume"
MINUTES_OF_A = {("A", "1m"): [("2024-01-02T14:30", 100.5, 500), ("2024-01-02T14:31", 100, 600)]}
CASES = [
    Import("Lean's minutes of a stock, by its folders", BY_ITS_FOLDERS, bars=IN_WINTER, said=[DIVIDED]),
    Import("Lean's minutes of a stock, by their digits", {"20240102_trade.zip": of("20240102", "spy", MINUTES)}, bars=IN_WINTER, said=[DIVIDED]),
    Import("Lean's minutes of a stock in summer", {"20240702_trade.zip": of("20240702", "spy", MINUTES)}, bars={("SPY", "1m"): [("2024-07-02T13:30", 100.5), ("2024-07-02T13:31", 100)]}),
    *(Import(f"Lean's minutes with a time {bad}", {"20240102_trade.zip": of("20240102", "spy", f"{MINUTES}{bad},1000000,1010000,990000,1005000,500\n")}, ["--on-invalid", "quarantine"], bars=IN_WINTER) for bad in ("soon", "86400000", "1704205800000", "-60000", "20240102")),
    Import("Lean's hours with a bad time", {"equity/usa/hour/spy.zip": zipped("spy.csv", HOURS + "soon,1000000,1010000,990000,1005000,500\n")}, ["--on-invalid", "quarantine"], bars={("SPY", "1h"): [("2024-01-02T15:00", 100.5)]}),
    Import("Lean's hours with a time that no clock showed", {"equity/usa/hour/spy.zip": zipped("spy.csv", HOURS + "20240310 02:00,1000000,1010000,990000,1005000,500\n")}, ["--on-invalid", "quarantine"], bars={("SPY", "1h"): [("2024-01-02T15:00", 100.5)]}),
    Import("Lean's days with a bad time", {"spy.zip": zipped("spy.csv", DAYS + "soon,1000000,1010000,990000,1005000,500\n")}, ["--on-invalid", "quarantine"], bars=OF_DAYS),
    Import("Lean's minutes of an Indian stock", {"equity/india/minute/yesbank/20240102_trade.zip": of("20240102", "yesbank", MINUTES)}, bars={("YESBANK", "1m"): [("2024-01-02T04:00", 100.5), ("2024-01-02T04:01", 100)]}, said=["Asia/Kolkata"]),
    Import("Lean's minutes of a coin, by its folders", {"crypto/coinbase/minute/btcusd/20240102_trade.zip": of("20240102", "btcusd", COIN_MINUTES)}, bars={("BTCUSD", "1m"): [("2024-01-02T09:30", 100.5, 5.5), ("2024-01-02T09:31", 100, 6.25)]}, said=[AS_THEY_STAND]),
    Import("Lean's minutes of a coin, by their digits", {"20240102_trade.zip": of("20240102", "btcusd", COIN_MINUTES)}, bars={("BTCUSD", "1m"): [("2024-01-02T09:30", 100.5), ("2024-01-02T09:31", 100)]}, said=[AS_THEY_STAND]),
    Import("Lean's whole prices of a coin, by its folders", {"crypto/coinbase/minute/btcusd/20240102_trade.zip": of("20240102", "btcusd", WHOLE_MINUTES)}, bars={("BTCUSD", "1m"): [("2024-01-02T09:30", 100)]}),
    Import("Lean's whole prices of a coin or of a stock", {"20240102_trade.zip": of("20240102", "btcusd", WHOLE_MINUTES)}, refused="is BTCUSD a coin, or a stock with prices times 10,000", hint="as in equity/usa/minute/ or crypto/coinbase/minute/"),
    Import("Lean's days of a stock, by its folders", {"equity/usa/daily/spy.zip": zipped("spy.csv", DAYS)}, bars=OF_DAYS, said=[DIVIDED]),
    Import("Lean's days of a stock, by their digits", {"spy.zip": zipped("spy.csv", DAYS)}, bars=OF_DAYS, said=[DIVIDED]),
    Import("Lean's hours of a stock", {"equity/usa/hour/spy.zip": zipped("spy.csv", HOURS)}, bars={("SPY", "1h"): [("2024-01-02T15:00", 100.5)]}, said=[DIVIDED]),
    Import("Lean's days of a coin", {"crypto/coinbase/daily/btcusd_trade.zip": zipped("btcusd.csv", DAYS)}, bars={("BTCUSD", "1d"): [("2024-01-02", 1005000), ("2024-01-03", 1000000)]}),
    Import("Lean's days and minutes are of the same stock", {**BY_ITS_FOLDERS, "equity/usa/daily/spy.zip": zipped("spy.csv", DAYS)}, bars=IN_WINTER | OF_DAYS),
    Import("Lean's currencies", {"forex/oanda/daily/eurusd.zip": zipped("eurusd.csv", "20240102 00:00,1.1,1.1,1.1,1.1,0\n")}, refused="a Lean file of forex in oanda, whose times and prices are not known here", hint="with a header", then=[], then_files={"forex/oanda/daily/eurusd.zip": zipped("eurusd-1d.csv", "date,open,high,low,close,volume\n2024-01-02,1.1,1.1,1.1,1.1,0\n")}, then_bars={("eurusd", "1d"): [("2024-01-02", 1.1)]}),
    Import("Lean's prices are divided to the last bit", {"spy.zip": zipped("spy.csv", "20240102 00:00,911300,966300,911300,966300,1\n20240103 00:00,946300,971600,946300,971600,1\n")}, bars={("SPY", "1d"): [("2024-01-02", 96.63, 1, 91.13), ("2024-01-03", 97.16, 1, 94.63)]}),
    Write("Databento's are, too", {**DATABENTO, "low": [91_130_000_000, 94_630_000_000]}, symbol="SPY", bars={("SPY", "1m"): [("2024-01-02T14:30", 100.5, 500, 100, 101, 91.13), ("2024-01-02T14:31", 100, 600, 100.5, 101, 94.63)]}),
    Import("a file that is zipped under its own name is not of Lean", {"AAPL.zip": zipped("AAPL.csv", "2024-01-02,100,101,99,100.5,500\n2024-01-03,100.5,101,99,100,600\n")}, bars={("AAPL", "1d"): [("2024-01-02", 100.5), ("2024-01-03", 100)]}, not_said=["Lean"]),
    Write("Databento's fixed point", DATABENTO, symbol="SPY", bars={("SPY", "1m"): [("2024-01-02T14:30", 100.5), ("2024-01-02T14:31", 100)]}, result={"notes": (FIXED,), "ignored": ("rtype", "publisher_id", "instrument_id")}),
    Write("Databento's fixed point, in pandas", pd.DataFrame(DATABENTO), symbol=None, bars={("SPY", "1m"): [("2024-01-02T14:30", 100.5), ("2024-01-02T14:31", 100)]}),
    Write("Databento's prices as floats", FLOATS, symbol="SPY", bars={("SPY", "1m"): [("2024-01-02T14:30", 100.5), ("2024-01-02T14:31", 100)]}, result={"notes": ()}),
    Write("Databento's absent price is named", {**DATABENTO, "open": [2**63 - 1, 100_500_000_000]}, symbol="SPY", refused="row 0 of SPY 1m: open = None breaks the rule 'open is a number'", hint="on_invalid='quarantine'", then={"on_invalid": "quarantine"}, bars={("SPY", "1m"): [("2024-01-02T14:31", 100)]}),
    *(Write(f"Databento's fixed point with {what} in {name}", one_bad(gap, name), symbol="SPY", options={"on_invalid": "quarantine"}, bars=FIRST_OF_SPY, result={"notes": (FIXED,), "quarantined": 1}) for what, gap in GAPS.items() for name in ("open", "close")),
    Write("Databento's fixed point with a NaN, in pandas", pd.DataFrame(one_bad(GAPS["a NaN"], "open")), symbol="SPY", options={"on_invalid": "quarantine"}, bars=FIRST_OF_SPY, result={"notes": (FIXED,)}),
    Write("Databento's decimals with a whole number among them", {**PRETTY, "open": ["100.000000000", "100500000000"]}, symbol="SPY", options={"on_invalid": "quarantine"}, bars=FIRST_OF_SPY, result={"notes": ()}),
    Write("Databento's fixed point behind a plain frame", lambda: iter([pl.DataFrame(LATER), pl.DataFrame(DATABENTO)]), symbol="SPY", bars={("SPY", "1m"): [("2024-01-02T14:30", 100.5), ("2024-01-02T14:31", 100), ("2024-01-02T14:32", 1)]}, result={"notes": (FIXED,)}),
    Write("a plain frame behind Databento's fixed point", lambda: iter([pl.DataFrame(DATABENTO), pl.DataFrame({**LATER, "open": [1], "high": [1], "low": [1], "close": [1]})]), symbol="SPY", bars={("SPY", "1m"): [("2024-01-02T14:30", 100.5), ("2024-01-02T14:31", 100), ("2024-01-02T14:32", 1)]}, result={"notes": (FIXED,)}),
    Import("Databento's fixed point with a bad cell, in a file", {"xnas.csv": csv(one_bad(GAPS["a text without a number"], "open"))}, ["--on-invalid", "quarantine"], bars=FIRST_OF_SPY, said=[FIXED]),
    Import("Databento's fixed point behind a bad cell is named", {"xnas.csv": csv(one_bad(GAPS["a text without a number"], "open"))}, refused="row 1 of SPY 1m: open = n/a", hint="--on-invalid", then=["--on-invalid", "drop"], then_bars=FIRST_OF_SPY),
    Import("Databento's fixed point, in a file", {"xnas.csv": csv(DATABENTO)}, bars={("SPY", "1m"): [("2024-01-02T14:30", 100.5), ("2024-01-02T14:31", 100)]}, said=[FIXED, "columns not kept: rtype, publisher_id, instrument_id"]),
    Import("Databento's decimal prices, in a file", {"xnas.csv": csv(PRETTY)}, bars={("SPY", "1m"): [("2024-01-02T14:30", 100.5), ("2024-01-02T14:31", 100)]}, not_said=["fixed point"]),
    Import("Databento's fixed point, in JSON", {"xnas.json": pl.DataFrame(DATABENTO).write_json()}, bars={("SPY", "1m"): [("2024-01-02T14:30", 100.5), ("2024-01-02T14:31", 100)]}, said=[FIXED]),
    Write("whole prices of anything else stay", {**flat(["2024-01-02T14:30"], [100_000_000_000])}, bars={("A", "1m"): [("2024-01-02T14:30", 1e11)]}),
    Import("seven columns with an adjusted close", {"A.csv": YAHOO}, bars={("A", "1d"): [("2024-01-02", 100.5, 500), ("2024-01-03", 100, 600), ("2024-01-04", 100, 700)]}, said=["by their place as .*, close, adjusted close, volume", "columns not kept: adjusted close"]),
    Import("seven columns with a number of trades", {"A.csv": KRAKEN}, bars={("A", "1d"): [("2024-01-02", 100.5, 12.5), ("2024-01-03", 100, 170.25), ("2024-01-04", 100, 3.5)]}, said=[f"{BY_PLACE}, trades", "columns not kept: trades"]),
    Import("seven columns of a row that may be either", {"A-1d.csv": "2024-01-02,100,101,99,100.5,50.25,500\n"}, refused="50.25 may be an adjusted close or a volume", hint="put a line above that names the columns", then=[], then_files={"A-1d.csv": "date,open,high,low,close,adj close,volume\n2024-01-02,100,101,99,100.5,50.25,500\n"}, then_bars={("A", "1d"): [("2024-01-02", 100.5, 500)]}),
    Import("seven columns with a time of day", {"A.csv": META.replace("09:3", "14:3")}, bars=MINUTES_OF_A, said=["by their place as date, time, open"]),
    Import("six columns", {"A.csv": "2024-01-02 14:30,100,101,99,100.5,500\n2024-01-02 14:31,100.5,101,99,100,600\n"}, bars=MINUTES_OF_A, said=[BY_PLACE]),
    Import("twelve columns", {"A.csv": BINANCE}, bars=MINUTES_OF_A, said=[BY_PLACE, "columns not kept: close_time, quote_volume"]),
    Import("arrays in JSON", {"A.json": "[[1704205800000,100,101,99,100.5,500],[1704205860000,100.5,101,99,100,600]]"}, bars=MINUTES_OF_A, said=[BY_PLACE]),
    Import("arrays of seven in JSON, with an adjusted close", {"A.json": '[["2024-01-02",100,101,99,100.5,50.25,500],["2024-01-03",100.5,101,99,100,50,600],["2024-01-04",100,101,99,100,50,700]]'}, bars={("A", "1d"): [("2024-01-02", 100.5, 500), ("2024-01-03", 100, 600), ("2024-01-04", 100, 700)]}),
    Import("a header needs no note", {"A.csv": csv(flat(["2024-01-02", "2024-01-03"]))}, bars={("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}, not_said=["by their place"]),
]  # fmt: skip
