"""What a query does, by DuckDB's own parse: one statement that reads, of tables here and functions allowed.

Names are looked for in the text of the tree, not in the tree: Python cannot load one that is deep, and a
quotation mark inside of a text has a backslash before it, so that `,"function_name":"` is a key and no text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mdstore.candles.reads import sql_bounds, sql_columns
from mdstore.candles.reads.sql_functions import ALLOWED, NAMING, UNDECIDED, why_refused
from mdstore.candles.reads.sql_given import INTERNAL
from mdstore.core.did_you_mean import did_you_mean
from mdstore.errors import Hint, QueryError

if TYPE_CHECKING:
    import duckdb

__all__ = ["STORED", "Asked", "looked_at", "parsed", "tables_hint", "text_of"]

# The kinds of nodes that name their functions and tables under the keys below, and nowhere else.
NODES = """
    ARRAY_CONSTRUCTOR ARRAY_EXTRACT ARRAY_SLICE ARRAY_TYPE_INFO ARROW ASCENDING BASE_TABLE BETWEEN CASE
    CASE_EXPR CAST COLLATE COLUMN_REF COMPARE_BETWEEN COMPARE_DISTINCT_FROM COMPARE_EQUAL
    COMPARE_GREATERTHAN COMPARE_GREATERTHANOREQUALTO COMPARE_IN COMPARE_LESSTHAN COMPARE_LESSTHANOREQUALTO
    COMPARE_NOTEQUAL COMPARE_NOT_BETWEEN COMPARE_NOT_DISTINCT_FROM COMPARE_NOT_IN COMPARISON CONJUNCTION
    CONJUNCTION_AND CONJUNCTION_OR CONSTANT CTE_NODE DECIMAL_TYPE_INFO DEFAULT DESCENDING DISTINCT_MODIFIER
    EMPTY ENUM_TYPE_INFO EXPRESSION_LIST FUNCTION GENERIC_TYPE_INFO GROUPING_FUNCTION JOIN LAMBDA LAMBDA_REF
    LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER LIST_TYPE_INFO OPERATOR OPERATOR_CAST OPERATOR_COALESCE
    OPERATOR_IS_NOT_NULL OPERATOR_IS_NULL OPERATOR_NOT OPERATOR_NULLIF OPERATOR_TRY OPERATOR_UNPACK
    ORDER_DEFAULT ORDER_MODIFIER PARAMETER PIVOT POSITIONAL_REFERENCE RECURSIVE_CTE_NODE SELECT_NODE
    SET_OPERATION_NODE SHOW_REF STAR STRING_TYPE_INFO STRUCT_EXTRACT STRUCT_TYPE_INFO SUBQUERY
    TABLE_FUNCTION UNBOUND_TYPE_INFO USER_TYPE_INFO VALUE_CONSTANT VALUE_DEFAULT VALUE_NULL VALUE_PARAMETER
    WINDOW WINDOW_AGGREGATE WINDOW_CUME_DIST WINDOW_FILL WINDOW_FIRST_VALUE WINDOW_LAG WINDOW_LAST_VALUE
    WINDOW_LEAD WINDOW_NTH_VALUE WINDOW_NTILE WINDOW_PERCENT_RANK WINDOW_RANK WINDOW_RANK_DENSE
    WINDOW_ROW_NUMBER
