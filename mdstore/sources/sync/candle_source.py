"""An exchange from which candles are fetched: a `Coordinator`, and what else a sync wants to know of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mdstore.core.timeframe import Timeframe
from mdstore.errors import Hint, TimeframeError
from mdstore.sources.sync.coordinator import Coordinator

__all__ = ["CandleSource", "Market", "OpensSource", "Wait", "refuse_others"]


@dataclass(frozen=True, slots=True)
class Market:
    """What is traded under a symbol, and from when to when (ms), where the exchange says so."""

    symbol: str
    listed: int | None = None
    delisted: int | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """A request that waits longer than the pace of the exchange asks for: why, and how many seconds."""

    host: str
    reason: str
    seconds: float


class CandleSource(Coordinator, Protocol):
    """An exchange, asked by its REST interface.

    `candles` takes a range of any length, and may give its pages from the newest to the oldest. Each of them
    is proven by the source: `[start, end)` of the page was answered in full, and `absent` says why bars in it
    are not there that are not among the rows. The forming bar is in no page, and no page ends behind it. What
    is not proven to be a page raises `SourceError`, and covers nothing. One that has a `clock` besides, what
    its clock shows (ms, or None), is not believed where that is far from this machine's.

    The rows are a Polars frame: `timestamp` in ms, the five values of a candle, and under the exchange's own
    names what else it says of a bar, such as `candle_acc_trade_price`.
    """

    @property
    def timeframes(self) -> Sequence[str]:
        """The timeframes that it has."""

    @property
    def proves_pages(self) -> Literal[True]:
        """That a page is all that there is in its range, rather than rows that are to be looked at."""

    @property
    def settles(self) -> int:
        """So many of the latest bars may still be amended, and are asked for again."""

    @property
    def pace(self) -> float | None:
        """The requests for candles that it takes in a second; None where that is not limited."""

    @property
    def rests(self) -> float:
        """For how many seconds nothing is asked, since the host has failed again and again; 0 if not so.

        A sync waits so long: it is 0 for a host that has never answered, as of a mistyped address.
        """

    @property
    def requests(self) -> int:
        """The requests that were sent, those that were sent again among them."""

    @property
    def offline(self) -> bool:
        """Whether nobody is asked at all."""

    def stretches(self, timeframe: str, start: int, end: int) -> list[tuple[int, int]]:
        """Cut a range (ms) into those that it is best asked for, ascending: by the files it has, say."""

    async def markets(self) -> list[Market]:
        """List what is traded, by symbol."""

    async def first(self, symbol: str, timeframe: str) -> int | None:
        """Return when the oldest bar of a series starts (ms); None where that cannot be known."""

    async def aclose(self) -> None:
        """Close the connections."""


class OpensSource(Protocol):
    """What an entry point of the group `mdstore.sources` names: it makes a source.

    A `Coordinator` will do, such as a `FunctionCoordinator`: then its pages are looked at as those of one.
    """

    def __call__(
        self, *, base_url: str | None, offline: bool, on_wait: Callable[[Wait], None] | None
    ) -> CandleSource:
        """Make a source that asks `base_url` in place of the exchange, and nobody if it is `offline`."""


def refuse_others(source: str, there: Sequence[str], timeframes: Sequence[Timeframe]) -> None:
    """Refuse timeframes that a source has not, and say of which that it has they are made.

    Raises `TimeframeError`.
    """
    for one in timeframes:
        if str(one) not in there:
            parts = [name for name in there if one.holds(Timeframe.parse(name))]
            best = max(parts, key=lambda name: Timeframe.parse(name).shortest_ms, default=None)
            made = Hint(
                f"store.candles(..., {str(one)!r}, derive_from={best!r}) makes them of what it has",
                f"`mdstore show SYMBOL {one} --from {best}` makes them of what it has",
            )
            raise TimeframeError(
                f"{source} has no {one} candles: it has {', '.join(there)}", hint=made if best else None
            )
