"""Where bars of two sources meet in one series that do not go together: prices of different adjustment.

Where one source replaced bars of another, both are known, and so is the factor between them.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median

import polars as pl

from mdstore.analysis.quality_checks import FINDING
from mdstore.candles.ledger.ledger import Ledger
from mdstore.candles.ledger.origins import Origin
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timestamps import ms_to_datetime

__all__ = ["seams"]

# A correction changes a close by less; a dividend's adjustment, and another currency, by more.
LEAST = 0.01
FEWEST = 5
BEFORE, AFTER, SOURCE = 7, 12, 14  # the places of both closes and of the later one's source


def seams(ledger: Ledger, symbol: str, timeframe: str) -> pl.DataFrame:
    """Return one finding for each source that differs by a factor from what it replaced, and meets others.

    `bars` are the places where it meets them, `value` is the factor.
    """
    origins = ledger.provenance(symbol, timeframe)
    meetings = [(one, other) for one, other in pairwise(origins) if one.source != other.source]
    factors = _factors(ledger, symbol, timeframe) if meetings else {}
    rows = [
        _finding(source, factor, closes, found)
        for source, (factor, closes) in factors.items()
        if (found := [pair for pair in meetings if source in (pair[0].source, pair[1].source)])
    ]
    return pl.DataFrame(rows, FINDING, orient="row")


def _factors(ledger: Ledger, symbol: str, timeframe: str) -> dict[str, tuple[float, int]]:
    """Return by source how many times its closes are those that it replaced, and how many those are."""
    ratios: dict[str, list[float]] = {}
    for row in ledger.revisions(symbol, timeframe, -FOREVER, FOREVER):
        before, after = row[BEFORE], row[AFTER]
        if isinstance(before, float) and isinstance(after, float) and min(before, after) > 0:
            ratios.setdefault(str(row[SOURCE]), []).append(after / before)
    found = {source: (median(those), len(those)) for source, those in ratios.items() if len(those) >= FEWEST}
    return {source: one for source, one in found.items() if abs(one[0] - 1) >= LEAST}


def _finding(
    source: str, factor: float, closes: int, meetings: list[tuple[Origin, Origin]]
) -> tuple[object, ...]:
    one, other = meetings[0]
    start, end = ms_to_datetime(other.start), ms_to_datetime(meetings[-1][1].start + 1)
    more = f", and {len(meetings) - 1:,} more" if len(meetings) > 1 else ""
    detail = (
        f"bars of {_name(one.source)} and of {_name(other.source)} meet{more}: {closes:,} closes of "
        f"{_name(source)} are {factor:.4g} times those that they replaced"
    )
    return ("seam", "warning", start, end, len(meetings), factor, detail)


def _name(source: str) -> str:
    return source or "an unnamed source"
