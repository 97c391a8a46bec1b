"""Every way to read a store, and every way to write to it: for stores that may only be read."""

import shutil
import tempfile
from pathlib import Path

import mdstore
from mdstore.cli import app
from tests.support.candles import START, walk


def fill(store):
    """Store what `every_read` reads: A 1m with revisions, A 5m of the same bars, B 1m; declare a column."""
    store.declare("value", resample="sum")
    store.write("A", "1m", walk(5_000))
    store.write("A", "1m", walk(3, seed=7))
    five = store.resample("A", "5m", source="1m").filter("closed")
    store.write("A", "5m", five.drop("closed", "bars", "of"))
    store.write("B", "1m", walk(40, seed=2))


def every_read(store, copy):
    """Read a store that holds A 1m, A 5m and B 1m in all ways that there are; return what they gave.

    `copy` is where a backup of it may be written.
    """
    later = START + 3_600_000
    store.candles("A", "1m", start=START, end=later, fill="flat")
    store.candles("A", "1m", include_forming=True, limit=5)
    store.candles("A", "1m", as_of=later)
    store.missing("A", "1m")
    store.maintenance.stats()
    store.verify()
    store.provenance()
    store.revisions()
    store.quarantine()
    store.calendars()
    store.trades.push(("A", START, 5.0, 1.0))
    store.maintenance.backup(copy, overwrite=True, packs=True)
    return {
        "candles": store.candles("A", "1m").rows(),
        "long": store.candles(None, "1m").rows(),
        "derived": store.resample("A", "1h", source="1m").rows(),
        "arrow": store.arrow("A", "1m").num_rows,
        "scan": store.scan(None, "1m").collect().rows(),
        "sql": store.sql(
            "SELECT symbol, count(*) AS n, sum(close) AS s FROM candles GROUP BY 1 ORDER BY 1"
        ).rows(),
        "screen": store.screen("1m", "close > 0").rows.rows(),
        "gaps": store.gaps("A", "1m").rows(),
        "coverage": store.coverage().rows(),
        "series": store.series().drop("bytes").rows(),
        "fingerprint": store.fingerprint("A", "1m"),
        "check": store.maintenance.check(),
    }


def every_write(store):
    """Return calls that would write, by name."""
    rows = walk(3, seed=9)
    return {
        "write": lambda: store.write("C", "1m", rows),
        "write nothing": lambda: store.write("C", "1m", []),
        "write_many": lambda: store.write_many([("C", "1m", START, 1, 1, 1, 1, 1)]),
        "delete": lambda: store.delete("A"),
        "cover": lambda: store.cover("A", "1m", start=START, end=START + 60_000, reason="no_trade"),
        "uncover": lambda: store.uncover("A", "1m", start=START, end=START + 60_000),
        "set_calendar": lambda: store.set_calendar("A", "24/7"),
        "warm": store.maintenance.warm,
        "rebuild": lambda: store.maintenance.warm(rebuild=True),
        "compact": store.maintenance.compact,
        "rename": lambda: store.rename("A", "C"),
        "declare": lambda: store.declare("value", resample="sum"),
        "undeclare": lambda: store.undeclare("value"),
        "build": lambda: store.live.build("1m", persist=True),
    }


COMMANDS = (
    ("series",), ("show", "A", "1m"), ("sql", "SELECT count(*) FROM candles"),
    ("screen", "close > 0", "-t", "1m"), ("gaps",), ("gaps", "A", "1m"), ("verify",),
    ("stats",), ("check",), ("revisions",), ("calendar",),
)  # fmt: skip
"""What the command line reads."""


def every_command(file, target, *first):
    """Run the commands that read, in this process; `target` is a folder that may be written to."""
    for command in (*COMMANDS, ("export", str(Path(target) / "all.csv"), "-t", "1m", "--force")):
        code = app([*first, "-f", str(file), *command], standalone_mode=False)
        assert not code, command


def warmed_up():
    """Do all of it once, so that nothing has to be imported later."""
    folder = Path(tempfile.mkdtemp())
    with mdstore.open(folder / "s.sqlite3") as store:
        fill(store)
        every_read(store, folder / "copy.sqlite3")
    every_command(folder / "s.sqlite3", folder)
    shutil.rmtree(folder)


def lying_in(folder):
    """Return all files in and below a folder, with their bytes."""
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}
