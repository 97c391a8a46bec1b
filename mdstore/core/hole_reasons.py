"""Why a bar is not there: every reason in one table, from which ledger, gaps and pictures take theirs.

To add a reason, name it in `Stated` (somebody may state it) or `Reason`, and give it a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "DRAWN", "NEVER_BARS", "NOT_EXPECTED", "OF_THE_INSTRUMENT", "REASONS", "STATED", "TABLE", "UNEXPLAINED",
    "HoleReason", "Reason", "Stated", "is_answer", "rank", "stays", "worth_asking",
]  # fmt: skip

Stated = Literal[
    "no_trade", "exchange_down", "before_listing", "after_delisting", "session_closed", "fetch_failed"
]
"""Why a bar is not there, as somebody can state it."""

Reason = Stated | Literal["unsettled", "unknown", "forming"]
"""Why a bar is not there."""

Ask = Literal["never", "once", "until answered"]
Drawn = Literal["known", "closed", "failed", "unknown", "forming"]


class HoleReason(NamedTuple):
    """One reason.

    `rank`: a later statement replaces an earlier one, unless the earlier one has a greater rank.
    `ask` is whether a source is worth asking for such a bar; `"once"` is until it has answered.
    `expected` bars could be there, and count against how complete a series is. What is said `of_instrument`
    is stronger than a calendar, which is stronger than what is said of a range. `drawn` is the look of such
    bars in pictures.
    """

    name: Reason
    rank: int
    ask: Ask
    expected: bool
    of_instrument: bool
    drawn: Drawn


TABLE = (
    HoleReason("no_trade", 3, "never", expected=True, of_instrument=False, drawn="known"),
    HoleReason("exchange_down", 3, "never", expected=True, of_instrument=False, drawn="known"),
    HoleReason("before_listing", 3, "never", expected=False, of_instrument=True, drawn="known"),
    HoleReason("after_delisting", 3, "never", expected=False, of_instrument=True, drawn="known"),
    HoleReason("session_closed", 3, "never", expected=False, of_instrument=False, drawn="closed"),
    HoleReason("fetch_failed", 1, "until answered", expected=True, of_instrument=False, drawn="failed"),
    HoleReason("unsettled", 1, "until answered", expected=True, of_instrument=False, drawn="forming"),
    HoleReason("unknown", 2, "once", expected=True, of_instrument=False, drawn="unknown"),
    HoleReason("forming", 0, "never", expected=False, of_instrument=False, drawn="forming"),
)
BY_NAME: dict[str, HoleReason] = {one.name: one for one in TABLE}

REASONS: tuple[Reason, ...] = tuple(one.name for one in TABLE)
STATED: tuple[Stated, ...] = get_args(Stated)
"""What `cover` and `absent=` take."""

NOT_EXPECTED = tuple(one.name for one in TABLE if not one.expected)
NEVER_BARS = tuple(one.name for one in TABLE if one.ask == "never" and one.drawn != "forming")
"""What is said of bars that never were: a longer bar is whole without them."""
OF_THE_INSTRUMENT = tuple(one.name for one in TABLE if one.of_instrument)
UNEXPLAINED = tuple(one.name for one in TABLE if one.ask != "never")
DRAWN: dict[str, str] = {one.name: one.drawn for one in TABLE}
KNOWN_RANK = 3  # a reason of a newer version, which this one does not know, stays


def rank(reason: str) -> int:
    """Return how much a reason says."""
    return BY_NAME[reason].rank if reason in BY_NAME else KNOWN_RANK


def stays(old: str, new: str, says: int) -> bool:
    """Tell whether what was said stays where `new` is said later, which says so much.

    What is unsettled is asked for again even where it is stored, and what has failed is not: a failure in
    between made the bars of the last minutes final, with the values that they had before they were amended.
    """
    return rank(old) > says or (old == "unsettled" and new == "fetch_failed")


def is_answer(reason: str) -> bool:
    """Tell whether a range of which this was said need not be asked for again."""
    return reason not in BY_NAME or BY_NAME[reason].ask != "until answered"


def worth_asking() -> pl.Expr:
    """Tell which holes (columns `reason`, `asked`) are worth asking a source for: never asked, or in vain."""
    import polars as pl  # noqa: PLC0415 - the command line's help has the reasons, and is quick without Polars

    once = [one.name for one in TABLE if one.ask == "once"]
    again = [one.name for one in TABLE if one.ask == "until answered"]
    reason = pl.col("reason")
    return (reason.is_in(once) & pl.col("asked").is_null()) | reason.is_in(again)
