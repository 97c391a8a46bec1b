"""What `mdstore import` does: files into the store, each file whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mdstore.cli.shared.interrupt import Interrupts
from mdstore.cli.shared.progress import ImportProgress
from mdstore.cli.shared.texts import count
from mdstore.core.timeframe import Timeframe
from mdstore.errors import FileFormatError, MarketDataError, StoreFileError
from mdstore.sources.files import Part, candle_files, other_files, read

if TYPE_CHECKING:
    from mdstore.candles.writes.writer import WriteResult
    from mdstore.store.store import MarketDataStore

__all__ = ["Failure", "Import", "Landed", "Options", "files_in", "import_files", "skipped_in"]

# Errors of the store itself end the import: the next file would fail in the same way.
FATAL = StoreFileError
MOST_NAMES = 3
# The most characters that the name of a source may have.
LONGEST_SOURCE = 500
YEAR_FIRST = (
    "times must be year first, as 2025-09-01, 2025-09-01 09:30, 20250901 09:30 or 2025-09-01T09:30:00Z"
)
# Shares of a bar's length. Rows that are closer than the first cannot be such bars; rows that are farther
# apart than the second probably are not, which is worth a note.
CLOSER, WIDER = 3 / 4, 4 / 3


@dataclass(frozen=True, slots=True)
class Options:
    """What the user says about the files; None means that the file itself says it.

    `source` is noted as the origin of the bars, in place of the file's path. `complete` says that the bars
    which a file lacks between its first and its last cannot be had, so that no update asks for them.
    """

    symbol: str | None = None
    timeframe: str | None = None
    symbol_from_filename: str | None = None
    unit: Any = None
    align: Any = None
    on_invalid: Any = "raise"
    source: str | None = None
    complete: bool = False


@dataclass(slots=True)
class Landed:
    """A file that landed: which series it holds, what told so, and what became of its rows.

    `refused` says why none of its rows was stored, if none was.
    """

    file: Path
    result: WriteResult
    symbols: set[str] = field(default_factory=set)
    timeframes: set[str] = field(default_factory=set)
    told_by: dict[str, str] = field(default_factory=dict)
    notes: set[str] = field(default_factory=set)
    refused: str | None = None


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

    @property
    def succeeded(self) -> bool:
        """Whether every file landed, with at least one row."""
        refused = any(landed.refused for landed in self.landed)
        return not (self.failures or self.stopped_by or self.interrupted or refused)

    def total(self, name: str) -> int:
        """Return the sum of a count over all files that landed."""
        return sum(getattr(landed.result, name) for landed in self.landed)


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
                run.landed.append(_import_file(store, file, options, progress, interrupts.check))
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


def _import_file(
    store: MarketDataStore,
    file: Path,
    options: Options,
    progress: ImportProgress,
    check: Callable[[], None],
) -> Landed:
    with closing(read(file, symbol_from_filename=options.symbol_from_filename, unit=options.unit)) as parts:
        landing = _Landing(options, progress)

        def on_rows(rows: int) -> None:
            progress.rows(rows)
            check()

        rules: dict[str, Any] = {
            "unit": options.unit, "align": options.align, "on_invalid": options.on_invalid,
            "source": options.source or _source(file), "covers": "data" if options.complete else None,
        }  # fmt: skip
        first = next(parts)
        series = landing.series(first)
        if file.suffix.lower() == ".zip" or None in series:
            frames = landing.long(first, parts)
            result = store.write_many(frames, progress=on_rows, **rules)
        else:
            symbol, timeframe = series
            assert symbol is not None  # noqa: S101 - for mypy
            assert timeframe is not None  # noqa: S101
            result = store.write(symbol, timeframe, landing.frames(first), progress=on_rows, **rules)
    landed = Landed(file, result, landing.symbols, landing.timeframes, landing.told_by, landing.notes)
    if result.rows and not result.inserted + result.updated + result.unchanged:
        landed.refused = _why_none(store, landed)
    return landed


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
    hint = f". Hint: {YEAR_FIRST}" if row["rule"] == "timestamp is a time" else ""
    return f"{none}: each breaks the rule '{row['rule']}', such as {row['column']} = {row['value']}{hint}"


class _Landing:
    """Passes the parts of one file on to the store, and notes which series they hold and how far it is."""

    def __init__(self, options: Options, progress: ImportProgress) -> None:
        self._options = options
        self._progress = progress
        self.symbols: set[str] = set()
        self.timeframes: set[str] = set()
        self.told_by: dict[str, str] = {}
        self.notes: set[str] = set()

    def series(self, part: Part) -> tuple[str | None, str | None]:
        """Return symbol and timeframe of a part; None if a column has them. Raise if nothing tells."""
        symbol, timeframe = self._options.symbol or part.symbol, self._options.timeframe or part.timeframe
        if symbol is None and "symbol" not in part.columns:
            raise FileFormatError(
                f"{part.name}: which symbol? Neither a column nor the file's name says",
                hint="give --symbol KRW-BTC, or --symbol-from-filename '{symbol}_*'",
            )
        if timeframe is None and "timeframe" not in part.columns:
            raise FileFormatError(
                f"{part.name}: which timeframe? Neither a column, the file's name nor the spacing of the "
                "timestamps says",
                hint="give --timeframe 1d",
            )
        return symbol, timeframe

    def frames(self, part: Part) -> Iterator[pl.DataFrame]:
        """Yield a part's frames; refuse to put several series under one name."""
        symbol, timeframe = self.series(part)
        self._note(part, symbol, timeframe)
        fixed = {"symbol": symbol, "timeframe": timeframe}
        self._progress.reading(part.bytes_read)
        for frame in part.frames:
            for name, value in fixed.items():
                if name in frame.columns:
                    self._watch(part, name, value, frame[name])
            yield frame

    def long(self, first: Part, rest: Iterator[Part]) -> Iterator[pl.DataFrame]:
        """Yield the frames of all parts with symbol and timeframe as columns."""
        for part in _chained(first, rest):
            symbol, timeframe = self.series(part)
            fixed = {"symbol": symbol, "timeframe": timeframe}
            literals = [pl.lit(value).alias(name) for name, value in fixed.items() if value is not None]
            for frame in self.frames(part):
                yield frame.with_columns(literals)

    def _note(self, part: Part, symbol: str | None, timeframe: str | None) -> None:
        self.symbols.update({symbol} - {None})  # type: ignore[arg-type]  # None is taken out
        self.timeframes.update({timeframe} - {None})  # type: ignore[arg-type]
        self.notes.update(part.notes)
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
        if share >= WIDER:
            by = "as asked" if self._options.timeframe else "as the name says"
            self.notes.add(f"{part.name}: rows are {apart} apart, stored as {bar} {by}")

    def _watch(self, part: Part, name: str, value: str | None, column: pl.Series) -> None:
        """Note what a column holds. Refuse several series under one name: they would overwrite each other."""
        there = set(column.cast(pl.String).drop_nulls().unique().to_list())
        seen = self.symbols if name == "symbol" else self.timeframes
        if value is None:
            seen.update(there)
        elif len(there) > 1:
            listed = ", ".join(sorted(there)[:MOST_NAMES])
            raise FileFormatError(
                f"{part.name}: its {name} column holds several ({listed}...), they cannot all become "
                f"{value!r}",
                hint=f"leave --{name} out",
            )


def _chained(first: Part, rest: Iterator[Part]) -> Iterator[Part]:
    yield first
    yield from rest
