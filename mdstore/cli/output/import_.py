"""What `mdstore import` does: files into the store, each file whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mdstore.candles.writes.results import WriteResult
from mdstore.cli.shared.declared import declared_in
from mdstore.cli.shared.interrupt import Interrupts
from mdstore.cli.shared.progress import ImportProgress
from mdstore.cli.shared.texts import count
from mdstore.core.arguments import Kept
from mdstore.core.bad_rows import AS_WRITTEN, NO_TIME
from mdstore.core.column_names import Columns
from mdstore.core.excerpts import excerpt
from mdstore.core.extra_columns import Extra
from mdstore.core.statements import texts_in
from mdstore.core.timeframe import Timeframe, meant
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import ConflictError, FileFormatError, InvalidInputError, MarketDataError, StoreFileError
from mdstore.sources.files import NoRowsError, Part, candle_files, guess, other_files, read, stem
from mdstore.store.ahead import ahead

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["Failure", "Import", "Landed", "Options", "columns_in", "files_in", "import_files", "skipped_in"]

# Errors of the store itself end the import: the next file would fail in the same way.
FATAL = StoreFileError
MOST_NAMES = 3
GIVE_SYMBOL = "--symbol KRW-BTC"
# The most characters that the name of a source may have.
LONGEST_SOURCE = 500
AHEAD_ROWS = 10_000  # in the first frame of a file from which on the others are read ahead, in a thread
# Shares of a bar's length. Rows that are closer than the first cannot be such bars; rows that are farther
# apart than the second probably are not, which is worth a note.
CLOSER, WIDER = 3 / 4, 4 / 3


@dataclass(frozen=True, slots=True)
class Options:
    """What the user says about the files; None means that the file itself says it.

    `source` is noted as the origin of the bars, in place of the file's path. `complete` says that the bars
    which a file lacks between its first and its last cannot be had, so that no update asks for them.
    `rename` says that `symbol` is another name of the one in a file's column. `columns`, `volume`, `decimal`
    and `encoding` are as in `store.write` and `sources.files.read`.
    """

    symbol: str | None = None
    timeframe: str | None = None
    symbol_from_filename: str | None = None
    unit: Any = None
    align: Any = None
    on_invalid: Any = "raise"
    source: str | None = None
    complete: bool = False
    on_conflict: Any = "raise"
    rename: bool = False
    columns: Columns | None = None
    volume: Any = None
    decimal: Any = None
    encoding: str | None = None
    sheet: str | None = None
    date_format: str | None = None
    tz: str | None = None
    tolerance: Any = None


@dataclass(slots=True)
class Landed:
    """A file that landed: which series it holds, what told so, and what became of its rows.

    `refused` says why none of its rows was stored, if none was; `ignored` are the columns that were not kept.
    """

    file: Path
    result: WriteResult
    symbols: set[str] = field(default_factory=set)
    timeframes: set[str] = field(default_factory=set)
    told_by: dict[str, str] = field(default_factory=dict)
    notes: set[str] = field(default_factory=set)
    refused: str | None = None
    ignored: tuple[str, ...] = ()

    def reach(self) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
        """Yield the series of the file, each with the range (ms, half-open) of its bars."""
        for key, (first, last) in self.result.reach.items():
            yield key, (first, last + 1)


@dataclass(frozen=True, slots=True)
class Failure:
    """A file of which nothing landed."""

    file: Path
    error: Exception


@dataclass(slots=True)
class Import:
    """How an import went.

    `interrupted_in` is the file that was rolled back by Ctrl-C, and `rows_in` how many of its rows were read.
    """

    files: Sequence[Path]
    landed: list[Landed] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    interrupted: bool = False
    interrupted_in: Path | None = None
    rows_in: int = 0
    stopped_by: Exception | None = None
    seconds: float = 0.0
    notes: Sequence[str] = ()
    ranges: Kept = field(default_factory=Kept)
    """Of each series the ranges (ms, half-open) that files of this run have bars in."""
    declared: Sequence[Extra] | None = None
    """The declared columns, once they were asked for: of 500 files that was 3 % of the time."""

    @property
    def succeeded(self) -> bool:
        """Whether every file landed, with at least one row."""
        refused = any(landed.refused for landed in self.landed)
        return not (self.failures or self.stopped_by or self.interrupted or refused)

    def landed_in(self, landed: Landed) -> None:
        """Take note of a file that landed."""
        self.landed.append(landed)
        for key, reach in landed.reach():
            self.ranges.setdefault(key, []).append(reach)

    def file_of(self, key: tuple[str, str], timestamp: int) -> Path | None:
        """Return the latest file that has bars of a series around a time (ms)."""
        for landed in reversed(self.landed):
            if any(of == key and start <= timestamp < end for of, (start, end) in landed.reach()):
                return landed.file
        return None

    def total(self, name: str) -> int:
        """Return the sum of a count over all files that landed."""
        return sum(getattr(landed.result, name) for landed in self.landed)


def columns_in(texts: Sequence[str] | None) -> Columns | None:
    """Read what `--columns` says: `time=NAME,open=NAME`, or names by their place. Quotes hold a comma.

    >>> columns_in(["time=일자,open=시가", '"close=last, adjusted"'])
    {'time': '일자', 'open': '시가', 'close': 'last, adjusted'}
    >>> columns_in(["time,open,close,high,low,volume"])
    ['time', 'open', 'close', 'high', 'low', 'volume']
    """
    if not texts:
        return None
    parts = [part.strip() for row in csv.reader(texts) for part in row]
    if parts and not any("=" in part for part in parts):
        return parts
    pairs = [part.partition("=") for part in parts]
    if not pairs or not all(name and equals for _, equals, name in pairs):
        given = ",".join(parts) or "''"
        raise InvalidInputError(
            f"--columns {given}: give time=NAME,open=NAME, or the names of all by their place"
        )
    return {meaning.strip(): name for meaning, _, name in pairs}


def files_in(paths: Sequence[Path]) -> list[Path]:
    """Return the files to import, each once; raise for a path that is not there or a folder without any."""
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(2, "no such file or folder", str(path))
        inside = candle_files(path)
        if not inside:
            raise FileFormatError(f"{path}: no candle files in this folder or below it")
        found.update(dict.fromkeys(inside))
    return list(found)


def skipped_in(paths: Sequence[Path]) -> list[str]:
    """Return a note of the files in folders that are no candle files, if there are any."""
    others = sum(map(other_files, paths))
    return [f"{count(others, 'other file')} skipped"] if others else []


def import_files(
    store: MarketDataStore, files: Sequence[Path], options: Options, progress: ImportProgress
) -> Import:
    """Import files one by one. A bad file is noted, and the next one taken; Ctrl-C rolls back the current."""
    run = Import(files)
    with Interrupts() as interrupts, progress:
        for file in files:
            if interrupts.pending:
                run.interrupted = True
                break
            try:
                run.landed_in(_import_file(store, file, options, run, progress, interrupts.check))
            except KeyboardInterrupt:
                run.interrupted, run.interrupted_in, run.rows_in = True, file, progress.rows_of_file
                break
            except FATAL as error:
                run.stopped_by = error
                break
            except (MarketDataError, OSError) as error:
                run.failures.append(Failure(file, error))
            progress.file_done(file)
    run.seconds = progress.seconds
    return run


def _import_file(  # noqa: PLR0917 - what a run is made of
    store: MarketDataStore,
    file: Path,
    options: Options,
    run: Import,
    progress: ImportProgress,
    check: Callable[[], None],
) -> Landed:
    def on_rows(rows: int) -> None:
        progress.rows(rows)
        check()

    if run.declared is None:
        run.declared = declared_in(store)
    keep = run.ranges if options.on_conflict == "raise" else None
    rules: dict[str, Any] = {
        "unit": options.unit, "date_format": options.date_format, "tz": options.tz,
        "align": options.align, "tolerance": options.tolerance, "on_invalid": options.on_invalid,
        "on_conflict": options.on_conflict, "keep": keep, "progress": on_rows, "decimal": options.decimal,
        "source": options.source or _source(file), "covers": "data" if options.complete else None,
    }  # fmt: skip
    try:
        landing, result = _land(store, file, options, _Landing(options, progress, run.declared), rules)
    except NoRowsError as error:
        return Landed(
            file,
            WriteResult(),
            notes={f"{file.name}: {'a header and no rows' if error.found else 'no rows'}"},
        )
    except ConflictError as error:
        if error.stored:
            raise _disagreement(run, file, error) from error
        # The file's other columns may tell the rows apart: it is read again, with them, for the message.
        again = _Landing(options, progress, run.declared, whole=True)
        landing, result = _land(store, file, options, again, rules)
    landed = Landed(
        file, result, landing.symbols, landing.timeframes, landing.told_by, {*landing.notes, *result.notes}
    )
    landed.ignored = landing.ignored
    if result.rows and not result.inserted + result.updated + result.unchanged:
        landed.refused = _why_none(store, landed)
    return landed


def _land(
    store: MarketDataStore, file: Path, options: Options, landing: _Landing, rules: dict[str, Any]
) -> tuple[_Landing, WriteResult]:
    how: dict[str, Any] = {
        "symbol_from_filename": options.symbol_from_filename, "unit": options.unit,
        "date_format": options.date_format, "tz": options.tz, "whole": landing.whole,
        "columns": options.columns,
        "volume": options.volume, "encoding": options.encoding, "extras": landing.extras,
        "sheet": options.sheet,
    }  # fmt: skip
    with closing(read(file, **how)) as parts:
        first = _first(parts, file, options)
        series = landing.series(first)
        if file.suffix.lower() == ".zip" or len(first.sheets) > 1 or None in series:
            with closing(landing.long(first, parts)) as frames:
                return landing, store.write_many(frames, **rules)
        symbol, timeframe = series
        assert symbol is not None  # noqa: S101 - for mypy
        assert timeframe is not None  # noqa: S101
        with closing(landing.frames(first)) as frames:
            return landing, store.write(symbol, timeframe, frames, rename=options.rename, **rules)


def _first(parts: Iterator[Part], file: Path, options: Options) -> Part:
    """Return a file's first part; an error says at once all that must be added, not one thing a run."""
    try:
        return next(parts)
    except FileFormatError as error:
        told = options.symbol or options.symbol_from_filename or guess(stem(file.name)).symbol
        if error.found is None or error.hint is None or told or "symbol" in error.found:
            raise
        hint = f"{error.hint.cli}; and give {GIVE_SYMBOL}, which neither a column nor the file's name says"
        raise FileFormatError(error.message, hint=hint, found=error.found) from error


