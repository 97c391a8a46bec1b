"""Names for the examples in docstrings and the README."""

import pytest

import mdstore


@pytest.fixture(autouse=True)
def _example_names(doctest_namespace, tmp_path):
    doctest_namespace.update(mdstore=mdstore, folder=tmp_path)
