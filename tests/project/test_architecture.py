"""ARCHITECTURE.md and CONTRIBUTING.md speak of what there is."""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PLACES = (ROOT, ROOT / "mdstore")
PATH = re.compile(r"`((?:[\w.*-]+/)*[\w.*-]+(?:/|\.(?:py|md|toml|ipynb)))`")


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_path_that_is_named_exists(page):
    named = set(PATH.findall((ROOT / page).read_text()))
    assert len(named) > 5
    missing = [name for name in named if not any(any(place.glob(name)) for place in PLACES)]
    assert sorted(missing) == []


def test_every_constant_that_is_named_beside_a_module_is_in_it():
    """Of the lines that say what to open: `FUNCTIONS` of `analysis/indicators.py` and the like."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = text[text.index("## To add") : text.index("## The life of a write")]
    for line in table.splitlines():
        modules = [name for name in PATH.findall(line) if name.endswith(".py")]
        code = "".join(source(name) for name in modules)
        for constant in re.findall(r"`([A-Z]{4,})`", line):
            assert re.search(rf"^{constant}\b", code, re.MULTILINE), f"{constant} is in none of {modules}"


def source(name):
    return next(Path(place / name).read_text() for place in PLACES if (place / name).exists())
