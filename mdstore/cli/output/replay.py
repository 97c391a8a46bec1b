"""What `mdstore replay` prints: each symbol at the end of a recording, with its trades drawn small."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from mdstore.cli.output.replayed_bars import ReplayedBars
from mdstore.cli.shared.json_text import records
from mdstore.cli.shared.progress import WorkProgress
from mdstore.cli.shared.spark import spark
from mdstore.cli.shared.table import Column, print_grid, room
from mdstore.cli.shared.texts import count
from mdstore.errors import FileFormatError, MarketDataError
from mdstore.realtime.cache import RealtimeDataCache
from mdstore.realtime.rows import Depth, Ticker, Trade
from mdstore.reports.text_chart import digits
from mdstore.sources.recordings.replay import Replayed, replay

__all__ = ["Playing"]

# Columns that are left out where a line is wider than the terminal, the first first.
SPARE = ("tickers", "books", "lag_ms", "ask", "bid")
TABLES: tuple[tuple[str, type], ...] = (("trades", Trade), ("books", Depth), ("tickers", Ticker))


class Playing:
    """Recordings played into a cache. After Ctrl-C or a broken line, what was played until then is shown."""

    def __init__(self, cache: RealtimeDataCache, remarks: Console, timeframes: Sequence[str] = ()) -> None:
        self.interrupted = False
        self.error: MarketDataError | None = None
        self._cache = cache
        self._bars = ReplayedBars(cache.live, timeframes) if timeframes else None
        self._remarks = remarks
        self._counts: Counter[tuple[str, type]] = Counter()
        self._result: Replayed | None = None
        self._symbols = pl.DataFrame()
        self._stats: dict[str, dict[str, Any]] = {}

    def run(self, paths: Sequence[Path], venue: str | None, speed: float | None, *, strict: bool) -> None:
        """Play recordings; options as in `MarketDataStore.replay`. Raise if nothing could be played."""
        for table in self._cache.tables.values():
            table.add_listener(_Tally(self._counts))
        with WorkProgress(self._remarks, "playing", "messages") as progress:
            try:
                self._result = replay(
                    paths, self._cache, venue=venue, speed=speed, strict=strict,
                    progress=lambda done: progress(done, 0),
                )  # fmt: skip
            except KeyboardInterrupt:
                self.interrupted = True
            except FileFormatError as error:
                if self._cache.is_empty:
                    raise
                self.error = error
        self._symbols = self._seen()
        self._stats = self._cache.stats()

    @property
    def unread(self) -> int:
        """How much could not be read, and was left out."""
        return 0 if self._result is None else self._result.unread

    def record(self, *, saved: bool) -> dict[str, Any]:
        """Return what was played, for programs."""
        result = self._result
        played: dict[str, Any] = {} if result is None else {
            "venue": result.venue, "messages": result.messages, "skipped": result.skipped,
            "seconds": result.seconds, "klines": result.klines, "unread": result.unread,
            "first_unread": result.first_unread, "cut": result.cut,
        }  # fmt: skip
        late = {
            name: {what: self._stats[name][what] for what in ("late", "duplicates")}
            for name in self._cache.tables
        }
        stored = {"bars_stored": self._cache.live.stats()["landed"]} if saved else {}
        bars = {} if self._bars is None else {"bars": records(self._bars.frame())}
        return {**played, **stored, "rows": late, "symbols": records(self._symbols), **bars}

    def print(self, out: Console, remarks: Console, *, saved: bool) -> None:
        """Print what was played, for eyes."""
        if not self._symbols.is_empty():
            print_grid(out, [_column(self._symbols[name]) for name in self._symbols.columns], room(out))
        if self._bars is not None:
            self._bars.print(out)
        if self.interrupted:
            remarks.print("interrupted: this is what was played until then")
        for remark in self._remarks_on(saved=saved):
            remarks.print(remark, highlight=False)

    def _remarks_on(self, *, saved: bool) -> Iterator[str]:
        result = self._result
        if result is not None:
            none = f", {result.skipped:,} of them without a row" if result.skipped else ""
            yield f"{count(result.messages, 'message')}{none}: {result.seconds:,.1f} s of {result.venue}"
            yield from _left_out(result)
            if result.waiting:
                yield (
                    f"no order books of {', '.join(result.waiting)}: their diffs wait for a snapshot. "
                    "Hint: give the recording of REST answers, too"
                )
        for name in self._cache.tables:
            stats = self._stats[name]
            if stats["late"] or stats["duplicates"]:
                yield f"{name}: {stats['late']:,} late, {stats['duplicates']:,} repeated"
        live = self._cache.live.stats()
        if live["series"]:
            stored = (
                f"{count(int(live['landed'] or 0), 'bar')} stored" if saved else "no bar stored (--save does)"
            )
            yield (
                f"{stored}; {live['closed']} have closed, {live['forming']} are forming, "
                f"{live['partial']} were not seen from start to end"
            )

    def _seen(self) -> pl.DataFrame:
        """Return each symbol as it stands at the end of the recording."""
        symbols = sorted({symbol for symbol, _ in self._counts})
        lines = [self._line(symbol) for symbol in symbols]
        return pl.DataFrame(lines, orient="row") if lines else pl.DataFrame()

    def _line(self, symbol: str) -> dict[str, Any]:
        ticker, book = self._cache.tickers.latest(symbol), self._cache.orderbooks.latest(symbol)
        trade = self._cache.trades.latest(symbol)
        last = max(
            (row for row in (ticker, trade) if row is not None), key=lambda row: row.timestamp, default=None
        )
        best = book if book is not None else ticker
        return {
            "symbol": symbol,
            **{name: self._counts[symbol, kind] for name, kind in TABLES},
            "price": None if last is None else last.price,
            "trend": spark(self._cache.trades.window(symbol)["price"].to_list()),
            "bid": _best(best, "bid"),
            "ask": _best(best, "ask"),
            "lag_ms": self._lag(symbol),
        }

    def _lag(self, symbol: str) -> int | None:
        """Return the median time (ms) from the exchange to the recorder: of trades, or else of books."""
        for table in (self._cache.trades, self._cache.orderbooks):
            rows = table.window(symbol)
            if len(rows):
                on_its_way = rows["received"].dt.epoch("ns") - rows["timestamp"].dt.epoch("ns")
                return round(float(on_its_way.median() or 0.0) / 1e6)  # type: ignore[arg-type]
        return None


def _left_out(result: Replayed) -> Iterator[str]:
    """Say what could not be read."""
    if result.cut:
        more = f" and of {len(result.cut) - 1:,} more" if len(result.cut) > 1 else ""
        yield f"the end of {result.cut[0]}{more} is not there, as of a recorder that was killed"
    if result.unread:
        what = f"{count(result.unread, 'place')} could not be read"
        yield f"{what}, and bars that may lack a trade are not whole: {result.first_unread}"


def _column(values: pl.Series) -> Column:
    """Return a column of the table. Each price has the digits that it needs: BTC-PAX is at 0.00002022."""
    if values.dtype == pl.Float64:
        cells = ["" if value is None else f"{value:,.{digits([value])}f}" for value in values]
    elif values.dtype.is_integer():
        cells = ["" if value is None else f"{value:,}" for value in values]
    else:
        cells = values.cast(pl.String).fill_null("").to_list()
    spare = SPARE.index(values.name) if values.name in SPARE else None
    return Column(values.name, cells, right=values.dtype.is_numeric(), spare=spare)


class _Tally:
    """Counts rows by symbol and kind."""

    def __init__(self, counts: Counter[tuple[str, type]]) -> None:
        self._counts = counts

    def offer(self, row: Any) -> None:
        self._counts[row.symbol, type(row)] += 1


def _best(row: Any, side: str) -> float | None:
    if isinstance(row, Depth):
        prices: Sequence[float] = getattr(row, f"{side}_prices")
        return prices[0] if prices else None
    best: float | None = getattr(row, side, None)
    return best
