"""Where the candles are in a JSON document: the shapes that exchanges, vendors and pandas give it.

To have another recognised: a function here, and a row of `SHAPES` with an example, which the tests read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from mdstore.core.column_names import Choice, by_ticker, recognise
from mdstore.core.excerpts import excerpt, listed
from mdstore.core.schema import PRICES
from mdstore.errors import FileFormatError, InvalidInputError

__all__ = ["ACCEPTED", "SHAPES", "Shape", "Table", "is_instrument", "lifted", "tables"]

ACCEPTED = "rows as objects ([{...}, ...]) or as arrays ([[ms, open, high, low, close, volume], ...])"
Rows = list[Any]
"""Objects, or arrays."""


class Table(NamedTuple):
    """Rows of one table in a document, and the symbol that the document gives them, if it does."""

    symbol: str | None
    rows: Rows


class Shape(NamedTuple):
    """A shape: who writes it, what finds the rows in it (None: it is another), and an example."""

    whose: str
    rows: Callable[[Any, Choice], Rows | None]
    example: str


# Keys that name an instrument, in an object beside its rows or in what describes them.
SYMBOLS = (
    "symbol",
    "ticker",
    "Symbol",
    "2. Symbol",
    "2. Digital Currency Code",
    "dataset_code",
    "instrument",
    "pair",
)
DESCRIBING = ("meta", "Meta Data", "metadata", "dataset")
# Of which zone times are is said in what describes them: by Alpha Vantage under a number of its own each time,
# by Twelve Data where nobody asked for another zone.
ZONED = re.compile(r"\d\. Time Zone|exchange_timezone")
# What a key may be that is an instrument: in capitals, and not a word for rows.
INSTRUMENT = re.compile(r"\^?[A-Z0-9][A-Z0-9.^=\-/_:&]{0,29}")
NO_INSTRUMENTS = {
    "DATA",
    "OHLC",
    "OHLCV",
    "CANDLES",
    "RESULT",
    "RESULTS",
    "ROWS",
    "BARS",
    "VALUES",
    "PRICES",
    "1D",
    "1H",
    "1M",
}
# Keys of an object in which a row's candle lies: OANDA's, Binance's, CoinMarketCap's.
NESTED = ("mid", "bid", "ask", "k", "kline", "candle", "candles", "ohlc", "ohlcv", "quote")
MIDDLE = "mid"
ENDED = "x"  # Binance's mark of a bar that has ended, a truth
# Where exchanges say why they answer nothing, and what they say when all is well.
COMPLAINTS = (
    "retmsg",
    "msg",
    "message",
    "error",
    "err-msg",
    "errmsg",
    "reason",
    "error message",
    "note",
    "information",
)
FINE = ("", "ok", "success", "none", "null")
TIME = re.compile(r"\d{4}-\d\d|\d{8,19}$|\d{4}/\d\d?/|\d{4}\.\d\d")
LEAST_WIDTH = 5
DEEPEST = 12  # levels of a document that are looked into


def tables(document: Any, choice: Choice, name: str, notes: set[str]) -> list[Table]:
    """Return the tables of candles in a document; `notes` is for what was left out.

    Raises `FileFormatError` where there are none, or several that nothing tells apart.
    """
    parts = [_in_zone(table, _zone_in(document), choice) for table in _tables(document, choice, None, 0)]
    found = [table for table in parts if table.rows]
    if len(found) < len(parts):
        notes.add(f"objects of prices without a time were skipped: {len(parts) - len(found)}")
    if not found:
        complaint = _complaint(document)
        if complaint is not None:
            raise FileFormatError(
                f"{name}: no candles, but an answer that says {excerpt(complaint, 200)!r}",
                hint=f"ask for it again; a file is {ACCEPTED}",
            )
        if _is_empty(document):
            return [Table(None, [])]
        rows = max(_any_rows(document, 0), key=len, default=None)
        if rows is None:
            raise FileFormatError(f"{name}: no candles found in the JSON", hint=f"give {ACCEPTED}")
        return [Table(None, rows)]
    _refuse_mixed(found, name)
    return found


def _complaint(document: Any) -> str | None:
    """Return what an answer says of why it holds no rows: an error is not an answer without rows."""
    if not isinstance(document, Mapping):
        return None
    said = {key.lower(): value for key, value in document.items() if isinstance(key, str)}
    texts = [said[key] for key in COMPLAINTS if isinstance(said.get(key), str)]
    return next((text for text in texts if text.strip().lower() not in FINE), None)


def _is_empty(document: Any) -> bool:
    """Tell an answer without rows: `[]`, or objects around it."""
    inside = document.values() if isinstance(document, Mapping) else ()
    return document == [] or (
        any(map(_is_empty, inside)) and not any(isinstance(v, list) and v for v in inside)
    )


def _refuse_mixed(found: Sequence[Table], name: str) -> None:
    """Raise where two tables would become one series, and no column of theirs tells them apart."""
    seen: dict[str | None, int] = {}
    for symbol, rows in found:
        there = recognise(map(str, rows[0])) if isinstance(rows[0], Mapping) else {}
        if "symbol" not in there or (symbol in seen and "timeframe" not in there):
            seen[symbol] = seen.get(symbol, 0) + 1
    several = [symbol for symbol, number in seen.items() if number > 1]
    if several or (None in seen and len(seen) > 1):
        which = f" of {excerpt(several[0])}" if several and several[0] else ""
        raise FileFormatError(
            f"{name}: the JSON holds {len(found)} tables of candles{which}, and nothing tells which is which",
            hint="make a file of each",
        )


def _tables(document: Any, choice: Choice, symbol: str | None, depth: int) -> Iterator[Table]:
    """Yield the tables in a document, or in a part of one that is of `symbol`."""
    symbol = _symbol_in(document) or symbol
    for rows_in in READERS:
        rows = rows_in(document, choice)
        if rows is not None:
            yield Table(symbol, rows)
            return
    if depth == DEEPEST:
        return
    if isinstance(document, Mapping):
        for key, value in document.items():
            yield from _tables(value, choice, _instrument(key) or symbol, depth + 1)
    elif isinstance(document, list):
        for value in document:
            if isinstance(value, Mapping | list):
                yield from _tables(value, choice, symbol, depth + 1)


def _symbol_in(document: Any) -> str | None:
    if not isinstance(document, Mapping):
        return None
    for part in (document, *(document.get(key) for key in DESCRIBING)):
        if isinstance(part, Mapping):
            named = next((part[key] for key in SYMBOLS if isinstance(part.get(key), str)), None)
            if named:
                return str(named)
    return None


def _zone_in(document: Any) -> str | None:
    parts = document.values() if isinstance(document, Mapping) else ()
    described = [item for part in parts if isinstance(part, Mapping) for item in part.items()]
    return next((str(value) for key, value in described if ZONED.fullmatch(key)), None)


def _in_zone(table: Table, zone: str | None, choice: Choice) -> Table:
    """Write a zone beside the name of the times, as people do in headers; not where a call names them."""
    if (
        zone is None
        or "timestamp" in choice.named
        or not table.rows
        or not isinstance(table.rows[0], Mapping)
    ):
        return table
    own = recognise(map(str, table.rows[0])).get("timestamp")
    if own is None:
        return table
    zoned = f"{own} ({zone})"
    return Table(table.symbol, [{zoned if k == own else k: v for k, v in row.items()} for row in table.rows])


def is_instrument(key: str) -> bool:
    """Tell a key that is likely an instrument."""
    is_one = INSTRUMENT.fullmatch(key) and any(map(str.isalpha, key)) and key not in NO_INSTRUMENTS
    return bool(is_one)


def _instrument(key: str) -> str | None:
    return key if is_instrument(key) else None


def _any_rows(document: Any, depth: int) -> Iterator[Rows]:
    """Yield lists that are rows of anything: what is wrong with them is said by their columns."""
    inside = document.values() if isinstance(document, Mapping) else document
    if isinstance(document, list) and document and isinstance(document[0], Mapping | list):
        yield document
    elif isinstance(document, Mapping | list) and depth < DEEPEST:
        for value in inside:
            yield from _any_rows(value, depth + 1)


def _are_candles(names: Iterable[Any], choice: Choice) -> bool:
    """Tell whether names are those of candles' columns, recognised or said to be."""
    own = list(map(str, names))
    if choice.named and set(choice.named.values()) <= set(own):
        return True
    return recognise(own).keys() >= set(PRICES) or bool(by_ticker(own))


