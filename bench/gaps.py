"""What is known besides the candles: holes, what is missing, the past, and what writing it down costs.

A write is compared with the same write without its ledger (arrivals, revisions, marks), in the same turns; a
read as of now with the plain read; holes with the difference of times that are in memory already.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import polars as pl

import mdstore
from bench import candles
from bench.measure import Line, Report, Turn, interleave, ready, verify
from bench.scale import Scale, scratch
from mdstore.candles.writes import batch
from mdstore.candles.writes.bar_changes import Changes

__all__ = ["run"]

BARS = 1_500_000
SERIES, HUGE_SERIES = 20, 200
EVERY = 1_500  # one bar in 1,500 is not there
PAGES = 1_000
ROUNDS = 15
FEED = 500
MINUTE = candles.MINUTE


def run(scale: Scale) -> Report:
    """Measure holes and the past on large series, then the writes."""
    report = Report("gaps", "Holes, what is missing, the past, and what noting it costs")
    bars, series = scale.rows(BARS), HUGE_SERIES if scale.huge else max(2, round(SERIES * scale.effort))
    with scratch() as folder:
        with _opened(folder / "large.sqlite3", scale, bars, series) as store:
            _holes(store, bars, series, scale, report)
            _past(store, bars, scale, report)
        _writes(folder, scale, report)
    return report


@contextmanager
def _opened(path: Path, scale: Scale, bars: int, series: int) -> Iterator[mdstore.MarketDataStore]:
    """Yield a store of series with holes, one complete, and one of which four bars in ten are not there."""
    whole = candles.frame(bars, seed=1)
    number = pl.int_range(pl.len())
    with mdstore.open(path) as store:
        store.write("WHOLE", "1m", whole)
        store.write("THIN", "1m", whole.filter((number * 2_654_435_761) % 10 >= 4), covers=_span(bars))
        for at in range(series):
            scale.say(f"series {at + 1} of {series}")
            store.write(f"S{at:03}", "1m", whole.filter(number % EVERY != at + 1), source="bench")
        yield store


def _span(bars: int) -> tuple[int, int]:
    return candles.START, candles.START + bars * MINUTE


def _holes(store: mdstore.MarketDataStore, bars: int, series: int, scale: Scale, report: Report) -> None:
    start, end = _span(bars)
    names = [f"S{at:03}" for at in range(series)]
    found = store.gaps("S000", "1m")
    times = store.candles("S000", "1m")["timestamp"].to_physical()
    verify(found["bars"].sum() == bars - len(times) == len(found), "every hole of a series is found")
    verify(store.gaps(names, "1m")["bars"].sum() > 0, "holes of all series are found")
    verify(store.missing("THIN", "1m", start=start, end=end).is_empty(), "what was answered is not missing")
    scale.say("holes")
    turns: dict[str, Turn] = {
        "raw": ready(lambda: times.diff().gt(MINUTE).arg_true()),
        "holes": ready(lambda: store.gaps("S000", "1m")),
        "whole": ready(lambda: store.gaps("WHOLE", "1m")),
        "thin": ready(lambda: store.gaps("THIN", "1m")),
        "all": ready(lambda: store.gaps(names, "1m")),
        "ledger": ready(lambda: store.missing("THIN", "1m", start=start, end=end, page=200)),
    }
    taken = interleave(turns, scale.rounds(ROUNDS), most=10.0)
    text = f"{bars:,} bars"
    report.lines += [
        Line.of_times(f"gaps, {text}, {len(found):,} holes", taken, "holes", most_ms=30),
        Line.of_times(f"gaps, {text}, none missing", taken, "whole", most_ms=30),
        Line.of_times(f"gaps, {bars * 6 // 10:,} bars, 4 in 10 missing", taken, "thin"),
        Line.of_times(f"gaps, {series} series of {text}", taken, "all", None, most_ms=10.0 * series),
        Line.of_times(f"missing, {text}, from the ledger", taken, "ledger", None, most_ms=5),
    ]
    for page in range(PAGES):  # every second page has been asked for
        low = start + page * (bars // PAGES) * MINUTE
        store.cover("WHOLE", "1m", start=low, end=low + (bars // PAGES // 2) * MINUTE, source="bench")
    taken = interleave({"mdstore": ready(lambda: store.missing("WHOLE", "1m", start=start, end=end))}, 5)
    report.lines.append(Line.of_times(f"missing, {PAGES:,} intervals in the ledger", taken, raw=None))


def _past(store: mdstore.MarketDataStore, bars: int, scale: Scale, report: Report) -> None:
    scale.say("the past")
    rows = bars // 30
    start = candles.START + 10_000 * MINUTE
    window = {"start": start, "end": start + rows * MINUTE}
    now = int(time.time() * 1000)
    then = now - 3_600_000
    verify(store.candles("S001", "1m", as_of=then).is_empty(), "an hour ago nothing was known")
    plain, as_of = store.candles("S001", "1m", **window), store.candles("S001", "1m", **window, as_of=now)
    verify(plain.equals(as_of), "as of now is the plain read")

    def many(read: Callable[[], object]) -> Turn:
        return ready(lambda: [read() for _ in range(200)])

    turns = {
        "plain": many(lambda: store.candles("S001", "1m", **window)),
        "as of": many(lambda: store.candles("S001", "1m", **window, as_of=now)),
        "latest": many(lambda: store.candles("S001", "1m", limit=1000)),
        "latest as of": many(lambda: store.candles("S001", "1m", limit=1000, as_of=now)),
    }
    taken = interleave(turns, scale.rounds(ROUNDS))
    report.lines += [
        Line.of_times(f"200 reads of {rows:,} bars as of now", taken, "as of", "plain", most_ratio=1.1),
        Line.of_times(
            "200 reads of the latest 1,000 as of now", taken, "latest as of", "latest", most_ratio=1.1
        ),
    ]
    taken = interleave(
        {
            "fingerprint": ready(lambda: store.fingerprint("S001", "1m")),
            "verify": ready(lambda: store.verify("S001")),
        },
        scale.rounds(5),
    )
    report.lines += [
        Line.of_times(f"fingerprint of {bars:,} bars", taken, "fingerprint", None),
        Line.of_times(f"verify, {bars:,} bars", taken, "verify", None),
    ]


def _writes(folder: Path, scale: Scale, report: Report) -> None:
    scale.say("writes")
    with mdstore.open(folder / "writes.sqlite3") as store:
        for what, make, rounds in (
            ("one bar", _one, 200),
            (f"one bar of each of {FEED} series", _feed, 40),
            ("200 bars, 199 there", _tail, 100),
            ("a page of 200 bars, covered", _page, 200),
            ("100,000 bars", partial(_bulk, rows=scale.rows(100_000)), 15),
        ):
            # Each way writes to series of its own; their pages follow each other, as those of a fetch do.
            turns = {"mdstore": _with(make(store, "WITH")), "without": _without(make(store, "WITHOUT"))}
            taken = interleave(turns, scale.rounds(rounds))
            report.lines.append(Line.of_times(f"write: {what}", taken, raw="without", most_ratio=1.1))


Write = Callable[[], Callable[[], object]]


def _with(make: Write) -> Turn:
    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        yield make()

    return turn


def _without(make: Write) -> Turn:
    """Write without arrivals, revisions, coverage and marks."""
    nothing: Mapping[str, object] = {}

    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        call = make()
        with (
            patch.object(Changes, "alone", None),
            patch.object(Changes, "record", lambda *_: []),
            patch.object(Changes, "mark", lambda *_: None),
            patch.object(Changes, "unmark", lambda *_: None),
            patch.object(batch.claims, "enter", lambda *_, **__: None),
            patch.object(batch.unfinished, "of", lambda *_: nothing),
        ):
            yield call

    return turn


def _long_ago() -> int:
    """Return the start (ms) of a minute a week ago: as close to now as a live feed's bars, nearly."""
    return (int(time.time() * 1000) - 7 * 86_400_000) // MINUTE * MINUTE


