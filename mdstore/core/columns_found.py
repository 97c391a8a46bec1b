"""The columns of one table that are a candle's, and how they become one: of one instrument, or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import polars as pl

from mdstore.core.canonical import Canonical
from mdstore.core.column_names import ABSENT, INDEX_NAMES, Choice, by_ticker, clean, recognise
from mdstore.core.excerpts import excerpt, listed
from mdstore.core.schema import CANDLE_COLUMNS, PRICES
from mdstore.errors import Hint, InvalidInputError

__all__ = ["Found", "find", "missing"]

UNNAMED_NOTE = "the first column has no name and was taken as the time"
# Words in the name of a column that may be the volume.
LIKE_VOLUME = (
    "vol",
    "qty",
    "quantity",
    "amount",
    "turnover",
    "shares",
    "trade",
    "거래",
    "成交",
    "出来高",
    "объ",
)
# Columns beside a price that a row of one trade has, and no candle.
OF_TRADES = (
    "side", "cost", "amount", "size", "qty", "quantity", "trade_id", "tradeid", "tid", "is_buyer_maker",
    "isbuyermaker", "buyer_maker", "aggressor", "taker_side", "ask_bid",
)  # fmt: skip
MOST_LIKE = 4
NONE_THERE = Hint("volume='none' where there is no volume", "--volume none where there is no volume")


@dataclass(frozen=True, slots=True)
class Found:
    """The columns of a table: canonical names to its own.

    `tickers` are the columns of each instrument, where the names hold several, or one; `columns` are then
    those that all share.
    """

    columns: Mapping[str, str]
    choice: Choice
    tickers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The table's own names of all columns that are used, each once."""
        shared = list(self.columns.values())
        return list(dict.fromkeys([*shared, *(n for own in self.tickers.values() for n in own.values())]))

    @property
    def own(self) -> dict[str, str]:
        """The table's own name of each canonical column, for messages."""
        ticker = next(iter(self.tickers.values()), None)
        return ({} if ticker is None else {"symbol": ticker["open"]}) | dict(self.columns)

    @property
    def there(self) -> set[str]:
        """The canonical names that are there, of every ticker where there are several."""
        each = [set(columns) for columns in self.tickers.values()]
        symbol = {"symbol"} if self.tickers else set()
        absent = set() if self.choice.volume is None else {"volume"}
        return set(self.columns) | absent | symbol | (set.intersection(*each) if each else set())

    def is_whole(self) -> bool:
        """Tell whether all columns of a candle are there."""
        return self.there >= set(CANDLE_COLUMNS)

    def frame(self, table: Mapping[str, pl.Series], canonical: Canonical) -> pl.DataFrame:
        """Return columns, by their own names, as a frame of canonical names; instruments under each other."""
        shared = {name: table[own] for name, own in self.columns.items()}
        if UNNAMED_NOTE in self.notes:
            _refuse_counter(shared["timestamp"])
        if not self.tickers:
            return self._made(canonical.frame(shared), canonical)
        parts = []
        for ticker, columns in self.tickers.items():
            made = canonical.frame(shared | {name: table[own] for name, own in columns.items()})
            # Where one instrument trades and another does not, its cells are empty: that is no bar.
            traded = made.filter(~pl.all_horizontal(_is_empty(made[name]) for name in PRICES))
            parts.append(self._made(traded.insert_column(0, _repeated(ticker, len(traded))), canonical))
        return pl.concat(parts, how="vertical_relaxed")

    def _made(self, made: pl.DataFrame, canonical: Canonical) -> pl.DataFrame:
        canonical.notes.update(self.notes)
        if self.choice.volume is None:
            return made
        canonical.notes.add(ABSENT)
        if "volume" in made.columns:
            _refuse_volume(made["volume"], self.columns)
        return made.with_columns(pl.lit(0.0).alias("volume"))


def find(names: Sequence[str], choice: Choice | None = None) -> Found:
    """Tell which of some columns are a candle's; those that a choice names go before the others.

    Raises `InvalidInputError` where a choice names a column that is not there.
    """
    if choice is None or choice == Choice({}):
        return _found_plainly(tuple(names))
    return _found(names, choice)


@lru_cache(maxsize=256)  # a feed writes a row at a time, always with the same names
def _found_plainly(names: tuple[str, ...]) -> Found:
    return _found(names, Choice({}))


