"""Which calendar a symbol probably has, by what it looks like: for a hint, never for a reading.

The first that fits counts; several calendars are those that somebody has to choose from.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["LIKELY", "likely_calendars"]

_CURRENCY = (
    "(?:AUD|BRL|CAD|CHF|CNH|CNY|CZK|DKK|EUR|GBP|HKD|HUF|INR|JPY|KRW|MXN|NOK|NZD|PLN|RUB|SEK|SGD|THB|TRY|USD"
    "|ZAR|XAU|XAG)"
)


class Likely(NamedTuple):
    """A pattern of symbols (their letters in capitals), the calendars that are likely, and an example."""

    pattern: str
    calendars: tuple[str, ...]
    example: str


LIKELY: Final = (
    Likely(rf"{_CURRENCY}[-_/. ]?{_CURRENCY}(?:=X)?", ("24/5",), "EUR_USD"),
    Likely(r"\d{6}\.K[SQ]", ("XKRX",), "005930.KS"),
    Likely(r"\d{6}\.(?:SS|SH|SZ)|(?:SH|SZ)\d{6}|[036]00\d{3}\.XSHE", ("XSHG",), "600519.SS"),
    Likely(r"\d{6}", ("XKRX", "XSHG"), "000001"),
    Likely(r"\d{4,5}\.HK|\^?HSI", ("XHKG",), "0700.HK"),
    Likely(r"\d{4}\.TWO?", ("XTAI",), "2330.TW"),
    Likely(r"\d{4}(?:\.T|\.JP)?|\^?N(?:I?KKEI ?)?225|\^?NKX", ("XTKS",), "N225"),
    Likely(r"\S+\.(?:NS|BO)|\^?NSEI|\^?BSESN|NIFTY.*", ("XBOM",), "RELIANCE.NS"),
    Likely(r"\S+\.(?:L|UK)|\^?FTSE", ("XLON",), "VOD.L"),
    Likely(r"\S+\.(?:DE|F)|\^?(?:GDAXI|DAX)", ("XETR",), "SAP.DE"),
    Likely(r"\S+\.PA|\^?FCHI|CAC(?:40)?", ("XPAR",), "AIR.PA"),
    Likely(r"\S+\.(?:TO|V)", ("XTSE",), "SHOP.TO"),
    Likely(r"\S+\.AX|\^?AXJO", ("XASX",), "BHP.AX"),
    Likely(r"\S+\.SA|\^?BVSP", ("BVMF",), "PETR4.SA"),
    Likely(r"\S+\.(?:PL|WA)|WIG\d*", ("XWAR",), "PKO.PL"),
    Likely(r"\^?KS1[15]\d*|KOSPI|KOSDAQ", ("XKRX",), "KOSPI"),
    Likely(r"\S+=F", ("CMES",), "ES=F"),
    Likely(r"[A-Z]{1,5}(?:[.-][A-Z])?(?:\.US)?|\^?(?:GSPC|SPX|DJI|IXIC|NDX|VIX|RUT)", ("XNYS",), "AAPL"),
)
ANY: Final = ("XNYS", "XLON", "XTKS", "24/5")


def likely_calendars(symbol: str) -> tuple[str, ...]:
    """Return the calendars that a symbol may have, the likeliest first.

    >>> likely_calendars("EUR_USD"), likely_calendars("AAPL"), likely_calendars("000001")
    (('24/5',), ('XNYS',), ('XKRX', 'XSHG'))
    """
    text = symbol.strip().upper()
    return next((one.calendars for one in LIKELY if re.fullmatch(one.pattern, text)), ANY)
