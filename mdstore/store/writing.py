"""What a store takes in, gives another name, and lets go."""

# What a plain read does not need is imported by the method that does.
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from mdstore.candles.repository import CandleRepository
from mdstore.core.arguments import conflict_rule, invalid_rule, kept_ranges, time_range
from mdstore.core.hole_reasons import Stated
from mdstore.core.polars_forks import refuse_broken_polars
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.symbols import check_symbol
from mdstore.core.time_style import TimeStyle, Unit
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment
from mdstore.errors import InvalidInputError
from mdstore.store.ahead import ahead
from mdstore.store.declared import Declared
from mdstore.store.requests import Covers, claim_of, told

if TYPE_CHECKING:
    from mdstore.candles.writes.results import Policy, WriteResult
    from mdstore.core.candle_rules import Align, Terms
    from mdstore.core.checked_rows import Checked, OnInvalid
    from mdstore.core.column_names import Columns, Volume
    from mdstore.core.duplicates import OnConflict
    from mdstore.core.inputs import Incoming, Piece
    from mdstore.core.numbers import Decimal
    from mdstore.core.rounding import Tolerance

__all__ = ["Keep", "Writing"]

Keep = Mapping[tuple[str, str], Sequence[tuple[int, int]]]
"""Ranges (ms, half-open) of series, by (symbol, timeframe)."""

Taken = tuple["Piece", tuple[str, ...], tuple[str, ...]]
"""A piece, the columns that are not kept, and what was understood, so far."""
AHEAD_ROWS = 10_000  # in a piece from which on another core checks it: a thread takes 0.1 ms


