"""What the system refuses, and what is no text: said as a `MarketDataError`, or gone round where possible."""

import pytest

import mdstore
from mdstore import MarketDataError, ValidationError
from tests.support.candles import START, bits, walk
from tests.support.nobody import as_nobody

HALF = "X\ud800"  # half of a character: no UTF-8 holds it
VALUES = (START, 1, 2, 1, 2, 1)
NAMES = ("symbol", "timeframe", "timestamp", "open", "high", "low", "close", "volume")


def make(folder):
    with mdstore.open(folder / "s.sqlite3") as store:
        store.write("A", "1m", walk(5_000))
        assert store.maintenance.stats()["packs"] == 1
    (folder / "s.sqlite3").chmod(0o666)
    return folder / "s.sqlite3-packs"


ALL_GOES_ON = """
    with mdstore.open("s.sqlite3") as store:
        for _ in range(2):
            assert bits(store.candles("A", "1m")) == bits(walk(5_000))
            assert len(store.candles(None, "1m").filter(symbol="A")) == 5_000
            assert store.sql("SELECT count(*) AS n FROM candles WHERE symbol = 'A'")["n"][0] == 5_000
            exercise(store)
        assert store.maintenance.stats()["pack_trouble"]
"""


@pytest.mark.variants(1)
@pytest.mark.parametrize("mode", [0o000, 0o500, 0o400])
def test_a_folder_of_packs_that_is_not_to_be_used_costs_speed_not_answers(folder, mode):
    packs = make(folder)
    packs.chmod(mode)
    as_nobody(folder, ALL_GOES_ON)
    packs.chmod(0o777)
    with mdstore.open(folder / "s.sqlite3") as store:
        assert store.maintenance.stats()["packs"] == 1  # nothing was forgotten that was there
        assert store.explain("A", "1m").tiers == ("packs",)
        assert store.maintenance.check() == []


@pytest.mark.long
def test_packs_that_are_not_to_be_read_cost_speed_not_answers(folder):
    packs = make(folder)
    for pack in packs.iterdir():
        pack.chmod(0o000)
    packs.chmod(0o555)
    as_nobody(folder, ALL_GOES_ON)
    packs.chmod(0o700)
    for pack in packs.iterdir():
        pack.chmod(0o600)
    with mdstore.open(folder / "s.sqlite3") as store:
        assert store.explain("A", "1m").tiers == ("packs",)
        assert store.maintenance.check() == []


def test_a_folder_without_permission_is_refused_in_words(folder):
    make(folder)
    for name, mode in (("closed", 0o000), ("unlisted", 0o444), ("kept", 0o555)):
        (folder / name).mkdir()
        (folder / name).chmod(mode)
    as_nobody(
        folder,
        """
        with mdstore.open("s.sqlite3") as store:
            for name in ("closed", "unlisted", "kept"):
                refused(lambda: mdstore.open(f"{name}/s.sqlite3"))
                refused(lambda: mdstore.open(f"{name}/s.sqlite3", create=False))
                refused(lambda: store.maintenance.backup(f"{name}/copy.sqlite3"))
                refused(lambda: store.maintenance.backup(f"{name}/copy.sqlite3", overwrite=True))
        """,
    )


def test_a_file_that_is_not_to_be_read_is_refused_in_words(folder):
    make(folder)
    (folder / "s.sqlite3").chmod(0o000)
    as_nobody(folder, 'assert "denied" in refused(lambda: mdstore.open("s.sqlite3"))')
    (folder / "s.sqlite3").chmod(0o444)
    as_nobody(
        folder,
        """
        with mdstore.open("s.sqlite3") as store:
            assert bits(store.candles("A", "1m")) == bits(walk(5_000))
            refused(lambda: store.write("B", "1m", walk(3)))
        """,
    )


