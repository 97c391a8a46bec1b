"""The rules every stored candle keeps, checked a chunk at a time before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from math import isfinite, nan

import polars as pl

from mdstore.core.bad_rows import IN_FUTURE, NO_TIME, STARTS, TWICE, UNKNOWN_TIMEFRAME
from mdstore.core.checked_rows import Checked, Group, Stack
from mdstore.core.duplicates import (
    Conflict,
    Given,
    Sole,
    differing,
    each_once,
    names_of_runs,
    starts_of_runs,
    values_in,
)
from mdstore.core.excerpts import excerpt
from mdstore.core.numbers import DASHES, Numbers
from mdstore.core.off_grid import AS_DATES, Align, dated, exact_first
from mdstore.core.rounding import WIDENED, Tolerance, widen
from mdstore.core.schema import CANDLE_COLUMNS, VALUES
from mdstore.core.symbols import LONGEST_SYMBOL, not_names
from mdstore.core.time_bounds import FIRST_BAR
from mdstore.core.timeframe import DAY, HOUR, Timeframe, meant
from mdstore.core.timestamps import TimeStyle, column_to_ms, unclear
from mdstore.core.whole_numbers import INEXACT, inexact, inexact_rules

__all__ = ["FLOOR", "NO_BAD", "Align", "Terms", "check"]

FLOOR: Align = "floor"
KEY = ["symbol", "timestamp"]  # of a row among those of a timeframe
Rule = tuple[str, Callable[[pl.DataFrame], pl.Series | None], str]
"""A column, what is true of the rows where it is wrong (None: surely nowhere), and the rule in words."""

OF_ROWS = frozenset({"symbol", "timeframe", *CANDLE_COLUMNS})
"""The columns of rows that are no declared ones."""
NOTHING = ("", *DASHES)
"""What a text says of a value of a declared column that is not there."""
JUDGED = frozenset({"row", "timeframe", "whole", "unclear", INEXACT})
"""Those that typed rows have until they are judged."""
STACKED_ROWS = 1_000  # of one series from which on they are made ready ahead, as those of several
LONGEST_KEPT = 1_000  # characters of a value of a bad row
SHAPE: tuple[Rule, ...] = (
    ("low", lambda rows: rows["low"] > rows["open"], "low <= open"),
    ("low", lambda rows: rows["low"] > rows["close"], "low <= close"),
    ("high", lambda rows: rows["high"] < rows["open"], "open <= high"),
    ("high", lambda rows: rows["high"] < rows["close"], "close <= high"),
    ("volume", lambda rows: _below(rows["volume"], 0), "volume >= 0"),
)
NO_TIMEFRAME: Rule = (
    "timeframe", lambda rows: rows["timeframe"].is_null(), UNKNOWN_TIMEFRAME
)  # fmt: skip
BAD_SCHEMA = {
    "row": pl.Int64, "symbol": pl.String, "timeframe": pl.String, "time": pl.Int64, "column": pl.String,
    "rule": pl.String, "value": pl.String, "record": pl.String,
}  # fmt: skip
NOWHERE = pl.Series([False])
NO_BAD = pl.DataFrame(schema=BAD_SCHEMA)
NONE_BROKEN = pl.DataFrame(schema={"row": pl.Int64, "time": pl.Int64, "column": pl.String, "rule": pl.String})


@dataclass(frozen=True, slots=True)
class Terms:
    """What a call asked for: how times are written, whether to snap, the time now (ms), what may be off.

    `numbers` reads prices and volumes.
    """

    style: TimeStyle
    align: Align | None
    now: int
    tolerance: Tolerance | None = None
    numbers: Numbers = field(default_factory=Numbers)


def check(
    frame: pl.DataFrame, key: tuple[str, Timeframe] | None, terms: Terms, offset: int, given: Given
) -> Checked:
    """Check a chunk of the series `key`, or of several when it has symbol and timeframe columns itself.

    `offset` is the number of its first row in the call, `given` gives a row of the chunk as it came. Raises
    `TimestampError` where the times cannot be read at all; rows that break a rule come back in `bad`.
    """
    read, widened = _typed(frame, terms)
    checked = (
        _check_long(frame, read, terms, offset, given)
        if key is None
        else _check_one(frame, read, key, terms, offset, given)
    )
    notes = (*checked.notes, *sorted(terms.numbers.notes), *([WIDENED] if widened else ()))
    return replace(checked, widened=widened, notes=notes) if notes != checked.notes else checked


def _check_one(  # noqa: PLR0917 - one idea
    frame: pl.DataFrame,
    read: pl.DataFrame,
    key: tuple[str, Timeframe],
    terms: Terms,
    offset: int,
    given: Given,
) -> Checked:
    typed = dated(read, frame["timestamp"], key[1], terms.style, terms.align)
    good, broken = _judge(typed, _rules(key[1], terms, extras_in(frame)), key[1], terms)
    stays = exact_first(good, ["timestamp"]) if "moved" in good.columns else None
    kept = good if stays is None else good.filter(stays)
    sole = each_once(kept, ["timestamp"])
    conflict = None
    if sole.conflicts:
        places = _places(typed, broken)
        places = places if stays is None else places.filter(stays)
        conflict = _conflict(sole, kept, key, places, offset, given)
    groups = list(_stacked(sole.rows, [key[0]], [len(sole.rows)], key[1])) if len(sole.rows) else []
    bad = _report(frame, broken, key, offset)
    notes = () if typed is read else (AS_DATES,)
    withheld = len(good) - len(kept)
    return Checked(
        groups, bad, sole.duplicates, len(frame), sole.conflicts, conflict, notes=notes, withheld=withheld
    )


def _group(symbol: str, bar: Timeframe, rows: pl.DataFrame) -> Group:
    if "moved" not in rows.columns:
        return Group(symbol, str(bar), rows)
    moved = rows["timestamp"].filter(rows["moved"])
    return Group(symbol, str(bar), rows.drop("moved"), moved if len(moved) else None)


def _places(judged: pl.DataFrame, broken: pl.DataFrame) -> pl.Series:
    """Return the places in the chunk of the rows that passed."""
    rows = judged["row"] if "row" in judged.columns else judged.with_row_index("row")["row"]
    return rows.filter(~rows.is_in(broken["row"].cast(rows.dtype).implode()))


def _conflict(  # noqa: PLR0917 - one idea
    sole: Sole,
    good: pl.DataFrame,
    key: tuple[str | None, Timeframe],
    places: pl.Series,
    offset: int,
    given: Given,
) -> Conflict:
    """Describe the first bar of a chunk that comes twice with different values."""
    assert sole.example is not None  # noqa: S101 - there are conflicts; for mypy
    earlier, later = (good.row(place, named=True) for place in sole.example)
    one, other = (int(places[place]) for place in sole.example)
    return Conflict(
        key[0] or earlier["symbol"],
        str(key[1]),
        earlier["timestamp"],
        tuple(earlier[name] for name in values_in(good)),
        tuple(later[name] for name in values_in(good)),
        (offset + one, offset + other),
        differing(given, (one, other), values_in(good)[len(VALUES) :]),
        names=values_in(good),
    )


def _check_long(frame: pl.DataFrame, typed: pl.DataFrame, terms: Terms, offset: int, given: Given) -> Checked:
    """Check a chunk of several series: one timeframe at a time, all symbols of it together."""
    groups: list[Group | Stack] = []
    broken: list[pl.DataFrame] = []
    duplicates = conflicts = withheld = 0
    conflict: Conflict | None = None
    notes: tuple[str, ...] = ()
    for name, read in _by_timeframe(typed):
        if name is None:
            broken.append(_broken(read, [NO_TIMEFRAME] * len(read)))
            continue
        bar = Timeframe.parse(name)
        times = frame["timestamp"] if read is typed else frame["timestamp"].gather(read["row"])
        part = dated(read, times, bar, terms.style, terms.align)
        rules = (*_symbol_rules(part), *_rules(bar, terms, extras_in(frame)))
        notes = notes if part is read else (AS_DATES,)
        good, wrong = _judge(part, rules, bar, terms)
        broken.append(wrong)
        stays = exact_first(good, KEY) if "moved" in good.columns else None
        kept = good if stays is None else good.filter(stays)
        withheld += len(good) - len(kept)
        sole = each_once(kept, KEY)
        duplicates, conflicts = duplicates + sole.duplicates, conflicts + sole.conflicts
        if sole.conflicts and conflict is None:
            places = _places(part, wrong)
            places = places if stays is None else places.filter(stays)
            conflict = _conflict(sole, kept, (None, bar), places, offset, given)
        groups += _by_symbol(sole.rows, bar)
    bad = pl.concat([NO_BAD, *(_report(frame, part, None, offset) for part in broken)])
    return Checked(groups, bad, duplicates, len(frame), conflicts, conflict, notes=notes, withheld=withheld)


def _by_timeframe(typed: pl.DataFrame) -> Iterator[tuple[str | None, pl.DataFrame]]:
    """Yield the rows of each timeframe, `typed` itself where it is one; those of none under None."""
    names = typed["timeframe"]
    if len(names) and not names.null_count() and (names == names[0]).all():
        name = meant(names[0])
        if name is not None:  # as for nearly all data: to part rows by a column takes a millisecond
            yield name, typed
            return
    typed = typed.with_columns(_canonical(names)).with_row_index("row")
    for (name,), read in typed.partition_by("timeframe", as_dict=True, maintain_order=True).items():
        yield None if name is None else str(name), read


def _by_symbol(rows: pl.DataFrame, bar: Timeframe) -> Iterator[Group | Stack]:
    """Yield rows that are sorted by symbol as one stack, if that may be."""
    if not len(rows):
        return
    symbols = rows["symbol"]
    starts = starts_of_runs(symbols)
    names = names_of_runs(symbols, starts)
    others = pl.DataFrame([column for column in rows.iter_columns() if column.name != "symbol"])
    yield from _stacked(others, names, [*starts[1:], len(rows)], bar)


def _stacked(
    rows: pl.DataFrame, symbols: Sequence[str], ends: Sequence[int], bar: Timeframe
) -> Iterator[Group | Stack]:
    """Yield rows of series as one stack; few rows of one series, and those that were moved, by the series."""
    stack = Stack(str(bar), symbols, ends, rows)
    if "moved" not in rows.columns and (len(symbols) > 1 or len(rows) >= STACKED_ROWS):
        yield stack
        return
    for one in stack.groups():
        yield _group(one.symbol, bar, one.rows)


def _canonical(names: pl.Series) -> pl.Series:
    """Give each timeframe its one name, null where it is none; 60m and 1h must meet in one series."""
    known = {name: meant(name) for name in names.unique()}
    return names.replace_strict(list(known), list(known.values()), return_dtype=pl.String)


def _symbol_rules(part: pl.DataFrame) -> tuple[Rule, ...]:
    symbols = part["symbol"]
    names = dict.fromkeys(names_of_runs(symbols, starts_of_runs(symbols)))
    wrong: list[str | None] = [None] if None in names else []
    wrong += not_names([name for name in names if name is not None])
    if not wrong:
        return ()
    return (("symbol", lambda rows: rows["symbol"].is_in(wrong, nulls_equal=True), "symbol is a name"),)


def _missing(name: str) -> Rule:
    return name, lambda rows: _nulls(rows[name]), f"{name} is a number"


def _infinite(name: str) -> Rule:
    # A sum is finite only where every value is; a sum that is too large is looked at value by value.
    return (
        name,
        lambda rows: None if isfinite(rows[name].sum()) else ~rows[name].is_finite().fill_null(value=True),
        f"{name} is finite",
    )


def _below(column: pl.Series, bound: int) -> pl.Series | None:
    # The least first, which takes a tenth of comparing each; there is none where all are null.
    least = column.min()
    return column < bound if isinstance(least, int | float) and least < bound else None


def _above(column: pl.Series, bound: int) -> pl.Series | None:
    most = column.max()
    return column > bound if isinstance(most, int | float) and most > bound else None


def _nulls(column: pl.Series) -> pl.Series | None:
    return column.is_null() if column.null_count() else None


VALUE_RULES = (*map(_missing, VALUES), *map(_infinite, VALUES), *SHAPE)


@lru_cache
def _extra_rules(extras: tuple[str, ...]) -> tuple[Rule, ...]:
    """Return the rules for values of declared columns: a bar may lack one, but what is there is a number."""
    numbers = ((name, partial(_is_nan, name), f"{name} is a number") for name in extras)
    return (*numbers, *map(_infinite, extras))


def _is_nan(name: str, rows: pl.DataFrame) -> pl.Series:
    return rows[name].is_nan().fill_null(value=False)


def _rules(bar: Timeframe, terms: Terms, extras: tuple[str, ...] = ()) -> tuple[Rule, ...]:
    """Return all the rules for a candle of `bar`, in the order in which a row is judged."""
    # A bar that starts later than now is a mistake, mostly local time taken for UTC. The hour is for clocks
    # that disagree; bars of a day and longer bear a date, which east of here may be tomorrow's.
    latest = terms.now + (HOUR if bar.shortest_ms < DAY else DAY)
    time_rules: tuple[Rule, ...] = (
        ("timestamp", lambda rows: rows["unclear"] if "unclear" in rows.columns else None, TWICE),
        ("timestamp", lambda rows: _nulls(rows["timestamp"]), NO_TIME),
        ("timestamp", lambda rows: _below(rows["timestamp"], FIRST_BAR), "timestamp is in 1700 or later"),
        ("timestamp", lambda rows: _above(rows["timestamp"], latest), IN_FUTURE),
    )
    if terms.align != FLOOR:
        time_rules += (("timestamp", lambda rows: _off_grid(rows, bar), f"{STARTS}{bar} bar"),)
    return (*time_rules, *VALUE_RULES, *_extra_rules(extras)) if extras else (*time_rules, *VALUE_RULES)


def _off_grid(rows: pl.DataFrame, bar: Timeframe) -> pl.Series:
    return bar.off_grid(rows["timestamp"]) | ~rows["whole"]


def _judge(
    frame: pl.DataFrame, rules: tuple[Rule, ...], bar: Timeframe, terms: Terms
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a chunk into good rows and the places of bad ones, each with the first rule it breaks."""
    rules = (*inexact_rules(frame), *rules)
    # Series, not expressions: a query plan of twenty takes 0.8 ms for 200 rows, these 0.1.
    wrong = [mask if (mask := rule(frame)) is not None else NOWHERE for _, rule, _ in rules]
    whole = not any(mask.any() for mask in wrong)
    broken = NONE_BROKEN if whole else _first_broken(frame, wrong, rules)
    passed = frame if whole else frame.filter(~pl.any_horizontal(*wrong).fill_null(value=False))
    good = pl.DataFrame([c for c in passed.iter_columns() if c.name not in JUDGED])
    if terms.align == FLOOR:
        starts = passed.select(bar.floor_expr(pl.col("timestamp"))).to_series()
        moved = (starts != passed["timestamp"]) | ~passed["whole"]
        good = good.with_columns(starts.alias("timestamp"), moved.alias("moved"))
    return good, broken


