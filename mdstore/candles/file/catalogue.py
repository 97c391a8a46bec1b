"""What is stored: one row a series, kept in the transaction that changes its candles."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from mdstore.candles.file import digests
from mdstore.candles.file.row_hashes import Row, sum_of_rows
from mdstore.core.did_you_mean import did_you_mean, names_that_fit
from mdstore.core.symbols import symbol_parts
from mdstore.core.timeframe import Timeframe
from mdstore.errors import Hint, NoSuchSeriesError

__all__ = [
    "COUNTED",
    "LAST",
    "Series",
    "all_rows",
    "all_series",
    "bump",
    "calendars",
    "find",
    "grow",
    "lasts",
    "no_such_series",
    "quarantine",
    "recount",
    "revision",
    "series_of",
    "set_calendar",
    "state",
]

# What is known of series besides their values, and of what is of none: sums that change with it.
STATES = """
SELECT series.symbol, series.revision, digests.coverage, digests.unfinished
FROM series LEFT JOIN digests ON digests.symbol = series.symbol AND digests.timeframe = series.timeframe
"""
STATE_OF_STORE = "SELECT calendars, declared, quarantine FROM digests WHERE symbol = '' AND timeframe = ''"
COLUMNS = "symbol, timeframe, first, last, rows, revision"
LAST = 3  # the place of that column
WIDTH = 6  # of those columns, which come first; the rest are of `arrivals` and `declared_columns`
OF_SERIES = "SELECT * FROM series WHERE symbol = ? AND timeframe = ?"
OF_SYMBOLS = """
SELECT series.* FROM carray(?2) AS wanted CROSS JOIN series WHERE symbol = wanted.value AND timeframe = ?1
"""
OF_TIMEFRAME = "SELECT * FROM series WHERE timeframe = ? ORDER BY symbol"
ALL = "SELECT * FROM series ORDER BY symbol, timeframe"
COUNT = "SELECT count(*) FROM digests WHERE series != 0"
FEW = 100  # so few are proven one by one
GROW = f"""
INSERT INTO series ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last),
  rows = rows + excluded.rows, revision = excluded.revision
"""  # noqa: S608
SHRINK = """
UPDATE series SET rows = rows - ?3, revision = ?4,
  first = (SELECT min(time) FROM (
    SELECT min(timestamp) AS time FROM candles WHERE symbol = ?1 AND timeframe = ?2
    UNION ALL SELECT min(start) FROM frozen WHERE symbol = ?1 AND timeframe = ?2)),
  last = (SELECT max(time) FROM (
    SELECT max(timestamp) AS time FROM candles WHERE symbol = ?1 AND timeframe = ?2
    UNION ALL SELECT max("end") - 1 FROM frozen WHERE symbol = ?1 AND timeframe = ?2))
