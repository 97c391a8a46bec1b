"""What is stored: one row a series, kept in the transaction that changes its candles."""

from __future__ import annotations

from dataclasses import dataclass

import apsw

from mdstore.core.did_you_mean import did_you_mean, symbol_parts
from mdstore.core.timeframe import Timeframe
from mdstore.errors import Hint, NoSuchSeriesError

__all__ = [
    "Series",
    "all_series",
    "bump",
    "calendars",
    "find",
    "grow",
    "no_such_series",
    "recount",
    "revision",
    "series_of",
    "set_calendar",
]

COLUMNS = "symbol, timeframe, first, last, rows, revision"
OF_SERIES = f"SELECT {COLUMNS} FROM series WHERE symbol = ? AND timeframe = ?"  # noqa: S608 - of constants
OF_TIMEFRAME = f"SELECT {COLUMNS} FROM series WHERE timeframe = ? ORDER BY symbol"  # noqa: S608
ALL = f"SELECT {COLUMNS} FROM series ORDER BY symbol, timeframe"  # noqa: S608
GROW = f"""
INSERT INTO series ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last),
  rows = rows + excluded.rows, revision = excluded.revision
"""  # noqa: S608
SHRINK = """
UPDATE series SET rows = rows - ?3, revision = ?4,
  first = (SELECT min(timestamp) FROM candles WHERE symbol = ?1 AND timeframe = ?2),
  last = (SELECT max(timestamp) FROM candles WHERE symbol = ?1 AND timeframe = ?2)
WHERE symbol = ?1 AND timeframe = ?2 AND rows > ?3
"""
BUMP = "UPDATE revision SET revision = max(revision + 1, ?) RETURNING revision"
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


def find(con: apsw.Connection, symbol: str, timeframe: str) -> Series | None:
    """Return the series, or None if nothing is stored under that name."""
    row = con.execute(OF_SERIES, (symbol, timeframe)).fetchone()
    return None if row is None else Series(*row)


def all_series(con: apsw.Connection) -> list[Series]:
    """Return every series, sorted by symbol and timeframe."""
    return [Series(*row) for row in con.execute(ALL)]


def series_of(con: apsw.Connection, timeframe: str) -> list[Series]:
    """Return the series of a timeframe, sorted by symbol."""
    return [Series(*row) for row in con.execute(OF_TIMEFRAME, (timeframe,))]


def revision(con: apsw.Connection) -> int:
    """Return the store's revision, which grows with every transaction that changes candles."""
    return int(con.execute("SELECT revision FROM revision").get)


def bump(con: apsw.Connection, now: int) -> int:
    """Return the new revision of a transaction that changes candles.

    It is no less than `now`, the time in ms, so a number is not used again when a backup has taken the file
    back to an earlier one: what others hold of it in memory would pass for current.
    """
    return int(con.execute(BUMP, (now,)).get)


def grow(con: apsw.Connection, series: Series) -> None:
    """Add `series.rows` new rows to a series, widen it to first and last, and stamp its revision."""
    con.execute(
        GROW, (series.symbol, series.timeframe, series.first, series.last, series.rows, series.revision)
    )


def recount(con: apsw.Connection, symbol: str, timeframe: str, deleted: int, at_revision: int) -> None:
    """Take `deleted` rows off a series whose candles were deleted; an empty one goes."""
    con.execute(SHRINK, (symbol, timeframe, deleted, at_revision))
    if not con.changes():
        con.execute("DELETE FROM series WHERE symbol = ? AND timeframe = ?", (symbol, timeframe))


def calendars(con: apsw.Connection) -> dict[str, str]:
    """Return the calendar of each pattern of symbols."""
    return dict(con.execute("SELECT pattern, calendar FROM calendars ORDER BY pattern"))


def set_calendar(con: apsw.Connection, pattern: str, calendar: str | None) -> None:
    """Give a pattern of symbols a calendar; None takes it away."""
    if calendar is None:
        con.execute("DELETE FROM calendars WHERE pattern = ?", (pattern,))
    else:
        con.execute("INSERT OR REPLACE INTO calendars VALUES (?, ?)", (pattern, calendar))


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
    if hint := did_you_mean(symbol, symbols, most=NEAREST, alike=symbol_parts):
        return NoSuchSeriesError(error, hint=hint)
    are = "symbol is" if len(symbols) == 1 else "symbols are"
    return NoSuchSeriesError(f"{error}. {len(symbols):,} {are} stored", hint=LISTING)


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
