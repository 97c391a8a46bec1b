"""Which column of a table is which of a candle's, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from mdstore.core.column_names.english import ENGLISH
from mdstore.core.column_names.languages import LANGUAGES
from mdstore.core.column_names.quotes import base_volume, without_currency
from mdstore.core.column_names.table import Table

__all__ = [
    "COLUMN_ALIASES", "INDEX_NAMES", "KOREAN", "OF_A_SEASON", "TIME_OF_DAY", "UPBIT_MINUTES", "ZONES",
    "clean", "key", "recognise", "unused", "zone_in",
]  # fmt: skip

TIME_OF_DAY = (
    "time", "time_of_day", "timeofday", "time of day", "tod", "hhmm", "hhmmss", "trade_time", "bar_time",
    "clock", *(name for table in LANGUAGES.values() for name in table.names.get("time of day", ())),
)  # fmt: skip
"""Names of a column that completes one of dates, which bears one of these:"""
DATES = ("date", "trade_date", *(name for table in LANGUAGES.values() for name in table.names["timestamp"]))

# Zones that a header may name, as in `Time (ET)`. EST and its like are not among them: people write EST in
# summer, too.
ZONES = {
    "utc": "UTC", "gmt": "UTC", "z": "UTC", "et": "America/New_York", "ct": "America/Chicago",
    "pt": "America/Los_Angeles", "new york": "America/New_York", "kst": "Asia/Seoul", "jst": "Asia/Tokyo",
    "hkt": "Asia/Hong_Kong", "msk": "Europe/Moscow",
}  # fmt: skip
# What people write for a zone in summer as in winter, where its clocks show the other of two: the zone, and
# what the letters say by themselves.
OF_A_SEASON = {
    "est": ("America/New_York", "Etc/GMT+5"), "edt": ("America/New_York", "Etc/GMT+4"),
    "cst": ("America/Chicago", "Etc/GMT+6"), "cdt": ("America/Chicago", "Etc/GMT+5"),
    "mst": ("America/Denver", "Etc/GMT+7"), "mdt": ("America/Denver", "Etc/GMT+6"),
    "pst": ("America/Los_Angeles", "Etc/GMT+8"), "pdt": ("America/Los_Angeles", "Etc/GMT+7"),
    "bst": ("Europe/London", "Etc/GMT-1"), "cest": ("Europe/Berlin", "Etc/GMT-2"),
}  # fmt: skip
# Upbit's: the start of the bar in Korean time. Where its UTC stands beside it, that is taken.
KOREAN = "candle_date_time_kst"
# The names an index gets that was saved without one.
INDEX_NAMES = ("", "unnamed: 0", "__index_level_0__", "index", "level_0")
# Upbit's minute candles say their length as a number of minutes; elsewhere a `unit` is anything.
UPBIT_KEYS, UPBIT_MINUTES = {"candledatetimeutc", "candledatetimekst"}, "unit"
# CoinMarketCap's `name` is the number of a currency that prices are in.
NUMBERED_NAME, ITS_NEIGHBOURS = "name", {"timeopen", "timehigh", "timelow"}
# Brokers of currencies count ticks beside a volume, which is then 0 throughout.
TICKS = ("tickvol", "tickvolume")
# A count since 1970, which is a moment wherever it stands: a written time beside it may be of any zone.
EPOCHS = ("unix", "unixtime", "unixtimestamp", "epoch", "epochtime", "epochms", "timestampms", "tsms", "mts")
# The zone of the times beside it, in each row.
TIME_ZONES = ("timezone", "timezonename", "timezoneid", "tz", "tzname")
# Where all of some names are there, others mean what they mean nowhere else: Huobi counts coins as `amount`
# and money as `vol`, Poloniex coins as `quoteVolume`.
PECULIAR = (
    ({"id", "amount", "vol", "count"}, {"timestamp": "id", "volume": "amount"}),
    ({"quotevolume", "weightedaverage"}, {"volume": "quotevolume"}),
)
IN_BRACKETS = re.compile(r"(.*?)\s*[(\[]([^()\[\]]*)[)\]]")
# A zone by its distance from UTC, in whole hours; the names that such zones have bear the opposite sign.
DISTANCE = re.compile(r"(?:utc|gmt) ?([+-])0?(\d{1,2})(?::?00)?")
# What does not matter in a name: `Open*`, `Vol.`, `open_time`, Alpha Vantage's `1. open`, DynamoDB's `t (N)`.
NUMBERED = re.compile(r"^\d+[a-z]?\.\s*(?=[a-z])")
TYPED = re.compile(r"\s*\([sn]\)$")
# A name of two levels without a second, as pandas writes it beside those of tickers.
OF_LEVELS = re.compile(r"\('([^']*)', ''\)")
NOISE = re.compile(r"[\s_\-.*\ufeff]+")


def clean(name: str) -> str:
    """Return a column's name without what never matters: case, space at the ends, MetaTrader's brackets.

    A header may begin as a comment does: `#Date,Open`.
    """
    return OF_LEVELS.sub(r"\1", name.strip().strip("<>").removeprefix("#")).strip().lower()


@lru_cache(maxsize=1_000)  # the same names come with each write, and are asked for several times in it
def key(name: str) -> str:
    """Return what of a column's name tells what it is.

    >>> key("Open Time"), key("open_time"), key("<TICKVOL>"), key("4. close"), key("Vol."), key("t (N)")
    ('opentime', 'opentime', 'tickvol', 'close', 'vol', 't')
    """
    return NOISE.sub("", TYPED.sub("", NUMBERED.sub("", clean(name))))


def _keyed(table: Table) -> Mapping[str, tuple[str, ...]]:
    return {canonical: tuple(map(key, names)) for canonical, names in table.names.items()}


TABLES = tuple(map(_keyed, (ENGLISH, *LANGUAGES.values())))
COLUMN_ALIASES = {
    canonical: tuple(
        name for table in (ENGLISH, *LANGUAGES.values()) for name in table.names.get(canonical, ())
    )
    for canonical in ENGLISH.names
}
DATE_KEYS, TIME_OF_DAY_KEYS = frozenset(map(key, DATES)), frozenset(map(key, TIME_OF_DAY))


def recognise(columns: Iterable[str]) -> dict[str, str]:
    """Map the canonical names found among `columns` to the names they have there.

    Where several columns could serve, the order of the tables decides, that of the language of most columns
    first; columns that are nothing to a candle are left out. `time of day` is a second column of times,
    which completes a date; `tick volume` is one to take where the volume is 0 throughout,
    `epoch` a count since 1970 to hold the times against, `time zone` the zone of naive times.

    >>> recognise(["Date", "Open", "Adj Close", "Close", "Name"])
    {'symbol': 'Name', 'timestamp': 'Date', 'open': 'Open', 'close': 'Close'}
    >>> recognise(["Date", "Time (ET)", "Close"])
    {'timestamp': 'Date', 'close': 'Close', 'time of day': 'Time (ET)'}
    >>> recognise(["일자", "시가", "고가"])
    {'timestamp': '일자', 'open': '시가', 'high': '고가'}
    """
    return dict(_recognise(tuple(columns)))


@lru_cache(maxsize=256)  # a feed writes a row at a time, always with the same names
def _recognise(columns: tuple[str, ...]) -> dict[str, str]:
    there = {key(name): name for name in reversed(columns)}
    # A name in small letters goes first: of Binance's stream `l` is the low, and `L` a trade.
    there |= {name: name for name in columns if name == key(name)}
    cleaned = {clean(name): name for name in reversed(columns)}
    zoned = {key(base): name for one, name in cleaned.items() if (base := _without_zone(one))}
    priced = _once((key(base), name) for name in columns if (base := without_currency(name)) is not None)
    if there.keys() >= ITS_NEIGHBOURS:
        there.pop(NUMBERED_NAME, None)
    found = {}
    for canonical, names in _preferred(there).items():
        known = zoned | there if canonical == "timestamp" else priced | there
        name = next((name for name in names if name in known), None)
        if name is not None:
            found[canonical] = known[name]
    for signs, meanings in PECULIAR:
        if signs <= there.keys():
            found |= {canonical: there[name] for canonical, name in meanings.items()}
    if "volume" not in found and (volume := base_volume(cleaned)) is not None:
        found["volume"] = volume
    if UPBIT_MINUTES in there and UPBIT_KEYS & there.keys():
        found.setdefault("timeframe", there[UPBIT_MINUTES])
    if key(found.get("timestamp", "")) in DATE_KEYS:
        of_day = [name for one, name in cleaned.items() if key(_bare(one)) in TIME_OF_DAY_KEYS]
        if of_day and of_day[-1] != found["timestamp"]:
            found["time of day"] = of_day[-1]
    ticks = next((there[name] for name in TICKS if name in there), None)
    if ticks is not None and found.get("volume") != ticks:
        found["tick volume"] = ticks
    epoch = next((there[name] for name in EPOCHS if name in there), None)
    if epoch is not None and found.get("timestamp") != epoch:
        found["epoch"] = epoch
    zone = next((there[name] for name in TIME_ZONES if name in there), None)
    if zone is not None and "timestamp" in found:
        found["time zone"] = zone
    return found


def _preferred(there: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    """Return the names to look for: those of the language that knows most of these columns first."""
    best = max(TABLES, key=lambda table: sum(any(n in there for n in names) for names in table.values()))
    return {name: [n for table in (best, *TABLES) for n in table.get(name, ())] for name in TABLES[0]}


def _once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return what is there once: prices in two currencies are nobody's guess."""
    listed = list(pairs)
    keys = [one for one, _ in listed]
    return {one: name for one, name in listed if keys.count(one) == 1}