def _one(store: mdstore.MarketDataStore, name: str) -> Write:
    minutes = itertools.count(_long_ago(), MINUTE)

    def make() -> Callable[[], object]:
        row = (next(minutes), 1.5, 2.5, 0.5, 2.25, 3.125)
        return lambda: store.write(f"ONE-{name}", "1m", [row])

    return make


def _feed(store: mdstore.MarketDataStore, name: str) -> Write:
    minutes = itertools.count(_long_ago(), MINUTE)
    symbols = [f"{candles.symbol(number)}-{name}" for number in range(FEED)]

    def make() -> Callable[[], object]:
        row = {"timestamp": next(minutes), "open": 1.5, "high": 2.5, "low": 0.5, "close": 2.25, "volume": 3.0}
        frame = pl.DataFrame([{"symbol": symbol, **row} for symbol in symbols])
        return lambda: store.write_many(frame, timeframe="1m", source="feed")

    return make


def _tail(store: mdstore.MarketDataStore, name: str) -> Write:
    ends, every = itertools.count(200), candles.frame(2_000, seed=3)

    def make() -> Callable[[], object]:
        frame = every.slice(next(ends) - 200, 200)
        return lambda: store.write(f"TAIL-{name}", "1m", frame, source="poll")

    return make


def _page(store: mdstore.MarketDataStore, name: str) -> Write:
    pages, every = itertools.count(), candles.frame(100_000, seed=4)

    def make() -> Callable[[], object]:
        at = next(pages) * 200
        frame, low = every.slice(at, 200), candles.START + at * MINUTE
        span = (low, low + 200 * MINUTE)
        return lambda: store.write(f"PAGE-{name}", "1m", frame, source="fetch", covers=span)

    return make


def _bulk(store: mdstore.MarketDataStore, name: str, *, rows: int) -> Write:
    numbers, frame = itertools.count(), candles.frame(rows, seed=5)

    def make() -> Callable[[], object]:
        symbol = f"BULK-{name}-{next(numbers)}"
        return lambda: store.write(symbol, "1m", frame, source="bulk")

    return make
