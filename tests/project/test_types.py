"""What type checkers know of what users hold: `public_types` states it, and mypy agrees."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT

CHECKED = ROOT / "tests" / "project" / "public_types.py"


def mypy(path, cache):
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", "--cache-dir", cache, path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_live_rows_have_types(tmp_path):
    pytest.importorskip("mypy", reason="mypy is of the extra `lint`")
    cache = ROOT / ".mypy_cache"  # where `mypy` itself has just been, which makes a second of a minute
    done = mypy(CHECKED, cache)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.py"
    wrong.write_text(CHECKED.read_text().replace("mdstore.Trade | None)", "mdstore.Ticker | None)", 1))
    assert "assert-type" in mypy(wrong, cache).stdout