def _is_timed(names: Iterable[Any], choice: Choice) -> bool:
    return "timestamp" in choice.named or "timestamp" in recognise(map(str, names))


def _objects(document: Any, choice: Choice) -> Rows | None:
    if isinstance(document, list) and document and isinstance(document[0], Mapping):
        rows = lifted(document, choice)
        return rows if _are_candles(list(rows[0]), choice) else None
    return None


def lifted(rows: Rows, choice: Choice) -> Rows:
    """Return objects with what matters in them at their top, as the first of them shows it.

    >>> lifted([{"time": "2024-01-02", "mid": {"o": 10, "h": 14, "l": 9, "c": 12}}], Choice({}))
    [{'time': '2024-01-02', 'o': 10, 'h': 14, 'l': 9, 'c': 12}]
    >>> lifted([{"t": {"$date": "2024-01-02"}, "n": {"$numberLong": "5"}}], Choice({}))
    [{'t': '2024-01-02', 'n': '5'}]
    """
    first = rows[0]
    if not any(isinstance(value, Mapping) for value in first.values()):
        return rows
    within = [
        key for key in NESTED if isinstance(first.get(key), Mapping) and _are_candles(first[key], choice)
    ]
    if within and not _are_candles(list(first), choice):
        # OANDA gives bid and ask as well: the middle, or whichever a call names, as bid.o.
        one = within[0] if len(within) == 1 or within[0] == MIDDLE else None
        rows = [_merged(row, one) if one else _dotted(row, within) for row in rows]
    return [
        {key: _untyped(value) for key, value in row.items()} if isinstance(row, Mapping) else row
        for row in rows
    ]


