"""How often a law is tried: a quarter of the times in the suite, all of them by `./dev long`."""

import os

__all__ = ["FULL", "dose"]

FULL = "MDSTORE_FULL_DOSE" in os.environ


def dose(full):
    """Return how many examples, rounds or seconds to take of so many."""
    return full if FULL else max(1, full // 4)
