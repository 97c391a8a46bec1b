"""How a query of `store.sql` could be asked for less: tried, and told only where the answer is the same.

DuckDB is given the candles within the bounds that a query's WHERE puts on `timestamp` as plain comparisons.
So a query that says its time otherwise (`year(timestamp) = 2025`, `ORDER BY timestamp DESC LIMIT 200`) is
given everything; as is one that wants the latest bars of each symbol, for which there are `screen` and
`candles`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from mdstore.errors import MarketDataError

if TYPE_CHECKING:
    import pyarrow as pa

    from mdstore.optimization.ownership import HasUpkeep

__all__ = ["QueryAdvice", "query_advice"]

LEAST_TIMES: Final = 10
LEAST_ROWS: Final = 1_000
"""Of a query that is given less nothing is said."""
MOST_ROWS: Final = 100_000
"""Longer answers are not compared, so that nothing is advised for them."""
SECONDS: Final = 10.0
LATEST: Final = "latest_bars"
"""What the latest bars are called while a query is tried on them."""
NAMES: Final = frozenset({"symbol", "timeframe"})
OTHERS: Final = frozenset({"PARAMETER", "SUBQUERY"})
OF_THE_LAST: Final = frozenset({"arg_max", "max_by"})
ROW_NUMBER: Final = "WINDOW_ROW_NUMBER"
AT_MOST: Final = {"COMPARE_LESSTHANOREQUALTO": 0, "COMPARE_EQUAL": 0, "COMPARE_LESSTHAN": -1}
"""Comparisons of a row's number with a constant, and what is to be added to it for the last that passes."""
RANGE: Final = "SELECT min(t), max(t) FROM ({rows})"
BOUND: Final = "SELECT timestamp AS t FROM candles WHERE {bound}"
STRANGE: Final = (LookupError, TypeError, AttributeError, ValueError)
Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class QueryAdvice:
    """What to ask in the place of a query, why, and how often the query was asked."""

    kind: Literal["bound the timestamp", "use screen", "use candles"]
    instead: str
    reason: str
    statements: Mapping[str, int]


def query_advice(repository: HasUpkeep, query: str, count: int) -> list[QueryAdvice]:
    """Return what would help a query, tried: the same answer from a tenth of the candles, or less.

    Nothing for a query with parameters, over other tables, or whose parse is not of a shape that is known.
    """
    try:
        parsed, wanted = repository.queries.parsed(query)
        node = _plain(parsed)
        if node is None:
            return []
        trial = _Trial(repository, query, parsed, wanted or {})
        if trial.given < LEAST_ROWS:
            return []
        found = [*_bounded(trial, node), *_of_latest(trial, node)]
    except (MarketDataError, *STRANGE):  # a query that fails, or a parse of another DuckDB: nothing is known
        return []
    return [QueryAdvice(kind, instead, reason, {query: count}) for kind, instead, reason in found]


Found = Iterator[tuple[Literal["bound the timestamp", "use screen", "use candles"], str, str]]


class _Trial:
    """A query, its answer, and others that are held against it."""

    def __init__(self, repository: HasUpkeep, query: str, parsed: Any, wanted: Mapping[str, Any]) -> None:
        self.repository, self.parsed, self.wanted = repository, parsed, wanted
        table, told = repository.sql(query, timeout=SECONDS)
        self.given, self._ordered = told.given, bool(parsed["statements"][0]["node"]["modifiers"])
        self._answer = None if table.num_rows > MOST_ROWS else self._rows(table)

    def text(self, node: Node) -> str:
        """Return the text of a query that has another node in its place."""
        statement = {**self.parsed["statements"][0], "node": node}
        return self.repository.queries.text_of({**self.parsed, "statements": [statement]})

    def is_same(self, table: pa.Table) -> bool:
        """Tell whether an answer is the query's own."""
        return self._answer is not None and self._answer == self._rows(table)

    def said(self, given: int) -> str:
        """Say how many candles DuckDB is given, and would be."""
        return f"the same answer from {given:,} candles in place of {self.given:,}"

    def _rows(self, table: pa.Table) -> list[str]:
        """Return the rows as texts, sums rounded as far as the order of adding changes them."""
        rows = ["|".join(_shown(value) for value in row.values()) for row in table.to_pylist()]
        return rows if self._ordered else sorted(rows)


def _shown(value: object) -> str:
    return f"{value:.9g}" if isinstance(value, float) else repr(value)


