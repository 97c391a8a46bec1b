"""Pages of what was missed: each is a part as it comes, and a range is proven or asked for again."""

import asyncio

import polars as pl
import pytest

import mdstore
from mdstore.sources.sync.coordinator import Page
from mdstore.sources.watching.pages import fetched

MINUTE = 60_000
LATER = 5 * MINUTE + 10_000  # by then the exchange has published all


class Source:
    """Gives the pages that it was made with."""

    name, settles = "upbit", 0

    def __init__(self, *pages):
        self.pages = pages

    async def candles(self, symbol, timeframe, start, end):
        for page in self.pages:
            yield page


def parts_of(*pages, now=LATER, trouble=lambda _: None):
    async def all_of():
        return [
            part async for part in fetched(Source(*pages), "KRW-BTC", "1m", 0, 300_000, trouble, lambda: now)
        ]

    return asyncio.run(all_of())


def frame(*rows):
    names = ("timestamp", "open", "high", "low", "close", "volume")
    return pl.DataFrame(
        rows, schema=dict(zip(names, [pl.Int64, *[pl.Float64] * 5], strict=True)), orient="row"
    )


def test_pages_in_any_order_prove_a_range():
    late, early = Page(120_000, 300_000, [], "no_trade"), Page(0, 120_000, [], "before_listing")
    assert [(part.start, part.end, part.absent) for part in parts_of(late, early)] == [
        (120_000, 300_000, "no_trade"),
        (0, 120_000, "before_listing"),
    ]


@pytest.mark.parametrize(
    "pages",
    [
        (),
        (Page(0, 240_000, []),),
        (Page(60_000, 300_000, []),),
        (Page(0, 60_000, []), Page(120_000, 300_000, [])),
    ],
)
def test_pages_that_leave_a_gap_prove_nothing(pages):
    with pytest.raises(mdstore.SourceError, match="no proof of KRW-BTC 1m from"):
        parts_of(*pages)


def test_a_bar_that_has_just_ended_may_not_be_published_yet():
    page = Page(0, 240_000, [])
    assert len(parts_of(page, now=LATER - 1)) == 1
    with pytest.raises(mdstore.SourceError, match="no proof"):
        parts_of(page, now=LATER)
    with pytest.raises(mdstore.SourceError, match="no proof"):  # a gap before the last bars is another matter
        parts_of(Page(60_000, 300_000, []), now=LATER - 1)


def test_a_bar_whose_row_is_wrong_is_told_and_is_not_asked_for_again():
    troubles = []
    wrong = (MINUTE, 5.0, 4.0, 6.0, 5.0, 1.0)  # high below low
    good = [(at * MINUTE, 5.0, 6.0, 4.0, 5.0, 1.0) for at in (0, 2, 4)]
    page = Page(0, 300_000, frame(*good[:1], wrong, *good[1:]), "no_trade")
    parts = parts_of(page, trouble=troubles.append)
    assert [(part.start, part.end, part.absent) for part in parts] == [
        (0, MINUTE, "no_trade"),
        (MINUTE, 2 * MINUTE, None),
        (2 * MINUTE, 5 * MINUTE, "no_trade"),
    ]
    assert parts[1].rows is None
    assert [row for part in parts if part.rows is not None for row in part.rows.rows()] == good
    (error,) = troubles
    assert "KRW-BTC 1m: 1 of 4 rows that were fetched are wrong, and left to a sync: " in str(error)
    assert "1970-01-01 00:01:00" in str(error)
