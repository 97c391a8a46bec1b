"""What `mdstore demo` does and prints: real candles in and out, timed, and what to try next."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.markup import escape

import mdstore
from mdstore.cli.output.import_ import Import, Options, import_files
from mdstore.cli.output.show import SPARE
from mdstore.cli.shared.progress import ImportProgress
from mdstore.cli.shared.table import print_frame
from mdstore.cli.shared.texts import count, moment
from mdstore.errors import FileFormatError
from mdstore.reports.text_chart import chart, columns_for

__all__ = ["DEMO_FILE", "demo_data", "run_demo"]

DEMO_FILE = Path("demo.sqlite3")
DATA_FILE = "us_stocks_1d.csv.gz"
SYMBOL, TIMEFRAME = "AAPL", "1d"
BARS = 5
WIDEST_CHART, CHART_HEIGHT = 90, 18
BEST_MONTHS = """
SELECT symbol, strftime(date_trunc('month', timestamp), '%Y-%m') AS month,
       round(100 * (arg_max(close, timestamp) / arg_min(open, timestamp) - 1), 1) AS "change %"
FROM candles WHERE timeframe = '1d'
GROUP BY symbol, month
QUALIFY row_number() OVER (PARTITION BY symbol ORDER BY "change %" DESC) = 1
ORDER BY "change %" DESC
"""
NEXT_STEPS = """
[bold]Try next[/]
  {run} -f {file} series
  {run} -f {file} show MSFT --start 2008-01-01
  {run} -f {file} sql "SELECT symbol, max(high) AS peak FROM candles GROUP BY symbol"
  {run} -f {file} screen "close > sma(close, 50)" "rsi(close, 14)"
  {run} -f {file} export ibm.parquet IBM
  {run} import YOUR_FILES          into market_data.sqlite3, your own store

[bold]In Python[/]
  import mdstore
  with mdstore.open("{file}") as store:
      frame = store.candles("AAPL", "1d", start="2012-01-01")     # a Polars frame
"""


class Watch:
    """How long something took, in milliseconds; `_timed` sets it at the end."""

    ms = 0.0


def demo_data() -> Path:
    """Return the candles that come with the package: in `data` of a clone, in `_data` of a wheel."""
    package = Path(mdstore.__file__).parent
    for folder in (package / "_data", package.parent / "data"):
        if (folder / DATA_FILE).is_file():
            return folder / DATA_FILE
    raise FileFormatError(f"{DATA_FILE} did not come with this installation", hint="reinstall mdstore")


def run_demo(file: Path, out: Console, remarks: Console) -> None:
    """Import the sample candles into `file`, read them back in three ways and print it all."""
    data = demo_data()
    out.print(f"[bold]mdstore demo[/]: five US stocks, daily, into {escape(str(file))}\n", highlight=False)
    with mdstore.open(file) as store:
        run = import_files(
            store, [data], Options(timeframe=TIMEFRAME, source="demo"), ImportProgress(remarks, [data])
        )
        _raise_failure(run)
        _print_written(run, out)
        with _timed() as read:
            frame = store.candles(SYMBOL, TIMEFRAME, limit=columns_for(min(out.width, WIDEST_CHART)))
        _print_latest(frame, out, read)
        with _timed() as first:
            best = store.sql(BEST_MONTHS)
        with _timed() as again:
            store.sql(BEST_MONTHS)
    out.print("[bold]Best month of each stock, by SQL[/]")
    print_frame(out, best)
    out.print(
        f"{first.ms:,.0f} ms with the start of DuckDB, {again.ms:,.0f} ms when it runs",
        style="dim",
        highlight=False,
    )
    steps = NEXT_STEPS.format(run=escape(_invocation()), file=escape(str(file)))
    out.print(steps, highlight=False, soft_wrap=True, end="")


def _raise_failure(run: Import) -> None:
    if run.interrupted:
        raise KeyboardInterrupt
    for error in (run.stopped_by, *(failure.error for failure in run.failures)):
        if error is not None:
            raise error


def _print_written(run: Import, out: Console) -> None:
    result = run.landed[0].result
    new = f"{result.inserted:,} new" if result.inserted else "all there already, nothing written"
    what = f"{count(result.rows, 'candle')} of {count(len(run.landed[0].symbols), 'symbol')}"
    out.print(
        f"{what}, {moment(result.first)} to {moment(result.last)}: {new}, {run.seconds * 1000:,.0f} ms\n",
        highlight=False,
    )


def _print_latest(frame: pl.DataFrame, out: Console, read: Watch) -> None:
    width = min(out.width, WIDEST_CHART)
    out.print(chart(frame, title=f"{SYMBOL} {TIMEFRAME}", width=width, height=CHART_HEIGHT))
    out.print()
    out.print(f"[bold]Latest bars of {SYMBOL}[/]")
    print_frame(out, frame.tail(BARS), spare=SPARE)
    out.print(f"{len(frame)} bars read in {read.ms:.1f} ms\n", style="dim", highlight=False)


@contextmanager
def _timed() -> Iterator[Watch]:
    watch, began = Watch(), time.perf_counter()
    yield watch
    watch.ms = (time.perf_counter() - began) * 1000


def _invocation() -> str:
    """Return how to call this program from here, for commands that the user can copy."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return f"{_relative(Path(sys.executable))} -m mdstore"
    on_path = shutil.which(program.name)
    if on_path is not None and (not program.exists() or Path(on_path).samefile(program)):
        return program.name
    return _relative(program)


def _relative(path: Path) -> str:
    """Write a path from the current folder where that is shorter."""
    # Links are kept: the python of a virtual environment is a link, and run by its target it would not know
    # the environment.
    return min(os.path.relpath(path), str(path.absolute()), key=len)