def _merged(row: Any, key: str) -> Any:
    inner = row.get(key) if isinstance(row, Mapping) else None
    if not isinstance(inner, Mapping):
        return row  # the rules name it
    made = {name: value for name, value in row.items() if name != key} | dict(inner)
    if key == "k" and isinstance(made.get(ENDED), bool):
        made["closed"] = made.pop(ENDED)
    return made


def _dotted(row: Any, keys: Sequence[str]) -> Any:
    """Return a row whose objects of prices are columns by names as `bid.o`."""
    if not isinstance(row, Mapping):
        return row
    made = {name: value for name, value in row.items() if name not in keys}
    for key in keys:
        inner = row.get(key)
        made |= (
            {f"{key}.{name}": value for name, value in inner.items()} if isinstance(inner, Mapping) else {}
        )
    return made


def _untyped(value: Any) -> Any:
    """Return a value without the type that MongoDB's exports wrap around it."""
    while isinstance(value, Mapping) and len(value) == 1 and next(iter(value)).startswith("$"):
        value = next(iter(value.values()))
    return value


def _arrays(document: Any, _: Choice) -> Rows | None:
    if not isinstance(document, list) or not document or not isinstance(document[0], list):
        return None
    row = document[0]
    scalars = not any(isinstance(value, list | Mapping) for value in row)
    return document if len(row) >= LEAST_WIDTH and scalars else None


def _object(document: Any, choice: Choice) -> Rows | None:
    if isinstance(document, Mapping) and _are_candles(list(document), choice):
        return None if _holds_lists(document) else [document] if _is_timed(document, choice) else []
    return None


