"""Numbers as people write them: `1,010.5`, `104.053,40`, `1 010,5`, `$10.90`, `41.15K`, `-` for none.

Whether a comma groups thousands or begins the decimals is told by all prices and volumes of a table together:
`1,234` alone may be either, and beside `54.03` it is not. Where nothing tells, nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import polars as pl

from mdstore.core.excerpts import excerpt
from mdstore.errors import Hint, InvalidInputError

__all__ = ["DASHES", "Decimal", "Numbers", "numbers_of"]

Decimal = Literal[".", ","]

# What may stand before or behind a number and says nothing of its size.
CURRENCY = "(?:[$€£¥₩₹₽₺฿원円元]| ?(?:USDT|USD|EUR|KRW|JPY|GBP|BTC)\\b)"
# By suffix: the power of ten. Chinese, Japanese and Korean count in ten thousands.
SUFFIXES = {
    "k": 3, "m": 6, "b": 9, "t": 12, "万": 4, "萬": 4, "만": 4, "亿": 8, "億": 8, "억": 8,
}  # fmt: skip
SPACES = " \u00a0\u202f'\u2019"  # the last two are Swiss


def _shape(group: str, mark: str) -> str:
    """Return the pattern of digits in groups of three, in India's of two, or in none, with decimals."""
    threes = rf"[1-9]\d{{0,2}}(?:[{group}{SPACES}]\d{{3}})+"
    twos = rf"[1-9]\d?(?:{group}\d\d)+{group}\d{{3}}"
    return rf"^(?:{threes}|{twos}|\d*)(?:{mark}\d*)?(?:[eE][+-]?\d+)?$"


SHAPES: dict[Decimal, str] = {".": _shape(",", r"\."), ",": _shape(r"\.", ",")}
OTHER: dict[Decimal, Decimal] = {".": ",", ",": "."}
MINUS = "\u2212"  # the mathematical one
PARTS = re.compile(
    rf"^(?P<sign>[+\-\u2212]?)\s*{CURRENCY}?\s*(?P<digits>\S.*?)\s*(?P<suffix>[{''.join(SUFFIXES)}]?)\s*{CURRENCY}?$",
    re.IGNORECASE,
)
# Of a volume: there was none.
DASHES = ("-", "--", "\u2013", "\u2014")
NO_VOLUME = "a volume of - was taken as none, 0"
# One number in so many may be written otherwise than the others: it is bad by itself.
RARE = 10
SAID: dict[Decimal, Hint] = {
    ".": Hint("decimal='.' where a comma groups thousands", "--decimal . where a comma groups thousands"),
    ",": Hint("decimal=',' where it begins the decimals", "--decimal , where it begins the decimals"),
}
SAY = Hint(f"{SAID['.'].python}, {SAID[','].python}", f"{SAID['.'].cli}, {SAID[','].cli}")


def numbers_of(texts: Sequence[str]) -> list[float | None]:
    """Return the number in each text, with a point or a comma for its decimals; None for what is none.

    For a look at a few rows only: a comma that may be either is taken for one that groups.

    >>> numbers_of(["1,010.5", "266,99", "41.15K", "soon"])
    [1010.5, 266.99, 41150.0, None]
    """
    column = pl.Series(texts, dtype=pl.String)
    made: list[float | None] = (
        pl.select(pl.coalesce(*(_parsed(column, mark) for mark in SHAPES))).to_series().to_list()
    )
    return made


