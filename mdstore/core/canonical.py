"""A table's columns as a candle's: canonical names, whole times, symbols as texts, prices in their unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from mdstore.core.column_names import FIAT, KOREAN, UPBIT_MINUTES, ZONES, clean, key, zone_in
from mdstore.core.excerpts import excerpt
from mdstore.core.schema import PRICES
from mdstore.core.time_numbers import of_spreadsheet
from mdstore.core.time_of_day import TimeOfDay
from mdstore.core.time_style import TimeStyle
from mdstore.core.timeframe import DAY, HOUR, MINUTE
from mdstore.core.timestamps import column_to_ms, wall_clock
from mdstore.core.zones import by_season, header_zone, in_zone, is_zone, zoned_texts
from mdstore.errors import Hint, InvalidInputError, TimestampError

__all__ = ["Canonical", "divided"]

# Databento's files keep prices as whole numbers of 1e-9, and say so only in the documentation. See
# https://databento.com/docs/standards-and-conventions/common-fields-enums-types
FIXED_POINT = 1e9
FIXED_POINT_TIME, ITS_NEIGHBOURS = "ts_event", {"rtype", "publisher_id", "instrument_id"}
ABSENT_PRICE = 2**63 - 1  # theirs
FIXED_POINT_NOTE = "prices are Databento's fixed point: whole numbers of 0.000000001, scaled"
CURRENCY = "currency"
LOCAL = "localtime"
EXPORTED = ("symbol", "timeframe", "timestamp")
"""How a file of our own begins: a symbol in it is as it was stored, whatever it looks like."""
# Rows in which written times are held against a count since 1970, and what parts zones.
COMPARED = 1_000
QUARTER, FARTHEST = 15 * MINUTE, 14 * HOUR
WHOLE_NUMBER = r"^-?\d+$"
# A column of whole numbers that lacks one becomes floats, as in pandas: 0.01 is 10,000,000 of theirs.
LEAST_AS_FLOAT = 1e7
# Times that say their zone themselves.
OFFSETS = r"(?i)(Z|UTC|[+\-]\d\d:?\d\d)$"
SAY_ZONE = Hint(
    "tz='America/New_York' says of which one zone they are, whatever the column says",
    "--tz America/New_York says of which one zone they are, whatever the column says",
)


class Canonical:
    """How the columns of one table become a candle's, the same in all its chunks.

    `marked` is whether symbols may bear a spreadsheet's mark of a text. `notes` is what was understood that a
    reader should know of.
    """

    def __init__(self, names: Sequence[str], style: TimeStyle | None = None, *, marked: bool = False) -> None:
        self._marked = marked and tuple(names[: len(EXPORTED)]) != EXPORTED
        there = set(map(clean, names))
        databento = FIXED_POINT_TIME in there and bool(ITS_NEIGHBOURS & there)
        self._fixed_point: bool | None = None if databento else False  # None until prices tell
        self._style = style or TimeStyle()
        self._clock = TimeOfDay(self._style)
        self._compared = False  # whether written times were held against a count since 1970
        self._ticks: bool | None = None  # None until volumes tell
        self.notes: set[str] = set()

    def frame(self, columns: Mapping[str, pl.Series]) -> pl.DataFrame:
        """Return columns, by canonical name and named as in the table, as a frame of canonical names."""
        made = dict(columns)
        if self._style.unit == "excel" and "timestamp" in made and not made["timestamp"].dtype.is_temporal():
            made["timestamp"] = of_spreadsheet(made["timestamp"])
        self._place(made)
        ticks = made.pop("tick volume", None)
        if ticks is not None and self._are_ticks(made["volume"], ticks):
            made["volume"] = ticks
        if "symbol" in made:
            made["symbol"] = _as_text(made["symbol"])
        if "symbol" in made and self._marked:
            made["symbol"] = _without_mark(made["symbol"])
        if "symbol" in made and _only_currency(made["symbol"]):
            del made["symbol"]
        if "timeframe" in made and clean(made["timeframe"].name) == UPBIT_MINUTES:
            made["timeframe"] = _as_text(made["timeframe"]) + "m"
        prices = {name: made[name] for name in PRICES if name in made}
        if self._fixed_point is None:
            self._fixed_point = _are_fixed_point(list(prices.values()))
        if self._fixed_point:
            self.notes.add(FIXED_POINT_NOTE)
            made |= {name: _scaled(column) for name, column in prices.items()}
        return pl.DataFrame([column.alias(name) for name, column in made.items()])

    def _place(self, made: dict[str, pl.Series]) -> None:
        """Make the column of times whole by what stands beside it: times of day, zones, and its own name."""
        of_day = made.pop("time of day", None)
        if of_day is not None:
            made["timestamp"] = self._clock.whole(made["timestamp"], of_day)
            self._note_zone(of_day.name)
        elif "timestamp" in made and (named := zone_in(made["timestamp"].name)) not in (None, "UTC"):
            self._note_zone(made["timestamp"].name)
            made["timestamp"] = _zoned(made["timestamp"], str(named), self._style)
        elif "timestamp" in made and key(made["timestamp"].name) == LOCAL and "time zone" not in made:
            _refuse_nowhere(made["timestamp"], self._style)
        zones = made.pop("time zone", None)
        if zones is not None and "timestamp" in made and self._style.tz is None:
            made["timestamp"] = self._in_zones(made["timestamp"], zones)
        epoch = made.pop("epoch", None)
        if epoch is not None and not self._compared and "timestamp" in made:
            _compare(made["timestamp"].head(COMPARED), epoch.head(COMPARED), self._style)
            self._compared = True

    def _are_ticks(self, volume: pl.Series, ticks: pl.Series) -> bool:
        """Tell whether to take the ticks for a volume of 0 throughout, as brokers of currencies have it."""
        nothing = _is_nothing(volume)
        if self._ticks is None:
            self._ticks = nothing and not _is_nothing(ticks)
        if self._ticks and not nothing:
            named = {"volume": volume.name}
            raise InvalidInputError(
                f"{volume.name!r} is 0 in the first rows and not later: is it the volume, or {ticks.name!r}?",
                hint=Hint(f"columns={named} says so", f"--columns 'volume={volume.name}' says so"),
            )
        if self._ticks:
            self.notes.add(f"{volume.name} is 0 throughout: {ticks.name} was taken for the volume")
        return self._ticks

    def _in_zones(self, times: pl.Series, zones: pl.Series) -> pl.Series:
        """Give times the zone that a column beside them names in each row; all must name the same."""
        if times.dtype.is_numeric() or _have_offsets(times):
            return times
        named = [zone for zone in _as_text(zones).str.strip_chars().unique().drop_nulls() if zone]
        if not named:
            return times
        zone = ZONES.get(named[0].lower(), named[0])
        if len(named) > 1 or not (is_zone(zone) and (zone == "UTC" or "/" in zone)):
            said = ", ".join(excerpt(one, 40) for one in sorted(named)[:3])
            raise TimestampError(f"the column {zones.name!r} says that times are of {said}", hint=SAY_ZONE)
        self.notes.add(f"times were read as of {zone}, as the column {zones.name} says")
        return _zoned(times, zone, self._style)

    def _note_zone(self, name: str) -> None:
        zone = zone_in(name)
        zone = zone if zone is None else by_season(zone, self._style.tz) or zone
        if clean(name) == KOREAN:
            self.notes.add(f"{KOREAN} was read as Korean time, UTC+9")
        elif zone not in (None, "UTC"):
            self.notes.add(f"times in {name.strip()} were read as of {zone}")


def _refuse_nowhere(times: pl.Series, style: TimeStyle) -> None:
    """Raise where a column says that its times are local, and neither they nor the call say where."""
    if style.tz is not None or times.dtype.is_numeric():
        return
    shown = column_to_ms(times, style)[0]
    if shown.count() and wall_clock(times, style) is None:
        raise TimestampError(
            f"{times.name.strip()!r} holds times of a local clock, and no zone",
            hint=Hint(
                "say which, as tz='Asia/Seoul', or tz='UTC'", "say which, as --tz Asia/Seoul, or --tz UTC"
            ),
        )


def _is_nothing(volume: pl.Series) -> bool:
    return bool((volume.cast(pl.Float64, strict=False).fill_null(0.0) == 0).all())


def _are_fixed_point(columns: Sequence[pl.Series]) -> bool | None:
    """Tell prices in fixed point from decimals by what most of them are; None where there are none.

    Most, not all: one bad cell must not leave the others a thousand million times too high.
    """
    fixed = decimal = 0
    for column in map(_texts, columns):
        numbers, wholes = column.cast(pl.Float64, strict=False), _wholes(column)
        if column.dtype.is_float():
            wholes = wholes.set((wholes.abs() < LEAST_AS_FLOAT).fill_null(value=False), None)
        fixed += wholes.count()
        decimal += numbers.filter(numbers.is_finite() & wholes.is_null()).count()
    return fixed > decimal if fixed + decimal else None


def _scaled(prices: pl.Series) -> pl.Series:
    """Scale the whole numbers; what is no number stays to be named, and a decimal among them is none."""
    given = _texts(prices)
    wholes = _wholes(given)
    made = divided(wholes.set((wholes == ABSENT_PRICE).fill_null(value=False), None), FIXED_POINT)
    if given.dtype != pl.String:
        return made
    words = given.set(given.cast(pl.Float64, strict=False).is_not_null(), None)
    return made.cast(pl.String).fill_null(words) if words.count() else made


def _texts(prices: pl.Series) -> pl.Series:
    """Return values of any kind as texts, numbers in a column of their type as they are."""
    if prices.dtype != pl.Object:
        return prices
    texts = [_digits(value) for value in prices]
    return pl.Series(prices.name, texts, dtype=pl.String)


def _digits(value: object) -> str | None:
    if isinstance(value, float) and value.is_integer() and abs(value) >= LEAST_AS_FLOAT:
        value = int(value)
    return None if value is None else _name(value) or repr(value)


def _wholes(prices: pl.Series) -> pl.Series:
    """Return the whole numbers among prices, null for the others."""
    if prices.dtype == pl.String:
        prices = prices.set(~prices.str.contains(WHOLE_NUMBER).fill_null(value=False), None)
    elif prices.dtype.is_float():
        prices = prices.set((prices % 1 != 0).fill_null(value=True), None)
    return prices.cast(pl.Int64, strict=False)


def divided(prices: pl.Series, by: float) -> pl.Series:
    """Divide prices to the last bit: Polars multiplies with the inverse, which makes 91.13000000000001."""
    import pyarrow.compute as pc  # noqa: PLC0415 - 40 ms that only prices of another scale cost

    numbers = prices.cast(pl.Float64, strict=False).to_arrow()
    return pl.Series(prices.name, pc.divide(numbers, by))


def _zoned(times: pl.Series, named: str, style: TimeStyle) -> pl.Series:
    """Give times that bear no zone the one that a column names; numbers are of UTC wherever they stand.

    What cannot be read, or not yet, becomes a text with the zone behind it, for the rules to judge.
    """
    dtype = times.dtype
    if dtype.is_numeric() or (isinstance(dtype, pl.Datetime) and dtype.time_zone is not None):
        return times
    zone = header_zone(named, style.tz)
    if isinstance(dtype, pl.Datetime) or dtype == pl.Date:
        made = in_zone(times.cast(pl.Datetime), zone)
    else:
        try:
            read, whole = column_to_ms(times, style.of_zone(zone))
        except TimestampError:
            if style.told.undecided:
                return _given(times) + f" {zone}"
            raise
        made = (
            read.set(~whole, None).cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone(zone).alias(times.name)
        )
    if made.null_count() == times.null_count():
        return made
    return zoned_texts(made).fill_null(_given(times) + f" {zone}")


def _have_offsets(times: pl.Series) -> bool:
    if isinstance(times.dtype, pl.Datetime):
        return times.dtype.time_zone is not None
    return times.dtype == pl.String and bool(times.str.strip_chars().str.contains(OFFSETS).all())


def _compare(times: pl.Series, epoch: pl.Series, style: TimeStyle) -> None:
    """Raise where written times are of another zone than they are taken for, as a count beside them shows.

    Days are dates wherever they begin, and a count that is no multiple of a quarter away is something else.
    """
    try:
        written = column_to_ms(times, TimeStyle(tz=style.tz))[0]
        counted = column_to_ms(epoch)[0]
    except TimestampError:
        return
    apart = (counted - written).drop_nulls()
    days = bool((written % DAY == 0).all())
    if days or not (apart != 0).any() or not ((apart % QUARTER == 0) & (apart.abs() <= FARTHEST)).all():
        return
    at = (counted - written).ne(0).fill_null(value=False).arg_true()[0]
    away = f"{(counted - written)[at] / HOUR:+g} h"
    written_name, counted_name = {"time": times.name}, {"time": epoch.name}
    raise InvalidInputError(
        f"{times.name!r} says {excerpt(str(times[at]), 40)}, and {epoch.name!r} beside it is {away} from "
        "that: these times are not of UTC",
        hint=Hint(
            f"columns={counted_name} takes the count, columns={written_name} with tz= the times of a zone",
            f"--columns 'time={epoch.name}' takes the count, --columns 'time={times.name}' with --tz the "
            "times of a zone",
        ),
    )


def _given(times: pl.Series) -> pl.Series:
    texts = [None if value is None else str(value) for value in times]
    return pl.Series(times.name, texts, dtype=pl.String)


def _only_currency(column: pl.Series) -> bool:
    """Tell a column that says what prices are in, the same for all rows, from one of symbols."""
    if clean(column.name) != CURRENCY:
        return False
    there = column.drop_nulls()
    return there.n_unique() == 1 and there[0] in FIAT


def _as_text(column: pl.Series) -> pl.Series:
    """Return names as texts, whole numbers too: 5930 is a stock. What names nothing stays as it is."""
    if column.dtype == pl.Object:
        names = [_name(value) for value in column]
        if any(name is None and isinstance(value, str) for name, value in zip(names, column, strict=True)):
            return column  # half a character: the row is named as it came
        return pl.Series(column.name, names, dtype=pl.String)
    if column.dtype.is_float() and (column.drop_nulls() % 1 == 0).all():
        column = column.cast(pl.Int64, strict=False)
    return column.cast(pl.String) if column.dtype.is_integer() else column


def _without_mark(column: pl.Series) -> pl.Series:
    """Take a spreadsheet's marks of a text like a number from symbols: '005930, ="005930"."""
    if column.dtype != pl.String or not ((column[0] if len(column) else "") or "").startswith(("'", '="')):
        return column
    return column.str.replace(r"""^(?:'(\d{4,6})|="([^"]*)")$""", "$1$2")


def _name(value: object) -> str | None:
    """Return a symbol among values of any kind; a text with half a character, as JSON may have, is none."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    return None if text is None or any("\ud800" <= letter <= "\udfff" for letter in text) else text
