"""The public face: its names, and what importing it costs."""

import pytest

import mdstore


def test_the_public_names_are_pinned():
    assert mdstore.__all__ == sorted(mdstore._HOME, key=lambda name: (name.islower(), name))
    assert len(mdstore.__all__) == 77
    for name in mdstore.__all__:
        assert getattr(mdstore, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        mdstore.nothing  # noqa: B018


def test_importing_starts_nothing_and_opens_nothing(python):
    assert (
        python("""
        import sys, os, threading
        opened = []

        def note(event, args):
            name = str(args[0]) if args else ""
            if event == "open" and "site-packages" not in name and not name.endswith((".py", ".pyc", ".so")):
                opened.append(name)
            if event in ("subprocess.Popen", "socket.connect", "os.fork", "os.putenv", "sqlite3.connect"):
                opened.append(event)
        before = threading.active_count()
        hooks = []
        os.register_at_fork = lambda **hook: hooks.append(hook)
        sys.addaudithook(note)
        import mdstore
        heavy = [name for name in ("polars", "pyarrow", "duckdb", "apsw") if name in sys.modules]
        print(heavy, opened, threading.active_count() - before, hooks)
    """)
        == "[] [] 0 []"
    )


def test_every_error_is_a_market_data_error_and_a_builtin_one():
    errors = [getattr(mdstore, name) for name in mdstore.__all__ if name.endswith("Error")]
    for error in errors:
        assert issubclass(error, mdstore.MarketDataError)
        if error is not mdstore.MarketDataError:
            assert any(
                base.__module__ == "builtins" and base is not Exception for base in error.__mro__[1:-3]
            )
