"""What a file's name says of its symbol and timeframe, and which pattern would fit it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from mdstore.core.timeframe import Timeframe, as_timeframe
from mdstore.errors import InvalidInputError

__all__ = ["Named", "as_timeframe", "from_pattern", "guess", "suggest"]

TIMEFRAME = r"[1-9][0-9]{0,3}[smhdwM]"
PLACEHOLDERS = {
    r"\{symbol\}": r"(?P<symbol>.+?)",
    r"\{timeframe\}": rf"(?P<timeframe>{TIMEFRAME})",
    r"\*": ".*",
}
SEPARATORS = re.compile(r"([-_ .,]+)")
# Words that say nothing of a symbol, alone or put together: historicalquotes, klines, stockdata.
FILLER = (
    "data|sheets?|candles?|exports?|ohlcv?|bars|prices?|history|historical|hist|klines?|kline|trades?|minutes?|minute"
    "|hours?|hourly|daily|weekly|monthly|intraday|stocks?|crypto|market|tests?|sample|full|quotes?|charts?"
    "|series|raw|clean(?:ed)?|output|results?|download(?:ed)?|files?|adjusted|adj|spot|the|my|all|new|old"
    "|merged|combined|csv|json|table|dataset|train|eod|ticks?|binance|upbit|bithumb|coinbase|kraken|bitfinex"
    "|bitstamp|bybit|okx|okex|kucoin|huobi|htx|gateio|bitmex|deribit|gemini|poloniex|bittrex|mexc|bitget"
    "|yahoo|yfinance|alpaca|polygon|tiingo|stooq|quandl|investing|alphavantage|tradingview|metatrader"
)
FILLERS = re.compile(rf"(?:{FILLER}|[0-9])+|\([0-9]+\)", re.IGNORECASE)
# kline4h, candles_1m: a filler with a timeframe at its end.
FILLER_AND_TIMEFRAME = re.compile(rf"(?:{FILLER})+(?P<timeframe>{TIMEFRAME})", re.IGNORECASE)
# What tells one kind of series from another of the same symbol: markPriceKlines, funding rates.
OTHER_KINDS = re.compile(r"mark|markprice\w*|index\w*|premium\w*|funding\w*|bid|ask|borrow\w*", re.IGNORECASE)
# A year, a date, a counter, or a bar's minutes: numbers that are no contract.
NUMBER = re.compile(
    r"(?:19|20)\d\d(?:(?:0\d|1[0-2])(?:[0-3]\d)?)?|\d{1,2}|120|180|240|360|480|720|1440|10080|21600"
)
# Stocks of Korea, China, Taiwan and Japan go by numbers, which are no year and no minutes of a bar.
STOCK_CODE = re.compile(rf"(?!(?:{NUMBER.pattern})$)\d{{4,6}}")
LONG_CODE = re.compile(rf"(?!(?:{NUMBER.pattern})$)\d{{6}}")
# Yahoo's: ^GSPC is an index, ES=F a future, EURUSD=X a rate.
YAHOO = re.compile(r"\^?(?P<word>\w+?)(?:=[A-Z])?")
# A name of more parts is rather a sentence than a symbol, unless a timeframe ends it.
MOST_PARTS = 2
# TradingView: EXCHANGE_SYMBOL, timeframe; minutes are bare. A download may add a few digits.
TRADING_VIEW = re.compile(
    r"[A-Z0-9]+_(?P<symbol>[^, ]+), (?P<timeframe>\d{0,4}[SHDWM]?)(?:_[0-9a-f]{5})?(?: ?\(\d+\))?"
)
# MetaTrader: the symbol, and the bar's minutes right behind it.
META_TRADER = re.compile(
    r"(?P<symbol>[A-Za-z]{6,}|[A-Za-z][A-Za-z0-9#.]+?)"
    r"(?P<minutes>(?<=[A-Za-z]{6})(?:1|5|15|30|60|240)|1440|10080|43200)"
)
META_GLUED = re.compile(r"(?P<symbol>[A-Z]{6,})(?P<timeframe>M1|M5|M15|M30|H1|H4|D1|W1|MN1)")
# HistData: what a broker's platform takes it as, the pair, the timeframe and the year or month.
HIST_DATA = re.compile(r"DAT_[A-Z]+_(?P<symbol>[A-Z0-9]{6})_(?P<timeframe>[A-Z]1)_\d{4,6}")
# Words of programs and of who keeps files, which no symbol is: the hint for http_candles.json gave `http`.
OF_PROGRAMS = re.compile(r"fixtures?|https?|api|get|mock(?:ed)?|response|request|example|issue\d*|v\d+")
# Kraken: the pair, and the bar's minutes: XBTUSD_1. They are so even where no trade made most bars absent.
KRAKEN = re.compile(
    r"(?P<symbol>[A-Z0-9]{2,}(?:USD|EUR|GBP|JPY|CAD|AUD|CHF|XBT|BTC|ETH|USDT|USDC|DAI|DOT))"
    r"_(?P<minutes>1|5|15|30|60|240|720|1440|10080|21600)"
)
MINUTES = {"1440": "1d", "10080": "1w", "43200": "1M"}


@dataclass(frozen=True, slots=True)
class Named:
    """What a name says; None where it says nothing."""

    symbol: str | None = None
    timeframe: str | None = None


def from_pattern(pattern: str, stem: str) -> Named | None:
    """Match a name without suffixes against a pattern such as `{symbol}-{timeframe}`; None if it differs.

    `*` stands for anything. Raises `InvalidInputError` for a pattern without `{symbol}`.

    >>> from_pattern("{symbol}_{timeframe}", "BTC_KRW_1m")
    Named(symbol='BTC_KRW', timeframe='1m')
    """
    match = _compiled(pattern).fullmatch(stem)
    if match is None:
        return None
    groups = match.groupdict()
    timeframe = groups.get("timeframe")
    return Named(groups["symbol"], str(Timeframe.parse(timeframe)) if timeframe else None)


def guess(stem: str) -> Named:
    """Read symbol and timeframe from a name as exchanges and tools write them.

    Where a timeframe ends the symbol, all before it is the symbol: dates there tell contracts apart.

    >>> guess("ADABTC-1m-2021-11-28"), guess("BTCUSDT_230331-1h-2023-01")
    (Named(symbol='ADABTC', timeframe='1m'), Named(symbol='BTCUSDT_230331', timeframe='1h'))
    >>> guess("AAPL_data"), guess("my_prices")
    (Named(symbol='AAPL', timeframe=None), Named(symbol=None, timeframe=None))
    >>> guess("BINANCE_BTCUSDT, 1D"), guess("intraday_5min_IBM")
    (Named(symbol='BTCUSDT', timeframe='1d'), Named(symbol='IBM', timeframe='5m'))
    >>> guess("XBTUSD_1"), guess("005930")
    (Named(symbol='XBTUSD', timeframe='1m'), Named(symbol='005930', timeframe=None))
    """
    for of_tool in (_of_trading_view, _of_meta_trader, _of_kraken, _of_hist_data):
        if (named := of_tool(stem)) is not None:
            return named
    parts = SEPARATORS.split(stem)
    words = parts[::2]
    times = [number for number, word in enumerate(words) if _timeframe_in(word)]
    if not times:
        return Named(_symbol_alone(parts))
    at = times[0]
    timeframe = _timeframe_in(words[at])
    if any(map(OTHER_KINDS.fullmatch, words[at + 1 :])):
        return Named(None, timeframe)
    before, after = parts[: 2 * at], parts[2 * (at + 1) :]
    symbol = _symbol_before(before)
    if symbol is None and all(FILLERS.fullmatch(word) for word in before[::2] if word):
        symbol = _symbol_alone(after)
    return Named(symbol, timeframe)


def suggest(stem: str) -> str | None:
    """Return a pattern that fits a name and takes its likeliest part for the symbol; None if there is none.

    >>> suggest("tcs_stock_data"), suggest("binance_BTCUSDT_1h"), suggest("HistoricalQuotes")
    ('{symbol}_stock_data', 'binance_{symbol}_{timeframe}', None)
    """
    symbol = guess(stem).symbol or (stem if stem.isdigit() else _likely(SEPARATORS.split(stem)))
    if symbol is None or set(stem) & set("{}*"):
        return None
    before, _, after = stem.partition(symbol)
    pattern = f"{_loose(before)}{{symbol}}{_with_timeframe(after)}"
    named = from_pattern(pattern, stem)
    return pattern if named is not None and named.symbol == symbol else None


def _likely(parts: list[str]) -> str | None:
    """Return the part of a name that is likeliest its symbol: capitals, a stock's number, else a word."""
    likely = [at for at in range(0, len(parts), 2) if parts[at] and not _says_nothing(parts[at])]
    capital = [at for at in likely if parts[at] == parts[at].upper()]
    codes = [part for part in parts[::2] if LONG_CODE.fullmatch(part)]
    if len(codes) == 1 and not capital:
        return codes[0]
    if not likely:
        return None
    first = last = (capital or likely)[0]
    while last + 2 in capital:
        last += 2
    return "".join(parts[first : last + 1])


