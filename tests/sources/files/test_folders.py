"""The files of folders: those that are candles, those that are not, and folders that may not be read."""

import pytest

from mdstore.sources.files.opening import candle_files, other_files
from tests.support.command_line import candles_file
from tests.support.nobody import as_nobody


def test_files_of_a_folder_and_of_those_below_it_but_for_hidden_ones(tmp_path):
    for name in (".", "a", "a/b", ".git", "a/__MACOSX", "other"):
        (tmp_path / name).mkdir(exist_ok=True)
        candles_file(tmp_path / name)
    candles_file(tmp_path, ".hidden-1m.csv")
    (tmp_path / "a/notes.md").write_text("")
    (tmp_path / "linked-1m.csv").symlink_to(tmp_path / "a/KRW-BTC-1m.csv")
    (tmp_path / "a/around").symlink_to(tmp_path)
    found = [str(path.relative_to(tmp_path)) for path in candle_files(tmp_path)]
    name = "KRW-BTC-1m.csv"
    assert found == [name, f"a/{name}", f"a/b/{name}", "linked-1m.csv", f"other/{name}"]
    assert other_files(tmp_path) == 1


@pytest.mark.parametrize("closed", ["data", "data/closed"])
def test_a_folder_that_may_not_be_read_is_named(tmp_path, closed):
    """It was passed over: `no candle files in this folder`, or the import of all others."""
    tmp_path.chmod(0o777)
    (tmp_path / "data/closed").mkdir(parents=True)
    candles_file(tmp_path / "data")
    candles_file(tmp_path / "data/closed", "KRW-ETH-1m.csv")
    (tmp_path / closed).chmod(0)
    try:
        as_nobody(
            tmp_path,
            f"""
            from pathlib import Path
            from mdstore.sources.files.opening import candle_files
            try:
                candle_files(Path("data"))
            except PermissionError as error:
                assert str(error.filename) == {closed!r}, error.filename
            else:
                raise AssertionError("it was read")
            """,
            "import mdstore.sources.files.opening",
        )
    finally:
        (tmp_path / closed).chmod(0o755)
