"""What other tools call a timeframe: minute60, 15min, H4, 1D, daily."""

from __future__ import annotations

import re

from mdstore.core.timeframe import Timeframe
from mdstore.errors import TimeframeError

__all__ = ["as_timeframe", "meant"]

GRAMMAR = re.compile(r"[1-9][0-9]{0,3}[smhdwM]")
# As Upbit and others write minutes and hours: minute60, 15min, 4hour.
WORDED = re.compile(
    r"(?:(?P<a>min|minute|hour)s?(?P<n>[1-9]\d{0,3})|(?P<m>[1-9]\d{0,3})(?P<b>min|minute|hour|day|week)s?)"
)
# As MetaTrader writes them: M15, H4, D1, W1, MN1.
META = re.compile(r"(?P<unit>M|H|D|W|MN)(?P<count>[1-9]\d{0,2})|MN")
META_UNITS = {"M": "m", "H": "h", "D": "d", "W": "w", "MN": "M"}
# As TradingView and others write them: 1D, 4H, 1W. (1M is a month for them as well.)
CAPITAL = re.compile(r"(?P<count>[1-9]\d{0,2})(?P<unit>[SHDW])")
WORDS = {"daily": "1d", "weekly": "1w", "monthly": "1M", "hourly": "1h"}


def as_timeframe(word: str) -> str | None:
    """Read a word of a name as a timeframe; None where it is none.

    >>> as_timeframe("60m"), as_timeframe("minute60"), as_timeframe("15min"), as_timeframe("60")
    ('1h', '1h', '15m', None)
    >>> as_timeframe("H4"), as_timeframe("MN1"), as_timeframe("1D")
    ('4h', '1M', '1d')
    """
    if (worded := WORDED.fullmatch(word.lower())) is not None:
        word = f"{worded['n'] or worded['m']}{(worded['a'] or worded['b'])[0]}"
    elif (meta := META.fullmatch(word)) is not None:
        word = f"{meta['count'] or 1}{META_UNITS[meta['unit'] or 'MN']}"
    elif (capital := CAPITAL.fullmatch(word)) is not None:
        word = capital["count"] + capital["unit"].lower()
    return str(Timeframe.parse(word)) if GRAMMAR.fullmatch(word) else None


def meant(value: object) -> str | None:
    """Return the one name of a timeframe, however it is written; None where it is none.

    >>> meant("60m"), meant("M5"), meant("daily"), meant("soon")
    ('1h', '5m', '1d', None)
    """
    try:
        return str(Timeframe.parse(value))  # type: ignore[arg-type]  # parse refuses others
    except TimeframeError:
        return WORDS.get(value.lower()) or as_timeframe(value.strip()) if isinstance(value, str) else None
