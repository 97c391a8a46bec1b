"""The house: every folder imports only what lies below it, as ARCHITECTURE.md lists them."""

import ast
import re
from pathlib import Path

import pytest

import mdstore
from tests.support.paths import ROOT

PACKAGE = Path(mdstore.__file__).parent
ROW = re.compile(r"^\| `([\w/]+)` \|", re.MULTILINE)
LISTED = ROW.findall((ROOT / "ARCHITECTURE.md").read_text())
TOP = [name for name in LISTED if "/" not in name]
ORDERED = ("cli", "candles")  # folders whose own folders have an order, too
INSIDE = {
    folder: [name.removeprefix(f"{folder}/") for name in LISTED if name.startswith(f"{folder}/")]
    for folder in ORDERED
}
FACES = {"__init__", "__main__"}  # of the package itself: they hand names on
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path):
    """Yield the modules of ours that a file imports, wherever in it, as parts without the package's name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import, which this test does not follow"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, *parts = name.split(".")
            if package == "mdstore" and parts:
                yield parts


def own(path):
    return path.relative_to(PACKAGE).with_suffix("").parts


def test_every_folder_has_its_place_in_the_list():
    assert {own(path)[0] for path in FILES} - FACES == set(TOP)
    for folder, listed in INSIDE.items():
        inside = {own(path)[1] for path in FILES if own(path)[0] == folder}
        assert inside - FACES == set(listed)
    assert len(TOP) + 1 <= 13  # beside them the package's own face


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(own(path)))
def test_a_folder_imports_only_what_lies_below_it(path):
    here = own(path)
    if here[0] in FACES:
        return
    for there in imports(path):
        if there[0] != here[0]:
            assert there[0] in TOP, f"{'.'.join(there)} is no module of a layer"
            assert TOP.index(there[0]) > TOP.index(here[0]), f"{'/'.join(here)} imports {'.'.join(there)}"
        elif here[0] in INSIDE and here[1] not in FACES and there[1] != here[1]:
            order = INSIDE[here[0]]
            assert order.index(there[1]) > order.index(here[1]), f"{'/'.join(here)} imports {'.'.join(there)}"


def test_no_command_imports_another():
    for path in FILES:
        here = own(path)
        if here[:2] == ("cli", "commands"):
            others = [there for there in imports(path) if there[:2] == ["cli", "commands"]]
            assert others == [], f"{'/'.join(here)} imports {others}"


def test_no_modules_import_each_other_in_a_circle():
    """Nor within a folder, imports inside functions included: the order of imports must not matter."""
    names = {own(path): path for path in FILES if own(path)[0] not in FACES}

    def module_of(parts):
        """Return the module that an import names: itself, the one that holds the name, or a package face."""
        choices = (tuple(parts), tuple(parts[:-1]), (*parts, "__init__"), (*parts[:-1], "__init__"))
        return next(choice for choice in choices if choice in names)

    needs = {name: {module_of(parts) for parts in imports(path)} - {name} for name, path in names.items()}
    done = set()

    def visit(name, above):
        assert name not in above, " imports ".join("/".join(one) for one in (*above, name))
        if name not in done:
            for other in sorted(needs[name]):
                visit(other, (*above, name))
            done.add(name)

    for name in needs:
        visit(name, ())


LOWER = [name for name in TOP if name not in ("cli", "store", "candles")]


@pytest.mark.parametrize("folder", LOWER)
def test_only_candles_knows_sqlite(python, folder):
    """Told by what a fresh process has loaded after importing everything in a folder."""
    modules = [
        ".".join(("mdstore", *own(path))).removesuffix(".__init__")
        for path in FILES
        if own(path)[0] == folder
    ]
    loaded = python(
        """
        import importlib, sys
        for name in sys.argv[1:]:
            importlib.import_module(name)
        foreign = {"apsw", "sqlite3", "duckdb"} & set(sys.modules)
        print(sorted(foreign), sorted(name for name in sys.modules if name.startswith("mdstore.candles")))
        """,
        *modules,
    )
    assert loaded == "[] []"