def _plain(parsed: Any) -> Node | None:
    """Return the node of a query over candles alone, without parameters; None of any other."""
    (statement,) = parsed["statements"]
    node = statement["node"]
    source = node["from_table"]
    is_plain = (
        node["type"] == "SELECT_NODE"
        and not node["cte_map"]["map"]
        and source["type"] == "BASE_TABLE"
        and source["table_name"].lower() == "candles"
        and not any(source[part] for part in ("sample", "at_clause", "column_name_alias", "schema_name"))
        and not node["sample"]
        and not any(one.get("class") in OTHERS for one in _nodes(node))
    )
    return node if is_plain else None


# ---- bound the timestamp


def _bounded(trial: _Trial, node: Node) -> Found:
    """Find the times that the query's rows have, where its own words tell them but not as bounds."""
    order = _limited_by_time(node)
    if not order and "timestamp" not in set(_columns(node["where_clause"])):
        return  # rows that lie close together by chance
    rows = deepcopy(node)
    rows |= {"group_expressions": [], "group_sets": [], "having": None, "qualify": None}
    rows |= {"aggregate_handling": "STANDARD_HANDLING", "modifiers": node["modifiers"] if order else []}
    rows["select_list"] = _node(trial, BOUND.format(bound="true"))["select_list"]
    table, _ = trial.repository.sql(RANGE.format(rows=trial.text(rows)), timeout=SECONDS)
    low, high = (column[0].as_py() for column in table.columns)
    if low is None:
        return
    ends = [
        *([f"timestamp >= '{_iso(low)}'"] if order != "first" else []),
        *([f"timestamp < '{_iso(_behind(trial, high))}'"] if order != "latest" else []),
    ]
    bound = " AND ".join(ends)
    narrowed = deepcopy(node)
    narrowed["where_clause"] = _both(
        node["where_clause"], _node(trial, BOUND.format(bound=bound))["where_clause"]
    )
    text = trial.text(narrowed)
    answer, told = trial.repository.sql(text, timeout=SECONDS)
    if told.given * LEAST_TIMES <= trial.given and trial.is_same(answer):
        why = "its rows are of this time only, and DuckDB is given all times where none is compared with"
        yield "bound the timestamp", f"{bound}: {text}", f"{trial.said(told.given)}: {why}"


def _behind(trial: _Trial, last: datetime) -> datetime:
    """Return the end of the last bar, where the query is of one timeframe."""
    from mdstore.core.timeframe import Timeframe  # noqa: PLC0415 - only for this

    names = trial.wanted.get("timeframe") or []
    if len(names) != 1:
        return last + timedelta(milliseconds=1)
    milliseconds = Timeframe.parse(names[0]).next(round(last.timestamp() * 1000))
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _limited_by_time(node: Node) -> Literal["latest", "first", ""]:
    """Say whether the query gives the latest, or the first, so many rows, as they are."""
    kinds = [modifier["type"] for modifier in node["modifiers"]]
    if kinds != ["ORDER_MODIFIER", "LIMIT_MODIFIER"] or node["group_expressions"] or node["qualify"]:
        return ""
    calls = [one for one in _nodes(node["select_list"]) if one.get("class") in {"FUNCTION", "WINDOW"}]
    if any(not one.get("is_operator") for one in calls):
        return ""  # an aggregate may be among them
    first = node["modifiers"][0]["orders"][0]
    if _column(first["expression"]) != "timestamp":
        return ""
    return "latest" if first["type"] == "DESCENDING" else "first"


def _both(first: Node | None, second: Node) -> Node:
    if first is None:
        return second
    place = {"alias": "", "query_location": 0}
    return {"class": "CONJUNCTION", "type": "CONJUNCTION_AND", **place, "children": [first, second]}


# ---- the latest bars of each symbol


def _of_latest(trial: _Trial, node: Node) -> Found:
    """Try the query on the latest bars of each symbol, where it is of a kind that wants no others."""
    if not set(_columns(node["where_clause"])) <= NAMES:
        return  # of the latest bars some may not pass
    timeframes = trial.wanted.get("timeframe")
    values = _values_of_last(node)
    bars = 1 if values is not None else _last_rows(node)
    if bars is None or timeframes is None or len(timeframes) != 1:
        return
    latest = _latest(trial, timeframes[0], bars)
    tried = deepcopy(node)
    tried["from_table"] |= {"table_name": LATEST, "alias": node["from_table"]["alias"] or "candles"}
    answer, _ = trial.repository.sql(trial.text(tried), own={LATEST: latest}, timeout=SECONDS)
    if latest.num_rows * LEAST_TIMES > trial.given or not trial.is_same(answer):
        return
    symbols, said = trial.wanted.get("symbol"), trial.said(latest.num_rows)
    if values is None:
        instead = f"store.candles({symbols!r}, {timeframes[0]!r}, limit={bars})"
        yield "use candles", instead, f"{said}: it wants the latest {bars} bars of each symbol"
        return
    some = f", symbols={symbols!r}" if symbols else ""
    instead = f"store.screen({timeframes[0]!r}, {values!r}, bars=1{some})"
    yield "use screen", instead, f"{said}: it wants the latest bar of each symbol"