"""
KINDS = frozenset(NODES.split())
KEYS = {
    "class": "kinds", "type": "kinds",
    "function_name": "functions", "table_name": "tables",
    "schema_name": "places", "catalog_name": "places", "schema": "places", "catalog": "places",
    "key": "common", "cte_name": "common",  # of WITH
    "show_type": "shows",
}  # fmt: skip
NAMED = re.compile(r'[{,]"(' + "|".join(KEYS) + r')":"((?:[^"\\]|\\.)*)"')
_own_views: set[str] = set()  # of the DuckDB that is installed: the question takes 0.4 ms, the first time 14
_known_shape: list[bool] = []
PLACES = ("", "main", "temp", "memory", "system")
VIEWS = "SELECT lower(view_name) FROM duckdb_views() WHERE internal AND schema_name IN ('main', 'pg_catalog')"
FUNCTIONS = "SELECT DISTINCT lower(function_name) FROM duckdb_functions()"
WORD = re.compile(r"\w+")
CANDLES = "candles"
STORED = (CANDLES, "series", "quarantine")
LIVE = ("tickers", "orderbooks", "trades")
# What DESCRIBE and SUMMARIZE are, and SHOW of a table; other kinds of SHOW tell of DuckDB's own catalogue.
SHOWS = frozenset(("DESCRIBE", "SUMMARY"))
NO_SELECT = "Only SELECT statements"
SHOW_HINT = "SHOW TABLES, by itself, lists the tables; DESCRIBE candles the columns of one"
# Spaces and comments; nothing of it is tried twice, since many comments would be in too many ways.
BETWEEN = r"(?>\s+|--[^\n]*+\n|/\*(?:(?!\*/).)*+\*/)*+"
SHOW_TABLES = re.compile(
    rf"{BETWEEN}SHOW\s{BETWEEN}TABLES{BETWEEN};?{BETWEEN}(?:--[^\n]*)?", re.IGNORECASE | re.DOTALL
)
EXPLAIN = re.compile(
    rf"{BETWEEN}EXPLAIN\b(?P<how>{BETWEEN}(?:ANALYZE\b|\((?:\s|,|ANALYZE\b|FORMAT\s+(?:JSON|TEXT)\b)*\))?)"
    "(?P<query>.*)",
    re.IGNORECASE | re.DOTALL,
)
# What every version of DuckDB so far shows of this query; one that does not, has its names elsewhere.
SAMPLE = "SELECT max(close) FROM candles"
SAMPLE_NAMES = {"functions": {"max"}, "tables": {"candles"}}
PIVOT_HINT = "name the values: PIVOT ... ON column IN ('A', 'B') ..."
WRITING_HINT = Hint(
    python="store.write and store.delete change candles",
    cli="`mdstore import` and `mdstore delete` change candles",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query names of the tables here, and the bounds it puts on candles (None is everything).

    `whole` are the columns of a query that wants one series as it is, None of any other. `named` are words,
    lower-case: of the columns of candles it can want those that are among them, None is all.
    `query` is what is to be run: that which was looked through. One that `makes_types`, a PIVOT, leaves them
    behind on its connection.
    """

    tables: frozenset[str]
    wanted: dict[str, Any] | None
    query: str = ""
    makes_types: bool = False
    whole: tuple[str, ...] | None = None
    named: frozenset[str] | None = None


def looked_at(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    known: Collection[str],
    params: Mapping[str, object] | None = None,
) -> Asked:
    """Look through a query; `known` are the names of the tables that are here. Raises `QueryError`."""
    if SHOW_TABLES.fullmatch(query):
        names = ", ".join(f"('{name}')" for name in sorted(known))
        return Asked(frozenset(), {}, f"FROM (VALUES {names}) AS tables(name)")
    explained = EXPLAIN.fullmatch(query)
    if explained is None:
        return replace(_reads(connection, query, known, params), query=query)
    # What stands behind it must be a query by itself: EXPLAIN ANALYZE runs it.
    inner = explained["query"]
    if _is_pivot_of_data(connection.extract_statements(inner)):
        raise QueryError("a PIVOT that finds its values in the data is not explained", hint=PIVOT_HINT)
    asked = _reads(connection, inner, known, params)
    return replace(asked, query=f"EXPLAIN{explained['how']} {inner}", whole=None, named=None)


def _reads(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    known: Collection[str],
    params: Mapping[str, object] | None,
) -> Asked:
    """Look through one statement that must be a SELECT, or what is like it."""
    import duckdb  # noqa: PLC0415 - 0.1 s that a process without SQL need not wait for

    statements = connection.extract_statements(query)
    if _is_pivot_of_data(statements):
        return _pivot(connection, query, known)
    if len(statements) != 1:
        raise QueryError(f"one statement at a time, this has {len(statements)}")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise QueryError(f"SQL only reads here, and this is {statements[0].type.name}", hint=WRITING_HINT)
    _refuse_unknown_shape(connection)
    tree = _tree(connection, query)
    names = _names(tree)
    _refuse_unknown_kinds(names["kinds"])
    _refuse_functions(names["functions"])
    if names["shows"] - SHOWS:
        raise QueryError("this kind of SHOW is not here", hint=SHOW_HINT)
    return _asked(connection, tree, names, known, params)


