"""The public face: its names, its cost, and the order of the layers."""

import ast
from pathlib import Path

import pytest

import mdstore

PACKAGE = Path(mdstore.__file__).parent

# Data flows down one road: a module imports only what stands on a lower line.
LAYERS = (
    ("errors", "cache"),
    ("timeframe", "schema", "forks", "indicators", "outliers"),
    ("timestamps", "expressions", "long"),
    ("calendars", "fill", "fingerprints", "frames", "validation", "plot", "quality", "resample", "screen"),
    ("candles",),
    ("arguments", "lazy", "listing"),
    ("derived", "gaps", "realtime"),
    ("feeds", "forming", "gridded", "verify"),
    ("continuity",),
    ("store",),
    ("files",),
    ("cli",),
    ("__main__",),
)
CANDLES = (
    ("guard", "migrations", "packs", "pushdown", "unfinished"),
    ("cells", "database", "history", "worker"),
    ("catalogue", "columns", "coverage", "scanner", "sealing", "views"),
    ("answer", "backup", "changes", "claims", "compaction", "reader"),
    ("holes", "writer"),
    ("ledger",),
    ("integrity", "upkeep"),
    ("columnar",),
    ("query",),
    ("repository",),
)


def test_the_public_names_are_pinned():
    assert mdstore.__all__ == sorted(mdstore._HOME, key=lambda name: (name.islower(), name))
    assert len(mdstore.__all__) == 32
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


def imports(path):
    """Yield the modules of ours that a file imports, without the package's name."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name.removeprefix("mdstore.") for name in names if name.startswith("mdstore."))


def rank(layers, name):
    return next((i for i, layer in enumerate(layers) if name in layer), None)


@pytest.mark.parametrize(
    "path",
    [p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py"],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_a_module_imports_only_what_lies_below_it(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts
    assert rank(LAYERS, own[0]) is not None, f"{own[0]} has no layer"
    for name in imports(path):
        other = name.split(".")
        if other[0] != own[0]:
            assert rank(LAYERS, other[0]) < rank(LAYERS, own[0]), f"{'.'.join(own)} imports {name}"
        elif own[0] == "candles" and len(other) > 1 and own[1] != "__init__":
            theirs, ours = rank(CANDLES, other[1]), rank(CANDLES, own[1])
            assert ours is not None
            assert theirs is None or theirs < ours, f"{'.'.join(own)} imports {name}"


def test_only_candles_knows_sqlite():
    for path in PACKAGE.rglob("*.py"):
        if "candles" not in path.parts:
            source = ast.parse(path.read_text())
            used = {
                alias.name
                for node in ast.walk(source)
                if isinstance(node, ast.Import)
                for alias in node.names
            }
            assert not used & {"apsw", "sqlite3", "duckdb"}, path


def test_every_error_is_a_market_data_error_and_a_builtin_one():
    errors = [getattr(mdstore, name) for name in mdstore.__all__ if name.endswith("Error")]
    for error in errors:
        assert issubclass(error, mdstore.MarketDataError)
        if error is not mdstore.MarketDataError:
            assert any(
                base.__module__ == "builtins" and base is not Exception for base in error.__mro__[1:-3]
            )
