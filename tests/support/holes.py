"""Helpers for tests of holes and of what is known of ranges."""

import polars as pl

TIME = pl.Datetime("ms", "UTC")
DAY = 86_400_000


class Clock:
    def __init__(self, ms):
        self.ms = ms

    def __call__(self):
        return self.ms / 1000


def bars_at(times):
    return [(time, 1, 2, 0.5, 1.5, 3) for time in times]


def ms(frame, *columns):
    return frame.select(
        pl.col(column).dt.epoch("ms") if frame[column].dtype == TIME else column for column in columns
    ).rows()
