"""The flags of `mdstore sql`: the query, and how many rows are printed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["sql"]

MOST = 50
PLAN = ["explain_key", "explain_value"]
"""The columns of what EXPLAIN gives: a text of many lines."""


def sql(  # noqa: PLR0917 - options by the names that typer gives them
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(help="DuckDB SQL; - reads it from standard input.")],
    rows: Annotated[
        int | None,
        typer.Option("--rows", "-n", min=1, help="Rows at most: 50, with --json all, if left out."),
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that it may take.")] = None,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Query the tables candles, series and quarantine with DuckDB SQL, read only.

    For example:

      mdstore sql "SELECT symbol, max(high) FROM candles WHERE timeframe = '1d' GROUP BY ALL"

      mdstore sql --json "FROM series"
    """
    from mdstore.cli.shared.json_text import json_text, records
    from mdstore.cli.shared.table import print_frame

    with stored(store_file(ctx, file)) as store:
        frame = store.sql(sys.stdin.read() if query == "-" else query, timeout=timeout)
    if json:
        print(json_text(records(frame.head(rows) if rows else frame)))
        return
    rows = rows or MOST
    if frame.columns == PLAN:
        print("\n".join(frame[PLAN[1]].head(rows)))
        return
    print_frame(to_stdout(), frame.head(rows), grouped=False)
    if len(frame) > rows:
        to_stderr().print(f"{rows:,} of {len(frame):,} rows; --rows shows more, --json all", highlight=False)
