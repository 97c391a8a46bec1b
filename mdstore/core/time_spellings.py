"""How people write dates and times of day: every spelling that is recognised, beside ISO 8601 and numbers.

To have another recognised, add a row with an example to `DATES` or `CLOCKS`; the tests read each example as
2024-01-25 or as nine in the morning. A pattern is one of strptime, in which `-` stands for any of `-`, `/`
and `.`, and a number may lack its leading zero where something stands between it and the next. Any date may
stand before any clock, and a zone behind them: `Z`, `UTC`, `GMT+0900`, `+09:00`, `US/Eastern`, `KST`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from mdstore.errors import Hint, InvalidInputError

__all__ = ["CLOCKS", "DATES", "MONTHS", "OF_MONTHS", "YEAR_FIRST", "Spelling", "compiled", "pattern_of"]


class Spelling(NamedTuple):
    """A pattern, and texts that are written so."""

    pattern: str
    examples: tuple[str, ...]


# Where two fit the same texts, as day and month in 01/02/2024, the whole column tells them apart.
DATES = (
    Spelling("%Y-%m-%d", ("2024-01-25", "2024/1/25", "2024.01.25", "2024- 01- 25", "2024. 1. 25.")),
    Spelling("%d-%m-%Y", ("25/01/2024", "25.01.2024", "25-1-2024")),
    Spelling("%m-%d-%Y", ("1/25/2024", "01-25-2024")),
    Spelling("%d-%m-%y", ("25/01/24", "25.01.24")),
    Spelling("%m-%d-%y", ("1/25/24",)),
    Spelling("%Y%m%d", ("20240125",)),
    Spelling("%d-%b-%Y", ("25-Jan-2024", "25/January/2024")),
    Spelling("%d-%b-%y", ("25-Jan-24",)),
    Spelling("%b %d %Y", ("Jan 25, 2024", "January 25 2024", "Jan. 25, 2024", "Thu Jan 25 2024")),
    Spelling("%d %b %Y", ("25 Jan 2024", "25 January 2024", "Thu, 25 Jan 2024")),
    Spelling("%d%b%Y", ("25JAN2024",)),
    Spelling("%Y-%b-%d", ("2024-Jan-25",)),
    Spelling("%Y년 %m월 %d일", ("2024년 01월 25일",)),
    Spelling("%Y년%m월%d일", ("2024년1월25일",)),
    Spelling("%Y年%m月%d日", ("2024年1月25日", "2024年01月25日")),
    # Dates and times of day in one: HistData's and NinjaTrader's, Kiwoom's, and C's.
    Spelling("%Y%m%d %H%M%S", ("20240125 090000", "20240125T090000")),
    Spelling("%Y%m%d %H%M", ("20240125 0900",)),
    Spelling("%Y%m%d%H%M%S", ("20240125090000",)),
    Spelling("%Y%m%d%H%M", ("202401250900",)),
    Spelling("%b %d %H:%M:%S %Y", ("Thu Jan 25 09:00:00 2024",)),
)
# Bars of months, where all rows of a table are written so: the first of each.
OF_MONTHS = (
    Spelling("%Y-%m", ("2024-01", "2024/1")),
    Spelling("%m-%Y", ("01/2024",)),
    Spelling("%b %Y", ("Jan 2024", "January 2024")),
    Spelling("%b-%Y", ("Jan-2024",)),
    Spelling("%Y년 %m월", ("2024년 1월", "2024년 01월")),
    Spelling("%Y年%m月", ("2024年1月",)),
)
CLOCKS = (
    Spelling("%I:%M:%S %p", ("09:00:00 AM", "9:00:00 a.m.")),
    Spelling("%I:%M:%S%p", ("9:00:00AM",)),
    Spelling("%I:%M %p", ("9:00 AM",)),
    Spelling("%I:%M%p", ("9:00am",)),
    Spelling("%p %I:%M:%S", ("오전 9:00:00", "上午 09:00:00", "AM 9:00:00")),
    Spelling("%p %I:%M", ("오전 9:00", "上午 09:00")),
    Spelling("%I-%p", ("09-AM", "9-AM")),  # CryptoDataDownload's
    Spelling("%H:%M:%S.%f", ("09:00:00.000", "9:00:00.000000", "09:00:00,000")),
    Spelling("%H:%M:%S", ("09:00:00", "9:00:00")),
    Spelling("%H:%M", ("09:00", "9:00")),
)
# By their first letters, three or four, in the languages that people export in.
NAMES = (
    ("jan", "jän", "ene", "gen", "янв", "oca"),
    ("feb", "fev", "fév", "фев", "şub"),
    ("mar", "mär", "mrz", "maa", "мар"),
    ("apr", "abr", "avr", "апр", "nis"),
    ("may", "mai", "mag", "mei", "maj", "май", "мая"),
    ("jun", "juin", "giu", "июн", "haz"),
    ("jul", "juil", "lug", "июл", "tem"),
    ("aug", "ago", "aoû", "aou", "авг", "ağu"),
    ("sep", "set", "сен", "eyl"),
    ("oct", "okt", "out", "ott", "окт", "eki"),
    ("nov", "ноя", "kas"),
    ("dec", "dic", "dez", "déc", "des", "дек", "ara"),
)
MONTHS = {name: number for number, names in enumerate(NAMES, 1) for name in names}
# A date of two digits each: 24-01-02 is of 2024 or of 2002, and no number above 12 need tell.
YEAR_FIRST = "%y-%m-%d"
# What each directive may be, and what it is where another stands right beside it.
DIRECTIVES = {
    "Y": (r"\d{4}", r"\d{4}"), "y": (r"\d\d", r"\d\d"),
    "m": (r"\d{1,2}", r"\d\d"), "d": (r"\d{1,2}", r"\d\d"),
    "b": (r"[^\W\d_]{3,10}", r"[^\W\d_]{3}"), "H": (r"\d{1,2}", r"\d\d"), "I": (r"\d{1,2}", r"\d\d"),
    "M": (r"\d\d", r"\d\d"), "S": (r"\d\d", r"\d\d"), "f": (r"\d{1,9}", r"\d{1,9}"),
    "p": (r"(?:[AaPp](?:\.?[Mm](?:\.|\b)|\b)|오전|오후|上午|下午|午前|午後)",) * 2,
}  # fmt: skip
DIRECTIVE = re.compile(r"%(.)")
# A date needs these, and without a day it is the first; what users write as %B or %T is as well said so.
NEEDED = (("Y", "y"), ("m", "b"))
SAME = {"%B": "%b", "%T": "%H:%M:%S", "%F": "%Y-%m-%d", "%R": "%H:%M", "%e": "%d", "%h": "%b"}


@lru_cache(maxsize=256)
def compiled(pattern: str) -> tuple[str, tuple[str, ...]]:
    r"""Return a pattern as a regular expression of unnamed groups, and what each group is.

    >>> compiled("%Y%m%d %H:%M")
    ('(\\d{4})(\\d\\d)(\\d\\d) (\\d{1,2}):(\\d\\d)', ('Y', 'm', 'd', 'H', 'M'))
    """
    parts = DIRECTIVE.split(pattern)
    made, groups = [_literal(parts[0])], parts[1::2]
    for at, (name, behind) in enumerate(zip(groups, parts[2::2], strict=True)):
        glued = (at > 0 and parts[2 * at] == "") or (behind == "" and at + 1 < len(groups))
        made.append(f"({DIRECTIVES[name][glued and name != 'p']}){_literal(behind)}")
    return "".join(made), tuple(groups)


def pattern_of(date_format: str) -> str:
    """Return the pattern that a user gives as `date_format`; raise `InvalidInputError` for what is none."""
    pattern = date_format if isinstance(date_format, str) else ""
    for other, ours in SAME.items():
        pattern = pattern.replace(other, ours)
    # As texts are made alike before they are read.
    pattern = re.sub(r"[,\s]+", " ", re.sub(r"(%.)T(%.)", r"\1 \2", pattern.strip()))
    groups = DIRECTIVE.findall(pattern)
    unknown = [name for name in groups if name not in DIRECTIVES]
    if unknown or len(set(groups)) < len(groups) or not all(set(needed) & set(groups) for needed in NEEDED):
        raise InvalidInputError(
            f"{date_format!r} is no format of dates: it is made of %Y (or %y), %m (or %b), %d, and of "
            "%H, %M, %S, %f, %I, %p",
            hint=Hint("as date_format='%d/%m/%Y %H:%M'", "as --date-format '%d/%m/%Y %H:%M'"),
        )
    return pattern


def _literal(text: str) -> str:
    """Return what stands between two directives, as an expression."""
    return "".join("[-/.]" if letter == "-" else re.escape(letter) for letter in text).replace(r"\ ", " ")
