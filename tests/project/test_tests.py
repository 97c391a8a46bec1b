"""The tests themselves: where they lie, and how long a module is."""

import pytest

from tests.support.paths import ROOT

TESTS = ROOT / "tests"
MODULES = sorted(TESTS.rglob("*.py"))
MOST_LINES = 600
OTHERS = {"support", "project", "attack", "cases"}  # beside the folders that mirror the package's


def folders(path):
    return {one.parent.name for one in path.glob("*/__init__.py")}


def test_the_folders_are_those_of_the_package():
    assert folders(TESTS) - OTHERS == folders(ROOT / "mdstore")


def test_the_folders_of_candles_are_those_of_the_package():
    """Some have none: what is written is seen in reads, packs and the ledger, and tested there."""
    assert folders(TESTS / "candles") <= folders(ROOT / "mdstore" / "candles")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_no_module_is_too_long_to_find_a_test_in(path):
    lines = len(path.read_text().splitlines())
    assert lines <= MOST_LINES, f"{lines} lines: split it by subject"
