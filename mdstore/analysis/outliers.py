"""Prices and volumes that stick out of those around them, in one series or many.

Rows of several series lie under each other, those of each together, so that all are judged at once: what
takes a tenth of a millisecond to ask of Polars is asked once, not for each of 10,000 short series.

Scores are robust: a size over 1.4826 times a median, which for normal values is their standard deviation
(P. J. Rousseeuw, C. Croux, Alternatives to the Median Absolute Deviation, JASA 88, 1993, section 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from mdstore.analysis.several_series import beside, first_rows

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

    `rows` are `series`, `start` and the values, those of a series together and ascending, their prices
    positive. Added are `before` and `after` (the closes beside), `scores` (a list, one for each of
    `NEIGHBOURS`) and `score`, the greatest.
    """
    move = _moves(rows)
    rows, move, moved = _with_enough(rows, move, (move > NOISE).fill_null(value=False))
    if rows.is_empty():
        return rows.with_columns(NO_SCORE)
    # Bars without a move are left out, so that a market which seldom moves has the scale of its moves.
    blocks = _Blocks.of(rows["series"], moved)
    scales = _scales(blocks, move.filter(moved))
    least = blocks.of_each(scales, pl.col("value").min())
    near = beside("close", 1).alias("before"), beside("close", -1).alias("after")
    # Products find the few that may be spikes; logarithms, 6 ms a column, are taken of these alone.
    factor = (SPIKE_SCORE * least).exp().gather(blocks.numbers)
    rows = rows.with_columns(*near, blocks.places.alias("place"), factor.alias("factor"))
    beyond = pl.any_horizontal(_beyond(*names, pl.col("factor")) for names in NEIGHBOURS)
    rows = rows.filter(beyond).drop("factor")
    # A column, row by row: by a single number Polars multiplies with its reciprocal, which can differ in the
    # last bit, and a series would not have the same scores alone and in company.
    rows = rows.with_columns(scales.gather(rows["place"]).alias("scale"))
    scores = [_distance(*names) / pl.col("scale") for names in NEIGHBOURS]
    rows = rows.with_columns(pl.max_horizontal(scores).alias("score")).filter(pl.col("score") > SPIKE_SCORE)
    return rows.with_columns(pl.concat_list(scores).alias("scores"))


def _moves(rows: pl.DataFrame) -> pl.Series:
    """Return by how much the logarithm of each close differs from the one before; null of the first."""
    move = rows["close"].log().diff().abs()
    return move.set(first_rows(rows["series"]), None)


def _with_enough(
    rows: pl.DataFrame, values: pl.Series, held: pl.Series
) -> tuple[pl.DataFrame, pl.Series, pl.Series]:
    """Leave out the series of which fewer than `FEWEST` values are held."""
    numbers, counts = _counts(rows["series"], held)
    enough = counts >= FEWEST
    if enough.all():
        return rows, values, held
    kept = enough.gather(numbers)
    return rows.filter(kept), values.filter(kept), held.filter(kept)


