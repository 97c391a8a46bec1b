"""What a read found, before it is a frame or a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from mdstore.candles.file.wide_rows import with_others
from mdstore.candles.packs.columns import Panel, SeriesView, Stretch
from mdstore.core.long_table import Long
from mdstore.core.schema import CANDLE_COLUMNS

__all__ = ["Answer", "completed", "picked"]


@dataclass(slots=True)
class Answer:
    """Candles that were read, whichever way; nothing is copied that need not be."""

    source: SeriesView | Panel | Long
    low: int
    high: int
    columns: tuple[str, ...]
    tiers: tuple[str, ...]
    views: Sequence[SeriesView] = ()
    reason: str = ""
    sql: str = ""
    listed_lasts: Sequence[int] = ()
    listed_revision: int = 0

    @property
    def rows(self) -> int:
        """The number of candles."""
        return self.high - self.low

    @property
    def nbytes(self) -> int:
        """The bytes of the candles as a frame: eight of each value, four of each symbol."""
        return self.rows * (8 * len(self.columns) - 4 * ("symbol" in self.columns))

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols, sorted; of several, those without a candle in the range are among them."""
        return [self.source.symbol] if isinstance(self.source, SeriesView) else self.source.symbols

    @property
    def ends(self) -> Sequence[int]:
        """The row numbers at which each symbol's rows end."""
        return [self.rows] if isinstance(self.source, SeriesView) else self.source.ends

    @property
    def lasts(self) -> Sequence[int]:
        """The times (ms) of each symbol's last candle, in the range or behind it."""
        return [view.last for view in self.views] if self.views else self.listed_lasts

    @property
    def revision(self) -> int:
        """The store's revision that last changed one of the series."""
        if len(self.views) == 1:  # a microsecond less, of fifteen that a read takes
            return self.views[0].revision
        return max((view.revision for view in self.views), default=self.listed_revision)

    def verify(self) -> None:
        """Compare the rows with their digests, those that were not yet. Raises `PackLostError`."""
        if isinstance(self.source, SeriesView):
            self.source.verify(self.low, self.high)
        elif isinstance(self.source, Panel):
            self.source.verify()

    def why(self) -> str:
        """Say what the answer is made of, or why it came straight from the table."""
        return self.reason or _pieces_text(self.views)

    def table(self) -> pa.Table:
        """Return them as an Arrow table."""
        source = self.source.long if isinstance(self.source, Panel) else self.source
        whole = source.table_of(self.columns) if isinstance(source, Long) else source.table
        cut = whole if self.rows == whole.num_rows else whole.slice(self.low, self.rows)
        if tuple(cut.column_names) == self.columns:
            return cut
        return with_others(cut, self.columns).select(list(self.columns))

    def values(self) -> pl.DataFrame:
        """Return a candle's columns as a Polars frame, and the declared ones that were read."""
        source = self.source.long if isinstance(self.source, Panel) else self.source
        whole = source.value_frame if isinstance(source, Long) else source.frame
        return whole.slice(self.low, self.rows)

    def panel(self) -> Panel | None:
        """Return them as a panel, whose rows are yet to be verified; None where they came straight."""
        if isinstance(self.source, SeriesView):
            return Panel([Stretch(self.source, self.low, self.high)])
        return self.source if isinstance(self.source, Panel) else None

    def frame(self) -> pl.DataFrame:
        """Return them as a Polars frame of the caller's own."""
        source, count = self.source, self.high - self.low
        if isinstance(source, SeriesView):
            whole, is_plain = source.frame, self.columns is CANDLE_COLUMNS and not source.extras
            is_whole = count == source.offsets[-1]
        else:
            long = source.long if isinstance(source, Panel) else source
            whole = long.frame_of(self.columns)
            is_plain, is_whole = False, count == len(whole)
        cut = whole.clone() if is_whole else whole.slice(self.low, count)
        # To ask Polars for names takes a microsecond, of twelve that a read does.
        return cut if is_plain or tuple(cut.columns) == self.columns else picked(cut, self.columns)


def picked(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Return columns of a frame; a declared one that it has not is null."""
    return completed(frame, columns)[list(columns)]


def completed(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Return a frame with all of some columns; declared ones that it has not are null."""
    lacking = [name for name in columns if name not in frame.columns]
    nulls = (pl.lit(None, pl.Float64).alias(name) for name in lacking)
    return frame.with_columns(nulls) if lacking else frame


def _pieces_text(views: Sequence[SeriesView]) -> str:
    """Say what an answer is made of."""
    found = [piece for view in views for piece in view.pieces]
    sealed = sum(piece.cell is not None for piece in found)
    loose = sum(piece.rows.num_rows for piece in found if piece.cell is None)
    packs = len({pack.name for view in views for pack in view.packs})
    return f"{_count(sealed, 'cell')} in {_count(packs, 'pack')}, {_count(loose, 'loose row')}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