def parsed(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, dict[str, Any] | None]:
    """Return DuckDB's parse of a query that reads, and the bounds that it puts on candles (None is all)."""
    tree = _tree(connection, query)
    return json.loads(tree), _bounds(tree, None)


def text_of(connection: duckdb.DuckDBPyConnection, tree: Any) -> str:
    """Return a query that has this parse."""
    rows = connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(tree)]).fetchall()
    return str(rows[0][0])


def tables_hint(known: Collection[str]) -> Hint:
    """Say which tables there are; what is live is of one process, and the command line is another."""
    python = f"the tables are {', '.join(STORED[:-1])} and {STORED[-1]}"
    live = [name for name in known if name in LIVE]
    own = [name for name in known if name not in (*LIVE, *STORED)]
    listed = f"; {', '.join(live[:-1])} and {live[-1]} of what is live" if live else ""
    given = f"; {', '.join(own)} as given" if own else ""
    return Hint(python=python + listed + given, cli=python)


def _tree(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    rows = connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
    tree = str(rows[0][0]) if rows else ""
    if not tree.startswith('{"error":false'):
        said = json.loads(tree or "{}").get("error_message", "nothing")
        if NO_SELECT in said:  # a PRAGMA that DuckDB itself makes a SELECT of
            raise QueryError("SQL only reads tables here, and this is no SELECT", hint=SHOW_HINT)
        raise QueryError(f"DuckDB cannot show what this query does: {said}")
    return tree


def _refuse_unknown_shape(connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse to go by a parse whose names are not where they are looked for: nothing would be noticed."""
    if not _known_shape:
        names = _names(_tree(connection, SAMPLE))
        if any(names[what] != found for what, found in SAMPLE_NAMES.items()):
            import duckdb  # noqa: PLC0415 - see `_reads`

            raise QueryError(
                f"DuckDB {duckdb.__version__} says what a query does in a way that is not known here",
                hint="pip install --upgrade mdstore, or the duckdb that it names",
            )
        _known_shape.append(True)


def _names(tree: str) -> dict[str, set[str]]:
    """Return what a tree names, by what it is."""
    names: dict[str, set[str]] = {what: set() for what in KEYS.values()}
    for key, name in set(NAMED.findall(tree)):
        names[KEYS[key]].add(json.loads(f'"{name}"') if "\\" in name else name)
    return names


def _refuse_unknown_kinds(kinds: set[str]) -> None:
    unknown = kinds - KINDS
    if unknown:
        raise QueryError(f"this query holds what is not known to only read: {', '.join(sorted(unknown))}")


def _refuse_functions(functions: set[str]) -> None:
    for name in sorted(functions):
        reason = why_refused(name)
        if reason is not None:
            hint = did_you_mean(name, ALLOWED, cutoff=0.7) if reason == UNDECIDED else None
            raise QueryError(f"the function {name} is not allowed in a query: it {reason}", hint=hint)


# ---- tables


def _asked(
    connection: duckdb.DuckDBPyConnection,
    tree: str,
    names: dict[str, set[str]],
    known: Collection[str],
    params: Mapping[str, object] | None,
) -> Asked:
    tables = {name.lower() for name in names["tables"] if name}
    strange = tables.difference(known)
    if strange:
        # A name that WITH gives, unless it hides one of DuckDB's own views.
        strange -= {name.lower() for name in names["common"]} - _views(connection)
    if strange:
        raise QueryError(f"there is no table {min(strange)}", hint=tables_hint(known))
    places = {name.lower() for name in names["places"]}.difference(PLACES)
    if places:
        raise QueryError(f"there is no schema or database {min(places)}", hint=tables_hint(known))
    naming = names["functions"].intersection(NAMING)
    if naming:
        tables |= _by_argument(tree, known)
    if naming or CANDLES not in tables:
        return Asked(frozenset(tables), None)
    whole = None if params else sql_bounds.whole(_loaded(tree))  # DuckDB says which values are too many
    words = sql_columns.named(_loaded(tree), names["kinds"])
    return Asked(frozenset(tables), _bounds(tree, params), whole=whole, named=words)


def _views(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the names of DuckDB's own views that are found without that of their schema."""
    if not _own_views:
        _own_views.update(name for (name,) in connection.execute(VIEWS).fetchall())
    return _own_views


def _bounds(tree: str, params: Mapping[str, object] | None) -> dict[str, Any] | None:
    return sql_bounds.wanted(_loaded(tree), params)


def _loaded(tree: str) -> Any:
    """Return a tree as objects; None where it is too deep to be loaded, which bounds nothing."""
    try:
        return json.loads(tree)
    except RecursionError:
        return None


def _by_argument(tree: str, known: Collection[str]) -> set[str]:
    """Return the tables that are named by an argument of `query_table` and its like."""
    try:
        loaded = json.loads(tree)
    except RecursionError as error:
        raise QueryError(
            "a table is named by a text in a query that is too deep to be looked through"
        ) from error
    named: set[str] = set()
    try:
        for node in sql_bounds.dicts(loaded):
            function = node["function"] if node.get("type") == "TABLE_FUNCTION" else {}
            if function.get("function_name") in NAMING:
                named |= set(_names_in(function["function_name"], function["children"][:1]))
    except (LookupError, TypeError, AttributeError) as error:
        raise QueryError(
            "which table is named by a text cannot be told from this DuckDB's parse",
            hint="name it in the FROM",
        ) from error
    strange = {name.lower() for name in named}.difference(known)
    if strange:
        raise QueryError(f"there is no table {min(strange)}", hint=tables_hint(known))
    return {name.lower() for name in named}


def _names_in(function: str, nodes: list[dict[str, Any]]) -> Iterator[str]:
    for node in nodes:
        if node["class"] == "CONSTANT" and node["value"]["type"]["id"] == "VARCHAR":
            yield node["value"]["value"]
        elif node["class"] == "COLUMN_REF" and len(node["column_names"]) == 1:
            yield node["column_names"][0]
        elif node.get("function_name") == "list_value" or node["type"] == "ARRAY_CONSTRUCTOR":
            yield from _names_in(function, node["children"])
        else:
            raise QueryError(
                f"{function} is given a table by a name that is put together",
                hint="write the name of the table out",
            )


# ---- PIVOT without the values


def _is_pivot_of_data(statements: list[duckdb.Statement]) -> bool:
    """Tell a PIVOT that finds its values in the data: DuckDB makes types of them, then selects.

    What the parser made up has no text of its own; a CREATE that somebody wrote has.
    """
    import duckdb  # noqa: PLC0415 - see `looked_at`

    made_up = [one.type == duckdb.StatementType.CREATE and not one.query for one in statements[:-1]]
    return any(made_up) and all(made_up) and statements[-1].type == duckdb.StatementType.SELECT


def _pivot(connection: duckdb.DuckDBPyConnection, query: str, known: Collection[str]) -> Asked:
    """Look through a query of which DuckDB shows no tree: by its words.

    A function, a view, is called by its name, so that a text without the word does not call it.
    """
    words = set(WORD.findall(query.lower()))
    refused = {word for word in words if word.startswith(INTERNAL)} | (words & _not_allowed(connection))
    if 'u&"' in query.lower():  # a name by the numbers of its letters
        refused.add('U&"')
    if refused:
        raise QueryError(
            f"a PIVOT that finds its values in the data must not hold the word {min(refused)}, "
            f"which {why_refused(min(refused)) or 'names a table'}",
            hint=PIVOT_HINT,
        )
    return Asked(frozenset(words.intersection(known)), None, makes_types=True)


def _not_allowed(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the names of DuckDB's catalogue that are not decided on, or must not be called."""
    rows = connection.execute(FUNCTIONS).fetchall()
    names = {name for (name,) in rows if why_refused(name)}
    return names.union(NAMING, _views(connection), ("information_schema",))
