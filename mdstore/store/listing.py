"""What is stored, what was set aside, where bars came from and how they changed, as frames."""

from __future__ import annotations

import polars as pl

from mdstore.candles.repository import CandleRepository
from mdstore.core.schema import QUARANTINE, VALUES

__all__ = ["Listing"]

TIME = pl.Datetime("ms", "UTC")
SERIES = {
    "symbol": pl.Categorical, "timeframe": pl.String, "first": pl.Int64, "last": pl.Int64,
    "rows": pl.Int64, "bytes": pl.Int64, "revision": pl.Int64,
}  # fmt: skip
FROZEN = {
    "symbol": pl.Categorical, "timeframe": pl.String, "frozen_rows": pl.Int64, "frozen_bytes": pl.Int64,
}  # fmt: skip
ROW_BYTES = 75
"""Of a row of the table `candles`, about."""
STORED = tuple(name for name in SERIES if name != "bytes")
PROVENANCE = {
    "symbol": pl.Categorical, "timeframe": pl.String, "start": pl.Int64, "end": pl.Int64,
    "source": pl.String, "arrived_first": pl.Int64, "arrived_last": pl.Int64,
}  # fmt: skip
TEXTS = pl.List(pl.String)
DECLARED = {
    "name": pl.String(),
    "resample": pl.String(),
    "source": TEXTS,
    "symbols": TEXTS,
    "timeframes": TEXTS,
}
REVISIONS = {
    "symbol": pl.Categorical, "timeframe": pl.String, "timestamp": pl.Int64, "changed_at": pl.Int64,
    **dict.fromkeys(VALUES, pl.Float64), **{f"new_{name}": pl.Float64 for name in VALUES},
    "source": pl.String,
}  # fmt: skip


class Listing:
    """The small tables of one file."""

    def __init__(self, candles: CandleRepository) -> None:
        self._candles = candles
        # The series as they were at a revision of the file: 10,000 of them take 6 ms to read.
        self._known: tuple[int, pl.DataFrame] = (-1, pl.DataFrame())

    def series(self) -> pl.DataFrame:
        """Return every series; its bytes are its share of the file, see `_takes`."""
        known, stored = self._known
        revision, rows, size, frozen = self._candles.series(known)
        if rows is not None:
            values = zip(*rows, strict=True) if rows else ((),) * len(STORED)
            stored = pl.DataFrame(
                [pl.Series(name, column, SERIES[name]) for name, column in zip(STORED, values, strict=True)]
            ).with_columns(pl.col("first", "last").cast(TIME))
            self._known = revision, stored
        takes = _takes(stored, frozen)
        share = (takes * (size / max(takes.sum(), 1))).cast(pl.Int64)
        return stored.with_columns(share).select(tuple(SERIES))

    def keys(self) -> list[tuple[str, str]]:
        """Return symbol and timeframe of every series."""
        series = self.series()
        return list(zip(series["symbol"].to_list(), series["timeframe"].to_list(), strict=True))

    def lasts(self, timeframe: str) -> dict[str, int]:
        """Return the last bar (ms) of each symbol of which bars of a timeframe are stored."""
        series = self.series().filter(pl.col("timeframe") == timeframe)
        return dict(zip(series["symbol"].to_list(), series["last"].to_physical().to_list(), strict=True))

    def quarantine(self) -> pl.DataFrame:
        """Return the rows that were set aside, oldest first."""
        frame = pl.DataFrame(self._candles.quarantine(), schema=pl.Schema(QUARANTINE), orient="row")
        return frame.with_columns(pl.col("quarantined_at").cast(TIME))

    def provenance(self, symbol: str | None, timeframe: str | None) -> pl.DataFrame:
        """Return where bars came from; intervals behind each other from one source are one."""
        rows = self._candles.ledger.provenance(symbol, timeframe)
        frame = pl.DataFrame(rows, PROVENANCE, orient="row")
        arrived = pl.col("arrived_first", "arrived_last")
        return frame.with_columns(
            pl.col("start", "end").cast(TIME),
            pl.when(pl.col("source") != "").then("source"),
            pl.when(arrived > 0).then(arrived).cast(TIME),
        )

    def declared(self) -> pl.DataFrame:
        """Return the columns that are declared."""
        extras = self._candles.ledger.declared()
        rows = [(one.name, one.resample, one.source, one.symbols, one.timeframes) for one in extras]
        return pl.DataFrame(rows, DECLARED, orient="row")

    def revisions(self, symbol: str | None, timeframe: str | None, start: int, end: int) -> pl.DataFrame:
        """Return the changes of bars that had ended."""
        rows = self._candles.ledger.revisions(symbol, timeframe, start, end)
        names = [one.name for one in self._candles.ledger.declared()]
        more = dict.fromkeys((*names, *(f"new_{name}" for name in names)), pl.Float64)
        frame = pl.DataFrame(rows, {**REVISIONS, **more}, orient="row")
        return frame.with_columns(
            pl.col("timestamp", "changed_at").cast(TIME), pl.when(pl.col("source") != "").then("source")
        )


def _takes(stored: pl.DataFrame, frozen: list[tuple[str, str, int, int]]) -> pl.Series:
    """Return about how many bytes the rows of each series take: so many each, or their frozen pieces."""
    plain = (stored["rows"] * ROW_BYTES).alias("bytes")
    if not frozen:
        return plain
    pieces = pl.DataFrame(frozen, FROZEN, orient="row")
    held = stored.join(pieces, on=("symbol", "timeframe"), how="left", maintain_order="left")
    return plain + (held["frozen_bytes"] - held["frozen_rows"] * ROW_BYTES).fill_null(0)
