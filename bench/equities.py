"""Many short series, as equities have them: daily bars of five years, where a file for each symbol loses."""

from __future__ import annotations

from pathlib import Path

from bench.data import Data, days
from bench.make import complete
from bench.measure import Report
from bench.peers import absent, ours
from bench.scale import Scale
from bench.versus import Work, compare, opened
from mdstore.candles.file import migrations

__all__ = ["run"]

SYMBOLS, BARS, SCREEN = 505, 1_260, 200


def run(scale: Scale) -> Report:
    """Compare everybody on the reads that go over all symbols."""
    data = days(scale.rows(SYMBOLS), BARS)
    report = Report("equities", f"{len(data.frames)} daily series of {BARS:,} rows, mdstore and others")
    works = [
        Work(f"screen of the latest {SCREEN}", lambda reads: reads.screen(SCREEN), 10, ordered=False),
        Work("mean, max, sum of all", lambda reads: reads.universe(), 8, ordered=False),
        Work("days to weeks", lambda reads: reads.resample("1w"), 60, added=("volume",), ordered=False),
        Work("all rows as one frame", lambda reads: reads.everything()),
    ]
    with opened(data, store_of(data), scale) as field:
        compare(report, field, works, scale)
    report.notes += absent()
    return report


def store_of(data: Data) -> Path:
    """Return mdstore's file of the series, made now unless it is there already."""
    path = data.folder / f"mdstore-schema{migrations.MIGRATIONS[-1].version}.sqlite3"
    if not path.exists():
        data.folder.mkdir(exist_ok=True)
        with complete(path) as partial:
            ours.load(data.frames, partial, data.timeframe)
    return path
