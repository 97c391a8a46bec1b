"""Bytes a row on the disk: the SQLite file, the packs beside it, and the peers' files of the same rows."""

from __future__ import annotations

from pathlib import Path

import mdstore
from bench.data import Data, days, minutes
from bench.equities import BARS, SYMBOLS, store_of
from bench.measure import Grid, Report
from bench.peers import absent, installed
from bench.scale import Scale

__all__ = ["run"]

SQLITE, PACKS = "mdstore's SQLite file", "mdstore's packs"


def run(scale: Scale) -> Report:
    """Load everybody with both shapes of series, and look at their files."""
    report = Report("disk", "Bytes a row on the disk")
    made = scale.large()
    equities = days(scale.rows(SYMBOLS), BARS)
    shapes = [(minutes(made.symbols, made.bars), made.path), (equities, store_of(equities))]
    found = [_bytes(data, store, scale) for data, store in shapes]
    report.grid = Grid(["bytes a row", *(_shape(data) for data, _ in shapes)])
    report.grid.rows += [[name, *(f"{sizes[name]:.1f}" for sizes in found)] for name in found[0]]
    report.notes = absent()
    return report


def _bytes(data: Data, store: Path, scale: Scale) -> dict[str, float]:
    with mdstore.open(store) as opened:
        opened.maintenance.warm()
        stats = opened.maintenance.stats()
    sizes = {SQLITE: int(stats["sqlite_bytes"]), PACKS: int(stats["pack_bytes"])}
    for peer in installed():
        scale.say(f"loading {peer.name}")
        sizes[peer.name] = _allocated(peer.loaded(data.frames, data.folder))
    return {name: size / data.rows for name, size in sizes.items()}


def _allocated(folder: Path) -> int:
    """Return the bytes that the disk gives to the files of a folder: some are long, and empty in parts."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


def _shape(data: Data) -> str:
    return f"{len(data.frames):,} x {data.bars:,} ({data.timeframe})"