def unused(columns: Sequence[str], used: Sequence[str]) -> list[str]:
    """Return the columns that are not kept, without the unnamed one of a frame's index."""
    return [name for name in columns if name not in used and clean(name) not in INDEX_NAMES]


def zone_in(name: str) -> str | None:
    """Return the zone that a header names in brackets; the bracket's own text where that is no zone we know.

    Upbit's column of Korean times has a name of its own.

    >>> zone_in("Time (ET)"), zone_in("time"), zone_in("Time (Europe/Paris)"), zone_in("Time (EST)")
    ('America/New_York', None, 'Europe/Paris', 'est')
    """
    if clean(name) == KOREAN:
        return ZONES["kst"]
    bracket = _in_brackets(OF_LEVELS.sub(r"\1", name.strip()))
    if bracket is None or TYPED.search(name.lower()):
        return None
    return _zone(bracket[1]) or bracket[1].lower()


def _zone(text: str) -> str | None:
    """Return the zone that a text names or may name, by its city; None where it is none that we know.

    >>> _zone("ET"), _zone("Asia/Seoul"), _zone("UTC+9"), _zone("GMT-05:00"), _zone("USD")
    ('America/New_York', 'Asia/Seoul', 'Etc/GMT-9', 'Etc/GMT+5', None)
    """
    if "/" in text:
        return text
    if distance := DISTANCE.fullmatch(text.lower()):
        return f"Etc/GMT{'-' if distance[1] == '+' else '+'}{distance[2]}"
    return ZONES.get(text.lower())


def _in_brackets(name: str) -> tuple[str, str] | None:
    bracket = IN_BRACKETS.fullmatch(name)
    return (bracket[1], bracket[2]) if bracket else None


def _bare(name: str) -> str:
    return (_in_brackets(name) or (name,))[0]


def _without_zone(name: str) -> str | None:
    """Return a name without the zone in its brackets; None where there is no zone."""
    bracket = _in_brackets(name)
    return bracket[0] if bracket and (_zone(bracket[1]) or bracket[1] in OF_A_SEASON) else None
