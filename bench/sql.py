"""SQL over an unchanged store: what `store.sql` adds to DuckDB itself.

Raw is DuckDB over the same candles as one Arrow table that is held and registered already, its answer taken
as a Polars frame: the rows of one series where one is asked for. The store has looked whether it changed.
"""

from __future__ import annotations

import duckdb
import polars as pl

import mdstore
from bench.measure import Line, Report, interleave, ready, verify
from bench.scale import Scale

__all__ = ["run"]

ROUNDS = 60
MOST_MS = 1.0
COUNT = 1_000
OURS = {
    "SELECT 1": "SELECT 1 AS one",
    "latest 1,000 of a series": "SELECT * FROM candles WHERE symbol = '{name}' AND timeframe = '1m' "
    f"ORDER BY timestamp DESC LIMIT {COUNT}",
    "a series": "SELECT * FROM candles WHERE symbol = '{name}' AND timeframe = '1m'",
    "mean, max and sum by symbol": "SELECT symbol, avg(close) AS a, max(high) AS h, sum(volume) AS v "
    "FROM candles WHERE timeframe = '1m' GROUP BY symbol",
}
THEIRS = {
    "SELECT 1": "SELECT 1 AS one",
    "latest 1,000 of a series": f"SELECT * FROM one ORDER BY timestamp DESC LIMIT {COUNT}",
    "a series": "SELECT * FROM one",
    "mean, max and sum by symbol": "SELECT symbol, avg(close) AS a, max(high) AS h, sum(volume) AS v "
    "FROM every GROUP BY symbol",
}


def run(scale: Scale) -> Report:
    """Measure four queries, each again and again."""
    report = Report("sql", "SQL over an unchanged store, and DuckDB over the same table, registered")
    made = scale.large()
    name = made.names[1]
    with mdstore.open(made.path) as store, duckdb.connect() as raw:
        raw.register("every", store.arrow(made.names, "1m"))
        raw.register("one", store.arrow(name, "1m"))
        for what, query in OURS.items():
            ours, theirs = query.format(name=name), THEIRS[what]
            _verify(store.sql(ours), raw.execute(theirs).pl())
            turns = {
                "mdstore": ready(lambda ours=ours: store.sql(ours)),  # type: ignore[misc]
                "raw": ready(lambda theirs=theirs: raw.execute(theirs).pl()),  # type: ignore[misc]
            }
            times = interleave(turns, scale.rounds(ROUNDS), most=20)
            ms, raw_ms = times.median("mdstore") * 1e3, times.median("raw") * 1e3
            target = f"<= raw + {MOST_MS:g} ms"
            line = Line(what, ms, "ms", raw_ms, times.ratio("mdstore", "raw"), target, ms <= raw_ms + MOST_MS)
            report.lines.append(line)
    return report


def _verify(ours: pl.DataFrame, theirs: pl.DataFrame) -> None:
    shared = [name for name in theirs.columns if name != "timestamp"]
    ordered = [frame.with_columns(pl.col(pl.Categorical).cast(pl.String)) for frame in (ours, theirs)]
    one, other = (frame.select(shared).sort(shared) for frame in ordered)
    verify(len(one) > 0, "there is an answer")
    for name in shared:
        same = one[name].equals(other[name]) or _is_close(one[name], other[name])
        verify(same, f"the store gives DuckDB's own {name}")


def _is_close(one: pl.Series, other: pl.Series) -> bool:
    """Tell whether sums are the same but for the order in which they were added up."""
    return bool(((one - other).abs() <= one.abs() * 1e-9).all())
