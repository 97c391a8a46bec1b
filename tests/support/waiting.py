"""Waiting for what another thread does."""

import time


def until(condition, seconds=60):
    """Wait until something holds; what never comes fails the test."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "never came"
        time.sleep(0.01)
