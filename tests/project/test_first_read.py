"""What a process that only reads has to wait for."""

import pytest

from mdstore.candles import writes


def test_a_first_read_loads_neither_arrow_compute_nor_duckdb(python):
    loaded = python(
        """
        import sys
        import mdstore
        slow = ("pyarrow.compute", "duckdb", "pandas", "asyncio", "rich")
        with mdstore.open("s.sqlite3") as store:
            store.write("A", "1m", [("2025-09-01T00:00", 1, 2, 1, 2, 5)])
        print([name for name in slow if name in sys.modules])
        with mdstore.open("s.sqlite3") as store:
            store.candles("A", "1m")
        print([name for name in slow if name in sys.modules])
        """
    )
    assert loaded.split("\n")[0] == "[]", loaded
    assert loaded.split("\n")[-1] == "[]", loaded


# What only writes, holes, live data, upkeep and other spellings of times need.
NOT_READ = (
    "mdstore.analysis.resample", "mdstore.candles.reads.holes_between", "mdstore.candles.reads.sql",
    "mdstore.candles.recovery.backup", "mdstore.candles.upkeep.file_upkeep", "mdstore.candles.writes.results",
    "mdstore.candles.writes.writer", "mdstore.core.calendars", "mdstore.core.candle_rules",
    "mdstore.core.column_names", "mdstore.core.html", "mdstore.core.inputs", "mdstore.core.spelled_times",
    "mdstore.core.zones", "mdstore.optimization", "mdstore.realtime.bars", "mdstore.realtime.cache",
    "mdstore.reports", "mdstore.service", "mdstore.sources", "mdstore.store.checking",
    "mdstore.store.gaps_and_missing", "mdstore.store.verify",
)  # fmt: skip


def test_a_first_read_loads_what_reads_need(python):
    """Open, read by ISO times, list the series: nothing that writes, and nothing of what stands above."""
    loaded = python(
        """
        import subprocess, sys
        row = ("2025-09-01T00:00", 1, 2, 1, 2, 5)
        write = f"import mdstore; mdstore.open('s.sqlite3').write('A', '1m', [{row}])"
        subprocess.run([sys.executable, "-c", write], check=True)
        import mdstore
        with mdstore.open("s.sqlite3") as store:
            assert len(store.candles("A", "1m", start="2025-09-01", end="2025-09-02T00:00", limit=5)) == 1
            assert len(store.series()) == 1
        print(*sys.modules)
        """
    ).split()
    assert "mdstore.store.store" in loaded
    assert [name for name in NOT_READ if name in loaded] == []


def test_writes_are_found_once_they_are_used():
    assert all(getattr(writes, name).__name__.endswith(f".{name}") for name in writes.__all__)
    with pytest.raises(AttributeError, match="no attribute 'undo'"):
        _ = writes.undo
