"""JSON as exchanges, vendors and pandas shape it, and what is in several tables."""

import json
import warnings

import pandas as pd

from mdstore.sources.files.json_shapes import SHAPES
from tests.cases.case import Import

ONE = {("A", "1d"): [("2024-01-02", 12, 5, 10, 14, 9)]}
DAYS = {("A", "1d"): [("2024-01-02", 12, 5, 10, 14, 9), ("2024-01-03", 9, 7, 12, 13, 8)]}
FRAME = pd.DataFrame(
    {"open": [10, 12], "high": [14, 13], "low": [9, 8], "close": [12, 9], "volume": [5, 7]},
    index=pd.DatetimeIndex(["2024-01-02", "2024-01-03"], name="date"),
)
NAMED, BARE = FRAME.reset_index(), FRAME.rename_axis(None)
ROWS = [
    {"date": "2024-01-02", "open": 10, "high": 14, "low": 9, "close": 12, "volume": 5},
    {"date": "2024-01-03", "open": 12, "high": 13, "low": 8, "close": 9, "volume": 7},
]
ARRAYS = [[1704153600000, 10, 14, 9, 12, 5], [1704240000000, 12, 13, 8, 9, 7]]
ALPHA = {
    row["date"]: {
        f"{number}. {name}": str(row[name])
        for number, name in enumerate(("open", "high", "low", "close", "volume"), 1)
    }
    for row in ROWS
}
OTHER = [{**row, "close": row["close"] + 0.5} for row in ROWS]
BOTH = {**DAYS, ("B", "1d"): [("2024-01-02", 12.5, 5), ("2024-01-03", 9.5, 7)]}
CHART = {
    "chart": {
        "result": [
            {
                "meta": {"symbol": "A", "dataGranularity": "1h", "gmtoffset": -18000},
                "timestamp": [1704204000, 1704207600, 1704211200, 1704214800],
                "indicators": {
                    "quote": [
                        {
                            "open": [10, None, 12, 12],
                            "high": [14, None, 13, 13],
                            "low": [9, None, 8, 8],
                            "close": [12, None, 9, 9],
                            "volume": [5, None, 7, 7],
                        }
                    ]
                },
            }
        ]
    }
}


def of_pandas(frame, orient, **options):
    return Import(
        f"pandas' {orient}, {'a named index' if frame is FRAME else 'a column' if frame is NAMED else 'no name'}{', as texts' if options else ''}",
        {"A.json": to_json(frame, orient, options)},
        bars=DAYS,
    )


