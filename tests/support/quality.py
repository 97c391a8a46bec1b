"""Calm bars to put faults into, and what is found in them."""

import math
from functools import cache

import polars as pl

from mdstore.analysis.quality_checks import findings
from mdstore.analysis.resample import resample
from mdstore.core.schema import VALUES
from mdstore.core.timeframe import Timeframe
from tests.support.candles import MINUTE, START
from tests.support.real import real

tf = Timeframe.parse
LATER = 2_000_000_000_000  # 2033
BAD_TICKS = (10, 0.1, 2, 1.3, 1 / 1.3)
BARS = 600


def stamps(times):
    return pl.Series("timestamp", times, dtype=pl.Int64).cast(pl.Datetime("ms", "UTC"))


@cache
def calm(bars=BARS, *, step=MINUTE, start=START):
    """Return candles of a market that moves about 0.1 % a bar, and never on its own makes a finding."""
    noise = [(i * 7919 % 1009 / 1009 - 0.5) / 500 for i in range(bars)]
    closes = [50_000 * math.exp(math.sin(i / 40) / 50 + noise[i]) for i in range(bars)]
    opens = [*closes[:1], *closes[:-1]]
    pairs = list(zip(opens, closes, strict=True))
    return pl.DataFrame(
        {
            "timestamp": stamps([start + i * step for i in range(bars)]),
            "open": opens,
            "high": [max(pair) * 1.0003 for pair in pairs],
            "low": [min(pair) / 1.0003 for pair in pairs],
            "close": closes,
            "volume": [1 + (i * 31) % 97 / 10 for i in range(bars)],
        }
    )


def put(frame, name, **values):
    """Return the frame with other values in a column: `i7=3.0` puts 3.0 into row 7."""
    column = frame[name].to_list()
    for row, value in values.items():
        column[int(row[1:])] = value
    return frame.with_columns(pl.Series(name, column, dtype=frame.schema[name]))


def times_of(frame, *rows):
    return [frame["timestamp"][row] for row in rows]


def found(frame, timeframe="1m", **options):
    return findings(frame, tf(timeframe), **{"now": LATER, **options})


def only(frame, check, timeframe="1m", **options):
    """Return the only finding, which must be of `check`, as a dict."""
    result = found(frame, timeframe, **options)
    assert result["check"].to_list() == [check], result["detail"].to_list()
    return result.row(0, named=True)


def made_of(frame, source, target):
    """Return bars made of others, with how many they are made of and of how many they could be."""
    source, target = tf(source), tf(target)
    start = target.floor_expr(pl.col("timestamp").to_physical()).cast(pl.Datetime("ms", "UTC"))
    parts = frame.group_by(start.alias("timestamp")).agg(pl.len().cast(pl.Int64).alias("parts"))
    bars = resample(frame, source, target).join(parts, on="timestamp", maintain_order="left")
    return bars.with_columns(whole=pl.lit(target.ms // source.ms, pl.Int64))


@cache
def stock(path):
    frame = pl.read_csv(path, schema_overrides=dict.fromkeys(VALUES, pl.Float64))
    return frame.select(
        pl.col("date").str.to_datetime(time_unit="ms", time_zone="UTC").alias("timestamp"), *VALUES
    )


def stocks():
    return sorted(real("sp500").glob("*_data.csv"))