def _says_nothing(word: str) -> bool:
    of_none = FILLERS.fullmatch(word) or OF_PROGRAMS.fullmatch(word)
    return of_none is not None or _timeframe_in(word) is not None


def _with_timeframe(text: str) -> str:
    """Put a placeholder for the timeframe in a text, and `*` for dates."""
    parts = SEPARATORS.split(text)
    at = next((at for at in range(0, len(parts), 2) if re.fullmatch(TIMEFRAME, parts[at])), len(parts))
    timeframe = ["{timeframe}"] if at < len(parts) else []
    return _loose("".join(parts[:at])) + "".join([*timeframe, _loose("".join(parts[at + 1 :]))])


def _loose(text: str) -> str:
    return "".join("*" if part.isdigit() else part for part in SEPARATORS.split(text))


def _of_trading_view(stem: str) -> Named | None:
    match = TRADING_VIEW.fullmatch(stem)
    if match is None or not match["timeframe"]:
        return None
    text = match["timeframe"]
    return Named(
        match["symbol"],
        as_timeframe(f"{text}m" if text.isdigit() else f"1{text}" if text.isalpha() else text),
    )


def _of_meta_trader(stem: str) -> Named | None:
    glued = META_GLUED.fullmatch(stem)
    if glued is not None:
        return Named(glued["symbol"], as_timeframe(glued["timeframe"]))
    match = META_TRADER.fullmatch(stem)
    if match is None:
        return None
    return Named(match["symbol"], MINUTES.get(match["minutes"]) or as_timeframe(f"{match['minutes']}m"))


