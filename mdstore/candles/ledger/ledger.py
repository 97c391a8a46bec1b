"""The ledger of a file: what is known of its series besides the candles, and what they were before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isnan

import apsw

from mdstore.candles.file import catalogue, declared_columns
from mdstore.candles.file.bar_digests import Proof, bars_of
from mdstore.candles.file.blocks import CANDLE
from mdstore.candles.file.catalogue import Series
from mdstore.candles.file.database import Database
from mdstore.candles.file.digests import span_of
from mdstore.candles.file.table_reads import read_range
from mdstore.candles.file.wide_rows import times_of
from mdstore.candles.ledger import claims, coverage, revisions, unfinished
from mdstore.candles.ledger.claims import Claim
from mdstore.candles.ledger.coverage import Interval, Key
from mdstore.candles.ledger.origins import Origin, origins, sources_ever
from mdstore.candles.ledger.revisions import Kept
from mdstore.core.extra_columns import Extra
from mdstore.core.schema import VALUES

__all__ = ["Known", "Ledger"]

FEW = 16
NONE = (None,) * len(VALUES)  # of no candle
Row = tuple[object, ...]
Bar = tuple[float | None, ...]
Extras = dict[str, float]
Change = tuple[str, Bar | None, Extras | None]
"""Who changed a bar, what it was, and what its values of declared columns were; None of what stayed."""


@dataclass(frozen=True, slots=True)
class Known:
    """For each of some series its intervals, bars that were stored too early, and row of the catalogue.

    The calendars are by pattern.
    """

    intervals: list[list[Interval]]
    unfinished: list[list[int]]
    series: list[Series | None]
    calendars: dict[str, str]


class Ledger:
    """The ledger of one file."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def known(self, symbols: Sequence[str], timeframe: str) -> Known:
        """Return what is known of some series of a timeframe, all of one moment."""
        keys = [(symbol, timeframe) for symbol in symbols]
        with self._database.reading() as con:
            calendars, marks = catalogue.calendars(con), unfinished.proven(con, keys)
            early = [marks.get(key, []) for key in keys]
            if len(keys) <= FEW:
                found = [coverage.known(con, key) for key in keys]
                return Known(found, early, [catalogue.find(con, *key) for key in keys], calendars)
            every = coverage.of_timeframe(con, timeframe)
            stored = {one.symbol: one for one in catalogue.series_of(con, timeframe)}
            intervals = [every.get(symbol, []) for symbol in symbols]
            return Known(intervals, early, [stored.get(symbol) for symbol in symbols], calendars)

    def unfinished(self, symbols: Sequence[str], timeframe: str) -> dict[str, set[int]]:
        """Return by symbol the bars (ms) that were stored before they had ended, and not again since."""
        with self._database.reading() as con:
            found = unfinished.proven(con, [(symbol, timeframe) for symbol in symbols])
        wanted = set(symbols)
        return {
            key[0]: set(times) for key, times in found.items() if key[1] == timeframe and key[0] in wanted
        }

    def all_ended(self, symbol: str, timeframe: str, revision: int) -> bool:
        """Tell whether all bars of a series had ended when they came; no where that is not its revision now.

        It takes 4 us, where `unfinished` takes 20.
        """
        row = self._database.peek(unfinished.STATE, (symbol, timeframe))
        return row == (revision, 0)

    def without_bars(self, timeframe: str | None = None) -> list[Key]:
        """Return the series of a timeframe, or all, that were asked for and of which no bar is stored."""
        with self._database.reading() as con:
            return coverage.without_bars(con, timeframe)

    def cover(self, keys: Sequence[Key], claim: Claim) -> None:
        """Enter what is said of a range of some series."""
        claims.cover(self._database, keys, claim, self._clock)

    def note(self, said: Iterable[tuple[Key, Claim]], doubted: Iterable[tuple[Key, int, int]]) -> None:
        """Enter what is said of ranges, and that bars of others are not known, in one transaction.

        What was said of a `doubted` bar is taken back, and it is to be asked for, also where it is stored.
        """
        now = int(self._clock() * 1000)
        with self._database.writing() as con:
            for key, claim in said:
                claims.enter(con, key, claim, now, (), of_write=False)
            for key, start, end in doubted:
                claims.forget(con, key, start, end)
                unfinished.mark(con, key, list(times_of(read_range(con, *key, start, end))))

    def uncover(self, keys: Sequence[Key], start: int, end: int) -> None:
        """Take back what is said of a range of some series."""
        claims.uncover(self._database, keys, start, end)

    def calendars(self) -> dict[str, str]:
        """Return the calendars of patterns of symbols."""
        with self._database.reading() as con:
            return catalogue.calendars(con)

    def set_calendar(self, pattern: str, calendar: str | None) -> None:
        """Give symbols a calendar; None takes it away."""
        with self._database.writing() as con:
            catalogue.set_calendar(con, pattern, calendar)

    def revisions(self, symbol: str | None, timeframe: str | None, start: int, end: int) -> list[Row]:
        """Return the rows of the table `revisions`, and what each bar came to be; see `_revised`."""
        with self._database.reading() as con:
            found: list[Row] = []
            declared = [one.name for one in declared_columns.all_declared(con)]
            for one in catalogue.all_series(con):
                if symbol in (None, one.symbol) and timeframe in (None, one.timeframe):
                    found += _revised(con, (one.symbol, one.timeframe), start, end, declared)
            return found

    def declared(self) -> list[Extra]:
        """Return the columns that are declared, the oldest first."""
        row = self._database.peek(declared_columns.STATE)
        if row is not None and not any(row):
            return []
        with self._database.reading() as con:
            return declared_columns.all_declared(con)

    def declare(self, extra: Extra) -> None:
        """Declare a column, in place of one of that name."""
        with self._database.writing() as con:
            declared_columns.declare(con, extra)

    def undeclare(self, name: str) -> list[str]:
        """Take a declaration back, if there is one; return the names that were declared."""
        with self._database.writing() as con:
            known = [one.name for one in declared_columns.all_declared(con)]
            if name in known:
                declared_columns.undeclare(con, name)
            return known

    def sources(self, symbols: Sequence[str], timeframe: str) -> dict[str, set[str]]:
        """Return by symbol which sources gave bars that are there, or that were there once."""
        with self._database.reading() as con:
            return {symbol: sources_ever(con, (symbol, timeframe)) for symbol in symbols}

    def provenance(self, symbol: str | None, timeframe: str | None) -> list[Origin]:
        """Return where bars came from; intervals behind each other from one source are one."""
        with self._database.reading() as con:
            one_series = None if symbol is None or timeframe is None else (symbol, timeframe)
            found = origins(con, one_series)
        return [one for one in found if symbol in (None, one.symbol) and timeframe in (None, one.timeframe)]


