"""Prices and volumes that stick out of those around them.

Scores are robust: a size over 1.4826 times a median, which for normal values is their standard deviation
(P. J. Rousseeuw, C. Croux, Alternatives to the Median Absolute Deviation, JASA 88, 1993, section 1).
"""

from __future__ import annotations

import polars as pl

__all__ = ["NEIGHBOURS", "SPIKE_SCORE", "VOLUME_SCORE", "spikes", "steps", "volumes"]

# The score from which a price is a spike. Recorded bars that score more: 4 of 47,598 minutes and 5 of 32,780
# hours of Upbit's BTC, none of 13,681 minutes of another exchange's BTC, 3 of 72,870 days of 59 S&P stocks,
# one of these most likely a wrong tick (AME, 2013-10-29). A close that is wrong by 30 % for one bar scores 39
# or more in minutes. In days of stocks it mostly scores 20, and 20 of 753 are missed, in the wildest stocks;
# a close of twice or ten times the price is never missed.
SPIKE_SCORE = 10.0
# The score from which a volume is told, too large or too small. Recorded bars that score more: no minute of
# Upbit's, 11 hours (mostly cut short by maintenance), 7 minutes of the other exchange (tiny trades), 14 days
# of the stocks.
VOLUME_SCORE = 7.0
NORMAL = 1.4826
# How many moves, or volumes, share a median. Medians of blocks take 35 ms for 1.5M bars, a rolling one 430.
BLOCK = 256
FEWEST = 20
# The usual move is taken as no less than this part of the whole series' usual move: else the first trades
# after a quiet night would be spikes.
CALM = 1 / 3
# The relative rounding error of prices: those adjusted for splits differ by as much between equal bars.
NOISE = 1e-12
# The least spread of the logarithm of volumes, about 10 %; without it any change of a constant volume would
# be extreme.
LEAST_SPREAD = 0.1
# How many new shares are given for an old one, or old ones for a new one. In 72,870 days of stocks no price
# moves by more than 1.39 times (a spin-off) from a close to the next open, and an open is seldom further than
# 4 % from the adjusted close.
SPLITS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 100.0)
SPLIT_TOLERANCE = 0.04
LEAST_SPLIT, STAYS = 1.4, 1.2
STAYING = (("longer_before", "before"), ("open_before", "before"), ("close", "open"), ("after", "open"))
NO_SCORE = pl.lit(0.0).alias("score")
# A price, and the two prices that it should equal or lie between.
NEIGHBOURS = (
    ("close", "before", "after"), ("open", "before", "close"), ("high", "open", "close"),
    ("low", "open", "close"),
)  # fmt: skip


