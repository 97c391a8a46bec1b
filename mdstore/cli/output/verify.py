"""What `mdstore verify` prints: a table of counts, the worst of it in words, and what the checks mean."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console
from rich.text import Text

from mdstore.analysis.quality_checks import CHECKS, SEVERITIES
from mdstore.cli.shared.holes import extents_of, holes_of
from mdstore.cli.shared.json_text import json_text, records
from mdstore.cli.shared.progress import WorkProgress
from mdstore.cli.shared.table import Column, print_grid, room
from mdstore.cli.shared.texts import count, is_intraday, moment
from mdstore.cli.shared.weekend_hint import may_close, weekend_hint

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["print_findings"]

COLOURS = {"error": "bold red", "warning": "yellow", "info": "dim"}
# How many findings of each severity are told in words, and how many lines the table has, at most.
TOLD = {"error": 50, "warning": 20, "info": 0}
MOST_LINES = 50
HEAD, LEAST = 9, 20
# What the detail of a finding is where `verify` has left the rest of its kind out.
OTHERS = re.compile(r"\.\.\. and ([\d,]+) more")
KEY = ("symbol", "timeframe", "check")
SPARE = ("infos", "timeframe")


def print_findings(
    store: MarketDataStore,
    out: Console,
    remarks: Console,
    symbols: Sequence[str] | None,
    timeframe: str | None,
    *,
    every: bool,
    json: bool,
) -> bool:
    """Verify series and print what was found; return whether there is no error."""
    with WorkProgress(remarks, "verifying", "series") as progress:
        found = store.verify(symbols or None, timeframe, progress=progress)
    if json:
        print(json_text(records(found)))
    elif store.series().is_empty():
        nothing = f"nothing is stored in {store.path.name}. Hint: mdstore import FILES"
        remarks.print(nothing, highlight=False, markup=False)
    else:
        _print(out, _numbered(found), every=every)
        if hint := _hint(store, found):
            remarks.print(hint, highlight=False, markup=False)
    return "error" not in found["severity"]


def _hint(store: MarketDataStore, found: pl.DataFrame) -> str | None:
    """Return a hint to set a calendar, if the gaps that were found look like weekends."""
    lacking = found.filter(pl.col("check") == "gap").select("symbol", "timeframe").unique()
    keys = lacking.with_columns(pl.col("symbol").cast(pl.String))
    symbols = may_close(store, keys.rows())
    listed = store.series().with_columns(pl.col("symbol").cast(pl.String).alias("name"))
    suspect = listed.join(keys.rename({"symbol": "name"}), on=("name", "timeframe"), how="semi")
    suspect = suspect.filter(pl.col("name").is_in(symbols))
    if suspect.is_empty():
        return None
    return weekend_hint(store, suspect, extents_of(suspect, None, None), holes_of(store, suspect, None, None))


def _print(out: Console, found: pl.DataFrame, *, every: bool) -> None:
    if len(found):
        _print_counts(out, found, every=every)
        told = found if every else _worst(found)
        if len(told):
            out.print()
        for row in told.iter_rows(named=True):
            head = Text(row["severity"].ljust(HEAD), COLOURS[row["severity"]])
            _print_wrapped(out, head, _finding(row))
        more = int(found["times"].sum()) - int(told["times"].sum())
        if more and not every:
            out.print(f"{count(more, 'finding')} more; --all tells them", highlight=False)
        _print_meanings(out, found)
    out.print(_summary(found), highlight=False)


def _numbered(found: pl.DataFrame) -> pl.DataFrame:
    """Add `times`: how many findings a row stands for."""
    others = pl.col("detail").str.extract(OTHERS.pattern).str.replace_all(",", "").cast(pl.Int64)
    return found.with_columns(pl.col("symbol").cast(pl.String), others.fill_null(1).alias("times"))


# ---- the table


def _print_counts(out: Console, found: pl.DataFrame, *, every: bool) -> None:
    """Print how often each check found something in each series, the worst first."""
    counts = [
        pl.col("times").filter(pl.col("severity") == severity).sum().alias(f"{severity}s")
        for severity in SEVERITIES
    ]
    names = [f"{severity}s" for severity in SEVERITIES]
    table = found.group_by(KEY, maintain_order=True).agg(counts)
    table = table.sort([*names, *KEY], descending=[True] * len(names) + [False] * len(KEY))
    shown = table if every else table.head(MOST_LINES)
    print_grid(out, [_column(shown[name]) for name in (*KEY, *names)], room(out))
    if len(table) > len(shown):
        out.print(f"... and {count(len(table) - len(shown), 'line')} more; --all shows all", highlight=False)


def _column(values: pl.Series) -> Column:
    spare = SPARE.index(values.name) if values.name in SPARE else None
    if values.name in KEY:
        return Column(values.name, values.to_list(), cut="end", spare=spare)
    return Column(values.name, [f"{times:,}" if times else "" for times in values], right=True, spare=spare)


# ---- the findings in words


def _worst(found: pl.DataFrame) -> pl.DataFrame:
    """Return the findings to tell in words: of each severity up to so many, the worst first.

    The sizes of different checks cannot be compared. So the worst finding of every check is taken, then the
    second worst of every check, and so on.
    """
    single = found.filter(~pl.col("detail").str.contains(OTHERS.pattern))
    by_size = single.sort(pl.col("value").abs(), descending=True, nulls_last=True, maintain_order=True)
    turn = by_size.with_columns(pl.int_range(pl.len()).over("severity", "check").alias("turn"))
    parts = [
        turn.filter(pl.col("severity") == severity).sort("turn", maintain_order=True).head(most)
        for severity, most in TOLD.items()
    ]
    return pl.concat(part.sort("check", "turn", maintain_order=True) for part in parts)


def _finding(row: dict[str, Any]) -> str:
    start = moment(row["start"], intraday=is_intraday(row["timeframe"]))
    return f"{row['check']}  {row['symbol']} {row['timeframe']}  {start}  {row['detail']}"


def _print_wrapped(out: Console, head: Text, text: str) -> None:
    """Print a text behind its head, further lines under its first words."""
    width, indent = room(out), head.cell_len
    lines = [text] if width is None else textwrap.wrap(text, max(width - indent, LEAST))
    for number, line in enumerate(lines):
        out.print(
            Text.assemble(Text(" " * indent) if number else head, line), soft_wrap=True, highlight=False
        )


def _print_meanings(out: Console, found: pl.DataFrame) -> None:
    """Say of each check that found something what it means."""
    checks = found["check"].unique().sort().to_list()
    width = max(map(len, checks)) + 2
    out.print()
    for check in checks:
        _print_wrapped(out, Text(check.ljust(width), "bold"), CHECKS.get(check, ""))
    out.print()


def _summary(found: pl.DataFrame) -> str:
    """Say how much was found.

    >>> columns = {"severity": ["info"], "times": [12], "symbol": ["A"], "timeframe": ["1d"]}
    >>> _summary(pl.DataFrame(columns))
    'no errors, no warnings, 12 infos in 1 series'
    """
    if found.is_empty():
        return "nothing looks wrong"
    sums = dict(found.group_by("severity").agg(pl.col("times").sum()).iter_rows())
    counts = [count(sums[one], one) if sums.get(one) else f"no {one}s" for one in SEVERITIES]
    return f"{', '.join(counts)} in {len(found.unique(['symbol', 'timeframe'])):,} series"
