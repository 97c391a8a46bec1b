"""`mdstore series`: the catalogue."""

import json
import re

import pytest


def test_series(filled):
    out = filled("series").stdout
    assert re.search(r"KRW-BTC +1m +2025-09-01 00:00 +2025-09-01 04:59 +300 +[\d.]+ KB", out)
    assert json.loads(filled("series", "--json").stdout)[0]["first"] == "2025-09-01T00:00:00+00:00"


WIDTHS = [40, 60, 80]


@pytest.mark.parametrize("width", WIDTHS)
def test_series_fit_any_width(filled, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    out = filled("series").stdout
    assert max(map(len, out.splitlines()[:4])) <= width
    assert re.search(r"KRW-BTC +1m .*300", out)
