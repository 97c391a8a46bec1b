"""The ends of time, in milliseconds since 1970 UTC: one definition of each."""

from __future__ import annotations

__all__ = ["EARLIEST", "FAR_MS", "FIRST_BAR", "FIRST_LIVE", "FOREVER", "LAST_BAR", "LATEST"]

FOREVER = 2**63 - 1
"""The end of a range without a bound; -FOREVER is its start."""

EARLIEST, LATEST = -30_610_224_000_000, 221_845_392_000_000
"""The years 1000 to 9000: no candle lies outside, and calendars begin to overflow there."""

FIRST_BAR = -8_520_336_000_000
"""1700-01-01: no candle that is stored starts earlier."""

LAST_BAR = 9_000_000_000_000
"""The year 2255: no candle that is stored starts later."""

FIRST_LIVE = 946_684_800_000
"""2000-01-01: no ticker, order book, trade or live bar is older. An older time must be in another unit."""

FAR_MS = 3_600_000
"""An hour: by less, clocks are off that nobody has looked after; by more, one of them shows another time."""
