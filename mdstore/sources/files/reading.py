"""Files in: what a file holds, which series that is, and how it was told."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from mdstore.core.column_names import Choice, Columns, Volume
from mdstore.core.excerpts import excerpt
from mdstore.core.extra_columns import Extra
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.time_style import TimeStyle, Unit
from mdstore.errors import FileFormatError, Hint, MarketDataError, TimestampError
from mdstore.sources.files.csv import read_text
from mdstore.sources.files.excel import read_excel, sheets_of
from mdstore.sources.files.file_names import Named, from_pattern, guess, suggest
from mdstore.sources.files.formats import FORMATS
from mdstore.sources.files.json import read_json, read_ndjson
from mdstore.sources.files.opening import Asked, Counted, Source, check_suffix, open_sources
from mdstore.sources.files.parquet_arrow import read_arrow, read_parquet
from mdstore.sources.files.spacing import besides, contradicts, spacing_of
from mdstore.sources.files.text_encodings import known_encoding

__all__ = ["NoRowsError", "Part", "read"]

LONGEST_REASON = 300
NO_SHEETS = Hint("leave sheet= out", "leave --sheet out")
READERS: dict[str, Callable[[Source], Iterator[pl.DataFrame]]] = {
    "csv": read_text, "json": read_json, "ndjson": read_ndjson, "parquet": read_parquet, "arrow": read_arrow,
    "excel": read_excel,
}  # fmt: skip


class NoRowsError(FileFormatError):
    """A file without rows, such as a header alone or `[]`: nothing is wrong with it."""


@dataclass(frozen=True, slots=True)
class Part:
    """The candles of one file, or of one member of a zip file.

    `frames` are frames of bounded size with the columns timestamp, open, high, low, close and volume, as
    typed in the file (texts in CSV), and `symbol` and `timeframe` where the file has them as columns.
    `symbol` and `timeframe` are what else the file tells, None where it tells nothing or a column does;
    `told_by` says which: "pattern", "file name", "spacing". `spacing` is the most common distance between the
    first rows, whatever else is told, `trouble` why that does not tell the timeframe, `besides` what must be
    said of the times, too, where the symbol is asked for; `contradicted` is whether rows so far apart cannot
    be of the timeframe in the file's name. `bytes_read` gives how much of the file on disk has been read, to
    show progress. `notes` says what else was understood; `ignored` are the columns that were not kept; both
    grow with the frames. `pattern` is one for `symbol_from_filename` that fits the name.
    """

    name: str
    frames: Iterator[pl.DataFrame]
    bytes_read: Callable[[], int]
    columns: tuple[str, ...]
    symbol: str | None
    timeframe: str | None
    told_by: dict[str, str]
    spacing: str | None
    trouble: TimestampError | None
    besides: Hint | None
    contradicted: bool
    _source: Source
    _kept: object

    @property
    def notes(self) -> tuple[str, ...]:
        """What was understood of the file, so far."""
        return tuple(sorted(self._source.notes))

    @property
    def sheets(self) -> tuple[str, ...]:
        """The names of the sheets of its workbook that hold candles, itself among them; else none."""
        return () if self._source.sheet is None else self._source.sheet.among

    @property
    def pattern(self) -> str | None:
        """A pattern that fits the name and takes its likeliest part for the symbol; None if it has none."""
        return suggest(self._source.stems[0])

    @property
    def ignored(self) -> tuple[str, ...]:
        """The columns that were not kept, so far."""
        return tuple(self._source.ignored)


def read(
    path: Path | str,
    *,
    symbol_from_filename: str | None = None,
    unit: Unit | None = None,
    date_format: str | None = None,
    tz: str | None = None,
    whole: bool = False,
    columns: Columns | None = None,
    volume: Volume | None = None,
    encoding: str | None = None,
    extras: Sequence[Extra] = (),
    sheet: str | None = None,
) -> Generator[Part, None, None]:
    """Yield what a file holds: one part, or one for each data file in a zip, or sheet of a workbook.

    A part must be used before the next is asked for. `symbol_from_filename` is a pattern such as
    `{symbol}-{timeframe}` for names without their suffixes; `unit` is that of whole-number times, "s", "ms",
    "us" or "ns", needed to tell a timeframe by spacing where the size of the numbers does not tell it, and
    `date_format` how dates are written, as "%d/%m/%Y", `tz` the zone of naive times, whatever a column says.
    `whole` gives the other columns as well, under their own names; `extras` are the declared columns, which
    are given so in any case. `columns` says which columns are which
    (`{"time": "일자"}`, or a list of all by their place), `volume="none"` that there is none, which gives
    zeros; `encoding` is that of a text that is not UTF-8, `sheet` the one to take of a workbook.
    Raises `FileFormatError` for a file that holds no candles, `OSError` for one that cannot be opened.

    >>> file = folder / "KRW-BTC-1m.csv"
    >>> _ = file.write_text(chr(10).join(["date,open,high,low,close,volume", "2025-09-01,1,2,1,2,10"]))
    >>> for part in read(file):
    ...     print(part.symbol, part.timeframe, part.told_by["symbol"], sum(map(len, part.frames)))
    KRW-BTC 1m file name 1
    """
    # A part keeps what it is read from: whoever drops the parts for one of them has not closed its file.
    kept: list[object] = []
    asked = Asked(whole, Choice.of(columns, volume), known_encoding(encoding), extras, sheet)
    style = partial(TimeStyle, unit, date_format, tz)
    parts = _parts(Path(path), symbol_from_filename, style, asked, kept)
    kept.append(parts)
    return parts


def _parts(
    path: Path,
    pattern: str | None,
    style: Callable[[], TimeStyle],
    asked: Asked,
    kept: object,
) -> Generator[Part, None, None]:
    check_suffix(path)
    raw = Counted(path.open("rb", buffering=0))
    try:
        with _damage_named(path.name):
            without: NoRowsError | None = None
            found = False
            for source in _tables(open_sources(path, raw, asked)):
                source.style = style()
                try:
                    part = _part(source, raw, pattern, kept)
                except NoRowsError as error:
                    without = error  # of a zip the others count
                    continue
                found = True
                yield part
            if not found:
                _refuse(without)
    except BaseException:
        raw.close()  # after the last part the file is closed with that part
        raise


def _tables(sources: Iterator[Source]) -> Iterator[Source]:
    """Yield sources, for a workbook its sheets."""
    for source in sources:
        if FORMATS[source.suffix] == "excel":
            yield from sheets_of(source)
        elif source.asked.sheet is not None:
            raise FileFormatError(f"{source.name}: no workbook, and has no sheets", hint=NO_SHEETS)
        else:
            yield source


def _refuse(without: NoRowsError | None) -> None:
    if without is not None:
        raise without


def _part(source: Source, raw: Counted, pattern: str | None, kept: object) -> Part:
    frames = _named_frames(source)
    first = next(frames, None)
    if first is None or first.is_empty():
        there = frozenset(CANDLE_COLUMNS if first is None else first.columns)
        raise NoRowsError(
            f"{source.name}: there are {'columns of candles and ' if there else ''}no rows", found=there
        )
    told, told_by = _told(source, pattern, first.columns)
    needed = told.timeframe is None and "timeframe" not in first.columns
    asks = told.symbol is None and "symbol" not in first.columns
    style = source.style.of_zone(None)  # dates are dates in any zone
    apart, timeframe = spacing_of(first, style), told.timeframe
    spacing = None if apart.bar is None else str(apart.bar)
    if needed and apart.trouble is None and spacing is not None:
        timeframe, told_by["timeframe"] = spacing, "spacing"
    return Part(
        source.name,
        itertools.chain([first], frames),
        lambda: raw.count,
        tuple(first.columns),
        told.symbol,
        timeframe,
        told_by,
        spacing,
        apart.trouble,
        besides(first, timeframe, apart, style) if asks else None,
        told_by.get("timeframe") == "file name" and contradicts(first, timeframe, spacing, style),
        source,
        kept,
    )


def _named_frames(source: Source) -> Iterator[pl.DataFrame]:
    with _damage_named(source.name):
        yield from READERS[FORMATS[source.suffix]](source)


def _told(source: Source, pattern: str | None, columns: list[str]) -> tuple[Named, dict[str, str]]:
    """Say what the name tells: a given pattern goes before the columns, a guess after them."""
    by = "pattern"
    if pattern is None:
        by = "file name" if source.sheet is None or len(source.sheet.among) == 1 else "sheet"
    if pattern is not None:
        named = next(filter(None, (from_pattern(pattern, stem) for stem in source.stems)), None)
        if named is None:
            fits = suggest(source.stems[0])
            raise FileFormatError(
                f"{source.name}: the name {excerpt(source.stems[0])!r} does not match the pattern "
                f"{pattern!r}",
                hint=f"{fits!r} does" if fits else None,
            )
    else:
        guessed = _guess(source.stems)
        named = Named(source.symbol or guessed.symbol, source.timeframe or guessed.timeframe)
    symbol = None if pattern is None and "symbol" in columns else named.symbol
    timeframe = None if "timeframe" in columns and pattern is None else named.timeframe
    told = {"symbol": symbol, "timeframe": timeframe}
    return Named(symbol, timeframe), {key: by for key, value in told.items() if value is not None}


def _guess(stems: tuple[str, ...]) -> Named:
    guesses = [guess(stem) for stem in stems]
    symbol = next((named.symbol for named in guesses if named.symbol), None)
    return Named(symbol, next((named.timeframe for named in guesses if named.timeframe), None))


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    """Name the file in whatever its parser raises: of a damaged or malicious file that may be anything."""
    try:
        yield
    except MarketDataError:
        raise
    except (Exception, pl.exceptions.PanicException) as error:
        # The operating system's own have an errno; a gzip file that is none raises an OSError without one.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        why = str(error).strip() or type(error).__name__
        raise FileFormatError(f"{name}: cannot be read: {excerpt(why, LONGEST_REASON)}") from error
