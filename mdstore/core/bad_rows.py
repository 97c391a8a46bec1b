"""The error of a row that breaks a rule: which, where, and what to do about it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import polars as pl

from mdstore.core.column_names import OF_A_SEASON
from mdstore.core.excerpts import excerpt
from mdstore.core.labels import as_hint, of_labels
from mdstore.core.rounding import MOST_ULPS, misses_by_rounding
from mdstore.core.timeframe import DAY, Timeframe, meant
from mdstore.core.whole_numbers import HELD
from mdstore.errors import Hint, ValidationError

__all__ = ["AS_WRITTEN", "IN_FUTURE", "NO_TIME", "STARTS", "TWICE", "UNKNOWN_TIMEFRAME", "first_error"]

NO_TIME = "timestamp is a time"
TWICE = "timestamp is a time that the clocks of its zone show once"
IN_FUTURE = "timestamp is not in the future (naive times are UTC)"
STARTS = "timestamp starts a "

SET_ASIDE = Hint(
    "on_invalid='quarantine' sets bad rows aside and lands the others",
    "--on-invalid quarantine sets bad rows aside and lands the others",
)
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
# 2024010209: as seconds these are of 2034.
HOURS = re.compile(r"20\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])")
AS_HOURS = Hint(
    "where they are written YYYYMMDDHH, date_format='%Y%m%d%H' says so",
    "where they are written YYYYMMDDHH, --date-format %Y%m%d%H says so",
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
# 60 is an hour to one exchange and a minute to another: where a call says it, the column may say anything.
OF_TIMEFRAME = Hint(
    f"write(symbol, timeframe, data) says what that is; {SET_ASIDE.python}",
    f"--timeframe 1h says what that is, where it is the same for all rows; {SET_ASIDE.cli}",
)
UNKNOWN_TIMEFRAME = "timeframe is a timeframe such as '1m'"
OF_DIGITS = Hint(
    f"give it in a larger unit, or as a float, which says that it is rounded; {SET_ASIDE.python}",
    f"give it in a larger unit, or with a decimal point, which says that it is rounded; {SET_ASIDE.cli}",
)
BY_RULE = {UNKNOWN_TIMEFRAME: OF_TIMEFRAME, NO_TIME: SET_ASIDE, TWICE: WITH_OFFSET, IN_FUTURE: OF_A_ZONE}
MOST_RULES = 3


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
        hint=_hint(row, bad, most=2 * len(bad) > rows > 1),
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


def _hint(row: dict[str, Any], bad: pl.DataFrame, *, most: bool) -> str | Hint:
    """Say what to do about the first of the bad rows; `most` is whether these are most of the chunk."""
    rule, timeframe = row["rule"], meant(row["timeframe"]) or row["timeframe"]
    if rule == NO_TIME and (letters := row["value"].rpartition(" ")[2].lower()) in OF_A_SEASON:
        return _of_season(letters)
    if rule == NO_TIME and most:
        return AS_WRITTEN
    if rule == IN_FUTURE and HOURS.fullmatch(row["value"]):
        return AS_HOURS
    if rule in BY_RULE:
        return BY_RULE[rule]
    if not rule.startswith(STARTS):
        return _of_values(row, most=most)
    return _of_labels(Timeframe.parse(timeframe), row, bad, most=most)


def _of_labels(bar: Timeframe, row: dict[str, Any], bad: pl.DataFrame, *, most: bool) -> Hint:
    """Say what a time may mean that starts no bar; a single one among others may be none."""
    here = bad.filter((pl.col("rule") == row["rule"]) & (pl.col("symbol").eq_missing(row["symbol"])))
    times = here.sort("row")["time"].drop_nulls().to_list()
    hint = as_hint(bar, times[0], of_labels(bar, times, row["value"]))
    if bar.shortest_ms >= DAY:
        return hint
    if most:
        doubt = f"most rows start no bar: are they {bar} bars? "
        return Hint(doubt + hint.python, doubt + hint.cli)
    return Hint(f"{SET_ASIDE.python}; {hint.python}", f"{SET_ASIDE.cli}; {hint.cli}")


def _of_season(letters: str) -> Hint:
    """Say what to do about times of EST, which people write in summer, too."""
    clocks, fixed = OF_A_SEASON[letters]
    what = f"{letters.upper()} is not one zone all the year:"
    return Hint(
        f"{what} tz={clocks!r} where its clocks change, tz={fixed!r} where they do not",
        f"{what} --tz {clocks} where its clocks change, --tz {fixed} where they do not",
    )


def _of_values(row: dict[str, Any], *, most: bool) -> Hint:
    """Say what to do about a price or a volume."""
    if row["rule"] == HELD.format(row["column"]):
        return OF_DIGITS
    if row["column"] == "volume" and row["value"] == "None" and most:
        return NO_VOLUME
    by_rounding = row["column"] in ("low", "high") and misses_by_rounding(row["record"])
    return BY_ROUNDING if by_rounding else SET_ASIDE
