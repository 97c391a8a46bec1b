"""The error of a row that breaks a rule: which, where, and what to do about it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from mdstore.core.excerpts import excerpt
from mdstore.core.rounding import MOST_ULPS, misses_by_rounding
from mdstore.core.timeframe import DAY, WEEK, meant
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import Hint, ValidationError

__all__ = ["AS_WRITTEN", "IN_FUTURE", "NO_TIME", "STARTS", "TWICE", "first_error", "of_days"]

NO_TIME = "timestamp is a time"
TWICE = "timestamp is a time that the clocks of its zone show once"
IN_FUTURE = "timestamp is not in the future (naive times are UTC)"
STARTS = "timestamp starts a "

SET_ASIDE = Hint(
    "on_invalid='quarantine' sets bad rows aside and lands the others",
    "--on-invalid quarantine sets bad rows aside and lands the others",
)
TO_START = Hint(
    "align='floor' moves times to the start of their bar",
    "--align floor moves times to the start of their bar",
)
FLOOR = Hint(f"{SET_ASIDE.python}; {TO_START.python}", f"{SET_ASIDE.cli}; {TO_START.cli}")
AS_WRITTEN = Hint(
    "write times as 2025-09-01 00:00, or say how they are written, as date_format='%d/%m/%Y %H:%M'",
    "write times as 2025-09-01 00:00, or say how they are written, as --date-format '%d/%m/%Y %H:%M'",
)
WITH_OFFSET = Hint(
    f"write such times with their offset, as 2024-11-03T01:30-04:00; {SET_ASIDE.python}",
    f"write such times with their offset, as 2024-11-03T01:30-04:00; {SET_ASIDE.cli}",
)
OF_A_ZONE = Hint(
    f"times of another zone are read with tz='Asia/Seoul'; {SET_ASIDE.python}",
    f"times of another zone are read with --tz Asia/Seoul; {SET_ASIDE.cli}",
)
BY_ROUNDING = Hint(
    f"it misses by rounding, which tolerance='ulp' mends (by {MOST_ULPS} units in the last place at most); "
    f"{SET_ASIDE.python}",
    f"it misses by rounding, which --tolerance ulp mends (by {MOST_ULPS} units in the last place at most); "
    f"{SET_ASIDE.cli}",
)
NO_VOLUME = Hint(
    f"volume='none' where there is none; {SET_ASIDE.python}",
    f"--volume none where there is none; {SET_ASIDE.cli}",
)
BY_RULE = {NO_TIME: SET_ASIDE, TWICE: WITH_OFFSET, IN_FUTURE: OF_A_ZONE}
MOST_RULES = 3
DAYS = "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"


def first_error(bad: pl.DataFrame, rows: int) -> ValidationError:
    """Return the error that names the first bad row of a chunk of `rows`."""
    row = bad.sort("row").row(0, named=True)
    more = f"; {len(bad) - 1:,} more of the rows checked break {_rules(bad, row)}" if len(bad) > 1 else ""
    return ValidationError(
        f"row {row['row']} of {row['symbol']} {row['timeframe']}: {row['column']} = {row['value']} breaks "
        f"the rule '{row['rule']}'{more}. Nothing was written. The row is {excerpt(row['record'], 600)}",
        row=row["row"],
        column=row["column"],
        value=row["value"],
        rule=row["rule"],
        bad_rows=len(bad),
        hint=_hint(row, most=2 * len(bad) > rows > 1),
    )


def _rules(bad: pl.DataFrame, first: dict[str, Any]) -> str:
    """Say which rules are broken by rows besides the first, and by how many: it is seldom what most break."""
    counts = Counter(bad["rule"])
    counts[first["rule"]] -= 1
    others = [(rule, rows) for rule, rows in counts.most_common() if rows]
    if [rule for rule, _ in others] == [first["rule"]]:
        return "it"
    told = [f"{rows:,} the rule '{rule}'" for rule, rows in others[:MOST_RULES]]
    more = sum(rows for _, rows in others[MOST_RULES:])
    return "rules: " + ", ".join([*told, *([f"{more:,} others"] if more else [])])


def _hint(row: dict[str, Any], *, most: bool) -> str | Hint:
    """Say what to do; `most` is whether most rows of the chunk are bad."""
    rule, timeframe = row["rule"], meant(row["timeframe"]) or row["timeframe"]
    if rule == NO_TIME and most:
        return AS_WRITTEN
    if rule in BY_RULE:
        return BY_RULE[rule]
    if not rule.startswith(STARTS):
        return _of_values(row, most=most)
    if timeframe[-1] in "dwM":
        return of_days(timeframe, row["time"])
    if most:
        off = f"most rows are off the grid: are they {timeframe} bars?"
        return Hint(f"{off} {TO_START.python}", f"{off} {TO_START.cli}")
    return FLOOR


def _of_values(row: dict[str, Any], *, most: bool) -> Hint:
    """Say what to do about a price or a volume."""
    if row["column"] == "volume" and row["value"] == "None" and most:
        return NO_VOLUME
    by_rounding = row["column"] in ("low", "high") and misses_by_rounding(row["record"])
    return BY_ROUNDING if by_rounding else SET_ASIDE


def of_days(timeframe: str, time: int) -> Hint:
    """Say what to do about bars of days, weeks or months that begin elsewhere than ours."""
    if time % DAY or timeframe.endswith("d"):
        first = f"{timeframe} bars bear their first date, at 00:00 UTC: give dates, not local midnights; "
        return Hint(
            f"{first}align='floor' takes the dates of these times, tz= reads them as of a zone",
            f"{first}--align floor takes the dates of these times, --tz reads them as of a zone",
        )
    if timeframe.endswith("M"):
        where = f"{timeframe} bars bear the first of their month"
    elif timeframe == "1w" and time % WEEK == 0:
        where = "weeks that begin on Thursdays are 7d bars, say timeframe 7d; 1w bars bear their Monday"
    else:
        where = f"{timeframe} bars bear their Monday, and this is a {DAYS[ms_to_datetime(time).weekday()]}"
    return Hint(f"{where}: align='floor' moves bars there", f"{where}: --align floor moves bars there")
