"""One version: in pyproject.toml, in the CHANGELOG, in `mdstore.__version__` and on the command line."""

import re
import tomllib

import mdstore
from tests.support.paths import ROOT

HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
RELEASE = re.compile(r"(\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d")


def test_the_version_is_the_newest_release_of_the_changelog():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    first, newest, *_ = HEADING.findall((ROOT / "CHANGELOG.md").read_text())
    assert first == "Unreleased"
    assert RELEASE.fullmatch(newest)[1] == declared
    assert mdstore.__version__ == declared, "the installed package is an older one: run ./dev setup"


def test_the_version_is_looked_up_when_it_is_asked_for(python):
    """Reading what is installed costs milliseconds and opens files, which an import must not."""
    said = """
        import sys, mdstore
        print("importlib.metadata" in sys.modules, mdstore.__version__, "__version__" in dir(mdstore))
    """
    assert python(said) == f"False {mdstore.__version__} True"


def test_the_command_line_says_it(python):
    said = 'import sys; from mdstore.cli import main; sys.argv[1:] = ["--version"]; main()'
    assert python(said) == f"mdstore {mdstore.__version__}"
