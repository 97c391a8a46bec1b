"""The columns of candles that a query can want: a word of it names each, by DuckDB's own parse.

The words are a superset: any text of the parse is one, whatever it is there. A query of which a part could
take columns without their names (a star, a whole row, a natural join), or of a kind that is not known not to,
wants all.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mdstore.candles.reads.sql_bounds import dicts

__all__ = ["named"]

# The kinds of nodes that take columns by name alone.
NODES = """
    ARRAY_CONSTRUCTOR ARRAY_EXTRACT ASCENDING BASE_TABLE BETWEEN CASE CASE_EXPR CAST COLUMN_REF
    COMPARE_BETWEEN COMPARE_DISTINCT_FROM COMPARE_EQUAL COMPARE_GREATERTHAN COMPARE_GREATERTHANOREQUALTO
    COMPARE_IN COMPARE_LESSTHAN COMPARE_LESSTHANOREQUALTO COMPARE_NOTEQUAL COMPARE_NOT_BETWEEN
    COMPARE_NOT_DISTINCT_FROM COMPARE_NOT_IN COMPARISON CONJUNCTION CONJUNCTION_AND CONJUNCTION_OR CONSTANT
    DEFAULT DESCENDING DISTINCT_MODIFIER EMPTY FUNCTION JOIN LIMIT_MODIFIER OPERATOR OPERATOR_CAST
    OPERATOR_COALESCE OPERATOR_IS_NOT_NULL OPERATOR_IS_NULL OPERATOR_NOT OPERATOR_NULLIF ORDER_DEFAULT
    ORDER_MODIFIER PARAMETER SELECT_NODE SET_OPERATION_NODE SUBQUERY VALUE_CONSTANT VALUE_NULL
    VALUE_PARAMETER WINDOW WINDOW_AGGREGATE WINDOW_CUME_DIST WINDOW_FIRST_VALUE WINDOW_LAG
    WINDOW_LAST_VALUE WINDOW_LEAD WINDOW_NTH_VALUE WINDOW_NTILE WINDOW_PERCENT_RANK WINDOW_RANK
    WINDOW_RANK_DENSE WINDOW_ROW_NUMBER
"""
KINDS = frozenset(NODES.split())
RELATION_NAMES = ("alias", "table_name", "key")


def named(parsed: Any, kinds: Collection[str]) -> frozenset[str] | None:
    """Return words, lower-case, among which are the names of all columns that a query can want; None is all.

    `parsed` is what DuckDB's `json_serialize_sql` gives, `kinds` the kinds of its nodes.
    """
    if parsed is None or not KINDS.issuperset(kinds):
        return None
    nodes = list(dicts(parsed))
    relations = [node for node in nodes if "class" not in node]  # and no expressions
    tables = {str(node[key]).lower() for node in relations for key in RELATION_NAMES if key in node}
    if any(_is_wide(node, tables) for node in nodes):
        return None
    return frozenset(word.lower() for node in nodes for value in node.values() for word in _words(value))


def _is_wide(node: dict[str, Any], tables: Collection[str]) -> bool:
    """Tell whether a node takes columns without their names: a whole row, all that two have in common."""
    if node.get("column_name_alias") or node.get("ref_type") == "NATURAL":
        return True
    names = node.get("column_names", ())
    return bool(names) and str(names[-1]).lower() in tables


def _words(value: Any) -> list[str]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