def _of_kraken(stem: str) -> Named | None:
    match = KRAKEN.fullmatch(stem)
    return None if match is None else Named(match["symbol"], as_timeframe(f"{match['minutes']}m"))


def _of_hist_data(stem: str) -> Named | None:
    match = HIST_DATA.fullmatch(stem)
    return None if match is None else Named(match["symbol"], as_timeframe(match["timeframe"]))


def _is_plain(word: str) -> bool:
    """Tell a word that may be of a symbol."""
    named = YAHOO.fullmatch(word)
    return named is not None and named["word"].isalnum()


def _timeframe_in(word: str) -> str | None:
    glued = FILLER_AND_TIMEFRAME.fullmatch(word)
    return as_timeframe(glued["timeframe"] if glued else word)


def _symbol_before(parts: list[str]) -> str | None:
    """Return all that stands before a timeframe, if that looks like a symbol."""
    words = [word for word in parts[::2] if word]
    while words and _is_filler(words[-1], words):
        words, parts = words[:-1], parts[:-2]
    while words and _is_filler(words[0], words) and not words[0].isdigit():
        words, parts = words[1:], parts[2:]
    text = "".join(parts).strip("-_ .")
    if STOCK_CODE.fullmatch(text):
        return text
    if not words or all(map(FILLERS.fullmatch, words)) or not all(map(_is_plain, words)):
        return None
    capital = text == text.upper() and any(map(str.isalpha, text))
    return text if capital or (len(words) == 1 and text == text.lower()) else None


def _is_filler(word: str, words: list[str]) -> bool:
    """Tell a filler beside a symbol: KRW-DATA is a symbol, AAPL_data has one."""
    return (
        FILLERS.fullmatch(word) is not None
        and not word.isdigit()
        and (word != word.upper() or len(words) == 1)
    )


def _symbol_alone(parts: list[str]) -> str | None:
    """Return the symbol in a name without a timeframe, or behind one."""
    words = parts[::2]
    if len(words) == 1 and STOCK_CODE.fullmatch(words[0]):
        return words[0]
    bare = list(words)
    while bare and (FILLERS.fullmatch(bare[-1]) or not bare[-1]) and not _is_token(bare[-1], bare):
        if bare[-1].isdigit() and not NUMBER.fullmatch(bare[-1]):
            return None  # a contract, or a date? BTCUSDT_230331
        bare = bare[:-1]
    start = 0
    while start < len(bare) and _is_filler(bare[start], bare[start:]) and bare[start] != bare[start].upper():
        start += 1
    alone = bare == words and start == 0
    found = bare[start:]
    text = "".join(parts[2 * start : 2 * len(bare) - 1])
    return text if _is_symbol(found, alone=alone) else None


def _is_token(word: str, words: list[str]) -> bool:
    """Tell a filler in capitals that is a part of a symbol in capitals, as in KRW-DATA."""
    others = "".join(words[:-1])
    return word.isalpha() and word == word.upper() and bool(others) and others == others.upper()


def _is_symbol(words: list[str], *, alone: bool) -> bool:
    """Tell whether words look like a symbol: few and in capitals, or a single one with no other beside it."""
    if not 0 < len(words) <= MOST_PARTS or not all(map(_is_plain, words)):
        return False
    if all(map(FILLERS.fullmatch, words)):
        return False
    text = "".join(words)
    return text == text.upper() or (alone and len(words) == 1 and text == text.lower())


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    if pattern.count("{symbol}") != 1 or pattern.count("{timeframe}") > 1:
        raise InvalidInputError(
            f"the pattern {pattern!r} needs {{symbol}} once and may hold {{timeframe}} once, "
            "such as '{symbol}_data' or '{symbol}-{timeframe}'; * stands for anything"
        )
    expression = re.escape(pattern)
    for escaped, group in PLACEHOLDERS.items():
        expression = expression.replace(escaped, group)
    return re.compile(expression)
