"""Columns beside those of a candle: which a store keeps, of which series, and how longer bars have them.

A bar may lack a value of such a column: null. To have another name recognised for a column that people keep,
add it to `EXTRA_ALIASES`.
"""

# What a plain read does not need is imported by the function that does.
# ruff: noqa: PLC0415

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from mdstore.core.did_you_mean import did_you_mean
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.timeframe import Timeframe
from mdstore.errors import Hint, InvalidInputError

__all__ = ["EXTRA_ALIASES", "MOST_EXTRAS", "Extra", "Rule", "check_extra", "extras_among"]

Rule = Literal["sum", "last", "first", "max", "min", "mean", "volume_weighted"]
"""How a longer bar has the column: of those of its bars that have a value.

`volume_weighted` is the mean of them by the volume of their bars; by their number, where there is none.
"""

MOST_EXTRAS: Final = 16
RULES: Final = get_args(Rule)
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Names that mean something else in the frames that a store gives, or in the tables that it keeps them in.
TAKEN: Final = frozenset({
    *CANDLE_COLUMNS, "symbol", "timeframe", "closed", "bars", "of", "filled", "partial", "revision", "source",
    "changed_at", "row", "whole", "moved", "unclear", "bar", "place", "rowid",
})  # fmt: skip
AFTER: Final = "new_"  # what begins the name of a value after a change, in the list of revisions

# What the columns that people declare are called in exchanges' files and answers, in lower case.
EXTRA_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "value": (
        "candle_acc_trade_price", "quote_volume", "quote_asset_volume", "quote asset volume", "quotevolume",
        "turnover", "volume_quote", "quote turnover", "거래대금", "成交额", "成交額", "売買代金",
    ),
    "trades": ("number_of_trades", "number of trades", "trade_count", "tradecount", "num_trades", "count"),
    "taker_buy_volume": (
        "taker_buy_base_asset_volume", "taker buy base asset volume", "taker_buy_base",
        "taker_buy_base_volume", "taker_volume",
    ),
    "taker_buy_value": (
        "taker_buy_quote_asset_volume", "taker buy quote asset volume", "taker_buy_quote",
        "taker_buy_quote_volume", "taker_quote_volume",
    ),
    "open_interest": ("oi", "openint", "open interest", "sum_open_interest"),
    "adjusted_close": ("adj close", "adj_close", "adjclose", "adjusted close"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Extra:
    """A declared column: `resample` makes it of shorter bars; it may be called `source` in data.

    It is kept of symbols that a pattern of `symbols` (SQLite's GLOB) fits, in `timeframes`; none is any.
    """

    name: str
    resample: Rule
    source: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    timeframes: tuple[str, ...] = ()

    def is_of(self, symbol: str, timeframe: str) -> bool:
        """Tell whether it is kept of a series."""
        from mdstore.core.calendars import globs

        fits = not self.symbols or any(globs(symbol, pattern) for pattern in self.symbols)
        return fits and (not self.timeframes or timeframe in self.timeframes)


def check_extra(
    name: object,
    resample: object,
    source: str | Sequence[str] | None = None,
    symbols: str | Sequence[str] | None = None,
    timeframes: str | Timeframe | Sequence[str | Timeframe] | None = None,
) -> Extra:
    """Return a declaration. Raises `InvalidInputError` for a name or a rule that cannot be."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        lower = re.sub(r"\W+", "_", str(name).strip().lower())[:40]
        raise InvalidInputError(
            f"{name!r} cannot name a column: a name is of a to z, digits and _, begins with a letter, and is "
            "of 40 letters at most",
            hint=f"declare {lower!r}" if NAME.fullmatch(lower) and lower not in TAKEN else None,
        )
    if name in TAKEN or name.startswith(AFTER):
        raise InvalidInputError(
            f"{name!r} cannot name a column: it means something else in the frames of a store",
            hint=Hint(
                f"give another name, and source={name!r} where data has it so",
                f"give another name, and --source {name} where files have it so",
            ),
        )
    if resample not in RULES:
        raise InvalidInputError(
            f"resample={resample!r} is no way to make a longer bar: give one of {', '.join(RULES)}",
            hint=did_you_mean(resample, RULES),
        )
    bars = (timeframes,) if isinstance(timeframes, str | Timeframe) else timeframes or ()
    return Extra(
        name,
        next(rule for rule in RULES if rule == resample),
        _texts(source, "source"),
        _texts(symbols, "symbols"),
        tuple(str(Timeframe.parse(bar)) for bar in bars),
    )


def _texts(given: object, what: str) -> tuple[str, ...]:
    texts = (given,) if isinstance(given, str) else () if given is None else given
    if not isinstance(texts, Collection) or not all(isinstance(one, str) and one.strip() for one in texts):
        raise InvalidInputError(f"{what}={given!r}: give a text, or a list of texts")
    return tuple(map(str, texts))


def extras_among(names: Sequence[str], extras: Sequence[Extra]) -> dict[str, str]:
    """Map declared columns to the names that they have among those of a table which mean nothing else.

    >>> extras_among(["candle_acc_trade_price", "unit"], [Extra("value", "sum")])
    {'value': 'candle_acc_trade_price'}
    """
    from mdstore.core.column_names import clean

    there = {clean(name): name for name in reversed(names)}
    found: dict[str, str] = {}
    for extra in extras:
        known = (extra.name, *map(clean, extra.source), *EXTRA_ALIASES.get(extra.name, ()))
        own = next((there[name] for name in known if name in there), None)
        if own is not None and own not in found.values():
            found[extra.name] = own
    return found
