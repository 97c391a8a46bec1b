"""Damaged files: nothing wrong is served, and all that changes a stored value is noticed.

A file with everything in it is damaged in one place: a bit flipped, a run of bytes zeroed, two pages swapped,
the end cut off; in its candles, its revisions or the rest of its ledger; with its packs and without. Then all
that can be asked is asked, twice, and compared with the answers of the sound file; then `check` is.

A damage is harmless where every answer is right and there is nothing to notice: a bit in free space, or in a
part of a page that SQLite does not read. How many are is printed, and for those every value of every table is
compared with the sound file's, too.
"""

import contextlib
import random
import shutil
import sqlite3
from collections import Counter
from dataclasses import dataclass
from itertools import product

import apsw
import polars as pl
import pytest

import mdstore
from mdstore import StoreFileError
from tests.support.candles import MINUTE, START, walk

DAY = 86_400_000
NOW = START + 100 * DAY
BASE = 40 * DAY
KINDS = ("flip", "zero", "swap", "cut")
PARTS = {
    "candles": {"candles"},
    "revisions": {"revisions"},
    "declared": {"extras"},
    "ledger": None,
}
OTHERS = {name for tables in PARTS.values() if tables for name in tables}
TABLES = (
    "candles", "series", "revision", "cells", "coverage", "arrivals", "unfinished", "revisions", "calendars",
    "quarantine", "declared", "extras", "replacements",
)  # fmt: skip


class Clock:
    ms = NOW

    def __call__(self):
        return self.ms / 1000


def build(path):
    """Write a file that has something in every table; return nothing that is not in it."""
    clock = Clock()
    with mdstore.MarketDataStore(path, clock=clock) as store:
        clock.ms = START + BASE
        store.write("A", "1m", walk(3_000), source="x", covers=(START, START + 3_010 * MINUTE))
        store.write("B", "1m", walk(1_500, seed=1), source="y")
        store.write("D", "1h", walk(700, step=60 * MINUTE, seed=2))
        for number in range(90):
            clock.ms += MINUTE
            store.write("F", "1m", walk(1, start=START + number * MINUTE, seed=number))
        for number in range(60):
            clock.ms += MINUTE
            store.write("A", "1m", walk(5, start=START + number * 40 * MINUTE, seed=number + 5))
        for symbol in ("B", "D"):
            clock.ms += MINUTE
            bar = "1m" if symbol == "B" else "1h"
            store.write(symbol, bar, walk(30, step=MINUTE * (1 if symbol == "B" else 60), seed=9))
        for number in range(40):
            store.cover("D", "1h", start=START - (2 * number + 2) * DAY, end=START - (2 * number + 1) * DAY,
                        reason="no_trade", source=f"s{number}")  # fmt: skip
        clock.ms = START + 40 * MINUTE
        store.write("U", "1m", walk(3, start=START + 38 * MINUTE))
        clock.ms = NOW
        store.declare("value", resample="sum")
        for seed, bars in ((1, 1_500), (2, 400)):
            value = pl.when(pl.int_range(bars) % 3 != 1).then(pl.int_range(bars) + seed / 4)
            store.write("V", "1m", walk(bars, seed=3).with_columns(value=value))
        store.set_calendar("X*", "XNYS")
        bad = walk(5, start=START + DAY).with_columns(high=pl.lit(0.0))
        store.write("Q", "1m", pl.concat([walk(5), bad]), on_invalid="quarantine")
        store.maintenance.warm()


