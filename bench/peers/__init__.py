"""Other ways to keep and read candles, each doing the same work; see `protocol`.

A peer whose package is absent is left out, with a note. They come with `pip install 'mdstore[bench]'`.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.peers.protocol import Frames, Reads

__all__ = ["PEERS", "Peer", "absent", "installed"]

HINT = "pip install 'mdstore[bench]'"


@dataclass(frozen=True, slots=True)
class Peer:
    """A technique: the head of its column, its module here, and the package that it needs."""

    name: str
    module: str
    package: str

    @property
    def here(self) -> bool:
        """Whether its package is installed."""
        return find_spec(self.package) is not None

    def loaded(self, frames: Frames, folder: Path) -> Path:
        """Return its own folder in `folder`, filled now unless it is there already."""
        own = folder / self.module
        if not own.exists():
            partial = folder / f"{self.module}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            self._code.load(frames, partial)
            partial.rename(own)
        return own

    def open(self, own: Path) -> Reads:
        """Open what `loaded` has made."""
        reads: Reads = self._code.Reads(own)
        return reads

    @property
    def _code(self) -> Any:
        return import_module(f"bench.peers.{self.module}")


PEERS = (
    Peer("Feather", "feather", "pyarrow"),
    Peer("Parquet", "parquet", "polars"),
    Peer("DuckDB", "duck", "duckdb"),
    Peer("ArcticDB", "arctic", "arcticdb"),
    Peer("chDB", "clickhouse", "chdb"),
    Peer("ADBC", "adbc", "adbc_driver_sqlite"),
    Peer("sqlite3", "sqlite", "sqlite3"),
)


def installed() -> list[Peer]:
    """Return the peers whose packages are there."""
    return [peer for peer in PEERS if peer.here]


def absent() -> list[str]:
    """Return a note that names the peers whose packages are not there, if any."""
    names = [peer.name for peer in PEERS if not peer.here]
    return [f"Left out, not installed: {', '.join(names)} ({HINT})."] if names else []
