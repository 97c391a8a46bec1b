"""Names and values that look like Rich's markup are shown as they are."""

import pytest

from tests.support.command_line import HEADER, candles_file

BAD = HEADER + "2025-09-01T00:00:00,[/b],2,0.5,1.5,10\n"


@pytest.mark.parametrize("name", ["[red]X-1m.csv", "X[b]-1m.csv", "[bold]-1m.csv"])
def test_a_files_name_is_shown_as_it_is(cli, tmp_path, name):
    candles_file(tmp_path, name).write_text("junk\n")
    assert cli("import", name, code=1).stderr.startswith(f"error: {name}: no column for timestamp")
    (tmp_path / name).write_text(BAD)
    done = cli("import", name, "-s", "X", "--on-invalid", "drop", code=1)
    assert f"error: {name}: none of its 1 row was stored" in done.stderr


def test_a_value_is_shown_as_it_is(cli, tmp_path):
    """It was taken for the end of a style that had not begun: a traceback."""
    candles_file(tmp_path, "X-1m.csv").write_text(BAD)
    done = cli("import", "X-1m.csv", "--on-invalid", "quarantine", code=1)
    assert "error: X-1m.csv: none of its 1 row was stored" in done.stderr
    assert "such as open = [/b]" in done.stderr


def test_a_file_that_disagrees_with_another_of_its_name_is_named_once(cli, tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        candles_file(tmp_path / folder, "X-1m.csv", rows=1)
    (tmp_path / "b/X-1m.csv").write_text(HEADER + "2025-09-01T00:00:00,1,2,0.5,1.25,10\n")
    stderr = cli("import", "a", "b", code=1).stderr
    assert (
        "error: b/X-1m.csv: X 1m at 2025-09-01T00:00:00Z: close = 1.25 here and 1.5 in a/X-1m.csv" in stderr
    )


def test_files_that_are_written_are_named_as_they_are(filled, tmp_path):
    assert filled("export", "x[b].csv", "KRW-ETH").stdout.endswith(" rows written to x[b].csv\n")
    assert filled("backup", "y[b].sqlite3").stdout.startswith("y[b].sqlite3 written")
    assert filled("-f", "y[b].sqlite3", "series").output.endswith(" rows in y[b].sqlite3\n")
    (tmp_path / "z[").mkdir()
    assert "daily, into z[/b].sqlite3" in filled("demo", "-f", "z[/b].sqlite3").output