def questions(store):
    """Yield the name of each question, and what asks it."""
    for symbol, bar in (("A", "1m"), ("B", "1m"), ("D", "1h"), ("F", "1m"), ("U", "1m"), ("Q", "1m")):
        yield f"{symbol} whole", lambda s=symbol, b=bar: store.candles(s, b)
    for low in range(0, 3_000, 750):
        window = {"start": START + low * MINUTE, "end": START + (low + 70) * MINUTE}
        yield f"A {low}", lambda w=window: store.candles("A", "1m", **w)
    for symbols in ("V", None):
        yield f"values of {symbols}", lambda s=symbols: store.candles(s, "1m", columns=["timestamp", "value"])
    yield "latest values", lambda: store.candles("V", "1m", columns=["value", "close"], limit=50)
    yield "values as of", lambda: store.candles("V", "1m", columns=["value"], as_of=NOW)
    yield "sums of values", lambda: store.sql("SELECT sum(value) AS v FROM candles WHERE symbol = 'V'")
    yield "declared", store.declared
    for limit in (1, 60, 1_000):
        yield f"latest {limit}", lambda n=limit: store.candles(None, "1m", limit=n)
    yield "panel", lambda: store.candles(None, "1m")
    for moment in (BASE, BASE + 100 * MINUTE, BASE + 140 * MINUTE):
        for symbol, bar in (("A", "1m"), ("B", "1m"), ("D", "1h"), ("F", "1m")):
            yield (
                f"{symbol} as of {moment}",
                lambda s=symbol, b=bar, m=moment: store.candles(s, b, as_of=START + m),
            )
    yield (
        "sql",
        lambda: store.sql(
            "SELECT symbol, timeframe, count(*) AS n, sum(close) AS c, sum(volume) AS v FROM candles "
            "GROUP BY ALL ORDER BY ALL"
        ),
    )
    yield "sql series", lambda: store.sql("SELECT * EXCLUDE (revision) FROM series ORDER BY ALL")
    yield "sql quarantine", lambda: store.sql("SELECT * FROM quarantine ORDER BY id")
    yield "series", lambda: store.series().drop("bytes")
    yield "revisions", store.revisions
    yield "revisions of B", lambda: store.revisions("B", "1m")
    yield "provenance", store.provenance
    yield "provenance of F", lambda: store.provenance("F", "1m")
    yield "coverage", store.coverage
    yield "missing", lambda: store.missing("D", "1h", start=START - 90 * DAY, end=START + 40 * DAY)
    yield "gaps", lambda: store.gaps(None, "1m")
    yield "calendars", store.calendars
    yield "quarantine", store.quarantine


class Noticed:
    """In the place of an answer: the error that was raised."""


def answers(store):
    """Ask everything; an error that is typed as of the file is an answer, too, any other is not caught."""
    found = {}
    for name, ask in questions(store):
        try:
            found[name] = ask()
        except StoreFileError:
            found[name] = Noticed
    return found


def has_noticed(found):
    """Tell whether an error was raised for any of the questions."""
    return any(answer is Noticed for answer in found.values())


def wrong_in(found, truth):
    """Return the questions that were answered, and not as the sound file answers them."""
    return [name for name, answer in found.items() if answer is not Noticed and not same(answer, truth[name])]


def same(answer, truth):
    return type(answer) is type(truth) and answer.equals(truth)


@dataclass
class Sound:
    """The file before it is damaged, what it answers, and which page is of what."""

    path: object
    truth: dict
    pages: dict
    page_size: int
    values: dict

    def copy(self, to, *, packs):
        shutil.copy(self.path, to)
        folder = to.with_name(to.name + "-packs")
        shutil.rmtree(folder, ignore_errors=True)
        if packs:
            shutil.copytree(self.path.with_name(self.path.name + "-packs"), folder)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "s.sqlite3"
    build(path)
    with mdstore.MarketDataStore(path, clock=Clock()) as store:
        truth = answers(store)
        assert store.maintenance.check() == []
    assert not has_noticed(truth)
    con = apsw.Connection(str(path))
    pages = {}
    for name, number in con.execute("SELECT name, pageno FROM dbstat"):
        pages.setdefault(name, []).append(number)
    size = con.pragma("page_size")
    con.close()
    return Sound(path, truth, pages, size, values_of(path))