def _columns(document: Any, choice: Choice) -> Rows | None:
    """Put together columns that are lists, as TradingView and Finnhub give them."""
    if not isinstance(document, Mapping):
        return None
    columns = {key: value for key, value in document.items() if isinstance(value, list)}
    if not _are_candles(list(columns), choice):
        return None
    lengths = {key: len(values) for key, values in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = excerpt(", ".join(f"{key}: {length}" for key, length in lengths.items()))
        raise InvalidInputError(f"the columns differ in length ({shown})")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _indexed(document: Any, choice: Choice) -> Rows | None:
    """Put together columns that are objects by row, pandas' default; without a column of times the row is one."""
    if (
        not isinstance(document, Mapping)
        or not document
        or not all(isinstance(v, Mapping) for v in document.values())
    ):
        return None
    if not _are_candles(list(document), choice):
        return None
    keys = list(next(iter(document.values())))
    timed = _is_timed(document, choice)
    rows = [{name: column.get(key) for name, column in document.items()} for key in keys]
    return rows if timed else [{"timestamp": key, **row} for key, row in zip(keys, rows, strict=True)]


def _split(document: Any, choice: Choice) -> Rows | None:
    """Give arrays the names that stand beside them: pandas' split, Quandl, Nasdaq's tables."""
    if not isinstance(document, Mapping):
        return None
    names = next((document[key] for key in ("columns", "column_names", "fields") if key in document), None)
    data = document.get("data", document.get("items"))
    if not isinstance(names, list) or not isinstance(data, list) or not data or not isinstance(data[0], list):
        return None
    own = [name["name"] if isinstance(name, Mapping) and "name" in name else str(name) for name in names]
    index = document.get("index")
    timed = _is_timed(own, choice)
    if isinstance(index, list) and len(index) == len(data) and not timed:
        own, data = ["timestamp", *own], [[time, *row] for time, row in zip(index, data, strict=True)]
    if not _are_candles(own, choice):
        return None
    odd = next((at for at, row in enumerate(data) if not isinstance(row, list) or len(row) != len(own)), None)
    if odd is not None:
        raise InvalidInputError(
            f"row {odd} has not the {len(own)} values that its columns name: {listed(own)}"
        )
    return [dict(zip(own, row, strict=True)) for row in data]


def _keyed(document: Any, choice: Choice) -> Rows | None:
    """Give rows the time that is their key: Alpha Vantage, pandas by index; a row's own time goes before it."""
    if not isinstance(document, Mapping) or not document:
        return None
    key, first = next(iter(document.items()))
    if isinstance(first, list) and TIME.match(key) and len(first) >= LEAST_WIDTH - 1 and _flat(first):
        return [[key, *row] for key, row in document.items()]
    if not isinstance(first, Mapping) or not _are_candles(list(first), choice) or _holds_lists(first):
        return None
    if _is_timed(first, choice):
        if _instrument(key):
            return [{"symbol": key, **row} for key, row in document.items()]
        return list(document.values())
    return [{"timestamp": key, **row} for key, row in document.items()] if TIME.match(key) else None


def _holds_lists(row: Mapping[str, Any]) -> bool:
    """Tell columns from a row: what else a row has may be a list."""
    return any(isinstance(row[name], list | Mapping) for name in recognise(row).values())


def _flat(row: Sequence[Any]) -> bool:
    return not any(isinstance(value, list | Mapping) for value in row)


def _yahoo(document: Any, _: Choice) -> Rows | None:
    """Read Yahoo's chart; its days bear the time at which the exchange opens, and become dates."""
    if not isinstance(document, Mapping) or "timestamp" not in document:
        return None
    quotes = (
        document.get("indicators", {}).get("quote")
        if isinstance(document.get("indicators"), Mapping)
        else None
    )
    if not quotes or not isinstance(quotes[0], Mapping):
        return None
    meta = document.get("meta") or {}
    times = [_date_of(time, meta) for time in document["timestamp"]]
    names = list(quotes[0])
    rows = [
        dict(zip(("timestamp", *names), row, strict=True))
        for row in zip(times, *quotes[0].values(), strict=True)
    ]
    return [row for row in rows if any(row[name] is not None for name in PRICES)]  # a halt has no bar


def _date_of(time: int, meta: Mapping[str, Any]) -> int | str:
    if not str(meta.get("dataGranularity", "")).endswith(("d", "wk", "mo")):
        return time
    local = datetime.fromtimestamp(time, UTC) + timedelta(seconds=meta.get("gmtoffset", 0))
    return local.date().isoformat()


# The functions are tried in this order.
SHAPES = (
    Shape("rows as objects", _objects, '[{"date": "2024-01-02", "open": 10, "high": 14, "low": 9, "close": 12, "volume": 5}]'),
    Shape("pandas, orient='split'; Quandl; Nasdaq", _split, '{"columns": ["open", "high", "low", "close", "volume"], "index": ["2024-01-02"], "data": [[10, 14, 9, 12, 5]]}'),
    Shape("Quandl", _split, '{"dataset": {"dataset_code": "A", "column_names": ["Date", "Open", "High", "Low", "Close", "Volume"], "data": [["2024-01-02", 10, 14, 9, 12, 5]]}}'),
    Shape("Tushare", _split, '{"code": 0, "data": {"fields": ["ts_code", "trade_date", "open", "high", "low", "close", "vol"], "items": [["A", "20240102", 10, 14, 9, 12, 5]]}}'),
    Shape("Yahoo's chart", _yahoo, '{"chart": {"result": [{"meta": {"symbol": "A", "dataGranularity": "1d", "gmtoffset": -18000}, "timestamp": [1704205800], "indicators": {"quote": [{"low": [9], "open": [10], "high": [14], "close": [12], "volume": [5]}]}}], "error": null}}'),
    Shape("columns as lists: TradingView, Finnhub", _columns, '{"s": "ok", "t": [1704153600], "o": [10], "h": [14], "l": [9], "c": [12], "v": [5]}'),
    Shape("pandas' default", _indexed, '{"Date": {"0": 1704153600000}, "Open": {"0": 10}, "High": {"0": 14}, "Low": {"0": 9}, "Close": {"0": 12}, "Volume": {"0": 5}}'),
    Shape("pandas' default, by time", _indexed, '{"Open": {"1704153600000": 10}, "High": {"1704153600000": 14}, "Low": {"1704153600000": 9}, "Close": {"1704153600000": 12}, "Volume": {"1704153600000": 5}}'),
    Shape("rows by their time: Alpha Vantage, pandas, orient='index'", _keyed, '{"Meta Data": {"2. Symbol": "A"}, "Time Series (Daily)": {"2024-01-02": {"1. open": "10", "2. high": "14", "3. low": "9", "4. close": "12", "5. volume": "5"}}}'),
    Shape("one row", _object, '{"date": "2024-01-02", "open": 10, "high": 14, "low": 9, "close": 12, "volume": 5}'),
    Shape("rows as arrays: Binance", _arrays, "[[1704153600000, 10, 14, 9, 12, 5]]"),
    Shape("Bybit", _arrays, '{"retCode": 0, "result": {"category": "spot", "symbol": "A", "list": [["1704240000000", "12", "13", "8", "9", "7", "65"], ["1704153600000", "10", "14", "9", "12", "5", "60"]]}}'),
    Shape("Kraken", _arrays, '{"error": [], "result": {"A": [[1704153600, "10", "14", "9", "12", "11", "5", 3]], "last": 1704153600}}'),
    Shape("OANDA", _objects, '{"instrument": "A", "granularity": "D", "candles": [{"complete": true, "volume": 5, "time": "2024-01-02T00:00:00.000000000Z", "mid": {"o": "10", "h": "14", "l": "9", "c": "12"}}]}'),
    Shape("Binance's stream, kept", _objects, '[{"e": "kline", "E": 1704240000001, "s": "A", "k": {"t": 1704153600000, "T": 1704239999999, "s": "A", "i": "1d", "f": 100, "L": 200, "o": "10", "c": "12", "h": "14", "l": "9", "v": "5", "n": 3, "x": true, "q": "60"}}]'),
    Shape("MongoDB's exports", _objects, '[{"_id": {"$oid": "65"}, "symbol": "A", "time": {"$date": "2024-01-02T00:00:00Z"}, "open": 10, "high": 14, "low": 9, "close": 12, "volume": {"$numberDouble": "5.0"}}]'),
    Shape("Polygon", _objects, '{"ticker": "A", "status": "OK", "results": [{"v": 5, "vw": 11, "o": 10, "c": 12, "h": 14, "l": 9, "t": 1704153600000, "n": 3}]}'),
    Shape("Twelve Data", _objects, '{"meta": {"symbol": "A", "interval": "1day"}, "values": [{"datetime": "2024-01-02", "open": "10", "high": "14", "low": "9", "close": "12", "volume": "5"}], "status": "ok"}'),
    Shape("an object by symbol: Alpaca", _objects, '{"bars": {"A": [{"t": "2024-01-02T00:00:00Z", "o": 10, "h": 14, "l": 9, "c": 12, "v": 5}]}, "next_page_token": null}'),
    Shape("pandas, orient='table'", _objects, '{"schema": {"fields": [{"name": "Date", "type": "datetime"}, {"name": "open", "type": "number"}]}, "data": [{"Date": "2024-01-02T00:00:00.000", "open": 10, "high": 14, "low": 9, "close": 12, "volume": 5}]}'),
    Shape("Nasdaq's tables", _split, '{"datatable": {"data": [["A", "2024-01-02", 10, 14, 9, 12, 5]], "columns": [{"name": "ticker"}, {"name": "date"}, {"name": "open"}, {"name": "high"}, {"name": "low"}, {"name": "close"}, {"name": "volume"}]}}'),
)  # fmt: skip
READERS = tuple(dict.fromkeys(shape.rows for shape in SHAPES))
