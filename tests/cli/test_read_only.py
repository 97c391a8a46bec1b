"""`mdstore --read-only`: every command that reads, nothing changed, nothing made beside the file."""

import pytest

from tests.support.command_line import candles_file
from tests.support.every_read import COMMANDS, fill, lying_in


@pytest.fixture
def kept(cli, store_of):
    with store_of() as store:
        fill(store)
    return cli


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_reads_goes_on(kept, tmp_path, command):
    before = lying_in(tmp_path)
    kept("--read-only", *command)
    assert lying_in(tmp_path) == before


@pytest.mark.parametrize(
    "command",
    [
        ["import", "C-1m.csv"], ["delete", "A", "--yes"], ["rename", "A", "C"], ["warm"], ["compact"],
        ["optimize"], ["cover", "A", "1m", "--start", "2025-09-01", "--reason", "no_trade"],
        ["calendar", "A", "24/7"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_writes_says_why_not(kept, tmp_path, command):
    candles_file(tmp_path, "C-1m.csv")
    before = lying_in(tmp_path)
    said = kept("--read-only", *command, code=1).stderr
    assert (
        "is open for reading only: it was opened so. Nothing was written. Hint: leave --read-only out" in said
    )
    assert lying_in(tmp_path) == before
    kept(*command)  # as the hint says; and the flag is of one call


def test_a_store_that_is_not_there_is_not_made(cli, tmp_path):
    candles_file(tmp_path, "C-1m.csv")
    assert "there is no store at" in cli("--read-only", "import", "C-1m.csv", code=1).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["C-1m.csv"]