@pytest.mark.long
def test_a_working_folder_that_is_gone_is_no_end_of_the_process(python, tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", walk(30))
    python(
        """
        import os, mdstore
        from mdstore import MarketDataError
        from tests.support.candles import walk
        store = mdstore.open(os.path.abspath("s.sqlite3"))
        os.mkdir("gone"); os.chdir("gone"); os.rmdir("../gone")
        for call in (
            lambda: mdstore.open("t.sqlite3"),
            lambda: store.maintenance.backup("copy.sqlite3"),
            lambda: store.sql("SELECT 1"),
        ):
            try:
                call()
            except MarketDataError as error:
                continue
            raise AssertionError
        assert len(store.candles("A", "1m")) == 30
        store.write("B", "1m", walk(3_000))
        assert store.maintenance.warm() == 30
        assert len(store.scan("B", "1m").collect()) == 3_000
        os.chdir("/")  # as the hint says
        assert store.sql("SELECT count(*) AS n FROM candles")["n"][0] == 3_030
        os.chdir(store.path.parent)
        os.mkdir("gone"); os.chdir("gone"); os.rmdir("../gone")
        assert store.sql("SELECT count(*) AS n FROM candles")["n"][0] == 3_030
        """
    )


@pytest.mark.parametrize(
    "data",
    [
        [(HALF, "1m", *VALUES)],
        [("X", "1\ud800m", *VALUES)],
        [("X", "1m", "\ud800", *VALUES[1:])],
        [("X", "1m", START, "\ud800", *VALUES[2:])],
        [dict(zip(NAMES, (HALF, "1m", *VALUES), strict=True))],
        {name: [value] for name, value in zip(NAMES, (HALF, "1m", *VALUES), strict=True)},
    ],
)
def test_half_a_character_is_a_bad_row(store, data):
    with pytest.raises(ValidationError) as refused:
        store.write_many(data)
    str(refused.value).encode()
    assert refused.value.row == 0
    assert store.write_many(data, on_invalid="quarantine").quarantined == 1
    assert "\\ud800" in "".join(map(str, store.quarantine().row(0)))
    assert store.write_many(data, on_invalid="drop").dropped == 1
    assert store.series().is_empty()


def test_half_a_character_anywhere_else_is_refused(store, tmp_path):
    store.write("X", "1m", walk(3))
    for call in (
        lambda: store.write(HALF, "1m", walk(1)),
        lambda: store.write("X", "1m", walk(1), source=HALF),
        lambda: store.candles(HALF, "1m"),
        lambda: store.candles("X", HALF),
        lambda: store.candles("X", "1m", start=HALF),
        lambda: store.candles("X", "1m", columns=[HALF]),
        lambda: store.sql(f"SELECT '{HALF}'"),
        lambda: store.screen("1m", f"close > {HALF}"),
        lambda: store.set_calendar(HALF, "crypto"),
        lambda: store.delete(HALF),
        lambda: store.maintenance.backup(tmp_path / HALF),
        lambda: mdstore.open(tmp_path / HALF),
    ):
        with pytest.raises(MarketDataError):
            call()


def test_what_comes_after_the_commit_fails_no_write(store, monkeypatch):
    from mdstore.candles.packs import cells

    def broken(con):
        raise TypeError("a page that makes no sense")

    with monkeypatch.context() as patched:
        patched.setattr(cells, "pack_rows", broken)
        assert store.write("A", "1m", walk(5_000)).inserted == 5_000
        assert "put off: a page that makes no sense" in store.maintenance.stats()["pack_trouble"]
        assert bits(store.candles("A", "1m")) == bits(walk(5_000))
    store.write("B", "1m", walk(5_000))
    assert store.maintenance.stats()["pack_trouble"] == ""
    assert store.maintenance.check() == []


# All that commands load, while Python itself may be read.
COMMANDS_USED = """
from mdstore.cli import app as commands
with mdstore.open("other.sqlite3") as store:
    store.write("A", "1m", walk(100))
for command in (["export", "o.csv", "A"], ["backup", "o.sqlite3"], ["report", "o.html"], ["import", "o.csv"],
                ["import", "nothing.csv"]):
    try:
        commands(["-f", "other.sqlite3", *command])
    except SystemExit:
        pass
"""


@pytest.fixture
def open_folder(folder):
    """Make a folder in which everybody may write, and return where it lies."""
    (folder / "mine").mkdir()
    (folder / "mine").chmod(0o777)
    return folder


def test_commands_replace_a_file_that_may_be_written_and_not_read(open_folder):
    """That it is not readable was wrong usage, with --force, too."""
    as_nobody(
        open_folder,
        """
        import contextlib, io
        from mdstore.cli import app

        def ended(*arguments):
            said = io.StringIO()
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                try:
                    app(["-f", "s.sqlite3", *arguments])
                except SystemExit as error:
                    return error.code or 0, said.getvalue()
            return 0, said.getvalue()

        os.chdir("mine")
        with mdstore.open("s.sqlite3") as store:
            store.write("A", "1m", walk(100))
        for command in (["export", "taken.csv", "A", "-t", "1m"], ["backup", "taken.sqlite3"],
                        ["report", "taken.html"]):
            open(command[1], "w").write("somebody's")
            os.chmod(command[1], 0o200)
            code, said = ended(*command)
            assert (code, "--force" in said) == (1, True), said
            code, said = ended(*command, "--force")
            assert code == 0, said
            assert open(command[1], "rb").read(9) != b"somebody's"[:9]
        os.chmod("taken.csv", 0o200)
        code, said = ended("import", "taken.csv")
        assert code != 0, said
        """,
        COMMANDS_USED,
    )


def test_a_file_that_may_be_written_and_not_read_is_replaced_by_force(open_folder):
    """It was said that it cannot be opened, which nobody has to."""
    as_nobody(
        open_folder,
        """
        os.chdir("mine")
        with mdstore.open("s.sqlite3") as store:
            store.write("A", "1m", walk(100))
            open("taken.html", "w").write("somebody's")
            os.chmod("taken.html", 0o200)
            assert "and no report" in refused(lambda: mdstore.write_report(store, "taken.html"))
            mdstore.write_report(store, "taken.html", force=True)
            assert open("taken.html").read(9).lower() == "<!doctype"
        """,
        "with mdstore.open('other.sqlite3') as store:\n"
        "    store.write('A', '1m', walk(100)); mdstore.write_report(store, 'other.html')",
    )