def _first_broken(frame: pl.DataFrame, wrong: list[pl.Series], rules: tuple[Rule, ...]) -> pl.DataFrame:
    """Return row, column and rule of the bad rows."""
    if "row" not in frame.columns:
        frame = frame.with_row_index("row")
    first = pl.coalesce(pl.when(mask).then(pl.lit(i)) for i, mask in enumerate(wrong) if mask is not NOWHERE)
    judged = frame.select("row", "timestamp", first.alias("first")).drop_nulls("first")
    return _broken(judged, [rules[i] for i in judged["first"]])


def _broken(bad: pl.DataFrame, rules: list[Rule]) -> pl.DataFrame:
    texts = {"column": [column for column, _, _ in rules], "rule": [text for _, _, text in rules]}
    return pl.DataFrame(
        {"row": bad["row"], "time": bad["timestamp"], **texts}, schema_overrides=NONE_BROKEN.schema
    )


def _typed(frame: pl.DataFrame, terms: Terms) -> tuple[pl.DataFrame, int]:
    """Cast to the stored types, in how many rows high or low was widened; what cannot be cast becomes null.

    The column `unclear` is there where a zone's clocks show times twice or never, `INEXACT` where a whole
    number would be stored as another.
    """
    times = frame["timestamp"]
    stamps, whole = column_to_ms(times, terms.style)
    names = [_texts(frame[name]) for name in ("symbol", "timeframe") if name in frame.columns]
    extras = extras_in(frame)
    given = [frame[name] for name in (*VALUES, *extras)]
    values = terms.numbers.read(given)
    rounded = inexact(values, given)
    for place, name in enumerate(extras, len(VALUES)):
        values[place] = _marked(values[place], frame[name])
    twice = unclear(times, terms.style) if stamps.null_count() > times.null_count() else None
    marks = [] if twice is None else [twice.alias("unclear")]
    marks += [] if rounded is None else [rounded]
    rows = pl.DataFrame([*names, stamps.alias("timestamp"), whole.alias("whole"), *marks, *values])
    return (rows, 0) if terms.tolerance is None else widen(rows)


