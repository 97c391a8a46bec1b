"""The store's file where none is named."""

import pytest

import mdstore

SCRIPT = """
    import os, sys, mdstore
    os.environ["MDSTORE_FILE"] = sys.argv[1]  # after the import
    with mdstore.open() as store:
        store.write("A", "1m", [("2025-09-01", 1, 1, 1, 1, 1)])
        print(store.path)
"""


def test_the_variable_is_heeded_as_on_the_command_line(tmp_path, python):
    named = tmp_path / "elsewhere" / "mine.sqlite3"
    named.parent.mkdir()
    assert python(SCRIPT, named) == str(named)
    command = "import sys; sys.argv[0] = 'mdstore'; from mdstore.cli import main; main()"
    assert '"A"' in python(command, "series", "--json", env={"MDSTORE_FILE": str(named)})
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]  # no empty store beside


def test_without_it_the_file_is_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in (None, ""):
        monkeypatch.delenv("MDSTORE_FILE", raising=False)
        if value is not None:
            monkeypatch.setenv("MDSTORE_FILE", value)
        with mdstore.open() as store:
            assert store.path == tmp_path / "market_data.sqlite3"
    monkeypatch.setenv("MDSTORE_FILE", str(tmp_path / "other.sqlite3"))
    with mdstore.open("market_data.sqlite3") as store:  # a path that is given counts
        assert store.path == tmp_path / "market_data.sqlite3"


def test_none_is_a_path_given_by_mistake():
    with pytest.raises(mdstore.InvalidInputError, match="None is no path of a file"):
        mdstore.open(None)
