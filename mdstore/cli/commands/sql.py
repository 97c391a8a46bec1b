"""The flags of `mdstore sql`: the query, and how many rows are printed."""

from __future__ import annotations

import re
import sys
from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["sql"]

MOST = 50
NAMED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")  # 005930 is none
QUOTES = "'\""
PLAN = ["explain_key", "explain_value"]
"""The columns of what EXPLAIN gives: a text of many lines."""


def sql(  # noqa: PLR0917 - options by the names that typer gives them
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(help="DuckDB SQL; - reads it from standard input.")],
    rows: Annotated[
        int | None,
        typer.Option("--rows", "-n", min=1, help="Rows at most: 50, with --json all, if left out."),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            help="A value for ? in the query, or NAME=VALUE for $NAME, once for each; "
            "'\"005930\"' in quotes is a text."
        ),
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that it may take.")] = None,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Query the tables candles, series and quarantine with DuckDB SQL, read only.

    For example:

      mdstore sql "SELECT symbol, max(high) FROM candles WHERE timeframe = '1d' GROUP BY ALL"

      mdstore sql --json "FROM series"

      mdstore sql "FROM candles WHERE symbol = ? AND close > ?" --param AAPL --param 100
    """
    from mdstore.cli.shared.json_text import json_text, records
    from mdstore.cli.shared.table import print_frame

    with stored(store_file(ctx, file)) as store:
        frame = store.sql(sys.stdin.read() if query == "-" else query, params=_params(param), timeout=timeout)
    if json:
        print(json_text(records(frame.head(rows) if rows else frame)))
        return
    rows = rows or MOST
    if frame.columns == PLAN:
        print("\n".join(frame[PLAN[1]].head(rows)))
        return
    print_frame(to_stdout(), frame.head(rows), grouped=False, exact=True)
    if len(frame) > rows:
        to_stderr().print(f"{rows:,} of {len(frame):,} rows; --rows shows more, --json all", highlight=False)


def _params(given: list[str] | None) -> list[object] | dict[str, object] | None:
    """Read values of parameters, all with a name or none: numbers are numbers, what is in quotes is a text.

    >>> _params(["AAPL", "100", "005930"]), _params(["low=1.5", 'name="7"'])
    (['AAPL', 100, '005930'], {'low': 1.5, 'name': '7'})
    """
    if not given:
        return None
    named = [NAMED.fullmatch(text) for text in given]
    if all(named):
        return {match[1]: _value(match[2]) for match in named if match}
    return [_value(text) for text in given]


def _value(text: str) -> object:
    if len(text) > 1 and text[0] == text[-1] and text[0] in QUOTES:
        return text[1:-1]
    if not NUMBER.fullmatch(text):
        return text
    return int(text) if text.lstrip("-").isdigit() else float(text)
