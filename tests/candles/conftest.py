"""Where the file of a test lies, and how much of it is frozen together."""

import pytest

from mdstore.candles.file import frozen
from mdstore.candles.upkeep import freezing


@pytest.fixture
def path(tmp_path):
    return tmp_path / "market_data.sqlite3"


@pytest.fixture
def small_pieces(monkeypatch):
    """Freeze a few bars together, so that a short series has several pieces."""
    monkeypatch.setattr(frozen, "PIECE_ROWS", 600)
    monkeypatch.setattr(freezing, "SPARE_ROWS", 150)