def to_json(frame, orient, options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # milliseconds are deprecated, and what everybody's files have
        return frame.to_json(orient=orient, **options)


def shape(name, document, bars=DAYS, **more):
    return Import(
        name, {"A.json": document if isinstance(document, str) else json.dumps(document)}, bars=bars, **more
    )


def oanda(*sides):
    prices = {"o": "10", "h": "14", "l": "9", "c": "12"}
    others = {"o": "11", "h": "15", "l": "10", "c": "13"}
    given = {
        side: prices if side == "mid" or ("mid" not in sides and side == "bid") else others for side in sides
    }
    days = "2024-01-02", "2024-01-03"
    rows = [{"complete": True, "volume": 5, "time": f"{day}T00:00:00Z", **given} for day in days]
    return json.dumps({"instrument": "EUR_USD", "granularity": "D", "candles": rows})


CASES = [
    Import("OANDA's middle goes before its bid and ask", {"A.json": oanda("bid", "mid", "ask")}, bars={("EUR_USD", "1d"): [("2024-01-02", 12, 5, 10, 14, 9), ("2024-01-03", 12, 5, 10, 14, 9)]}),
    Import("of OANDA's bid and ask one has to be named", {"A.json": oanda("bid", "ask")}, refused="no column for open, high, low, close; found 'complete', 'volume', 'time', 'bid.o'", hint="--columns open=bid.o,high=bid.h,low=bid.l,close=bid.c", then=["--columns", "open=bid.o,high=bid.h,low=bid.l,close=bid.c"], then_bars={("EUR_USD", "1d"): [("2024-01-02", 12, 5, 10, 14, 9), ("2024-01-03", 12, 5, 10, 14, 9)]}),
    *(Import(f"{number}: {one.whose}", {"A.json": one.example}, ["-t", "1d"], bars=DAYS if one.whose == "Bybit" else ONE) for number, one in enumerate(SHAPES)),
    *(of_pandas(frame, orient) for frame in (FRAME, NAMED, BARE) for orient in ("columns", "index", "split", "records", "table") if frame is NAMED or orient != "records"),
    *(of_pandas(frame, orient, date_format="iso") for frame in (FRAME, NAMED) for orient in ("columns", "split", "index")),
    shape("rows a line in .json", "\n".join(map(json.dumps, ROWS))),
    shape("arrays a line in .json", "\n".join(map(json.dumps, ARRAYS))),
    shape("rows a line, indented by blank lines", "\n\n".join(map(json.dumps, ROWS)) + "\n"),
    shape("Bybit's answer", {"retCode": 0, "result": {"category": "linear", "symbol": "A", "list": [[str(cell) for cell in [*row, 60]] for row in reversed(ARRAYS)]}}),
    shape("Bitfinex's order", [[time, opened, close, high, low, volume] for time, opened, high, low, close, volume in ARRAYS]),
    shape("Coinbase's order", [[time // 1000, low, high, opened, close, volume] for time, opened, high, low, close, volume in ARRAYS]),
    shape("Coinbase's objects", {"candles": [{"start": str(row[0] // 1000), "low": "9" if row is ARRAYS[0] else "8", "high": str(row[2]), "open": str(row[1]), "close": str(row[4]), "volume": str(row[5])} for row in ARRAYS]}),
    shape("KuCoin's answer", {"code": "200000", "data": [[str(time // 1000), opened, close, high, low, volume, 60] for time, opened, high, low, close, volume in ARRAYS]}),
    shape("Bithumb's answer", {"status": "0000", "data": [[time, str(opened), str(close), str(high), str(low), str(volume)] for time, opened, high, low, close, volume in ARRAYS]}),
    shape("Huobi's answer", {"ch": "market.btcusdt.kline.1day", "status": "ok", "data": [{"id": row[0] // 1000, "open": row[1], "high": row[2], "low": row[3], "close": row[4], "amount": row[5], "vol": 60, "count": 3} for row in ARRAYS]}),
    shape("Poloniex's answer", [{"date": row[0] // 1000, "open": row[1], "high": row[2], "low": row[3], "close": row[4], "volume": 60, "quoteVolume": row[5], "weightedAverage": 11} for row in ARRAYS]),
    shape("Deribit's answer", {"jsonrpc": "2.0", "result": {"status": "ok", "ticks": [row[0] for row in ARRAYS], **{name: [row[at] for row in ARRAYS] for at, name in enumerate(("open", "high", "low", "close", "volume"), 1)}}}),
    shape("OKX' answer", {"code": "0", "msg": "", "data": [[str(cell) for cell in [*row, 60, 60, 1]] for row in ARRAYS]}),
    shape("Kraken's answer", {"error": [], "result": {"XXBTZUSD": [[row[0] // 1000, *map(str, row[1:5]), "11", str(row[5]), 3] for row in ARRAYS], "last": 1704240000}}, {("XXBTZUSD", "1d"): DAYS["A", "1d"]}),
    shape("Alpha Vantage", {"Meta Data": {"1. Information": "Daily", "2. Symbol": "A"}, "Time Series (Daily)": ALPHA}),
    shape("Alpha Vantage without its description", {"Time Series (Daily)": ALPHA}),
    shape("an object by date", {row["date"]: {name: value for name, value in row.items() if name != "date"} for row in ROWS}),
    shape("arrays by date", {row["date"]: [row["open"], row["high"], row["low"], row["close"], row["volume"]] for row in ROWS}),
    shape("Yahoo's hours, with a halt", CHART, {("A", "1h"): [("2024-01-02T14:00", 12, 5, 10, 14, 9), ("2024-01-02T16:00", 9, 7, 12, 13, 8), ("2024-01-02T17:00", 9, 7, 12, 13, 8)]}),
    shape("an object by symbol", {"A": ROWS, "B": OTHER}, BOTH),
    shape("an object by symbol, of arrays", {"A": ARRAYS, "B": [[*row[:4], row[4] + 0.5, row[5]] for row in ARRAYS]}, BOTH),
    shape("an object by symbol and date", {symbol: {row["date"]: row for row in rows} for symbol, rows in (("A", ROWS), ("B", OTHER))}, BOTH),
    shape("an object by symbol, of columns", {symbol: {name: [row[name] for row in rows] for name in ROWS[0]} for symbol, rows in (("A", ROWS), ("B", OTHER))}, BOTH),
    shape("rows of symbols in another object", {"_updated": "2024-01-04", "A": {"1D_history": [{"symbol": "A", "timeframe": "1D", **row} for row in ROWS]}, "B": {"1D_history": [{"symbol": "B", "timeframe": "1D", **row} for row in OTHER]}}, BOTH),
    shape("a list of instruments", [{"symbol": "A", "candles": ROWS}, {"symbol": "B", "candles": OTHER}], BOTH),
    shape("two tables without names are not merged", {"spot": ROWS, "futures": OTHER}, {}, refused="the JSON holds 2 tables of candles, and nothing tells which is which", hint="make a file of each", then=[], then_files={"A.json": json.dumps(ROWS)}, then_bars=DAYS),
    shape("two tables of one symbol are not merged", {"A": {"daily": ROWS, "adjusted": OTHER}}, {}, refused="the JSON holds 2 tables of candles of A, and nothing tells", hint="make a file of each", then=[], then_files={"A.json": json.dumps(ROWS)}, then_bars=DAYS),
    Import("a symbol that a document names goes before the file's name", {"X.json": json.dumps({"ticker": "A", "results": ROWS})}, bars=DAYS),
    Import("and another is asked about", {"X.json": json.dumps({"ticker": "A", "results": ROWS})}, ["-s", "X"], refused="its symbol column says 'A', not 'X'", hint="leave --symbol out", then=[], then_bars=DAYS),
    shape("columns of other names in JSON", [{"d": row["date"], "a": row["open"], "high": row["high"], "low": row["low"], "z": row["close"], "n": row["volume"]} for row in ROWS], {}, refused="no column for timestamp, open, close, volume; found 'd', 'a', 'high'", hint="--columns 'time=its name'", then=["--columns", "time=d,open=a,close=z,volume=n"], then_bars=DAYS),
    *(shape(f"an answer without rows, {document}", document, {}, said=["A.json: no rows"]) for document in ([], {"code": "0", "data": []}, {"result": {"list": []}, "time": 1})),
    Import("lines without a row", {"A.ndjson": "\n\n"}, said=["A.ndjson: no rows"]),
    shape("Alpha Vantage's minutes are of the zone that it says", {"Meta Data": {"2. Symbol": "A", "4. Interval": "1min", "6. Time Zone": "US/Eastern"}, "Time Series (1min)": {f"2024-01-02 09:3{at}:00": row for at, row in enumerate(ALPHA.values())}}, {("A", "1m"): [(f"2024-01-02T14:3{at}", *values) for at, (_, *values) in enumerate(DAYS["A", "1d"])]}, said=["were read as of US/Eastern"]),
    shape("Twelve Data's minutes are of the exchange", {"meta": {"symbol": "A", "interval": "1min", "exchange_timezone": "America/New_York"}, "values": [{"datetime": f"2024-01-02 09:3{at}:00", **{k: v for k, v in row.items() if k != "date"}} for at, row in enumerate(ROWS)]}, {("A", "1m"): [(f"2024-01-02T14:3{at}", *values) for at, (_, *values) in enumerate(DAYS["A", "1d"])]}, said=["were read as of America/New_York"]),
    shape("or of UTC, where a call says so", {"meta": {"symbol": "A", "interval": "1min", "exchange_timezone": "America/New_York"}, "values": [{"datetime": f"2024-01-02 09:3{at}:00", **{k: v for k, v in row.items() if k != "date"}} for at, row in enumerate(ROWS)]}, {("A", "1m"): [(f"2024-01-02T09:3{at}", *values) for at, (_, *values) in enumerate(DAYS["A", "1d"])]}, arguments=["--columns", "time=datetime"]),
    shape("Alpha Vantage's days of a zone are dates", {"Meta Data": {"2. Symbol": "A", "5. Time Zone": "US/Eastern"}, "Time Series (Daily)": ALPHA}),
    shape("bars of Binance's stream that have not ended", [{"e": "kline", "s": "A", "k": {"t": 1704153600000, "i": "1d", "o": "1", "c": "1", "h": "1", "l": "1", "v": "1", "x": False}}], {}, refused="A.json: 1 of the rows are bars that have not ended", hint="leave these rows out", then=[], then_files={"A.json": json.dumps(ROWS)}, then_bars=DAYS),
    Import("Binance's stream, a message a line", {"x.ndjson": "\n".join(json.dumps({"e": "kline", "E": row[0] + 86400001, "s": "A", "k": {"t": row[0], "T": row[0] + 86399999, "s": "A", "i": "1d", "f": 1, "L": 2, "o": str(row[1]), "c": str(row[4]), "h": str(row[2]), "l": str(row[3]), "v": str(row[5]), "n": 3, "x": True, "q": "60", "V": "1", "Q": "30", "B": "0"}}) for row in ARRAYS)}, bars=DAYS),
    shape("no candles at all", {"a": {"b": [1, 2, 3]}}, {}, refused="no candles found in the JSON", hint=r"give rows as objects", then=[], then_files={"A.json": json.dumps(ROWS)}, then_bars=DAYS),
]  # fmt: skip
