"""Exchanges of a local exchange as sources, quick to try again, and what the exchange says is true."""

from mdstore.sources.exchanges.binance_candles import open_spot
from mdstore.sources.exchanges.upbit_candles import open_upbit
from mdstore.sources.web.host import Manners
from tests.support.candles import MINUTE

__all__ = ["PATIENT", "QUICK", "asked_in_vain", "is_true", "source_of", "told"]

PATIENT = Manners(attempts=8, first_wait=0.01, longest_wait=0.05, connect=30.0, answer=60.0)
"""For an exchange without faults: on a busy machine an answer may take longer than `QUICK` waits, which asks
again for what the exchange's log shows as answered."""
QUICK = Manners(attempts=8, first_wait=0.01, longest_wait=0.05, connect=2.0, answer=1.0)
OPENS = {"upbit": open_upbit, "binance": open_spot}
CANDLES = ("timestamp", "open", "high", "low", "close", "volume")


def source_of(exchange, name="upbit", manners=PATIENT, **options):
    """Return an exchange as a source, of which the connections end with the store that asks it."""
    return OPENS[name](base_url=exchange.url, manners=manners, **options)


def told(exchange, symbol, timeframe, start, end):
    """Return the rows that an exchange has, as the store gives them."""
    return exchange.truth.bars(symbol, timeframe, start, end).select(CANDLES).rows()


def is_true(store, exchange, symbol, start, end, *, timeframe="1m", step=MINUTE):
    """Compare what is stored, and why bars are not, with the truth of an exchange."""
    frame = store.candles(symbol, timeframe, start=start, end=end)
    frame = frame.with_columns(frame["timestamp"].dt.epoch("ms"))
    there = told(exchange, symbol, timeframe, start, end)
    assert frame.rows() == there
    reasons = {}
    for low, high, _, reason, *_ in store.gaps(symbol, timeframe, start=start, end=end).iter_rows():
        for at in range(int(low.timestamp() * 1000), int(high.timestamp() * 1000), step):
            reasons[at] = reason
    listed = exchange.truth.markets[symbol].listed
    times = {row[0] for row in there}
    missing = set(range(start, end, step)) - times
    if listed >= start:  # a listing is known by the first bar, which may come a minute without a trade later
        listed = min(times, default=listed)
    assert reasons.keys() == missing
    wrong = {
        at: why for at, why in reasons.items() if why != ("before_listing" if at < listed else "no_trade")
    }
    assert wrong == {}
    return True


def asked_in_vain(exchange, path):
    """Return the requests for candles that were answered well, and then made again."""
    answered = [
        (one.path, *sorted(one.query.items()))
        for one in exchange.requests
        if one.path.startswith(path) and one.status == 200 and one.fault is None
    ]
    return sorted({one for one in answered if answered.count(one) > 1})
