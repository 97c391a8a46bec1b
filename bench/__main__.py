"""Run the benches: `python -m bench [NAME ...]`, all of them without a name."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from importlib import import_module
from types import ModuleType

from rich.console import Console

from bench.measure import Report
from bench.report import into_readme, load, markdown, save, show
from bench.scale import FULL, QUICK

BENCHES = (
    "upsert", "many", "tail", "latest", "scan", "roads", "series", "page_size",
    "columnar", "equities", "first_read", "flat", "materialise", "disk", "gaps", "history", "digests",
    "upkeep", "sql",
    "realtime", "sockets", "watching", "soak", "caches", "service", "sync",
    "freezing", "pack_bytes", "many_reads", "imports",
)  # fmt: skip


def main() -> None:
    """Run what was asked for, print its tables and keep the figures."""
    asked = _arguments()
    console = Console()
    if not console.is_terminal:
        console.width = 140
    if asked.list:
        for name in BENCHES:
            console.print(f"{name:<11} {(_module(name).__doc__ or '').splitlines()[0]}", highlight=False)
        return
    if asked.names or not (asked.markdown or asked.readme):
        reports = [_run(name, asked, console) for name in asked.names or BENCHES]
        if not asked.quick:
            save(reports)
    if asked.markdown or asked.readme:
        kept = load()
        text = markdown(kept[name] for name in BENCHES if name in kept)
        into_readme(text) if asked.readme else print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHES)}; all if absent"
    )
    parser.add_argument("--list", action="store_true", help="say what each measures, and run nothing")
    parser.add_argument(
        "--quick", action="store_true", help="small files and few rounds; figures are not kept"
    )
    parser.add_argument("--symbols", type=int, help=f"series in the large file ({FULL.symbols})")
    parser.add_argument("--bars", type=int, help=f"candles in each series ({FULL.bars:,})")
    parser.add_argument(
        "--huge",
        action="store_true",
        help="let `flat` make and measure ten times the rows (13 GB), and `soak` run an hour's rows",
    )
    parser.add_argument(
        "--markdown", action="store_true", help="print the kept figures as Markdown, run nothing"
    )
    parser.add_argument("--readme", action="store_true", help="put the kept figures into bench/README.md")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(BENCHES):
        parser.error(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    return asked


def _run(name: str, asked: argparse.Namespace, console: Console) -> Report:
    scale = QUICK if asked.quick else FULL
    began = time.perf_counter()
    with console.status(name) as status:
        scale = replace(
            scale,
            symbols=asked.symbols or scale.symbols,
            bars=asked.bars or scale.bars,
            say=lambda text: status.update(f"{name}: {text}"),
            huge=asked.huge,
        )
        report: Report = _module(name).run(scale)
    show(report, console)
    console.print(f"{name} took {time.perf_counter() - began:.0f} s\n", style="dim")
    return report


def _module(name: str) -> ModuleType:
    return import_module(f"bench.{name}")


if __name__ == "__main__":
    main()