def _texts(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Object:
        texts = [value if isinstance(value, str) and _is_whole(value) else None for value in column]
        return pl.Series(column.name, texts, dtype=pl.String)
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    return pl.Series(column.name, [None] * len(column), dtype=pl.String)


def _is_whole(text: str) -> bool:
    """Tell whether a text holds whole characters only: no UTF-8 holds half of one."""
    return text.encode(errors="ignore").decode() == text


def extras_in(frame: pl.DataFrame) -> tuple[str, ...]:
    """Return the declared columns of rows that are to be checked."""
    return tuple(name for name in frame.columns if name not in OF_ROWS)


def _marked(numbers: pl.Series, given: pl.Series) -> pl.Series:
    """Return values of a declared column, null where there is none, and NaN for what is no number."""
    if numbers.null_count() == given.null_count() and given.dtype != pl.Object:
        return numbers
    empty = pl.Series([_is_empty(value) for value in given], dtype=pl.Boolean)
    return numbers.set(numbers.is_null() & ~empty, nan)


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip() in NOTHING)


def _report(
    frame: pl.DataFrame, broken: pl.DataFrame, key: tuple[str, Timeframe] | None, offset: int
) -> pl.DataFrame:
    """Describe bad rows with the values as they were given."""
    if broken is NONE_BROKEN:
        return NO_BAD
    return pl.DataFrame(list(_reports(frame, broken, key, offset)), schema=BAD_SCHEMA, orient="row")


def _reports(
    frame: pl.DataFrame, broken: pl.DataFrame, key: tuple[str, Timeframe] | None, offset: int
) -> Iterator[tuple[int, str | None, str | None, int | None, str, str, str, str]]:
    for place, time, column, rule in broken.iter_rows():
        record = frame.row(place, named=True)
        symbol = key[0] if key else _text(record["symbol"])
        timeframe = str(key[1]) if key else _text(record["timeframe"])
        text = json.dumps({name: _bounded(value) for name, value in record.items()}, default=str)
        yield offset + place, symbol, timeframe, time, column, rule, excerpt(record[column]), text


def _text(value: object) -> str | None:
    return None if value is None else excerpt(value, LONGEST_SYMBOL + 1)


def _bounded(value: object) -> object:
    """Keep a value of a bad row, as far as one looks at it."""
    long = isinstance(value, str) and len(value) > LONGEST_KEPT
    huge = isinstance(value, int) and value.bit_length() > LONGEST_KEPT
    return excerpt(value, LONGEST_KEPT) if long or huge else value
