"""What `mdstore top` shows: the figures of `store.stats()` in a terminal, once or as they change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mdstore.cli.output.top_activity import Activity
from mdstore.cli.shared.json_text import json_text
from mdstore.cli.shared.texts import count
from mdstore.core.sizes import size_text

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["print_top", "watch_top"]

BAR: Final = 20
TIGHT, FULL = 0.6, 0.9
"""From which share on a bar is yellow, and red."""
COLOURS: Final = {"critical": "bold red", "warning": "yellow"}
OTHERS: Final = (
    "This process has read nothing. How long reads of others take, and how many of them memory answers, they "
    "know themselves: store.stats() there"
)
MONTH: Final = 30
LEAST_LINES: Final = 4
Tree = Mapping[str, Any]


def print_top(store: MarketDataStore, out: Console, *, json: bool) -> None:
    """Print the figures once."""
    tree = store.stats()
    if json:
        print(json_text(tree))
        return
    activity = Activity()
    activity.look(store)
    out.print(Group(*_figures(tree, activity), Text(), activity.table(None)))


def watch_top(store: MarketDataStore, out: Console, *, every: float) -> None:
    """Show the figures until Ctrl-C."""
    activity = Activity()
    with Live(console=out, screen=True, auto_refresh=False) as live:
        while True:
            activity.look(store)
            live.update(_screen(out, store.stats(), activity), refresh=True)
            time.sleep(every)


def _screen(out: Console, tree: Tree, activity: Activity) -> RenderableType:
    """Return what fills the terminal: the figures, and as many series as there is room for below them."""
    above = Group(*_figures(tree, activity), Text())
    room = out.size.height - len(out.render_lines(above, pad=False)) - 1
    return Group(above, activity.table(max(LEAST_LINES, room)), Text("Ctrl-C ends it", style="dim"))


def _figures(tree: Tree, activity: Activity) -> list[RenderableType]:
    head = Text(Path(tree["file"]["path"]).name, style="bold")
    head.append(f"  {tree['file']['path']}  {datetime.now(UTC):%H:%M:%SZ}", style="dim not bold")
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="bold cyan", no_wrap=True)
    lines.add_column()
    for name, text in ROWS.items():
        for row in text(tree):
            lines.add_row(name, row)
            name = ""  # noqa: PLW2901 - of several lines the first has the name
    lines.add_row("activity", activity.summary())
    return [head, lines, *_alarms(tree)]


def _file(tree: Tree) -> Iterator[Text]:
    file, packs = tree["file"], tree["packs"]
    rows = max(1, file["rows"])
    yield Text(
        f"{size_text(file['sqlite_bytes'])}, {count(file['rows'], 'candle')}, "
        f"{file['sqlite_bytes'] / rows:.1f} B each; {file['fragmentation']:.1f} % of "
        f"{count(file['pages'], 'page')} free{_order(file['in_order'])}"
    )
    if file["disk_free_bytes"] is not None:
        yield Text(f"{size_text(file['disk_free_bytes'])} free on its disk")
    yield Text(
        f"packs {size_text(packs['pack_bytes'])}: {packs['sealed_rows']:,} candles in "
        f"{count(packs['packs'], 'pack')}, {packs['loose_rows']:,} loose"
    )
    for trouble in filter(None, (packs["pack_trouble"], packs["packs_set_aside"])):
        yield Text(str(trouble), style="yellow")


def _order(share: float | None) -> str:
    return "" if share is None else f", {share:.0%} of the leaves of candles in order"


def _log(tree: Tree) -> Iterator[Text]:
    log = tree["log"]
    share = log["wal_bytes"] / log["wal_limit_bytes"]
    line = _bar(share)
    line.append(f" {size_text(log['wal_bytes'])} of {size_text(log['wal_limit_bytes'])}")
    if log["wal_pinned_since"]:
        line.append(f", kept by a read since {log['wal_pinned_since']}", style="red")
    yield line
    if log["open_by"] is None:
        yield Text("who has the file open is not known on this system", style="dim")
        return
    yield Text("open by " + (", ".join(log["open_by"]) or "nobody"))
    if log["reading"]:
        yield Text("reading now: " + ", ".join(log["reading"]))


def _growth(tree: Tree) -> Iterator[Text]:
    growth = tree["growth"]
    if growth["bytes_per_day"] is None:
        yield Text(
            "not known yet: that takes measures a day apart, by store.maintenance.start() or "
            "mdstore optimize --daemon", style="dim",
        )  # fmt: skip
        return
    a_day, month = growth["bytes_per_day"], growth["bytes_in_30_days"]
    yield Text(
        f"{'-' if a_day < 0 else ''}{size_text(abs(a_day))} a day over {growth['days']:.0f} days; "
        f"in {MONTH} days {size_text(month)}"
    )


def _upkeep(tree: Tree) -> Iterator[Text]:
    now, done = time.time() * 1000, tree["maintenance"]
    told = [
        f"{name.replace('_', ' ')} {_ago(now - one['at'])}" for name, one in done.items() if _is_record(one)
    ]
    yield Text(", ".join(told) or "none so far", style="" if told else "dim")
    if tree["at_work"]:
        yield Text("at work: " + ", ".join(tree["at_work"]))


def _is_record(one: object) -> bool:
    return isinstance(one, Mapping) and "at" in one


def _memory(tree: Tree) -> Iterator[Text]:
    memory = tree["memory"]
    if not tree["latencies"]:
        return
    line = _bar(memory["bytes"] / max(1, memory["limit"]))
    line.append(
        f" {size_text(memory['bytes'])} of {size_text(memory['limit'])}; hit rate {memory['hit_rate']:.0%}"
    )
    yield line
    yield Text(", ".join(f"{name} {size_text(size)}" for name, size in memory["parts"].items()))


def _latencies(tree: Tree) -> Iterator[Text]:
    """Say how long calls of this process took: a command of its own has made none."""
    if not tree["latencies"]:
        yield Text(OTHERS, style="dim")
    for operation, tiers in tree["latencies"].items():
        for name, one in tiers.items():
            times = "  ".join(f"{share} {one[f'{share}_ms']:.3g} ms" for share in ("p50", "p95", "p99"))
            yield Text(f"{operation:<8} {name:<14} {one['count']:>9,}  {times}")


ROWS: Final[Mapping[str, Callable[[Tree], Iterator[Text]]]] = {
    "file": _file, "log": _log, "growth": _growth, "upkeep": _upkeep, "memory": _memory, "calls": _latencies,
}  # fmt: skip
"""What is shown, in this order."""


def _alarms(tree: Tree) -> Iterator[RenderableType]:
    if not tree["alarms"]:
        yield Text("no alarms", style="green")
    for alarm in tree["alarms"]:
        line = Text(f"{alarm['severity']}: {alarm['says']}", style=COLOURS[alarm["severity"]])
        line.append(f"\n  {alarm['cli']}", style="not bold default")
        yield line


def _bar(share: float) -> Text:
    """Draw how full something is."""
    full = max(0, min(BAR, round(share * BAR)))
    colour = "green" if share < TIGHT else "yellow" if share < FULL else "red"
    bar = Text("█" * full, style=colour)
    bar.append("░" * (BAR - full), style="dim")
    return bar


def _ago(milliseconds: float) -> str:
    """Say how long ago something was.

    >>> _ago(5_000), _ago(7_200_000), _ago(3 * 86_400_000)
    ('5 s ago', '2 h ago', '3 days ago')
    """
    seconds = max(0.0, milliseconds / 1000)
    for most, unit, length in ((120, "s", 1), (7_200, "min", 60), (172_800, "h", 3_600)):
        if seconds < most:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds / 86_400:.0f} days ago"
