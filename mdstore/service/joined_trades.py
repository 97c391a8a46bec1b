"""Trades that two tiers hold of one symbol, as one answer: each once, in their order."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from mdstore.realtime.row_rules import FUTURE_MS

__all__ = ["good_trades", "joined_trades"]

BY_ID = ("timestamp", "id")
BY_VALUES = ("timestamp", "price", "size", "side")
"""What tells trades apart where not all have an id; so many as one tier has of the same stay."""


def good_trades(rows: pa.Table, now: int, oldest: int | None) -> tuple[pa.Table, int]:
    """Return those of a router's trades that are trades, each once, and how many are none.

    Of prices, sizes and times the rules are those of the rings, `now` (ms) being the time. Those up to
    `oldest` (ms) are left out, too. Of several with one time and id the first stays.
    """
    names = ("timestamp", "price", "size", "id")
    marks = pl.DataFrame({name: rows[name] for name in names}).with_columns(
        at=pl.col("timestamp").dt.epoch("ms")
    )
    is_right = (
        pl.col("price").is_finite()
        & pl.col("size").is_finite()
        & (pl.col("size") >= 0)
        & (pl.col("at") <= now + FUTURE_MS)
    ).fill_null(value=False)
    is_first = pl.col("id").is_null() | pl.struct("at", "id").is_first_distinct()
    is_late = pl.lit(value=True) if oldest is None else pl.col("at") > oldest
    found = marks.select(right=is_right, kept=is_right & is_first & is_late)
    return rows.filter(found["kept"].to_arrow()), rows.num_rows - int(found["right"].sum())


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