def spikes(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the bars with a price that leaves its neighbours and comes back.

    `rows` are `start` and the values, ascending, their prices positive. Added are `before` and `after` (the
    closes beside), `scores` (a list, one for each of `NEIGHBOURS`) and `score`, the greatest.
    """
    move = rows["close"].log().diff().abs()
    moved = (move > NOISE).fill_null(value=False)
    if moved.sum() < FEWEST:
        return rows.clear().with_columns(NO_SCORE)
    scales = _scales(move.filter(moved))
    # Bars without a move are left out, so that a market which seldom moves has the scale of its moves.
    place = (moved.cum_sum().cast(pl.Int64) - 1).clip(0) // BLOCK
    near = pl.col("close").shift(1).alias("before"), pl.col("close").shift(-1).alias("after")
    rows = rows.with_columns(*near, place.alias("place"))
    # Products find the few that may be spikes; logarithms, 6 ms a column, are taken of these alone.
    factor = (SPIKE_SCORE * pl.lit(scales).min()).exp()
    rows = rows.filter(pl.any_horizontal(_beyond(*names, factor) for names in NEIGHBOURS))
    scores = [_distance(*names) / pl.lit(scales).gather(pl.col("place")) for names in NEIGHBOURS]
    rows = rows.with_columns(pl.max_horizontal(scores).alias("score")).filter(pl.col("score") > SPIKE_SCORE)
    return rows.with_columns(pl.concat_list(scores).alias("scores"))


def _scales(moves: pl.Series) -> pl.Series:
    """Return the usual move around each block of moves: the largest median of it and the blocks beside it."""
    medians = _medians(moves)
    least = pl.lit(medians.median()) * CALM
    beside = pl.max_horizontal(medians, medians.shift(1), medians.shift(-1), least)
    return pl.select(NORMAL * beside).to_series()


def _medians(values: pl.Series) -> pl.Series:
    """Return the median of each `BLOCK` values; of the last `BLOCK` where a shorter block is left over."""
    blocks, left = divmod(len(values), BLOCK)
    whole = values.head(blocks * BLOCK).reshape((blocks, BLOCK)).arr.median()
    return whole.append(pl.Series([values.tail(BLOCK).median()], dtype=pl.Float64)) if left else whole


def _beyond(name: str, one: str, other: str, factor: pl.Expr) -> pl.Expr:
    price, one_, other_ = pl.col(name), pl.col(one), pl.col(other)
    above = (price > one_ * factor) & (price > other_ * factor)
    return above | ((price * factor < one_) & (price * factor < other_))


def _distance(name: str, one: str, other: str) -> pl.Expr:
    """Return how far a price lies outside of two others, as a difference of logarithms; negative inside."""
    one_, other_ = pl.col(name).log() - pl.col(one).log(), pl.col(name).log() - pl.col(other).log()
    nearest = pl.min_horizontal(one_.abs(), other_.abs())
    return pl.when(one_ * other_ > 0).then(nearest).otherwise(-nearest)


def steps(rows: pl.DataFrame, apart: int) -> pl.DataFrame:
    """Return the bars before which the price was divided, or multiplied, and stayed so.

    `rows` are `start` and the values, ascending, their prices positive. Of bars that start more than `apart`
    (ms) from each other nothing is said, nor of the last one, which may be a wrong tick. Added are `before`,
    the close before; `moved`, by how many times the price changed; `split`, the one of `SPLITS` which that
    is, or null; `is_up`, whether the price rose; and `score`, how often the usual move that is.
    """
    far = ~(rows["close"].shift(1) / rows["open"]).is_between(1 / LEAST_SPLIT, LEAST_SPLIT)
    if not far.any():
        return rows.clear().with_columns(NO_SCORE, pl.lit(None, pl.Float64).alias("split"))
    close = pl.col("close")
    near = rows.with_columns(
        close.shift(1).alias("before"), close.shift(2).fill_null(close.shift(1)).alias("longer_before"),
        pl.col("open").shift(1).alias("open_before"), close.shift(-1).alias("after"),
    ).filter(far & (rows["start"].diff() <= apart))  # fmt: skip
    move = rows["close"].log().diff().abs()
    usual = NORMAL * pl.lit(move.filter(move > NOISE).median())
    up = pl.col("open") / pl.col("before")
    near = near.with_columns((up > 1).alias("is_up"), pl.max_horizontal(up, 1 / up).alias("moved"))
    split = pl.lit(None, pl.Float64)
    for ratio in SPLITS:
        split = pl.when((pl.col("moved") / ratio - 1).abs() < SPLIT_TOLERANCE).then(ratio).otherwise(split)
    near = near.with_columns(split.alias("split"))
    near = near.with_columns((pl.coalesce("split", "moved").log() / usual).alias("score"))
    stays = [(pl.col(name) / pl.col(beside)).is_between(1 / STAYS, STAYS) for name, beside in STAYING]
    return near.filter(pl.all_horizontal(stays) & (pl.col("score") > SPIKE_SCORE))


def volumes(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the bars whose volume is far from those around them.

    `rows` are `start` and `volume`, ascending. Added are `usual`, the median of the volumes around; `times`
    which the volume is that; and `score`, negative where there is too little.
    """
    rows = rows.filter(pl.col("volume") > 0)
    if len(rows) < FEWEST:
        return rows.clear().with_columns(NO_SCORE)
    logs = rows["volume"].log()
    place = pl.int_range(len(rows), eager=True) // BLOCK
    usual = _medians(logs)
    above = logs - usual.gather(place)
    spreads = _medians(above.abs())
    least = pl.lit(spreads.median()).clip(LEAST_SPREAD)
    scales = pl.select(NORMAL * pl.max_horizontal(spreads, least)).to_series()
    rows = rows.with_columns(above.alias("above"), (above / scales.gather(place)).alias("score"))
    rows = rows.with_columns(place.alias("place")).filter(pl.col("score").abs() > VOLUME_SCORE)
    return rows.with_columns(
        pl.col("above").exp().alias("times"), usual.gather(rows["place"]).exp().alias("usual")
    )