def _latest(trial: _Trial, timeframe: str, bars: int) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415 - only for this

    from mdstore.candles.file.table_reads import Request  # noqa: PLC0415 - knows of SQLite
    from mdstore.core.schema import CANDLE_COLUMNS  # noqa: PLC0415
    from mdstore.core.timeframe import Timeframe  # noqa: PLC0415

    symbols = trial.wanted.get("symbol")
    names = None if symbols is None else tuple(sorted(symbols))
    request = Request(names, Timeframe.parse(timeframe), ("symbol", *CANDLE_COLUMNS), limit=bars)
    table = trial.repository.read(request).table()
    return table.add_column(1, "timeframe", pa.array([timeframe] * table.num_rows, pa.string()))


def _values_of_last(node: Node) -> dict[str, str] | None:
    """Return the columns that the query gives of the latest bar of each symbol, by their names; else None."""
    grouped = {_column(one) for one in node["group_expressions"]}
    by_all = node["aggregate_handling"] == "FORCE_AGGREGATES"
    if not (by_all or (grouped <= NAMES and "symbol" in grouped)) or node["having"] or node["qualify"]:
        return None
    values, has_symbol = {}, "symbol" in grouped
    for one in node["select_list"]:
        if _column(one) in NAMES:
            has_symbol = has_symbol or (by_all and _column(one) == "symbol")
            continue
        column = _of_last(one)
        if column is None:
            return None
        values[one["alias"] or column] = column
    return values if has_symbol and values else None


def _of_last(node: Node) -> str | None:
    """Return the column of which an aggregate takes the value of the latest bar."""
    if node["class"] != "FUNCTION" or node["filter"] or node["distinct"]:
        return None
    name, arguments = node["function_name"], [_column(one) for one in node["children"]]
    if name in OF_THE_LAST and len(arguments) == 2 and arguments[1] == "timestamp":  # noqa: PLR2004
        return arguments[0]
    if name == "max" and arguments == ["timestamp"]:
        return "timestamp"
    orders = node["order_bys"]["orders"]
    if name in {"last", "first"} and len(orders) == 1 and _column(orders[0]["expression"]) == "timestamp":
        is_descending = orders[0]["type"] == "DESCENDING"
        return arguments[0] if is_descending == (name == "first") else None
    return None


def _last_rows(node: Node) -> int | None:
    """Return how many of the latest bars of each symbol `QUALIFY row_number() OVER (...) <= n` lets pass."""
    qualify = node["qualify"]
    if not qualify or node["group_expressions"] or qualify["type"] not in AT_MOST:
        return None
    window, number = qualify["left"], qualify["right"]
    if window["type"] != ROW_NUMBER or number["class"] != "CONSTANT" or len(window["orders"]) != 1:
        return None
    order, parts = window["orders"][0], {_column(one) for one in window["partitions"]}
    if order["type"] != "DESCENDING" or _column(order["expression"]) != "timestamp":
        return None
    bars = int(number["value"]["value"]) + AT_MOST[qualify["type"]]
    return bars if parts <= NAMES and "symbol" in parts and bars > 0 else None


# ---- nodes of a parse


def _node(trial: _Trial, query: str) -> Node:
    """Return the node of a query."""
    found: Node = trial.repository.queries.parsed(query)[0]["statements"][0]["node"]
    return found


def _column(node: Node) -> str:
    """Return the column that a node names; empty where it is something else."""
    return str(node["column_names"][-1]).lower() if node.get("class") == "COLUMN_REF" else ""


def _columns(node: Any) -> list[str]:
    return [_column(one) for one in _nodes(node) if one.get("class") == "COLUMN_REF"]


def _nodes(node: Any) -> Iterator[Node]:
    """Yield every object of a parse."""
    if isinstance(node, Mapping):
        yield dict(node)
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            yield from _nodes(value)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