def _revised(con: apsw.Connection, key: Key, start: int, end: int, declared: Sequence[str]) -> list[Row]:
    """Return the changes of bars: what each was, and what it came to be, by the next or as it is now.

    Values of `declared` columns come last, those before and those after.
    """
    changes = _changes_of(revisions.kept(con, key, None, start, end))
    later = _bars_now(con, key, {time for time, _ in changes})
    found: list[Row] = []
    for change in sorted(changes, reverse=True):
        after, extras_after = later.get(change[0], (NONE, {}))
        source, before, extras = changes[change]
        before, extras = before or after, extras_after if extras is None else extras
        both = (one.get(name) for one in (extras, extras_after) for name in declared)
        found.append((*key, *change, *before, *after, source, *both))
        later[change[0]] = (before, extras)
    return found[::-1]


def _changes_of(found: Iterable[Kept]) -> dict[tuple[int, int], Change]:
    """Return the changes of bars, by time and revision."""
    changes: dict[tuple[int, int], Change] = {}
    for block, bars in found:
        for time, *values in bars.iter_rows():
            change = (time, block.revision)
            _, before, extras = changes.get(change, ("", None, None))
            if block.names == CANDLE:
                before = tuple(values)
            else:
                named = zip(bars.columns[1:], values, strict=True)
                extras = {name: one for name, one in named if not isnan(one)}
            changes[change] = (block.source, before, extras)
    return changes


def _bars_now(con: apsw.Connection, key: Key, times: Iterable[int]) -> dict[int, tuple[Bar, Extras]]:
    """Return bars as they are now: their values, and those of declared columns."""
    proof, span, names = Proof(con), span_of(key[1]), declared_columns.names_of(con, key)
    batches = [
        proof.read(key, bucket * span, (bucket + 1) * span, extras=names)
        for bucket in sorted({time // span for time in times})
    ]
    proof.settle()
    found = {}
    for batch in batches:
        for time, *values in bars_of(batch):
            more = zip(names, values[len(VALUES) :], strict=True)
            extras = {name: value for name, value in more if not isnan(value)}
            found[time] = (tuple(values[: len(VALUES)]), extras)
    return found
