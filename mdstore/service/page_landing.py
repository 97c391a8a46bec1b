"""A page that was asked for lands: what it proves, but for the bars that are here already."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from mdstore.core.checked_rows import Checked, Group
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import ConflictError, InvalidInputError, NoSuchSeriesError
from mdstore.service.policies import ServicePolicies
from mdstore.service.troubles import Trouble, Troubles
from mdstore.service.wanted import NO_TIMES, Outcome, Wanted
from mdstore.sources.sync.asking import left_of
from mdstore.sources.sync.coordinator import Coordinator, Page, cut
from mdstore.sources.sync.page_proof import Proven, without_edges
from mdstore.sources.sync.page_rows import refuse_no_page, rows_of, said_of_page, settled_from
from mdstore.sources.sync.source_facts import SourceFacts
from mdstore.sources.sync.sync_place import Landing, Range, Said

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore
    from mdstore.store.store_place import StorePlace

__all__ = ["PageLanding"]

ATTEMPTS = 5


class PageLanding:
    """Lands pages in a store, and remembers which bars came with a row that is none."""

    def __init__(
        self,
        store: MarketDataStore,
        place: StorePlace,
        policies: ServicePolicies,
        timer: Callable[[], float],
    ) -> None:
        self._store, self._place = store, place
        self._late = round(policies.late_seconds * 1000)
        self._bad_bars = Troubles(policies, timer)
        self._had_bad: set[tuple[str, str]] = set()

    def land(
        self, source: Coordinator, wanted: Wanted, page: Page, outcome: Outcome
    ) -> tuple[pl.DataFrame, pl.Series]:
        """Store a page with the range that it proves; return the rows that landed, and what was here before.

        Bars that are stored stay as they are. A page may reach over them, since two holes of one page are one
        request, but nobody has asked for them.
        """
        refuse_no_page(source.name, str(wanted), page)
        part = wanted.within(page.start, page.end)
        now, facts = self._place.now(), SourceFacts(source)
        most = None if facts.proves else source.limits.page_bars
        try:
            good = rows_of(page, wanted.key, (wanted.start, wanted.end), most, self._place, self._late)
        except InvalidInputError as error:  # whose hints are of writes
            raise InvalidInputError(error.message) from error
        good = good if page.absent else without_edges(good, wanted.timeframe)
        settled = settled_from(wanted.timeframe, min(now, page.clock or now), facts.settles, self._late)
        said = said_of_page(good.start, good.end, page, settled if facts.settles else FOREVER)
        good, here = self._put(source, part, good, said)
        for one in good.bad.iter_rows(named=True):
            outcome.troubles[wanted.symbol] = self._bad_bar(source, wanted, one)
        return good.rows, here

    def _put(self, source: Coordinator, part: Wanted, good: Proven, said: Said) -> tuple[Proven, pl.Series]:
        """Store rows, set those aside that are bad, and say what the page covers, in one transaction.

        A live bar may land after it was looked for: the transaction tells, and then it is looked again.
        """
        for attempt in range(ATTEMPTS):
            here, keep = self._here(part)
            new = good.without(here)
            if good.start >= good.end:
                return new, here
            groups = [Group(*part.key, new.rows)] if len(new.rows) else []
            rows = Checked(groups, new.bad, 0, len(new.rows) + len(new.bad))
            try:
                self._place.land([Landing(part.key, rows, [said], source.name, keep)])
            except ConflictError:
                if attempt + 1 == ATTEMPTS:
                    raise
            else:
                break
        return new, here

    def worth(self, parts: list[Wanted], outcome: Outcome) -> list[Wanted]:
        """Leave out parts of which each bar that is missing was bad a while ago, and say so.

        A series goes on where one bar of it never comes right; that bar is asked for after a delay that
        grows, or along with others.
        """
        worth = []
        for part in parts:
            if part.key not in self._had_bad:
                worth.append(part)
                continue
            trouble = self._trouble_of_all(part)
            if trouble is None:
                worth.append(part)
            else:
                outcome.troubles[part.symbol] = self._bad_bars.said(trouble)
        return worth

    def _here(self, wanted: Wanted) -> tuple[pl.Series, list[Range]]:
        """Return the times of bars that are stored and not to be asked for again, and what is to be kept.

        Kept is whatever is not one of the bars that are stored, and to be asked for again.
        """
        low, high = ms_to_datetime(wanted.start), ms_to_datetime(wanted.end)
        try:
            table = self._store.arrow(*wanted.key, start=low, end=high, columns=["timestamp"])
        except NoSuchSeriesError:
            return NO_TIMES, [(wanted.start, wanted.end)]
        stored = pl.Series(table["timestamp"].cast(pa.int64()), dtype=pl.Int64)
        here = stored
        for start, end in self._lacking(wanted):
            here = here.filter((here < start) | (here >= end))
        again = stored.filter(~stored.is_in(here.implode()))
        bar = wanted.timeframe
        return here, left_of((wanted.start, wanted.end), [(time, bar.next(time)) for time in again])

    def _bad_bar(self, source: Coordinator, wanted: Wanted, bad: dict[str, Any]) -> str:
        """Take note of a bar whose row breaks a rule, and say so."""
        text = (
            f"{source.name}: the bar of {ms_to_datetime(bad['time'])} breaks the rule '{bad['rule']}' "
            f"({bad['column']} = {bad['value']}), its row is in quarantine"
        )
        self._had_bad.add(wanted.key)
        return self._bad_bars.said(self._bad_bars.failed((*wanted.key, bad["time"]), text, is_host=False))

    def _trouble_of_all(self, part: Wanted) -> Trouble | None:
        """Return why no bar that is missing in a part is asked for just now; None where one may be."""
        trouble = None
        for start, end in self._lacking(part):
            for at, _ in cut(part.timeframe, start, end, 1):
                trouble = self._bad_bars.of((*part.key, at))
                if trouble is None:
                    return None
        return trouble

    def _lacking(self, wanted: Wanted) -> list[Range]:
        """Return the ranges of a part that are worth asking for, what is stored between them left out."""
        found = self._place.to_ask([wanted.symbol], wanted.timeframe, wanted.start, wanted.end, None)
        return found.get(wanted.symbol, [])