def _counts(series: pl.Series, held: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return for each row the number of its series, from 0 on, and how many rows of each are held."""
    ends = series.rle().struct.field("len").cast(pl.Int64).cum_sum()
    until = held.cast(pl.Int64).cum_sum().gather(ends - 1)
    return series.rle_id(), until - until.shift(1, fill_value=0)


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Values of several series in blocks of `BLOCK`; where a shorter one is left over, of the last `BLOCK`.

    `numbers` are those of each row's series, `counts` how many values each has; `places` are the blocks of
    the last value up to each row, and `held` the rows that have a value.
    """

    numbers: pl.Series
    counts: pl.Series
    places: pl.Series
    held: pl.Series

    @classmethod
    def of(cls, series: pl.Series, held: pl.Series) -> _Blocks:
        """Put the rows that are held in blocks; each series has one of them at least."""
        numbers, counts = _counts(series, held)
        sizes, before = -(-counts // BLOCK), counts.cum_sum() - counts
        index = held.cast(pl.Int64).cum_sum() - 1 - before.gather(numbers)
        places = index.clip(0) // BLOCK + (sizes.cum_sum() - sizes).gather(numbers)
        return cls(numbers, counts, places, held)

    @property
    def owners(self) -> pl.Series:
        """The number of the series that each block is of."""
        sizes = -(-self.counts // BLOCK)
        return pl.select(pl.int_range(len(sizes)).repeat_by(pl.lit(sizes)).explode()).to_series()

    def medians(self, values: pl.Series) -> pl.Series:
        """Return the median of each block of values."""
        made = _each(self.places.filter(self.held), values, pl.col("value").median())
        cut = (self.counts > BLOCK) & (self.counts % BLOCK > 0)
        if not cut.any():
            return made
        ends = self.counts.cum_sum().filter(cut)
        last = values.gather(pl.select(pl.int_ranges(ends - BLOCK, ends).explode()).to_series())
        at = (-(-self.counts // BLOCK)).cum_sum().filter(cut) - 1
        return made.scatter(at, last.reshape((len(ends), BLOCK)).arr.median())

    def of_each(self, values: pl.Series, of: pl.Expr) -> pl.Series:
        """Return for each series what `of` makes of the `value` of its blocks."""
        return _each(self.owners, values, of)


def _each(groups: pl.Series, values: pl.Series, of: pl.Expr) -> pl.Series:
    """Return what `of` makes of the `value` of each group; groups ascend."""
    frame = pl.DataFrame({"group": groups.set_sorted(), "value": values})
    return frame.group_by("group", maintain_order=True).agg(of)["value"]


def _scales(blocks: _Blocks, moves: pl.Series) -> pl.Series:
    """Return the usual move around each block of moves: the largest median of it and the blocks beside it."""
    medians, owners = blocks.medians(moves), blocks.owners
    least = blocks.of_each(medians, pl.col("value").median() * CALM).gather(owners)
    frame = pl.DataFrame({"series": owners, "median": medians, "least": least})
    around = pl.max_horizontal("median", beside("median", 1), beside("median", -1), "least")
    return frame.select((NORMAL * around).alias("scale")).to_series()


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

    `rows` are `series`, `start` and the values, those of a series together and ascending, their prices
    positive. Of bars that start more than `apart` (ms) from each other nothing is said, nor of the last one,
    which may be a wrong tick. Added are `before`, the close before; `moved`, by how many times the price
    changed; `split`, the one of `SPLITS` which that is, or null; `is_up`, whether the price rose; and
    `score`, how often the usual move that is.
    """
    near_before = (rows["close"].shift(1) / rows["open"]).is_between(1 / LEAST_SPLIT, LEAST_SPLIT)
    far = ~near_before & ~first_rows(rows["series"])
    if not far.any():
        return rows.clear().with_columns(NO_SCORE, pl.lit(None, pl.Float64).alias("split"))
    rows, far = _of_series_with(rows, far)
    near = rows.with_columns(
        beside("close", 1).alias("before"),
        beside("close", 2).fill_null(beside("close", 1)).alias("longer_before"),
        beside("open", 1).alias("open_before"), beside("close", -1).alias("after"),
        _usual(rows).alias("usual"),
    ).filter(far & (rows["start"].diff() <= apart))  # fmt: skip
    up = pl.col("open") / pl.col("before")
    near = near.with_columns((up > 1).alias("is_up"), pl.max_horizontal(up, 1 / up).alias("moved"))
    split = pl.lit(None, pl.Float64)
    for ratio in SPLITS:
        split = pl.when((pl.col("moved") / ratio - 1).abs() < SPLIT_TOLERANCE).then(ratio).otherwise(split)
    near = near.with_columns(split.alias("split"))
    near = near.with_columns((pl.coalesce("split", "moved").log() / pl.col("usual")).alias("score"))
    stays = [(pl.col(name) / pl.col(beside_)).is_between(1 / STAYS, STAYS) for name, beside_ in STAYING]
    return near.filter(pl.all_horizontal(stays) & (pl.col("score") > SPIKE_SCORE))


def _of_series_with(rows: pl.DataFrame, far: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
    """Leave out the series of which no row is far."""
    numbers, counts = _counts(rows["series"], far)
    kept = (counts > 0).gather(numbers)
    return rows.filter(kept), far.filter(kept)


def _usual(rows: pl.DataFrame) -> pl.Series:
    """Return for each row the usual move of its series; null where it never moves."""
    move, numbers = _moves(rows), rows["series"].rle_id()
    moved = pl.col("value").filter(pl.col("value") > NOISE)
    return (NORMAL * _each(numbers, move, moved.median())).gather(numbers)


def volumes(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the bars whose volume is far from those around them.

    `rows` are `series`, `start` and `volume`, those of a series together and ascending. Added are `usual`,
    the median of the volumes around; `times` which the volume is that; and `score`, negative where there is
    too little.
    """
    rows = rows.filter(pl.col("volume") > 0)
    every = pl.repeat(value=True, n=len(rows), eager=True)
    rows, logs, every = _with_enough(rows, rows["volume"].log(), every)
    if rows.is_empty():
        return rows.with_columns(NO_SCORE)
    blocks = _Blocks.of(rows["series"], every)
    place = blocks.places
    usual = blocks.medians(logs)
    above = logs - usual.gather(place)
    spreads = blocks.medians(above.abs())
    least = blocks.of_each(spreads, pl.col("value").median().clip(LEAST_SPREAD)).gather(blocks.owners)
    scales = pl.select(NORMAL * pl.max_horizontal(spreads, least.alias("least"))).to_series()
    rows = rows.with_columns(above.alias("above"), (above / scales.gather(place)).alias("score"))
    rows = rows.with_columns(place.alias("place")).filter(pl.col("score").abs() > VOLUME_SCORE)
    return rows.with_columns(
        pl.col("above").exp().alias("times"), usual.gather(rows["place"]).exp().alias("usual")
    )
