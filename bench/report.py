"""Showing and keeping what the benches say: a table for people, JSON and pictures for the repository."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measure import Grid, Line, Report

__all__ = ["RESULTS", "into_readme", "load", "markdown", "save", "show"]

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
FILE = "results.json"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
HEAD = ("what", "mdstore", "raw", "ratio", "target", "met")
COLOUR = {"yes": "green", "no": "red"}
MET = {True: "yes", False: "no", None: ""}


def show(report: Report, console: Console) -> None:
    """Print a report as tables."""
    console.print(f"[bold]{report.title}[/]", highlight=False)
    if report.lines:
        table = Table(*HEAD)
        for line in report.lines:
            *cells, met = _cells(line)
            table.add_row(*cells, f"[{COLOUR[met]}]{met}[/]" if met else "")
        console.print(table)
    if report.grid is not None:
        table = Table(*report.grid.heads)
        for row in report.grid.rows:
            table.add_row(*row)
        console.print(table)
    for note in report.notes:
        console.print(note, highlight=False, markup=False)


def save(reports: Iterable[Report], folder: Path = RESULTS) -> None:
    """Keep reports and their pictures; the reports of other benches stay."""
    folder.mkdir(exist_ok=True)
    kept = load(folder)
    for report in reports:
        for name, picture in report.pictures.items():
            (folder / name).write_text(picture)
        kept[report.name] = report
    text = {name: _plain(kept[name]) for name in sorted(kept)}
    (folder / FILE).write_text(json.dumps(text, indent=1) + "\n")


def load(folder: Path = RESULTS) -> dict[str, Report]:
    """Return the reports that were kept, by name; pictures by name only."""
    file = folder / FILE
    stored = json.loads(file.read_text()) if file.exists() else {}
    return {
        name: Report(
            name,
            one["title"],
            [Line(**line) for line in one["lines"]],
            Grid(**one["grid"]) if one["grid"] else None,
            one["notes"],
            dict.fromkeys(one["pictures"], ""),
        )
        for name, one in stored.items()
    }


def markdown(reports: Iterable[Report]) -> str:
    """Return reports as Markdown tables with their notes and pictures."""
    return "\n".join(_section(report) for report in reports)


def into_readme(text: str, readme: Path = HERE / "README.md") -> None:
    """Put the tables into the README, between the two marks."""
    before, _, rest = readme.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def _section(report: Report) -> str:
    parts = [f"### {report.title} (`{report.name}`)"]
    if report.lines:
        parts.append(_table(HEAD, map(_cells, report.lines)))
    if report.grid is not None:
        parts.append(_table(report.grid.heads, report.grid.rows))
    parts += report.notes
    parts += [f"![{report.title}](results/{name})" for name in report.pictures]
    return "\n\n".join(parts) + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rule, *rows))


def _cells(line: Line) -> tuple[str, ...]:
    raw = "" if line.raw is None else _number(line.raw, line.unit)
    ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
    return line.what, _number(line.ours, line.unit), raw, ratio, line.target, MET[line.met]


def _number(value: float, unit: str) -> str:
    digits = 0 if value >= 1000 else 1 if value >= 100 else 2
    return f"{value:,.{digits}f} {unit}".strip()


def _plain(report: Report) -> dict[str, object]:
    """Return a report as JSON has it, figures to four digits."""
    plain = asdict(report) | {"pictures": list(report.pictures)}
    plain["lines"] = [{key: _rounded(value) for key, value in line.items()} for line in plain["lines"]]
    return plain


def _rounded(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value
