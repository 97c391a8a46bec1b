"""What `mdstore import` prints at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from mdstore.cli.output.import_ import Import, Landed
from mdstore.cli.shared.errors import said
from mdstore.cli.shared.table import Column, print_grid, room
from mdstore.cli.shared.texts import count, is_intraday, moment
from mdstore.core.excerpts import excerpt

__all__ = ["as_json", "print_summary"]

COUNTS = (
    "inserted",
    "updated",
    "unchanged",
    "duplicates",
    "conflicts",
    "withheld",
    "widened",
    "quarantined",
    "dropped",
)
MOST_FILES = 60
MOST_COLUMNS = 12
# Columns that are left out where a line is wider than the terminal, the first first; before them all go
# counts that are zero in every file.
SPARE = ("first", "last", "timeframe", "updated", "unchanged", "inserted")
WORDS_FOR = {
    "file name": "taken from the file's name",
    "sheet": "taken from the names of the sheets",
    "spacing": "told by the most common spacing of the timestamps",
}


SAYS_OTHERWISE = ("file name", "spacing")


def print_summary(run: Import, out: Console | None, remarks: Console) -> None:
    """Print what landed as a table on `out`, if given; on `remarks` what failed and what was inferred."""
    if run.landed and out is not None:
        print_grid(out, _columns(run), room(out))
        if len(run.landed) > MOST_FILES:
            out.print(f"... and {count(len(run.landed) - MOST_FILES, 'file')} more", highlight=False)
        rate = f", {run.total('rows') / run.seconds:,.0f} rows/s" if run.seconds else ""
        out.print(f"{count(run.total('rows'), 'row')} in {run.seconds:.1f} s{rate}", highlight=False)
    for remark in _remarks(run):
        remarks.print(remark, highlight=False)
    for failure in run.failures:
        _print_error(remarks, _named(failure.file, said(failure.error)))
    for landed in run.landed:
        if landed.refused is not None:
            _print_error(remarks, _named(landed.file, landed.refused))
    if run.failures:
        remarks.print(f"{_of(run)} landed whole; of the others nothing was written", highlight=False)
    if run.stopped_by is not None:
        _print_error(remarks, f"{said(run.stopped_by)}\nstopped: {_of(run)} landed")
    if run.interrupted:
        remarks.print(_interruption(run), highlight=False, markup=False)


def as_json(run: Import) -> dict[str, Any]:
    """Return what `print_summary` tells, as values for JSON."""
    return {
        "files": [_file_record(landed) for landed in run.landed],
        "failures": [{"file": str(one.file), "error": said(one.error)} for one in run.failures],
        "totals": {name: run.total(name) for name in ("rows", *COUNTS)},
        "notes": list(run.notes),
        "seconds": round(run.seconds, 3),
        "interrupted": run.interrupted,
        "rolled_back": str(run.interrupted_in) if run.interrupted_in else None,
    }


def _file_record(landed: Landed) -> dict[str, Any]:
    return {
        "file": str(landed.file),
        "symbols": sorted(landed.symbols),
        "timeframes": sorted(landed.timeframes),
        "told_by": landed.told_by,
        **{name: getattr(landed.result, name) for name in COUNTS},
        "first": landed.result.first,
        "last": landed.result.last,
        "refused": landed.refused,
        "notes": sorted(landed.notes),
        "ignored": list(landed.ignored),
    }


def _columns(run: Import) -> list[Column]:
    several, shown = len(run.landed) > 1, run.landed[:MOST_FILES]
    files = [landed.file.name for landed in shown]
    symbols = [_few(landed.symbols, "symbol") for landed in shown]
    timeframes = [_few(landed.timeframes, "timeframe") for landed in shown]
    return [
        Column("file", files, cut="middle", footer="total" if several else ""),
        Column("symbol", symbols, cut="middle"),
        Column("timeframe", timeframes, spare=SPARE.index("timeframe")),
        *(_counts(run, shown, name, several) for name in COUNTS if name in COUNTS[:3] or run.total(name)),
        *(Column(end, _times(shown, end), spare=SPARE.index(end)) for end in ("first", "last")),
    ]


def _counts(run: Import, shown: Sequence[Landed], name: str, several: bool) -> Column:
    cells = [f"{getattr(landed.result, name):,}" for landed in shown]
    total = run.total(name)
    spare = None if name not in SPARE else SPARE.index(name) if total else -1
    return Column(name, cells, right=True, footer=f"{total:,}" if several else "", spare=spare)


def _times(shown: Sequence[Landed], end: str) -> list[str]:
    return [
        moment(getattr(landed.result, end), intraday=any(map(is_intraday, landed.timeframes)))
        for landed in shown
    ]


def _remarks(run: Import) -> Iterable[str]:
    told = Counter(
        (what, by) for landed in run.landed for what, by in landed.told_by.items() if by in WORDS_FOR
    )
    for (what, by), files in sorted(told.items()):
        where = f" in {count(files, 'file')}" if len(run.landed) > 1 else ""
        otherwise = f"--{what} says otherwise" if by in SAYS_OTHERWISE else "--sheet takes one of them"
        yield f"note: the {what} was {WORDS_FOR[by]}{where}; {otherwise}"
    for names, files in sorted(Counter(landed.ignored for landed in run.landed if landed.ignored).items()):
        where = f" in {count(files, 'file')}" if len(run.landed) > 1 else ""
        yield f"note: columns not kept{where}: {escape(_some(names))}"
    for note in (*run.notes, *sorted({note for landed in run.landed for note in landed.notes})):
        yield f"note: {escape(note)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_COLUMNS} more" if len(names) > MOST_COLUMNS else ""
    return ", ".join(excerpt(name.strip(), 40) for name in names[:MOST_COLUMNS]) + more


def _interruption(run: Import) -> str:
    landed = f"interrupted: {_of(run)} landed, {count(run.total('rows'), 'row')}"
    if run.interrupted_in is not None:
        landed += f"; {run.interrupted_in.name} was rolled back after {count(run.rows_in, 'row')}"
    return f"{landed}. Run the same command again: what is already there costs nothing"


def _of(run: Import) -> str:
    return f"{len(run.landed):,} of {count(len(run.files), 'file')}"


def _few(names: set[str], noun: str) -> str:
    return next(iter(names)) if len(names) == 1 else count(len(names), noun)


def _print_error(remarks: Console, message: str) -> None:
    remarks.print(f"[bold red]error:[/] {escape(message)}", highlight=False)


def _named(file: Path, message: str) -> str:
    """Put the file's name before a message that begins with neither that nor its path."""
    return message if message.startswith((file.name, str(file))) else f"{file.name}: {message}"
