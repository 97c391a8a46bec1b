"""Where recorded market data lies: beside a checkout, never in it."""

import pytest

from tests.support.paths import ROOT

FOLDER = ROOT.parent / "shared" / "data"


def real(*parts):
    """Return the path of a recorded file or folder; skip the test where the recordings are absent."""
    path = FOLDER.joinpath(*parts)
    if not path.exists():
        pytest.skip(
            f"no recorded market data: {'/'.join(parts)} is not in the folder shared/data beside the clone"
        )
    return path
