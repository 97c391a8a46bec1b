"""Texts that are empty, as of a variable of the shell that is not set, are taken for nothing else."""

import pytest

from tests.support.command_line import candles_file


@pytest.mark.parametrize(
    "arguments",
    [
        ["-f", "", "series"], ["--store=", "series"], ["series", "-f", ""], ["demo", "-f", ""],
        ["import", ""], ["import", "KRW-BTC-1m.csv", ""], ["export", ""], ["backup", ""], ["replay", ""],
        ["report", ""],
    ],
)  # fmt: skip
def test_no_path_is_wrong_usage(filled, tmp_path, arguments):
    """Python takes it for the folder itself, of which `import` would store every file."""
    candles_file(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert "'' is no path" in filled(*arguments, code=2).stderr
    assert sorted(tmp_path.iterdir()) == before


def test_no_path_in_the_environment_is_none(filled, monkeypatch):
    monkeypatch.setenv("MDSTORE_FILE", "")
    assert "KRW-ETH" in filled("series").stdout


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--symbol", "'' cannot be a symbol"), ("--columns", "--columns '': give time=NAME"),
        ("--symbol-from-filename", "the pattern '' needs"), ("--timeframe", "'' is no timeframe"),
        ("--date-format", "'' is no format"), ("--tz", "'' is no time zone"),
        ("--align", "align='' is neither"), ("--encoding", "'' is no encoding"),
        ("--sheet", "leave --sheet out"),
    ],
)  # fmt: skip
def test_what_tells_of_files_is_not_overlooked(cli, tmp_path, flag, said):
    candles_file(tmp_path)
    assert said in " ".join(cli("import", "KRW-BTC-1m.csv", flag, "", code=1).stderr.split())
    assert not (tmp_path / "market_data.sqlite3").exists()


@pytest.mark.parametrize(
    "arguments", [["show", ""], ["gaps", ""], ["export", "x.csv", ""], ["delete", "", "1m"]]
)
def test_a_symbol_that_is_not_stored_is_named(filled, arguments):
    named = " ".join(["''", *arguments[2:]]) if arguments[0] == "delete" else "''"
    assert f"no candles of {named} in market_data.sqlite3" in filled(*arguments, code=1).stderr


def test_a_path_that_cannot_be_used_is_shown_as_it_was_given(cli):
    stderr = cli("-f", "caf\udce9.sqlite3", "series", code=1).stderr
    assert stderr.startswith("error: 'caf\\udce9.sqlite3' is no path that can be used")
