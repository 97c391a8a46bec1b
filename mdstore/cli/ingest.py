"""`mdstore import`: files into the store, each file whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mdstore.cli.interrupt import Interrupts
from mdstore.cli.progress import ImportProgress
from mdstore.errors import FileFormatError, MarketDataError, ScannerError, StoreFileError
from mdstore.files import Part, candle_files, read

if TYPE_CHECKING:
    from mdstore.candles.writer import WriteResult
    from mdstore.store import MarketDataStore

__all__ = ["Failure", "Import", "Landed", "Options", "files_in", "import_files"]

# Errors of the store itself: the next file would fail the same way.
FATAL = (StoreFileError, ScannerError)
MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Options:
    """What the user says about the files; None leaves it to them."""

    symbol: str | None = None
    timeframe: str | None = None
    symbol_from_filename: str | None = None
    unit: Any = None
    align: Any = None
    on_invalid: Any = "raise"


@dataclass(slots=True)
class Landed:
    """A file that landed: what series it holds, how that was told, what became of its rows."""

    file: Path
    result: WriteResult
    symbols: set[str] = field(default_factory=set)
    timeframes: set[str] = field(default_factory=set)
    told_by: dict[str, str] = field(default_factory=dict)
    notes: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Failure:
    """A file of which nothing landed."""

    file: Path
    error: Exception


@dataclass(slots=True)
class Import:
    """How an import went. `interrupted_in` is the file that was rolled back, `rows_in` how far it was."""

    files: Sequence[Path]
    landed: list[Landed] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    interrupted: bool = False
    interrupted_in: Path | None = None
    rows_in: int = 0
    stopped_by: Exception | None = None
    seconds: float = 0.0

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


def import_files(
    store: MarketDataStore, files: Sequence[Path], options: Options, progress: ImportProgress
) -> Import:
    """Import files one by one; a bad one is noted and the next taken, Ctrl-C rolls back the one at hand."""
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

        rules = {"unit": options.unit, "align": options.align, "on_invalid": options.on_invalid}
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
    return Landed(file, result, landing.symbols, landing.timeframes, landing.told_by, landing.notes)


class _Landing:
    """The parts of one file on their way into the store, watched: which series they are, how far they are."""

    def __init__(self, options: Options, progress: ImportProgress) -> None:
        self._options = options
        self._progress = progress
        self.symbols: set[str] = set()
        self.timeframes: set[str] = set()
        self.told_by: dict[str, str] = {}
        self.notes: set[str] = set()

    def series(self, part: Part) -> tuple[str | None, str | None]:
        """Return the symbol and timeframe of a part, None where its columns say; raise if nothing does."""
        symbol, timeframe = self._options.symbol or part.symbol, self._options.timeframe or part.timeframe
        if symbol is None and "symbol" not in part.columns:
            raise FileFormatError(
                f"{part.name}: which symbol? Neither a column nor the file's name says. Hint: give --symbol "
                "KRW-BTC, or --symbol-from-filename '{symbol}_*'"
            )
        if timeframe is None and "timeframe" not in part.columns:
            raise FileFormatError(
                f"{part.name}: which timeframe? Neither a column, the file's name nor the spacing of the "
                "timestamps says. Hint: give --timeframe 1d"
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
        for name in ("symbol", "timeframe"):
            told = "option" if getattr(self._options, name) else part.told_by.get(name, "column")
            self.told_by[name] = told

    def _watch(self, part: Part, name: str, value: str | None, column: pl.Series) -> None:
        """Note what a column holds; a name given for the whole file must not bury several series."""
        there = set(column.cast(pl.String).drop_nulls().unique().to_list())
        seen = self.symbols if name == "symbol" else self.timeframes
        if value is None:
            seen.update(there)
        elif len(there) > 1:
            listed = ", ".join(sorted(there)[:MOST_NAMES])
            raise FileFormatError(
                f"{part.name}: its {name} column holds several ({listed}...), they cannot all become "
                f"{value!r}. Hint: leave --{name} out"
            )


def _chained(first: Part, rest: Iterator[Part]) -> Iterator[Part]:
    yield first
    yield from rest