def values_of(path):
    """Return every value of every table, by another program."""
    with contextlib.closing(sqlite3.connect(path)) as con:
        return {
            name: con.execute(f"SELECT * FROM {name} ORDER BY 1, 2, 3").fetchall() for name in TABLES[:1]
        } | {name: sorted(con.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in TABLES[1:]}


def pages_of(sound, part):
    tables = PARTS[part]
    return [
        number
        for name, numbers in sound.pages.items()
        for number in numbers
        if (name in tables if tables else name not in OTHERS)
    ]


def damage(sound, path, kind, part, chance):
    """Damage a copy in one place of a part of it."""
    data, size = bytearray(path.read_bytes()), sound.page_size
    pages = pages_of(sound, part)
    before = bytes(data)
    while bytes(data) == before:
        page = (chance.choice(pages) - 1) * size
        if kind == "flip":
            # Of what is not zero: most of the other bytes are free space.
            used = [at for at in range(page, page + size) if data[at]] or [page]
            data[chance.choice(used)] ^= 1 << chance.randrange(8)
        elif kind == "zero":
            length, at = 1 << chance.randrange(3, 13), page + chance.randrange(size)
            data[at : at + length] = bytes(len(data[at : at + length]))
        elif kind == "swap":
            other = (chance.choice(pages) - 1) * size
            if len(pages) < 2:
                other = (chance.choice(pages_of(sound, "candles")) - 1) * size
            data[page : page + size], data[other : other + size] = (
                data[other : other + size], data[page : page + size],
            )  # fmt: skip
        else:
            del data[page + chance.randrange(size) :]
    path.write_bytes(data)


@dataclass
class Outcome:
    """What became of one damage."""

    wrong: list
    by_read: bool = False
    by_check: bool = False
    harmless: bool = False


def outcome(sound, path):
    """Ask a damaged file everything, twice, and then `check`."""
    try:
        with mdstore.MarketDataStore(path, create=False, clock=Clock()) as store:
            found = answers(store)
            wrong = wrong_in(found, sound.truth)
            by_read = has_noticed(found)
            findings = store.maintenance.check()
        # What was read once is not taken for right the next time.
        with mdstore.MarketDataStore(path, create=False, clock=Clock()) as store:
            again = answers(store)
            wrong += [f"{name}, again" for name in wrong_in(again, sound.truth)]
            by_read = by_read or has_noticed(again)
            again_found = store.maintenance.check()
    except StoreFileError:
        return Outcome([], by_read=True)
    if bool(findings) != bool(again_found):
        wrong.append("check forgot")
    return Outcome(wrong, by_read, bool(findings))


def attack(sound, folder, count, seed):
    """Damage files, `count` of each kind and part, with packs and without; return outcomes and failures."""
    table: dict[tuple[str, str, str], Counter] = {}
    failures = []
    for number, kind, part, packs in product(range(count), KINDS, PARTS, (True, False)):
        case = f"{kind} {part} {'packs' if packs else 'bare'} {seed + number}"
        path = folder / "damaged.sqlite3"
        sound.copy(path, packs=packs)
        damage(sound, path, kind, part, random.Random(case))
        name, why = judged(sound, path)
        row = table.setdefault((kind, part, "with packs" if packs else "without"), Counter())
        row.update(["files", name])
        failures += [f"{case}: {name}: {why}"] if why else []
        for beside in (path, *folder.glob("damaged.sqlite3-[ws]*")):
            beside.unlink(missing_ok=True)
    return table, failures


def judged(sound, path):
    """Return what became of a damaged file, and why that must not be, or nothing."""
    changed = path.read_bytes()
    try:
        one = outcome(sound, path)
    except Exception as error:
        return "raw error", f"{type(error).__name__}: {error}"
    if one.wrong:
        return "served wrong", one.wrong
    if one.by_read:
        return "noticed by read", ""
    if one.by_check:
        return "noticed by check", ""
    path.write_bytes(changed)
    return "harmless", "" if is_harmless(sound, path) else "a stored value is not what it was"


def is_harmless(sound, path):
    """Tell whether every value of every table is as it was, as another program reads them."""
    with contextlib.suppress(sqlite3.DatabaseError, UnicodeDecodeError):
        return values_of(path) == sound.values
    return False


COLUMNS = ("files", "served wrong", "raw error", "noticed by read", "noticed by check", "harmless")


def printed(table):
    """Write the figures in one table."""
    lines = [f"{'damage':8} {'part':10} {'file':11}" + "".join(f"{name:>18}" for name in COLUMNS)]
    total = Counter()
    for (kind, part, packs), row in sorted(table.items()):
        lines.append(f"{kind:8} {part:10} {packs:11}" + "".join(f"{row[name]:18}" for name in COLUMNS))
        total.update(row)
    lines.append(f"{'all':31}" + "".join(f"{total[name]:18}" for name in COLUMNS))
    return "\n".join(lines)


def test_nothing_wrong_is_served_of_a_damaged_file(sound, tmp_path):
    table, failures = attack(sound, tmp_path, 1, 0)
    print(f"\n{printed(table)}")
    assert not failures, "\n".join(failures)


@pytest.mark.long
def test_nothing_wrong_is_served_of_hundreds_of_damaged_files(sound, tmp_path):
    table, failures = attack(sound, tmp_path, 30, 1_000)
    print(f"\n{printed(table)}")
    assert not failures, "\n".join(failures)
