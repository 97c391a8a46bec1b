"""The notebooks run as they stand; pictures, which need another library, are left out."""

import json

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

NOTEBOOKS = ROOT / "notebooks"


@pytest.mark.variants(2)
@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_runs(python, path):
    cells = json.loads(path.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    tags = [cell["metadata"].get("tags", []) for cell in cells if cell["cell_type"] == "code"]
    script = "\n".join(text for text, tag in zip(code, tags, strict=True) if "picture" not in tag)
    python(f"import os; os.chdir({str(NOTEBOOKS)!r})\n{script}", stdin=True)
