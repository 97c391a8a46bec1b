"""Series put together of their cells and what is loose, in one read transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import apsw

from mdstore.candles.file import frozen
from mdstore.candles.file.bar_digests import Proof
from mdstore.candles.file.catalogue import Series
from mdstore.candles.file.digests import floor, span_of
from mdstore.candles.packs.cells import Cell
from mdstore.candles.packs.columns import Piece, SeriesView, know_sums
from mdstore.candles.packs.pack_files import Pack, Packs
from mdstore.core.time_bounds import FOREVER

__all__ = ["FEW", "LOOSE_ROWS", "Assembly", "MismatchError", "Plan"]

LOOSE_ROWS = 2_000
"""Loose rows of a series that are read along with its cells when it has changed: a millisecond of them."""
FEW = 16  # series whose cells and loose rows are asked for one by one


@dataclass(frozen=True, slots=True)
class Plan:
    """A series as it is now: in memory, or these cells and the rest loose."""

    series: Series
    view: SeriesView | None
    found: list[Cell]

    @property
    def left(self) -> int:
        """The candles that no cell covers, frozen ones among them; none where the series is in memory."""
        return 0 if self.view else self.series.rows - sum(cell.rows for cell in self.found)

    @property
    def end(self) -> int:
        """Where its last cell ends."""
        return self.found[-1].end if self.found else -FOREVER


class MismatchError(Exception):
    """The packs and the catalogue do not fit each other; the message says so."""


class Assembly:
    """Puts series together in the caller's transaction, and proves what is read from the table."""

    def __init__(self, con: apsw.Connection, packs: Packs) -> None:
        self._con = con
        self._packs = packs
        self._opened: dict[str, Pack] = {}
        self._proof = Proof(con)

    def views(self, plan: Sequence[Plan], start: int, end: int, kept: int) -> list[SeriesView]:
        """Return series as far as a range needs them; whole where no more than `kept` rows are loose.

        Raises `DamagedDataError`, `MismatchError`, `PackLostError`.
        """
        tails = self._tails(plan) if sum(not one.view for one in plan) > FEW else {}
        views = [
            one.view or self._assembled(one, start, end, kept, tails.get(one.series.symbol)) for one in plan
        ]
        self._proof.settle()
        return views

    def _assembled(self, one: Plan, start: int, end: int, kept: int, tail: Piece | None) -> SeriesView:
        """Put a series together; where it is whole it is counted against the catalogue."""
        series, whole = one.series, one.left <= kept
        window = (-FOREVER, FOREVER) if whole else (start, end)
        if tail is None:
            pieces = list(self._pieces(one, window))
        else:
            pieces = [*(self._piece(cell) for cell in one.found), tail]
        view = SeriesView(series.symbol, series.timeframe, series.revision, series.last, pieces, series.names)
        if whole and view.rows != series.rows:
            raise MismatchError("the catalogue does not agree with the candles; a check says where")
        return view

    def _pieces(self, one: Plan, window: tuple[int, int]) -> Iterator[Piece]:
        series, left, (at, end) = one.series, one.left, window
        key, last, extras = (series.symbol, series.timeframe), None, series.names
        for cell in one.found:
            if cell.end <= at or cell.start >= end:
                continue
            if left and cell.start > at:
                loose = self._proof.read(key, at, cell.start, _before(last), extras)
                left -= loose.num_rows
                if loose.num_rows:
                    yield Piece.of(loose)
            last = self._piece(cell)
            yield last
            at = cell.end
        if left and at < end:
            loose = self._proof.read(key, at, end, _before(last), extras)
            if loose.num_rows:
                yield Piece.of(loose)

    def _piece(self, cell: Cell) -> Piece:
        pack = self._opened.get(cell.pack)
        if pack is None:
            pack = self._opened[cell.pack] = self._packs.open(cell.pack)
        return Piece.of(pack.rows(cell.batch, cell.offset, cell.rows), cell, pack)

    def _tails(self, plan: Sequence[Plan]) -> dict[str, Piece]:
        """Read together what is loose behind the last cell of many series, by symbol: the bars of a feed.

        Of series of which more than that is loose nothing is returned, nor of those with declared columns or
        with anything frozen behind their cells.
        """
        some = [
            one for one in plan if one.view is None and 0 < one.left <= LOOSE_ROWS and not one.series.extras
        ]
        span = span_of(some[0].series.timeframe) if some else 0
        cold = frozen.ends_of(self._con, some[0].series.timeframe) if some else {}
        some = [one for one in some if cold.get(one.series.symbol, -FOREVER) <= floor(one.end, span)]
        lasts = [self._piece(one.found[-1]) if one.found else None for one in some]
        know_sums([(last, floor(one.end, span)) for one, last in zip(some, lasts, strict=True) if last])
        wanted = [
            (one.series.key, one.end, last.sum_from(floor(one.end, span)) if last else None)
            for one, last in zip(some, lasts, strict=True)
        ]
        found = self._proof.read_tails(wanted)
        if found is None:
            return {}
        rows, ranges = found
        return {
            one.series.symbol: Piece.of(rows.slice(low, high - low), shared=(rows, low))
            for one, (low, high) in zip(some, ranges, strict=True)
            if high - low == one.left
        }


def _before(last: Piece | None) -> Callable[[int], int | None]:
    """Return what knows the sum over the last bars of a sealed piece from a time on, if it reaches so far."""

    def known(time: int) -> int | None:
        return None if last is None else last.sum_from(time)

    return known
