"""Messages of exchanges, small ones, and the kinds of rows that messages became."""

from collections import Counter


def kinds(rows):
    return Counter(type(row).__name__ for row in rows)


def diff(first, last, bids=(), asks=(), symbol="X", **more):
    return {
        "e": "depthUpdate", "E": 1000 + last, "s": symbol, "U": first, "u": last,
        "b": [list(pair) for pair in bids], "a": [list(pair) for pair in asks], **more,
    }  # fmt: skip


def snapshot(last, bids=(("10", "1"),), asks=(("12", "1"),), **more):
    return {"lastUpdateId": last, "bids": list(map(list, bids)), "asks": list(map(list, asks)), **more}


DAY = {
    "e": "24hrTicker", "E": 1672515782136, "s": "BNBBTC", "p": "-0.0015", "P": "250.00", "w": "0.0018",
    "x": "0.0009", "c": "0.0025", "Q": "10", "b": "0.0024", "B": "10", "a": "0.0026", "A": "100",
    "o": "0.0010", "h": "0.0026", "l": "0.0010", "v": "10000", "q": "18", "O": 0, "C": 86400000, "n": 18151,
}  # fmt: skip
TRADE = {"e": "trade", "E": 2, "T": 1, "s": "X", "t": 9, "p": "10", "q": "2", "m": True}
KLINE = {"e": "kline", "E": 2, "s": "X", "k": {
    "t": 1, "i": "1m", "o": "1", "h": "1", "l": "1", "c": "1", "v": "1", "x": False,
}}  # fmt: skip
