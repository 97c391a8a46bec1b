"""What people type who have not read the help: the error says what to do, and doing so works."""


def test_a_pattern_in_place_of_a_symbol_names_those_that_fit(filled):
    for arguments in (("show", "KRW-*", "1m"), ("gaps", "KRW-*"), ("export", "x.csv", "KRW-*")):
        said = filled(*arguments, code=1).stderr
        assert "give the 2 names that fit, KRW-BTC, KRW-ETH" in " ".join(said.split())
    filled("show", "KRW-ETH", "1m")
    assert "names that fit" not in filled("show", "X*", "1m", code=1).stderr


def test_an_empty_pipe_is_said_to_be_empty(cli):
    for given in ("", b""):
        said = cli("import", "-", code=1, given=given).stderr
        assert "standard input is empty" in said
        assert "-.csv" not in said


def test_a_folder_is_no_file_to_write(filled, tmp_path):
    (tmp_path / "out.prom").mkdir()
    (tmp_path / "out").mkdir()
    for arguments in (
        ("export", "out", "KRW-BTC", "-t", "1m"), ("export", "out", "KRW-BTC", "-t", "1m", "--force"),
        ("export", "out.prom", "KRW-BTC"), ("report", "out"), ("backup", "out"),
        ("metrics", "--textfile", "out.prom"),
    ):  # fmt: skip
        assert "is a folder; give the name of a file in it" in filled(*arguments, code=1).stderr
    filled("export", "out/a.csv", "KRW-BTC", "-t", "1m")
    assert (tmp_path / "out" / "a.csv").exists()


def test_no_symbol_has_no_calendar(filled):
    for arguments in (("calendar", ""), ("calendar", "", "--json"), ("calendar", "", "24/7")):
        assert "pattern '': give a symbol" in filled(*arguments, code=1).stderr
