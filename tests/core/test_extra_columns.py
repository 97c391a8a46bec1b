"""Declared columns: every name that is known for one is told from the columns of a candle."""

import pytest

from mdstore.core.column_names import unused
from mdstore.core.columns_found import find
from mdstore.core.extra_columns import EXTRA_ALIASES, MOST_EXTRAS, Extra, check_extra, extras_among

SIX = ["date", "open", "high", "low", "close", "volume"]
KNOWN = [(name, alias) for name, aliases in EXTRA_ALIASES.items() for alias in (name, *aliases)]


@pytest.mark.parametrize(("name", "alias"), KNOWN)
def test_a_name_that_is_known_is_found_in_any_spelling_and_is_no_candles_column(name, alias):
    for spelled in (alias, alias.upper(), f" {alias.title()} "):
        names = [*SIX, spelled]
        left = unused(names, find(names).names)
        assert extras_among(left, [check_extra(name, "sum")]) == {name: spelled}
        assert extras_among(left, [check_extra("other", "sum")]) == {}


def test_a_table_gives_each_of_its_columns_once():
    value, turnover = Extra("value", "sum"), Extra("krw", "sum", source=("turnover",))
    assert extras_among(["turnover", "value"], [value, turnover]) == {"value": "value", "krw": "turnover"}
    assert extras_among(["turnover"], [value, turnover]) == {"value": "turnover"}
    assert extras_among(["turnover"], [turnover, value]) == {"krw": "turnover"}
    assert len(EXTRA_ALIASES) < MOST_EXTRAS
