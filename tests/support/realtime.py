"""Rows for rings, and a clock of nanoseconds that stands until it is set."""

import time

NOW = 1_700_000_000_000  # ms
MS = 1_000_000


class Clock:
    """Nanoseconds, as told."""

    def __init__(self, ms=NOW):
        self.ms = ms

    def __call__(self):
        return self.ms * MS


def trade(at=0, key=1, symbol="KRW-BTC"):
    return (symbol, NOW + at, 100.0, 1.0, "buy", key)


def ids(frame):
    return frame["id"].to_list()


NAMES = ("symbol", "timestamp", "price", "size", "side", "id")


def now_ms():
    return time.time_ns() // MS