def _found(names: Sequence[str], choice: Choice) -> Found:
    chosen = choice.chosen(names)
    others = [name for name in names if name not in chosen.values()]
    columns = recognise(others) | chosen
    if "timestamp" in chosen:
        columns.pop("epoch", None)
    if "timestamp" in chosen and "time of day" not in chosen:
        columns.pop("time of day", None)
    if "volume" in chosen:
        columns.pop("tick volume", None)
    notes: tuple[str, ...] = ()
    if "timestamp" not in columns and (index := _unnamed(names)) is not None:
        columns["timestamp"], notes = index, (UNNAMED_NOTE,)
    tickers = {} if columns.keys() >= set(PRICES) else by_ticker(others)
    if tickers:
        shared = ("timestamp", "time of day", "timeframe")
        columns = {name: own for name, own in columns.items() if name in shared}
    return Found(columns, choice, tickers, notes)


def missing(
    found: Found, names: Sequence[str], required: Sequence[str] = CANDLE_COLUMNS
) -> InvalidInputError:
    """Return the error for a table that lacks columns, in words of its own columns.

    A hint never asks for zeros where a volume may be there under another name.
    """
    absent = [name for name in required if name not in found.there] or ["symbol"]  # a currency is no symbol
    if {"open", "high", "low"} <= set(absent) and _are_trades(names):
        return InvalidInputError(
            f"these are trades, not candles: the data has {listed(names)}",
            hint="make bars of the trades first, as by Polars' group_by_dynamic",
        )
    return InvalidInputError(
        f"no column for {', '.join(absent)}: the data has {listed(names)}",
        hint=_hint(absent, found, names, required),
    )


def _are_trades(names: Sequence[str]) -> bool:
    there = {clean(name) for name in names}
    return "price" in there and not there.isdisjoint(OF_TRADES)


def _hint(absent: Sequence[str], found: Found, names: Sequence[str], required: Sequence[str]) -> Hint:
    if absent == ["volume"]:
        others = [name for name in names if name not in found.names and clean(name) not in INDEX_NAMES]
        like = [name for name in others if any(word in name.lower() for word in LIKE_VOLUME)][:MOST_LIKE]
        return _which("volume", like) if like else NONE_THERE
    of_sides = [name[:-2] for name in names if name.endswith(".o")]
    if of_sides and {f"{of_sides[0]}.{letter}" for letter in "hlc"} <= set(names):
        which = {price: f"{of_sides[0]}.{price[0]}" for price in PRICES}
        cli = ",".join(f"{price}={own}" for price, own in which.items())
        return Hint(f"say which prices, as columns={which}", f"say which prices, as --columns {cli}")
    one = "time" if absent[0] == "timestamp" else absent[0]
    listing = f"name the columns {', '.join(required)}, or say which one is which"
    return Hint(f"{listing}, as columns={{{one!r}: 'its name'}}", f"{listing}, as --columns '{one}=its name'")


def _which(name: str, likely: Sequence[str]) -> Hint:
    shown = [excerpt(one.strip(), 40) for one in likely]
    python = " or ".join(f"columns={{{name!r}: {one!r}}}" for one in shown)
    cli = " or ".join(f"--columns '{name}={one}'" for one in shown)
    return Hint(f"where that is the {name}, {python}", f"where that is the {name}, {cli}")


def _unnamed(names: Sequence[str]) -> str | None:
    """Return the column of an index that was saved without a name: the first, or pandas' at the end."""
    if names and clean(names[0]) in INDEX_NAMES:
        return names[0]
    return next((name for name in names if clean(name).startswith("__index_level_")), None)


def _refuse_counter(column: pl.Series) -> None:
    """Raise where a column without a name counts the rows: as seconds that would be bars of 1970."""
    if column[:3].cast(pl.String, strict=False).to_list() in (["0", "1", "2"], ["1", "2", "3"]):
        raise InvalidInputError(
            "no column for timestamp: the first has no name, and counts the rows",
            hint=Hint(
                "say which one is the time, as columns={'time': 'its name'}",
                "say which one is the time, as --columns 'time=its name'",
            ),
        )


def _is_empty(column: pl.Series) -> pl.Series:
    if column.dtype.is_float():
        return column.is_null() | column.is_nan()
    return column.is_null() | (column == "") if column.dtype == pl.String else column.is_null()


def _repeated(name: str, rows: int) -> pl.Series:
    return pl.Series("symbol", [name], dtype=pl.String).new_from_index(0, rows)


def _refuse_volume(column: pl.Series, names: Mapping[str, str]) -> None:
    """Raise where a volume is there that is said to be absent."""
    there = column.drop_nulls().cast(pl.String, strict=False).str.strip_chars()
    some = there.filter(
        ~there.is_in(["", "-", "NaN", "nan"])
        & (there.cast(pl.Float64, strict=False) != 0).fill_null(value=True)
    )
    if len(some):
        raise InvalidInputError(
            f"there is to be no volume, and the column {names['volume']!r} has {excerpt(some[0])!r}",
            hint=Hint("leave volume= out", "leave --volume out"),
        )
