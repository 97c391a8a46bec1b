"""A store as one HTML file: how large it is and becomes, how it lies, how quick it is, what lacks."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

import mdstore
from mdstore.core.sizes import size_text
from mdstore.errors import Hint, StoreFileError
from mdstore.optimization.fragmentation import FragmentationMonitor
from mdstore.optimization.performance import KINDS
from mdstore.optimization.queries import TOP
from mdstore.optimization.query_advice import QueryAdvice
from mdstore.optimization.vacuum import SmartVacuumScheduler
from mdstore.reports.coverage_map import LEGEND, coverage_pictures
from mdstore.reports.page import MARK, legend, note, page, section, table, tiles
from mdstore.reports.page_layout import LARGEST, OTHER, page_picture
from mdstore.reports.svg import area, columns, ranges, shares

if TYPE_CHECKING:
    from mdstore.optimization.queries import QueryAnalyzer
    from mdstore.store.store import MarketDataStore

__all__ = ["report_page", "write_report"]

Tree = Mapping[str, Any]
DAY_MS: Final = 86_400_000
MONTH: Final = 30
EVERY: Final = 5
YEARS: Final = 3_650
"""Days from which on it is not said when a disk will be full."""
NAMED: Final = 6
STATEMENTS: Final = 12
TIMES: Final = (
    (1e-3, "1 µs"), (1e-2, "10 µs"), (0.1, "100 µs"), (1.0, "1 ms"), (10.0, "10 ms"), (100.0, "100 ms"),
    (1e3, "1 s"), (1e4, "10 s"),
)  # fmt: skip
"""Milliseconds of the axis of times."""
ACTIONS: Final = {
    "incremental": "gives free pages back to the disk, in small steps",
    "vacuum": "writes the file anew, small and in order",
    "rebuild": "puts candles in order, beside those who read and write",
}  # fmt: skip
SHARES: Final = ("candles",)
"""Tables of which a measure says how much is in order (0 to 1)."""
UNITS: Final = {"free": "pages free", "left": "pages free"}
PERCENTILES: Final = ("p50_ms", "p95_ms", "p99_ms")


def write_report(
    store: MarketDataStore,
    path: str | os.PathLike[str],
    *,
    analyzer: QueryAnalyzer | None = None,
    force: bool = False,
) -> Path:
    """Write a report of a store as one HTML file, whole or not at all; return its path.

    It reads the whole file once: sizes, growth, a map of its pages, how long calls of this process took, slow
    statements (of `analyzer`, or those that one has saved in the file), where bars lack, and advice. It needs
    no network, and no other file. Raises `StoreFileError` where it cannot be written, or where there is a
    file that is no report, unless `force`; `InvalidInputError`.
    """
    from mdstore.candles.file.paths import (  # noqa: PLC0415 - knows of SQLite
        os_errors,
        refuse_folder,
        refuse_target,
    )

    target = Path(path)
    refuse_target(target)
    with os_errors(target):
        refuse_folder(target)
        if target.exists() and not force and not _is_report(target):
            raise StoreFileError(
                f"{target} is there already, and no report",
                hint=Hint("give another path, or force=True", "give another path, or --force"),
            )
    text = report_page(store, analyzer)
    with os_errors(target):
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return target


def report_page(store: MarketDataStore, analyzer: QueryAnalyzer | None = None) -> str:
    """Return the text of that file."""
    return page(f"{store.path.name}: mdstore report", _parts(store, analyzer))


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MARK)) == MARK.encode()
    except PermissionError:  # one that may be written, and not read: `force` replaces it
        return False


def _parts(store: MarketDataStore, analyzer: QueryAnalyzer | None) -> Iterator[str]:
    tree, monitor = store.stats(), FragmentationMonitor(store)
    layout = monitor.layout()
    colours = {
        name: LARGEST if place == 0 else f"t{place}" for place, name in enumerate(layout["name"][:NAMED])
    }
    seen = _seen(store, analyzer)
    yield _head(store, tree, layout)
    yield _advice(store, tree, analyzer)
    yield _sizes(tree, layout, colours)
    yield _growth(tree, monitor)
    yield _layout(store, colours)
    yield _coverage(store)
    yield _latencies(tree)
    yield _statements(seen)
    yield _upkeep(tree)


def _head(store: MarketDataStore, tree: Tree, layout: pl.DataFrame) -> str:
    file, packs, made = tree["file"], tree["packs"], datetime.now(UTC)
    (order,) = layout.filter(pl.col("name") == "candles")["in_order"]
    figures = [
        ("SQLite file", size_text(file["sqlite_bytes"])),
        ("packs beside it", size_text(packs["pack_bytes"])),
        ("candles", f"{file['rows']:,}"),
        ("series", f"{len(store):,}"),
        ("bytes a candle", f"{file['sqlite_bytes'] / max(1, file['rows']):.1f}"),
        ("pages free", f"{file['fragmentation']:.1f} %"),
        ("leaves of candles in order", f"{order:.0%}"),
        ("log", size_text(tree["log"]["wal_bytes"])),
    ]
    title = f"<h1>{escape(store.path.name)}</h1>"
    where = note(f"{store.path} on {made:%Y-%m-%d %H:%M} UTC, mdstore {mdstore.__version__}")
    return f"{title}{where}{tiles(figures)}"


def _advice(store: MarketDataStore, tree: Tree, analyzer: QueryAnalyzer | None) -> str:
    told = [
        (alarm["severity"], alarm["says"], f"{alarm['python']}; or: {alarm['cli']}")
        for alarm in tree["alarms"]
    ]
    decision = SmartVacuumScheduler(store).evaluate(at_once=True)
    if decision.action != "nothing":
        told.append(("warning", decision.reason, f"mdstore optimize {ACTIONS[decision.action]}"))
    for one in analyzer.advice() if analyzer is not None else ():
        what = (
            one.instead
            if isinstance(one, QueryAdvice)
            else f"an index of {one.table} by {', '.join(one.columns)}"
        )
        told.append(("warning", f"{what}: {one.reason}", f"behind it: {'; '.join(one.statements)}"))
    shown = "".join(
        f'<div class="alarm {kind}"><b>{escape(says)}</b><br><span class=dim>{escape(do)}</span></div>'
        for kind, says, do in told
    )
    sound = '<div class="alarm sound"><b>Nothing needs to be done.</b></div>'
    conditions = [
        ("yes" if one.met else "no", one.name, one.value, one.threshold) for one in decision.conditions
    ]
    return section(
        "Advice", shown or sound, note("What upkeep looks at, and whether each condition is met:"),
        table(("met", "condition", "found", "threshold"), conditions),
    )  # fmt: skip


def _sizes(tree: Tree, layout: pl.DataFrame, colours: Mapping[str, str]) -> str:
    size = tree["file"]["sqlite_bytes"] / max(1, tree["file"]["pages"])
    rows = [(row["name"], row["pages"] * size, row) for row in layout.iter_rows(named=True)]
    named, others = rows[:NAMED], sum(bytes_ for _, bytes_, _ in rows[NAMED:])
    free = tree["file"]["free_pages"] * size
    parts = [(colours[name], bytes_, name, size_text(bytes_)) for name, bytes_, _ in named]
    parts += [(OTHER, others, "others", size_text(others)), ("free", free, "free", size_text(free))]
    colours_of = legend((kind, f"{name} {text}") for kind, bytes_, name, text in parts if bytes_)
    shown = [
        (name, size_text(bytes_), f"{row['in_order']:.0%}", f"{row['slack']:.0%}")
        for name, bytes_, row in named
    ]
    return section(
        "Sizes", shares(parts), colours_of,
        table(("table or index", "size", "leaves in order", "empty within pages"), shown, numbers=(1, 2, 3)),
    )  # fmt: skip


def _growth(tree: Tree, monitor: FragmentationMonitor) -> str:
    history, growth = monitor.history(), tree["growth"]
    points = [(at.timestamp() * 1000, float(size)) for at, size in history.select("at", "bytes").iter_rows()]
    drawn = note(
        "The size was not measured on two days yet: `mdstore optimize --daemon`, or "
        "store.maintenance.start(), measures it once a day."
    )
    if growth["bytes_per_day"] is not None:
        drawn = _size_line(points, growth)
    arrived = monitor.insert_patterns()["per_day"].to_list()
    per_day = [float(sum(day)) for day in zip(*arrived, strict=True)] or [0.0] * MONTH
    labels = [
        "today" if ago == 0 else f"-{ago} d" if ago % EVERY == 0 else "" for ago in range(MONTH - 1, -1, -1)
    ]
    titles = [f"{MONTH - 1 - place} days ago: {count:,.0f} candles" for place, count in enumerate(per_day)]
    return section(
        "Growth", drawn, note("Candles that came, by day (24 hours each, back from now):"),
        columns(per_day, labels, titles),
    )  # fmt: skip


def _size_line(points: list[tuple[float, float]], growth: Tree) -> str:
    last, later = points[-1], float(growth["bytes_in_30_days"])
    ahead = [(last[0] + MONTH * DAY_MS, later)]
    high = max(later, *(size for _, size in points))
    days = [
        (at, f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}")
        for at in (points[0][0], last[0], ahead[0][0])
    ]
    a_day = growth["bytes_per_day"]
    said = f"{size_text(abs(a_day))} a day {'more' if a_day >= 0 else 'less'}"
    full = growth["days_until_full"]
    disk = "" if full is None or full > YEARS else f"; at this pace the disk is full in {full:,.0f} days"
    return area(points, days, [(high / 2, size_text(high / 2)), (high, size_text(high))], ahead) + note(
        f"{said}, by a straight line through {growth['measures']:,} measures; dashed: the next 30 days, "
        f"to {size_text(later)}{disk}."
    )


def _layout(store: MarketDataStore, colours: Mapping[str, str]) -> str:
    picture = page_picture(store.repository.upkeep.page_map(), colours)
    each = "a page" if picture.pages_per_cell == 1 else f"{picture.pages_per_cell:,} pages"
    return section(
        "The file, page by page",
        note(
            f"From the first page to the last, a cell is {each}. The largest table goes from light to dark "
            "by its key: in order it is an even run; shades side by side at random are a table out of order."
        ),
        picture.svg, legend(picture.legend),
    )  # fmt: skip


def _coverage(store: MarketDataStore) -> str:
    pictures, left = coverage_pictures(store)
    if not pictures:
        return section("Where bars are", note("There are no series."))
    shown = [part for name, picture in pictures.items() for part in (f"<h3>{escape(name)}</h3>", picture)]
    more = [note(f"{left:,} series with fewer bars are left out.")] if left else []
    return section("Where bars are", *more, *shown, legend(LEGEND))


def _latencies(tree: Tree) -> str:
    rows = []
    for operation, tiers in tree["latencies"].items():
        for name, one in tiers.items():
            values = [one[percentile] for percentile in PERCENTILES]
            text = ", ".join(
                f"{name[:-3]} {value:.3g} ms" for name, value in zip(PERCENTILES, values, strict=True)
            )
            rows.append((f"{operation}, {name} ({one['count']:,})", values, f"{operation} by {name}: {text}"))
    if not rows:
        return section("How long calls take", note(
            "This process has read nothing. How long reads of others take they know themselves: "
            "mdstore.write_report(store, path) there."
        ))  # fmt: skip
    memory = tree["memory"]
    rate = f"Of {memory['hits'] + memory['misses']:,} reads {memory['hit_rate']:.0%} were answered by memory."
    return section(
        "How long calls take",
        note(f"Median, 95 and 99 percent of the calls of this process, by what answered. {rate}"),
        ranges(rows, TIMES),
    )


def _seen(store: MarketDataStore, analyzer: QueryAnalyzer | None) -> Mapping[str, Any] | None:
    return analyzer.report() if analyzer is not None else store.repository.upkeep.last(TOP)


def _statements(seen: Mapping[str, Any] | None) -> str:
    if seen is None:
        return section("Statements", note(
            "Nobody has watched: `with mdstore.QueryAnalyzer(store) as analyzer:` does, and analyzer.save() "
            "keeps what it saw for this report."
        ))  # fmt: skip
    when = (
        ""
        if "at" not in seen
        else f"Saved {datetime.fromtimestamp(seen['at'] / 1000, UTC):%Y-%m-%d %H:%M} UTC. "
    )
    rows = [
        (one["text"], one["engine"], f"{one['count']:,}", f"{one['p50_ms']:.3g}", f"{one['p99_ms']:.3g}",
         f"{one['total_ms']:,.0f}")
        for one in seen["top"][:STATEMENTS]
    ]  # fmt: skip
    slow = [(one["text"], one["reason"], one["plan"]) for one in seen["slow"][:STATEMENTS]]
    heads = ("what took most", "engine", "runs", "median ms", "p99 ms", "in all ms")
    return section(
        "Statements", note(f"{when}Values are left out of their texts."),
        table(heads, rows, numbers=(2, 3, 4, 5), code=(0,)),
        note("Slow ones:" if slow else "None is slow."),
        table(("slow", "why", "how it is run"), slow, code=(0,)) if slow else "",
    )  # fmt: skip


def _upkeep(tree: Tree) -> str:
    rows = []
    for name in KINDS:
        one = tree["maintenance"][name]
        if one is not None:
            when = datetime.fromtimestamp(one["at"] / 1000, UTC)
            told = ", ".join(_figure(key, value) for key, value in one.items() if key != "at")
            rows.append((name.replace("_", " "), f"{when:%Y-%m-%d %H:%M}", told))
    if not rows:
        return section("Upkeep", note("Nothing was done so far."))
    return section("Upkeep", table(("last", "when (UTC)", "what"), rows))


def _figure(name: str, value: object) -> str:
    """Write a figure of a record of upkeep with its unit.

    >>> [_figure("bytes", 5_242_880), _figure("rows", 12_000), _figure("seconds", 0.1234)]
    ['5.0 MB', '12,000 rows', '0.123 seconds']
    """
    if name == "bytes" and isinstance(value, int):
        return size_text(value)
    if isinstance(value, bool):
        return name.replace("_", " ")
    if name in SHARES and isinstance(value, float):
        return f"{name} {value:.0%} in order"
    if isinstance(value, int | float):
        return f"{value:,} {UNITS.get(name, name)}" if isinstance(value, int) else f"{value:.3g} {name}"
    return f"{name} {value}"
