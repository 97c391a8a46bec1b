"""What a process that only reads has to wait for."""


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