WHERE symbol = ?1 AND timeframe = ?2 AND rows > ?3
"""
COUNTED = """
SELECT symbol, timeframe, min(first), max(last), sum(rows) FROM (
  SELECT symbol, timeframe, min(timestamp) AS first, max(timestamp) AS last, count(*) AS rows FROM candles
  GROUP BY symbol, timeframe
  UNION ALL SELECT symbol, timeframe, start, "end" - 1, rows FROM frozen
) GROUP BY symbol, timeframe
"""
"""First, last and number of the candles that there are of each series, counted."""
SET_CALENDAR = """
INSERT INTO calendars VALUES (?, ?) ON CONFLICT DO UPDATE SET calendar = excluded.calendar
"""
BUMP = """
UPDATE revision SET revision = max(revision + 1, ?1), negative = -max(revision + 1, ?1) RETURNING revision
"""
NEAREST = 3
FIRST_WRITE = Hint("store.write(symbol, timeframe, data), or `mdstore import`", "mdstore import FILES")
LISTING = Hint("store.series() lists them", "`mdstore series` lists them")


@dataclass(frozen=True, slots=True)
class Series:
    """One stored series; times are starts of bars in milliseconds since 1970, UTC."""

    symbol: str
    timeframe: str
    first: int
    last: int
    rows: int
    revision: int
    extras: str = ""
    """The declared columns that it has values of, in their order, parted by spaces."""

    @property
    def key(self) -> tuple[str, str]:
        """Its symbol and timeframe."""
        return self.symbol, self.timeframe

    @property
    def names(self) -> tuple[str, ...]:
        """The declared columns that it has values of, in their order."""
        return tuple(self.extras.split()) if self.extras else ()


def find(con: apsw.Connection, symbol: str, timeframe: str) -> Series | None:
    """Return the series, or None if nothing is stored under that name. Raises `DamagedDataError`."""
    row = con.execute(OF_SERIES, (symbol, timeframe)).fetchone()
    digests.prove(con, "series", (symbol, timeframe), () if row is None else (row,))
    return None if row is None else Series(*row[:WIDTH], *row[-1:])


def lasts(con: apsw.Connection, timeframe: str, symbols: Sequence[str]) -> dict[str, int]:
    """Return the last bar (ms) of those of some series of a timeframe that are stored, by symbol.

    Raises `DamagedDataError`.
    """
    found: digests.Rows = con.execute(OF_SYMBOLS, (timeframe, apsw.carray(tuple(symbols)))).fetchall()
    digests.prove_each(con, "series", found, timeframe, symbols)
    return {row[0]: row[LAST] for row in found}


def all_series(con: apsw.Connection) -> list[Series]:
    """Return every series, sorted by symbol and timeframe. Raises `DamagedDataError`."""
    return [Series(*row[:WIDTH], *row[-1:]) for row in _proven_rows(con, None)]


def all_rows(con: apsw.Connection, proven: set[tuple[Any, ...]] | None = None) -> digests.Rows:
    """Return the same as rows of `COLUMNS`; `proven` are those that need not be proven again, and is kept so.

    Of 10,000 series one has changed, as a rule, and to hash them all takes 20 ms. Raises `DamagedDataError`.
    """
    return [row[:WIDTH] for row in _proven_rows(con, proven)]


def _proven_rows(con: apsw.Connection, proven: set[tuple[Any, ...]] | None) -> digests.Rows:
    rows: digests.Rows = con.execute(ALL).fetchall()
    new = rows if not proven else [row for row in rows if row not in proven]
    if proven and len(new) <= FEW and con.execute(COUNT).get == len(rows):
        for row in new:
            digests.prove(con, "series", row[:2], (row,))
    else:
        digests.prove_all(con, "series", rows)
    if proven is not None and new:
        if len(proven) > 2 * len(rows):
            proven.clear()
        proven.update(rows if not proven else new)
    return rows


def series_of(con: apsw.Connection, timeframe: str) -> list[Series]:
    """Return the series of a timeframe, sorted by symbol. Raises `DamagedDataError`."""
    rows: digests.Rows = con.execute(OF_TIMEFRAME, (timeframe,)).fetchall()
    digests.prove_all(con, "series", rows, timeframe)
    return [Series(*row[:WIDTH], *row[-1:]) for row in rows]


def revision(con: apsw.Connection) -> int:
    """Return the store's revision, which grows with every transaction that changes candles.

    Raises `DamagedDataError`.
    """
    rows = con.execute("SELECT revision, -negative FROM revision").fetchall()
    if len(rows) != 1 or rows[0][0] != rows[0][1] or not isinstance(rows[0][0], int):
        raise digests.damaged(con, "revision", digests.STORE)
    return rows[0][0]


def state(con: apsw.Connection, symbols: Collection[str] | None, timeframe: str | None) -> int:
    """Return a number that is another once anything has changed of what an answer over series is made of."""
    rows: list[Row] = list(con.execute(STATE_OF_STORE))
    if timeframe is None:
        rows.append((revision(con),))
    elif symbols is None or len(symbols) > FEW:
        wanted = None if symbols is None else frozenset(symbols)
        every = con.execute(f"{STATES} WHERE series.timeframe = ?", (timeframe,))
        rows += [row for row in every if wanted is None or row[0] in wanted]
    else:
        one = f"{STATES} WHERE series.timeframe = ? AND series.symbol = ?"
        rows += [row for symbol in sorted(symbols) for row in con.execute(one, (timeframe, symbol))]
    return sum_of_rows((number, *row) for number, row in enumerate(rows))


def bump(con: apsw.Connection, now: int) -> int:
    """Return the new revision of a transaction that changes candles.

    It is no less than `now`, the time in ms, so a number is not used again when a backup has taken the file
    back to an earlier one: what others hold of it in memory would pass for current.
    """
    return int(con.execute(BUMP, (now,)).get)


def grow(con: apsw.Connection, changed: Iterable[Series]) -> None:
    """Add `rows` new rows to each of some series, widen it to first and last, and stamp its revision."""
    con.executemany(
        GROW, ((one.symbol, one.timeframe, one.first, one.last, one.rows, one.revision) for one in changed)
    )


def recount(con: apsw.Connection, symbol: str, timeframe: str, deleted: int, at_revision: int) -> None:
    """Take `deleted` rows off a series whose candles were deleted; an empty one goes."""
    con.execute(SHRINK, (symbol, timeframe, deleted, at_revision))
    if not con.changes():
        con.execute("DELETE FROM series WHERE symbol = ? AND timeframe = ?", (symbol, timeframe))


def calendars(con: apsw.Connection) -> dict[str, str]:
    """Return the calendar of each pattern of symbols. Raises `DamagedDataError`."""
    rows: digests.Rows = con.execute("SELECT pattern, calendar FROM calendars ORDER BY pattern").fetchall()
    digests.prove(con, "calendars", digests.STORE, rows)
    return dict(rows)


def quarantine(con: apsw.Connection) -> digests.Rows:
    """Return the rows set aside, oldest first. Raises `DamagedDataError`."""
    rows: digests.Rows = con.execute("SELECT * FROM quarantine ORDER BY id").fetchall()
    digests.prove(con, "quarantine", digests.STORE, rows)
    return rows


def set_calendar(con: apsw.Connection, pattern: str, calendar: str | None) -> None:
    """Give a pattern of symbols a calendar; None takes it away."""
    if calendar is None:
        con.execute("DELETE FROM calendars WHERE pattern = ?", (pattern,))
    else:
        con.execute(SET_CALENDAR, (pattern, calendar))


def no_such_series(
    con: apsw.Connection, symbol: str | None, timeframe: str | None, where: str
) -> NoSuchSeriesError:
    """Return the error for a series that is not there, with the nearest that is; None is any."""
    known = all_series(con)
    what = " ".join(filter(None, (symbol, timeframe)))
    error = f"no candles for {what} in {where}"
    if not known:
        return NoSuchSeriesError(f"{error}. Nothing is stored yet", hint=FIRST_WRITE)
    if symbol is None:
        names = sorted({series.timeframe for series in known})
        return _of_other_bars(f"{error}. Stored timeframes: {', '.join(names)}", names, timeframe)
    stored = [series.timeframe for series in known if series.symbol == symbol]
    if stored:
        return _of_other_bars(f"{error}. Stored for {symbol}: {', '.join(stored)}", stored, timeframe)
    symbols = dict.fromkeys(series.symbol for series in known)
    if hint := names_that_fit(symbol, symbols) or _nearest(symbol, symbols):
        return NoSuchSeriesError(error, hint=hint)
    are = "symbol is" if len(symbols) == 1 else "symbols are"
    return NoSuchSeriesError(f"{error}. {len(symbols):,} {are} stored", hint=LISTING)


def _nearest(symbol: str, symbols: Iterable[str]) -> str | None:
    return did_you_mean(symbol, symbols, most=NEAREST, alike=symbol_parts)


def _of_other_bars(error: str, stored: list[str], timeframe: str | None) -> NoSuchSeriesError:
    """Return the error with a hint at what the bars could be made of: the longest that fit."""
    if timeframe is None:
        return NoSuchSeriesError(error)
    wanted = Timeframe.parse(timeframe)
    fitting = [bar for bar in map(Timeframe.parse, stored) if bar != wanted and wanted.holds(bar)]
    if not fitting:
        return NoSuchSeriesError(error)
    source = str(max(fitting, key=lambda bar: bar.shortest_ms))
    made = f"{timeframe} can be made of {source}, with"
    hint = Hint(f"{made} derive_from='{source}'", f"{made} --from '{source}'")
    return NoSuchSeriesError(error, hint=hint, made_of=source)