def _disagreement(run: Import, file: Path, error: ConflictError) -> ConflictError:
    """Return the error of a file whose bars are others than those of a file before it."""
    pairs = zip(error.names, error.earlier, error.later, strict=True)
    name, before, here = next(pair for pair in pairs if pair[1] != pair[2])
    when = ms_to_datetime(error.timestamp).isoformat().replace("+00:00", "Z")
    other = run.file_of((error.symbol, error.timeframe), error.timestamp)
    return ConflictError(
        f"{file}: {error.symbol} {error.timeframe} at {when}: {name} = {here!r} here and {before!r} in "
        f"{other}, which was imported before it. Nothing of this file was written",
        hint="import each by itself with --symbol, or --on-conflict last takes the later file's bars",
        symbol=error.symbol,
        timeframe=error.timeframe,
        timestamp=error.timestamp,
        earlier=error.earlier,
        later=error.later,
        names=error.names,
        stored=True,
    )


def _source(file: Path) -> str:
    r"""Return a file's path as the name of a source. A path that is too long loses its beginning.

    >>> _source(Path("new\nfolder/KRW-BTC.csv"))
    'new?folder/KRW-BTC.csv'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in str(file))[-LONGEST_SOURCE:]


def _why_none(store: MarketDataStore, landed: Landed) -> str:
    """Say why no row of a file was stored; the quarantine tells, if the rows were set aside."""
    none = f"none of its {count(landed.result.rows, 'row')} was stored"
    if not landed.result.quarantined:
        return f"{none}: each breaks a rule. Hint: leave --on-invalid out to see which"
    aside = store.quarantine().filter(pl.col("symbol").is_in(list(landed.symbols))).tail(landed.result.rows)
    if aside["rule"].n_unique() != 1:
        return f"{none}: each breaks a rule, see mdstore sql 'FROM quarantine'"
    row = aside.row(0, named=True)
    hint = f". Hint: {AS_WRITTEN.cli}" if row["rule"] == NO_TIME else ""
    return f"{none}: each breaks the rule '{row['rule']}', such as {row['column']} = {row['value']}{hint}"


class _Landing:
    """Passes the parts of one file on to the store, and notes which series they hold and how far it is."""

    def __init__(
        self, options: Options, progress: ImportProgress, extras: Sequence[Extra], *, whole: bool = False
    ) -> None:
        self._options = options
        self._progress = progress
        self.extras = extras
        self.whole = whole
        self.symbols: set[str] = set()
        self.timeframes: set[str] = set()
        self.told_by: dict[str, str] = {}
        self._notes: set[str] = set()
        self._parts: list[Part] = []
        self._overruled: dict[str, set[str]] = {"symbol": set(), "timeframe": set()}

    @property
    def notes(self) -> set[str]:
        """What was understood of the parts, so far."""
        return self._notes.union(*(part.notes for part in self._parts))

    @property
    def ignored(self) -> tuple[str, ...]:
        """The columns that were not kept, so far."""
        return tuple(dict.fromkeys(name for part in self._parts for name in part.ignored))

    def series(self, part: Part) -> tuple[str | None, str | None]:
        """Return symbol and timeframe of a part; None if a column has them. Raise if nothing tells."""
        symbol, timeframe = self._options.symbol or part.symbol, self._options.timeframe or part.timeframe
        _refuse_sheets(part, self._options.symbol)
        if symbol is None and "symbol" not in part.columns:
            raise FileFormatError(
                f"{part.name}: which symbol? Neither a column nor the file's name says",
                hint=self._which(part),
            )
        if timeframe is None and "timeframe" not in part.columns:
            raise part.trouble or FileFormatError(
                f"{part.name}: which timeframe? Neither a column, the file's name nor the spacing of the "
                "timestamps says",
                hint="give --timeframe 1d",
            )
        return symbol, timeframe

    def _which(self, part: Part) -> str:
        """Say what to give for a part whose symbol nothing tells, and all else that it needs."""
        hint = f"give {GIVE_SYMBOL}"
        if part.pattern:
            hint += f", or --symbol-from-filename '{part.pattern}'"
        if part.contradicted and not self._options.timeframe:
            hint += f"; and -t {part.spacing}, since its rows are that far apart, whatever its name says"
        if part.besides and not self._options.align:
            hint += f". Of the times: {part.besides.cli}"
        return hint

    def frames(self, part: Part) -> Generator[pl.DataFrame]:
        """Yield a part's frames; refuse to put several series under one name."""
        symbol, timeframe = self.series(part)
        self._note(part, symbol, timeframe)
        fixed = {"symbol": symbol, "timeframe": timeframe}
        self._progress.reading(part.bytes_read)
        with closing(_read_ahead(part.frames)) as frames:
            for frame in frames:
                for name, value in fixed.items():
                    if name in frame.columns:
                        self._watch(part, name, value, frame[name])
                belied = "timeframe" in frame.columns and self._belied(part, timeframe, frame["timeframe"])
                yield frame.drop("timeframe") if belied else frame

    def long(self, first: Part, rest: Iterator[Part]) -> Generator[pl.DataFrame]:
        """Yield the frames of all parts with symbol and timeframe as columns."""
        for part in _chained(first, rest):
            symbol, timeframe = self.series(part)
            fixed = {"symbol": symbol, "timeframe": timeframe}
            literals = [pl.lit(value).alias(name) for name, value in fixed.items() if value is not None]
            with closing(self.frames(part)) as frames:
                for frame in frames:
                    yield frame.with_columns(literals)

    def _note(self, part: Part, symbol: str | None, timeframe: str | None) -> None:
        self.symbols.update({symbol} - {None})  # type: ignore[arg-type]  # None is taken out
        self.timeframes.update({timeframe} - {None})  # type: ignore[arg-type]
        self._parts.append(part)
        self._compare(part, timeframe)
        for name in ("symbol", "timeframe"):
            told = "option" if getattr(self._options, name) else part.told_by.get(name, "column")
            self.told_by[name] = told

    def _compare(self, part: Part, timeframe: str | None) -> None:
        """Compare the timeframe with the spacing of the rows. Closer rows would overwrite each other."""
        if timeframe is None or part.spacing is None:
            return
        apart, bar = Timeframe.parse(part.spacing), Timeframe.parse(timeframe)
        share = apart.shortest_ms / bar.shortest_ms
        if share <= CLOSER:
            raise FileFormatError(
                f"{part.name}: these rows are {apart} apart, too close for {bar} bars",
                hint=f"did you mean -t {apart}?",
            )
        if part.contradicted and not self._options.timeframe:
            raise FileFormatError(
                f"{part.name}: the name seems to say {bar}, and these rows are {apart} apart",
                hint=f"did you mean -t {apart}?",
            )
        if share >= WIDER:
            by = "as asked" if self._options.timeframe else "as the name says"
            self._notes.add(f"{part.name}: rows are {apart} apart, stored as {bar} {by}")

    def _watch(self, part: Part, name: str, value: str | None, column: pl.Series) -> None:
        """Note what a column holds. Refuse several series under one name: they would overwrite each other."""
        there = texts_in(column)
        if name == "timeframe" and self._belied(part, value, column):
            return
        if value is None:
            seen = self.symbols if name == "symbol" else self.timeframes
            seen.update(there if name == "symbol" else {meant(text) or text for text in there})
            return
        overruled = self._overruled[name]
        overruled |= there
        if len(overruled) > 1:
            listed = excerpt(", ".join(sorted(overruled)[:MOST_NAMES]))
            raise FileFormatError(
                f"{part.name}: its {name} column holds several ({listed}...), they cannot all become "
                f"{value!r}",
                hint=f"leave --{name} out",
            )
        if name == "symbol" and overruled - {value} and not self._options.rename:
            raise FileFormatError(
                f"{part.name}: its symbol column says {excerpt(min(overruled), 40)!r}, not {value!r}",
                hint=f"leave --symbol out, or say --rename where {value!r} is another name of the same",
            )
        if name == "timeframe" and any(meant(text) not in (value, None) for text in overruled):
            raise FileFormatError(
                f"{part.name}: its timeframe column says {excerpt(min(overruled), 40)}, not {value}",
                hint="leave --timeframe out",
            )

    def _belied(self, part: Part, value: str | None, column: pl.Series) -> bool:
        """Tell a column of timeframes that rows are too close for; refuse it where no other is asked for."""
        said = texts_in(column)
        named = meant(next(iter(said))) if len(said) == 1 else None
        if named is None or part.spacing is None or named == value:
            return False
        if Timeframe.parse(part.spacing).shortest_ms > CLOSER * Timeframe.parse(named).shortest_ms:
            return False
        what = f"{part.name}: its timeframe column says {min(said)}, and its rows are {part.spacing} apart"
        if value is None:
            raise FileFormatError(what, hint=f"-t {part.spacing} stores them as that")
        self._notes.add(f"{what}: stored as {value}, as asked")
        return True


