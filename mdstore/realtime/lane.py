"""The short way in for a trade: a tuple or a dict of the six usual fields, newer than all before it.

0.7 us in place of 5, and a million trades a second are why it exists: the rules of `checks` and of
`Rings` in the fewest steps, and whatever is out of the ordinary goes the long way. A function within
a function, since what it uses over and over is found quicker so than in `self`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import inf
from operator import itemgetter
from typing import Any

from mdstore.realtime.packing import SIDE_CODES, TradePacking
from mdstore.realtime.rings import Rings
from mdstore.schema import SIDES

__all__ = ["trade_lane"]

FIELDS = ("symbol", "timestamp", "price", "size", "side", "id")
UNUSUAL = (ArithmeticError, KeyError, TypeError, ValueError, struct.error)


def trade_lane(long_way: Callable[[object], int], rings: Rings) -> Callable[[object], int]:
    """Return `push` of a table of trades."""
    pack, six, usual = TradePacking.struct.pack, itemgetter(*FIELDS), len(FIELDS)
    by_symbol, lock, clock, listeners = rings.by_symbol, rings.lock, rings.clock, rings.listeners
    batch_rows, seal, tell, wait = rings.limits.batch_rows, rings.seal, rings.tell, rings.wait
    sides = {side: SIDE_CODES[side] for side in SIDES}  # without None: nothing may be missing here

    def push(data: Any) -> int:
        kind = data.__class__
        if kind is tuple or (kind is dict and len(data) == usual):
            with lock:
                try:
                    symbol, timestamp, price, size, side, key = data if kind is tuple else six(data)
                    ring = by_symbol[symbol]
                    # NaN is in no range; a timestamp or an id that is no integer, pack refuses.
                    usual_row = (
                        timestamp.__class__ is key.__class__ is int
                        and (
                            ring.newest < timestamp < ring.limit
                            or (timestamp == ring.newest and key > ring.top)
                        )
                        and size >= 0.0
                        and -inf < price + size < inf
                    )
                    packed = pack(timestamp, clock[0](), price, size, key, sides[side]) if usual_row else None
                except UNUSUAL:
                    packed = None  # the long way says what is wrong, if anything is
                if packed is not None:
                    tail = ring.tail
                    # Nothing is called between these, so that Ctrl-C cannot come between them.
                    ring.newest = timestamp
                    ring.top = key
                    ring.latest = packed
                    tail.append(packed)
                    if len(tail) >= batch_rows:
                        seal(ring)
                    if not listeners:
                        return 1
                    tell(ring)
            if packed is not None:
                wait()
                return 1
        return long_way(data)

    return push