class Numbers:
    """Reads the prices and volumes of one table, the same in all its chunks.

    `notes` is what was understood that a reader should know of.
    """

    def __init__(self, decimal: Decimal | None = None) -> None:
        if decimal not in (None, *SHAPES):
            raise InvalidInputError(f"decimal={decimal!r} is neither '.' nor ','", hint=SAY)
        self._mark = decimal
        self._plain = False  # whether a chunk was read in which a point was taken for that of the decimals
        self.notes: set[str] = set()

    def read(self, columns: Sequence[pl.Series]) -> list[pl.Series]:
        """Return columns of any type as Float64; what is no number is null.

        Raises `InvalidInputError` where nothing tells what a comma or a point means.
        """
        made = [_floats(column) for column in columns]
        if self._mark != "," and all(map(_whole, made, columns)):
            self._plain = self._plain or any(column.dtype == pl.String for column in columns)
            return made
        texts = [_texts(column) for column in columns]
        if self._mark is None:
            self._mark = self._told([text for text in texts if text is not None])
        return [self._read(*pair) for pair in zip(made, texts, strict=True)]

    def _read(self, made: pl.Series, texts: pl.Series | None) -> pl.Series:
        if texts is None:
            return made
        if self._mark == ",":
            made = made.set(texts.is_not_null(), None)
        left = texts.set(made.is_not_null() | texts.is_null(), None)
        made = made.fill_null(_parsed(left, self._mark or "."))
        if made.name != "volume" or made.null_count() in (texts.null_count(), len(made)):
            return made
        dashes = left.is_in(DASHES).fill_null(value=False)
        if dashes.any():
            self.notes.add(NO_VOLUME)
        return made.set(dashes, 0.0)

    def _told(self, texts: Sequence[pl.Series]) -> Decimal | None:
        """Tell what begins the decimals by all columns together; None where no number says either."""
        if not texts:
            return None
        digits = pl.concat([_split(text).struct.field("digits").drop_nulls() for text in texts])
        fits = {mark: digits.str.contains(shape) for mark, shape in SHAPES.items()}
        only = {mark: digits.filter(fits[mark] & ~fits[OTHER[mark]]) for mark in SHAPES}
        either = digits.filter(fits["."] & fits[","] & digits.str.contains(r"[.,]"))
        likely: Decimal = "." if len(only["."]) >= len(only[","]) else ","
        if len(only[OTHER[likely]]) * RARE > len(only[likely]):
            one, other = (str(only[mark][0]) for mark in (".", ","))
            raise InvalidInputError(
                f"numbers are written in two ways: {excerpt(one)!r} has a point for the decimals, "
                f"{excerpt(other)!r} a comma",
                hint=SAY,
            )
        if not len(only[likely]):
            return _of_either(either)
        if likely == "," and self._plain:
            raise InvalidInputError(
                f"numbers have a comma for the decimals, such as {excerpt(only[','][0])!r}, and those before "
                "were read with a point",
                hint=SAID[","],
            )
        if likely == ",":
            self.notes.add("numbers were read with a comma for the decimals")
        return likely


def _of_either(texts: pl.Series) -> Decimal | None:
    """Judge numbers that may be either: 1.234 has decimals, as everywhere; of 1,234 nobody knows."""
    commas = texts.filter(texts.str.contains(",", literal=True))
    if not len(commas):
        return None
    one = str(commas[0])
    grouped, decimal = one.replace(",", ""), one.replace(",", ".")
    raise InvalidInputError(
        f"is {excerpt(one)!r} the number {grouped} or {decimal}? No price or volume tells", hint=SAY
    )


def _floats(column: pl.Series) -> pl.Series:
    """Return a column as numbers, as computers write them."""
    if column.dtype == pl.Float64:
        return column  # to cast five columns to what they are took 70 us
    if column.dtype == pl.Object:
        return pl.Series(column.name, [_float(value) for value in column], dtype=pl.Float64)
    if column.dtype in (pl.Boolean, pl.Binary) or column.dtype.is_temporal() or column.dtype.is_nested():
        return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    text = column.dtype in (pl.Categorical, pl.Enum)
    return (column.cast(pl.String) if text else column).cast(pl.Float64, strict=False)


def _float(value: object) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def _whole(made: pl.Series, given: pl.Series) -> bool:
    return made.null_count() == given.null_count()


def _texts(column: pl.Series) -> pl.Series | None:
    """Return the texts of a column, stripped; None for a column that can hold none."""
    if column.dtype == pl.Object:
        texts = [value if isinstance(value, str) and value.isprintable() else None for value in column]
        column = pl.Series(column.name, texts, dtype=pl.String)
    elif column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    return column.str.strip_chars() if column.dtype == pl.String else None


def _split(texts: pl.Series) -> pl.Series:
    """Return the sign, the digits with what parts them, and the suffix of numbers, as a struct."""
    return texts.str.extract_groups(_pattern())


def _pattern() -> str:
    return f"(?i){PARTS.pattern}"


def _parsed(texts: pl.Series, mark: Decimal) -> pl.Series:
    """Return texts as numbers, to the last bit: a suffix becomes the exponent that a parser reads."""
    if texts.null_count() == len(texts):
        return pl.Series(texts.name, [None] * len(texts), dtype=pl.Float64)
    parts = _split(texts).struct.unnest()
    digits = parts["digits"]
    known = digits.str.contains(SHAPES[mark]) & digits.str.contains(r"\d")
    bare = digits.str.replace_all(f"[{OTHER[mark]}{SPACES}]", "")
    if mark == ",":
        bare = bare.str.replace(",", ".", literal=True)
    powers = {**SUFFIXES, **{suffix.upper(): power for suffix, power in SUFFIXES.items()}}
    ends = {suffix: f"e{power}" for suffix, power in powers.items()} | {"": ""}
    exponent = parts["suffix"].fill_null("").replace_strict(ends, default=None, return_dtype=pl.String)
    sign = parts["sign"].fill_null("").replace(MINUS, "-")
    made = (sign + bare + exponent).cast(pl.Float64, strict=False)
    return made.set(~known.fill_null(value=False), None).alias(texts.name)