def _refuse_sheets(part: Part, symbol: str | None) -> None:
    """Refuse several sheets of candles where their names do not say which symbol each is."""
    if len(part.sheets) < 2 or (symbol is None and (part.symbol or "symbol" in part.columns)):  # noqa: PLR2004
        return
    file, _, sheet = part.name.rpartition("!")
    why = f"{sheet!r} names no symbol" if symbol is None else f"they cannot all become {symbol!r}"
    raise FileFormatError(
        f"{file}: {len(part.sheets)} sheets hold candles ({excerpt(', '.join(part.sheets))}), and {why}",
        hint=f"import each by itself: --sheet {sheet!r} --symbol {symbol or 'its symbol'!r}",
    )


def _read_ahead(frames: Iterator[pl.DataFrame]) -> Generator[pl.DataFrame]:
    """Yield frames in their order; where they are large, the next is parsed while the last is written."""
    first = next(frames, None)
    frames = chain(() if first is None else [first], frames)
    if first is None or len(first) < AHEAD_ROWS:
        yield from frames
        return

    def parsed(rest: Iterator[pl.DataFrame]) -> list[pl.DataFrame | None]:
        return [next(rest, None)]

    with closing(ahead(repeat(frames), parsed, lambda _: True, at_hand=True)) as one_by_one:
        for frame in one_by_one:
            if frame is None:
                break
            yield frame


def _chained(first: Part, rest: Iterator[Part]) -> Iterator[Part]:
    yield first
    yield from rest
