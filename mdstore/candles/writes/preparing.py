"""What can be made of rows before a transaction begins, or while SQLite writes those before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from mdstore.candles.file.bar_columns import columns_of_frame
from mdstore.candles.file.bar_digests import Sums, sums_of_stack
from mdstore.candles.file.digests import span_of
from mdstore.candles.file.table_writes import packed
from mdstore.core.checked_rows import Checked, Group, Stack
from mdstore.core.schema import CANDLE_COLUMNS

__all__ = ["Prepared", "plain", "prepare", "prepared"]

COLUMNS = len(CANDLE_COLUMNS)


@dataclass(frozen=True, slots=True)
class Prepared(Stack):
    """A stack with its columns as SQLite will give them, what they add to digests, and its rows as bytes."""

    columns: Sequence[pa.Array]
    sums: Sequence[Sums]
    packed: bytearray


def prepare(stack: Stack) -> Prepared:
    """Make a stack ready to be written."""
    if isinstance(stack, Prepared):
        return stack
    columns = columns_of_frame(stack.rows)
    sums = sums_of_stack(stack.rows, columns, stack.ends, span_of(stack.timeframe))
    return Prepared(stack.timeframe, stack.symbols, stack.ends, stack.rows, columns, sums, packed(columns))


def plain(group: Group | Stack) -> Group | Stack:
    """Return rows without what was made of them, which takes twice their memory."""
    if not isinstance(group, Prepared):
        return group
    return Stack(group.timeframe, group.symbols, group.ends, group.rows)


def prepared(chunk: Checked) -> Checked:
    """Make a chunk ready to be written; rows with declared columns are written series by series."""
    if not any(isinstance(one, Stack) for one in chunk.groups):
        return chunk
    groups = [
        prepare(one) if isinstance(one, Stack) and one.rows.width == COLUMNS else one for one in chunk.groups
    ]
    return replace(chunk, groups=groups)
