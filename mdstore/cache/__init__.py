"""Caches of answers, each a `DataCache`: in memory, compressed, in files; and for how long they keep what.

>>> import polars as pl
>>> from mdstore.cache import TTL, Key, MemoryCache, SessionTTL
>>> cache = MemoryCache(64_000_000, {"ticker": TTL(5), "sql": SessionTTL(60, 3600)})
>>> cache.put(Key("ticker", ("KRW-BTC",)), pl.DataFrame({"price": [151.0]}))
>>> cache.get(Key("ticker", ("KRW-BTC",))).item()
151.0
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdstore.cache.compressed import CompressedCache
    from mdstore.cache.data_cache import DataCache, Key
    from mdstore.cache.disk import DiskCache
    from mdstore.cache.memory import MemoryCache
    from mdstore.cache.policies import LRU, POLICIES, TTL, Negative, NextBar, Policy, SessionTTL

__all__ = [
    "LRU",
    "POLICIES",
    "TTL",
    "CompressedCache",
    "DataCache",
    "DiskCache",
    "Key",
    "MemoryCache",
    "Negative",
    "NextBar",
    "Policy",
    "SessionTTL",
]

# Imported on first use: every store opens the folder for its own memory, and needs none of them.
_HOME = {
    "CompressedCache": "compressed",
    "DataCache": "data_cache",
    "DiskCache": "disk",
    "Key": "data_cache",
    "MemoryCache": "memory",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'mdstore.cache' has no attribute {name!r}")
    return getattr(import_module(f"mdstore.cache.{_HOME.get(name, 'policies')}"), name)
