"""Threads that work ahead: that there are some on any machine, and which there are."""

import threading

import pytest

from mdstore.store import ahead

__all__ = ["threads", "two_cores"]


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """Of a module that imports it: on one core nothing is done ahead."""
    monkeypatch.setattr(ahead, "_cores", lambda: 2)


def threads():
    """Return those that are at work."""
    return {one for one in threading.enumerate() if one.name == "mdstore-ahead"}
