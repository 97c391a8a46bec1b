"""The columnar tier with its sizes cut down, so that a few rows go through everything that millions would."""

from unittest.mock import patch

from mdstore.candles.file import bar_digests, digests, frozen
from mdstore.candles.packs import columns, sealing
from mdstore.candles.packs import merging as compaction
from mdstore.candles.packs import pack_files as packs
from mdstore.candles.packs import seal_policy as upkeep
from mdstore.candles.reads import reads as columnar
from mdstore.candles.upkeep import freezing
from mdstore.candles.writes import appends, batch_sealer, landing, writer

SIZES = (
    (batch_sealer, "SEAL_ROWS", 12), (landing, "SEAL_LEAST", 3), (appends, "SEAL_LEAST", 3),
    (batch_sealer, "SEAL_BATCH", 16),
    (writer, "SEAL_ROWS", 12),
    (sealing, "CELL_ROWS", 16), (sealing, "BATCH_ROWS", 40), (compaction, "CELL_ROWS", 16),
    (compaction, "BATCH_ROWS", 40), (compaction, "PACK_ROWS", 80), (upkeep, "BUILD_ROWS", 24),
    (compaction, "MERGE", 3), (compaction, "AUTOMATIC_ROWS", 60),
    (packs, "BLOCK", 8), (packs, "ORPHAN_SECONDS", 0.0),
    (columnar, "LOOSE_ROWS", 10), (columnar, "TAIL_ROWS", 6), (columnar, "STRAIGHT_ROWS", 5),
    (digests, "BUCKET_BARS", 8), (bar_digests, "FEW", 3), (bar_digests, "PIECE_BUCKETS", 2),
    (frozen, "PIECE_ROWS", 12), (freezing, "SPARE_ROWS", 3), (freezing, "LEAST_ROWS", 2),
    (columnar, "FEW", 1), (columns, "GATHER_ROWS", 30),
)  # fmt: skip


def cut_down():
    """Return the changes: contexts to enter, or to `start` for good in a process of its own."""
    return [patch.object(module, name, value) for module, name, value in SIZES]