class Writing:
    """Writes to one store; `now` gives the time in ms."""

    def __init__(self, candles: CandleRepository, declared: Declared, now: Callable[[], int]) -> None:
        self._candles = candles
        self._declared = declared
        self._now = now

    def write(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        data: object,
        *,
        unit: Unit | None = None,
        date_format: str | None = None,
        tz: str | None = None,
        align: Align | None = None,
        tolerance: Tolerance | None = None,
        on_invalid: OnInvalid = "raise",
        on_conflict: OnConflict = "raise",
        rename: bool = False,
        columns: Columns | None = None,
        volume: Volume | None = None,
        decimal: Decimal | None = None,
        source: str | None = None,
        covers: Covers | None = None,
        absent: Stated | None = None,
        keep: Keep | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> WriteResult:
        """Store candles of one series, in one transaction: all of them or, on any error, none.

        `data` is a Polars, pandas or Arrow table (or anything with `__arrow_c_stream__`), a dict of columns,
        rows as dicts or as tuples `(timestamp, open, high, low, close, volume)`, or an iterable of tables
        or rows, which is streamed and may be larger than memory. Columns are found by their names in common
        use (`core.column_names`); others are not kept, and named in `WriteResult.ignored`. A column of dates
        and one of times of day become one time. Candles already there are updated where they differ.

        A bar that comes twice in `data` with equal values is a duplicate; with different ones it raises
        `ConflictError`, or the last wins with `on_conflict="last"`. Rows that say of themselves that they
        are of another timeframe, or of another symbol, are refused; `rename=True` says that their one symbol
        is another name of `symbol`.

        Where names do not say it, `columns={"time": "일자", "open": "시가"}` does: which column is the time,
        the symbol, a price or the volume; of tuples a list of all by their place.
        `volume="none"` is for instruments without one (indices, currencies): it is stored as 0, which
        `WriteResult.notes` says. Numbers may be texts as people write them (`1,010.5`, `$10.90`, `41.15K`);
        `decimal=","` or `"."` says what begins the decimals where no number tells (`1,234` all through).

        Times are read in the spellings of `time_spellings`, day and month in the order that the column shows.
        `unit` ("s", "ms", "us", "ns", or "excel" for its days) is for numeric times, inferred when absent
        (see `timestamps`);
        `date_format` (as "%d/%m/%Y") says how dates are written, with or without their time of day; `tz` (as
        "Asia/Seoul") is the zone of times that bear none, UTC when absent. A time that its clocks show twice
        or never, in the hour of their change, is a bad row.
        `align="floor"` moves times to the start of their bar, which otherwise must be exact; days and longer
        by the date that the time itself shows. `align="Asia/Seoul"` gives these the date that it was there,
        as for midnights of Seoul in UTC. Bars that begin elsewhere have a timeframe that says so: `1h@30m`,
        `1w@Sun`. A row that
        breaks a rule raises `ValidationError`; with `on_invalid="quarantine"` it is set aside with the reason
        and the others are stored, with `"drop"` it is only counted. `progress` is called with the number of
        rows taken so far.

        `source` says where the data is from: an exchange, a file, a function. `covers=(start, end)` states
        that the source was asked for this range and `data` is all there is in it: bars that are absent need
        not be asked for again. Why they are absent is not guessed: `absent="no_trade"` (or another reason,
        see `gaps`) says so, unless a reason is known. Only bars that have ended are covered; what is stored
        there already stays. Let `end` stay behind where a source publishes late: an answer without a bar is
        an answer. `covers="data"` says so of the range from the first row to the last, as of a whole file. A
        page that came back full, such as 200 of 200, with a wider `covers` is warned of (`UserWarning`, and
        `WriteResult.warnings`): what it lacks was perhaps not fetched.

        `tolerance="ulp"` widens high or low by at most 4 units in the last place where open or close misses
        it by rounding, as in adjusted prices; `WriteResult.widened` counts such rows.

        `keep` names ranges, by (symbol, timeframe), whose stored bars may not change: `ConflictError` where
        `data` has other values for one, as where files of one import disagree.

        Raises `InvalidInputError` (and its kinds), `StoreBusyError` or `StoreFileError`.
        """
        from mdstore.core.column_names import Choice
        from mdstore.core.inputs import Incoming
        from mdstore.store.checking import terms_of

        key = (check_symbol(symbol), Timeframe.parse(timeframe))
        claim = claim_of(source, covers, absent, (key[0], str(key[1])))
        policy = _policy(on_invalid, on_conflict, keep)
        choice = Choice.of(columns, volume)
        terms = terms_of(TimeStyle(unit, date_format, tz), align, tolerance, decimal, self._now())
        data = Incoming(
            data, CANDLE_COLUMNS, symbol=key[0], timeframe=str(key[1]), rename=rename, choice=choice,
            style=terms.style, extras=self._declared.of(key[0], str(key[1])),
        )  # fmt: skip
        return told(self._candles.write(self._checked(data, data, key, terms), claim, policy, progress))

    def write_many(
        self,
        data: object,
        *,
        timeframe: str | Timeframe | None = None,
        unit: Unit | None = None,
        date_format: str | None = None,
        tz: str | None = None,
        align: Align | None = None,
        tolerance: Tolerance | None = None,
        on_invalid: OnInvalid = "raise",
        on_conflict: OnConflict = "raise",
        columns: Columns | None = None,
        volume: Volume | None = None,
        decimal: Decimal | None = None,
        source: str | None = None,
        covers: Covers | None = None,
        absent: Stated | None = None,
        keep: Keep | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> WriteResult:
        """Store candles of several series, in one transaction.

        As `write`, with a `symbol` and a `timeframe` column in `data`, in whatever order of rows; with
        `timeframe=` all rows are of that one. Tuples are `(symbol, timeframe, timestamp, open, ...)`, or
        `(symbol, timestamp, open, ...)` with `timeframe=`. `covers` is of each series that has a row,
        stored or refused.
        """
        from mdstore.core.column_names import Choice
        from mdstore.core.inputs import Incoming, Piece
        from mdstore.store.checking import terms_of

        claim = claim_of(source, covers, absent)
        policy = _policy(on_invalid, on_conflict, keep)
        choice = Choice.of(columns, volume)
        terms = terms_of(TimeStyle(unit, date_format, tz), align, tolerance, decimal, self._now())
        if timeframe is None:
            wanted = ("symbol", "timeframe", *CANDLE_COLUMNS)
            data = Incoming(data, wanted, choice=choice, style=terms.style, extras=self._declared.all)
            return told(self._candles.write(self._checked(data, data, None, terms), claim, policy, progress))
        bar = str(Timeframe.parse(timeframe))
        data = Incoming(
            data, ("symbol", *CANDLE_COLUMNS), timeframe=bar, choice=choice, style=terms.style,
            extras=self._declared.all,
        )  # fmt: skip
        long = (Piece(_of_bar(piece.frame, bar), piece.row) for piece in data)
        return told(self._candles.write(self._checked(data, long, None, terms), claim, policy, progress))

    def delete(
        self,
        symbol: str,
        timeframe: str | Timeframe | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> int:
        """Delete candles of a symbol, in one timeframe or all, and return how many rows went.

        Raises `NoSuchSeriesError`.
        """
        bar = None if timeframe is None else Timeframe.parse(timeframe)
        return self._candles.delete(check_symbol(symbol), bar, *time_range(start, end))

    def rename(self, old: str, new: str) -> list[str]:
        """Give a symbol another name, in one transaction, and return its timeframes.

        Its candles in all timeframes go along, and all that is known of them: why bars are not there, where
        they came from, what they were before; a calendar that was set for it alone, too. Columns
        declared for the old name are so for the new one. Nothing is joined with what is stored or known
        under the new name: that is refused. Rows in quarantine stay as given.

        Raises `NoSuchSeriesError`, `InvalidInputError`.

        >>> with mdstore.open(folder / "market_data.sqlite3") as store:
        ...     store.write("BTC_KRW", "1m", [("2025-09-01", 1, 2, 1, 2, 5)]).inserted
        ...     store.rename("BTC_KRW", "KRW-BTC")
        1
        ['1m']
        """
        if old == new:
            raise InvalidInputError(f"{old!r} is its name already")
        return self._candles.rename(check_symbol(old), check_symbol(new))

    def _checked(
        self,
        data: Incoming,
        pieces: Iterable[Piece],
        key: tuple[str, Timeframe] | None,
        terms: Terms,
    ) -> Generator[Checked]:
        """Yield the pieces, checked and made ready to be written, the next one while the last is."""
        from mdstore.store.checking import Checking

        refuse_broken_polars()
        checking = Checking(key, terms)

        def work(taken: Taken) -> list[Checked]:
            return [self._candles.prepared(_told(one, taken)) for one in checking.take(taken[0])]

        # What is said of a piece is that which is known once it is taken: the next one is, before it is used.
        taken = ((piece, data.ignored, data.notes) for piece in pieces)
        with closing(ahead(taken, work, _is_worth_a_thread, at_hand=data.at_hand)) as chunks:
            yield from chunks
        checking.end()


def _told(checked: Checked, taken: Taken) -> Checked:
    _, ignored, noted = taken
    notes = (*noted, *checked.notes)
    return replace(checked, ignored=ignored, notes=notes) if ignored or notes else checked


def _is_worth_a_thread(taken: Taken) -> bool:
    return len(taken[0].frame) >= AHEAD_ROWS


def _of_bar(rows: pl.DataFrame, bar: str) -> pl.DataFrame:
    """Return rows with a column that says of which timeframe they are."""
    names = pl.Series("timeframe", [bar]).new_from_index(0, len(rows))
    return pl.DataFrame([*rows.iter_columns(), names])


def _policy(on_invalid: OnInvalid, on_conflict: OnConflict, keep: Keep | None) -> Policy:
    from mdstore.candles.writes.results import Policy

    return Policy(invalid_rule(on_invalid), conflict_rule(on_conflict), kept_ranges(keep))
