"""Trades that two tiers hold of one symbol, as one answer: each once, in their order."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

__all__ = ["joined_trades"]

BY_ID = ("timestamp", "id")
BY_VALUES = ("timestamp", "price", "size", "side")
"""What tells trades apart where not all have an id; so many as one tier has of the same stay."""


def joined_trades(ring: pa.Table, routed: pa.Table, most: int | None) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return the latest trades of both tables, ascending; and of them those of the one, and of the other.

    Of a trade that both have, the ring's row is taken. `most` is how many there are at most, None for all.
    """
    both = pa.concat_tables([routed, ring]).unify_dictionaries()
    has_ids = both["id"].null_count == 0
    marks = pl.DataFrame(
        {
            **{name: both[name] for name in ("timestamp", "price", "size", "id")},
            "side": both["side"].cast(pa.string()),
            "of_ring": [False] * routed.num_rows + [True] * ring.num_rows,
        },
        schema_overrides={"of_ring": pl.Boolean},
    ).with_row_index("row")
    same = BY_ID if has_ids else BY_VALUES
    nth = pl.int_range(pl.len()).over(*same, "of_ring").alias("nth")
    is_twice = (pl.len().over(*same, "nth") > 1) & ~pl.col("of_ring")
    left = marks.with_columns(nth).filter(~is_twice).sort("timestamp", "id", maintain_order=True)
    left = left if most is None else left.tail(most)
    whole = both.take(left["row"].to_arrow())
    of_ring = left["of_ring"]
    return whole, whole.filter(of_ring.to_arrow()), whole.filter((~of_ring).to_arrow())
