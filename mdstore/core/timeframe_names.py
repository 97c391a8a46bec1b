"""What other tools call a timeframe: minute60, 15min, H4, 1D, daily.

To have another spelling recognised, add it to a table here.
"""

from __future__ import annotations

import re

__all__ = ["WORDS", "spelled"]

GRAMMAR = re.compile(r"[1-9][0-9]{0,3}[smhdwM]")
# As Upbit, Binance and others write them: minute60, 15min, 4hour, 1mo.
UNITS = {"min": "m", "minute": "m", "hour": "h", "day": "d", "week": "w", "wk": "w", "month": "M", "mo": "M"}
WORDED = re.compile(
    r"(?P<a>min|minute|hour)s?(?P<n>[1-9]\d{0,3})|(?P<m>[1-9]\d{0,3})(?P<b>" + "|".join(UNITS) + r")s?"
)
# As MetaTrader writes them: M15, H4, D1, W1, MN1.
META = re.compile(r"(?P<unit>M|H|D|W|MN)(?P<count>[1-9]\d{0,2})|MN")
META_UNITS = {"M": "m", "H": "h", "D": "d", "W": "w", "MN": "M"}
# As TradingView and others write them: 1D, 4H, 1W. (1M is a month for them as well.)
CAPITAL = re.compile(r"(?P<count>[1-9]\d{0,2})(?P<unit>[SHDW])")
WORDS = {"daily": "1d", "weekly": "1w", "monthly": "1M", "hourly": "1h"}


def spelled(word: str) -> str | None:
    """Write a timeframe of other tools as a count and one of our units; None where it is none.

    >>> spelled("minute60"), spelled("H4"), spelled("MN1"), spelled("1D"), spelled("1mo"), spelled("60")
    ('60m', '4h', '1M', '1d', '1M', None)
    """
    if (worded := WORDED.fullmatch(word.lower())) is not None:
        word = f"{worded['n'] or worded['m']}{UNITS[worded['a'] or worded['b']]}"
    elif (meta := META.fullmatch(word)) is not None:
        word = f"{meta['count'] or 1}{META_UNITS[meta['unit'] or 'MN']}"
    elif (capital := CAPITAL.fullmatch(word)) is not None:
        word = capital["count"] + capital["unit"].lower()
    return word if GRAMMAR.fullmatch(word) else None
