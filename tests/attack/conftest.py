"""A folder that users without rights can reach: pytest's own are closed to them."""

import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def folder():
    """A folder that any user may write to."""
    path = Path(tempfile.mkdtemp(prefix="mdstore-test-"))
    path.chmod(0o777)
    yield path
    for place in path.rglob("*"):
        if place.is_dir():
            place.chmod(0o700)
    shutil.rmtree(path)
