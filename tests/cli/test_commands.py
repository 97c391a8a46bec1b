"""What all commands have in common: help, the store they mean, how mistakes end."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
import typer

import mdstore
from mdstore.cli import app, commands
from mdstore.cli.app import COMMANDS as FIRST_LINES
from tests.support.candles import walk
from tests.support.command_line import candles_file, finished, mdstore_process
from tests.support.paths import ROOT

README = ROOT / "README.md"
COMMANDS = [
    "demo", "import", "export", "show", "screen", "sql", "series", "delete", "warm", "compact", "optimize",
    "stats", "backup", "check", "gaps", "cover", "trim", "verify", "calendar", "revisions", "replay",
    "rename", "declare", "sync", "watch", "top", "metrics", "report", "freeze", "thaw",
]  # fmt: skip
OF_WHAT_IS_STORED = [["gaps"], ["verify"], ["calendar"], ["revisions"]]


# ---- the list of commands, and their help


def test_the_commands_are_all_listed_here(cli):
    assert set(typer.main.get_command(app).commands) == set(COMMANDS)


def test_the_help_page_has_the_first_line_of_each_commands_own_help():
    """They are made when they are called: 30 modules and their flags take 25 ms."""
    modules = {name: name if name != "import" else "import_" for name in COMMANDS}
    assert {path.stem for path in Path(commands.__file__).parent.glob("[!_]*.py")} == set(modules.values())
    for name, line in FIRST_LINES.items():
        module = import_module(f"mdstore.cli.commands.{modules[name]}")
        assert getattr(module, modules[name]).__doc__.splitlines()[0] == line


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command):
    if not README.exists():
        pytest.skip("no README.md: these tests run from a clone")
    assert re.search(rf"mdstore (-f \S+ )?{command}\b", README.read_text()), (
        f"README.md says nothing of `mdstore {command}`"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli, command):
    assert "--store" in cli(command, "--help").stdout


def test_help_has_examples(cli):
    for command in ("gaps", "cover", "verify", "calendar", "revisions"):
        out = cli(command, "--help").stdout
        assert out.count(f"mdstore {command}") >= 2, out


def loaded_by(python, *arguments):
    """Return the modules that a process has loaded that runs a command."""
    out = python(
        """
        import sys
        from mdstore.cli import main
        try:
            main()
        except SystemExit:
            pass
        print("\\nloaded", *sys.modules)
        """,
        *map(str, arguments),
    )
    return set(out.rpartition("loaded ")[2].split())


SLOW = {"polars", "pyarrow", "apsw", "duckdb", "pydantic"}


def test_help_loads_no_command(python):
    loaded = loaded_by(python, "--help")
    ours = {name.removeprefix("mdstore.cli.") for name in loaded if name.startswith("mdstore.cli.")}
    shared = {
        "shared.console",
        "shared.errors",
        "shared.late_commands",
        "shared.quick_values",
        "shared.store",
    }
    assert ours == {"app", "shared", *shared}
    assert not SLOW & loaded
    loaded = loaded_by(python, "gaps", "--help")
    assert "mdstore.cli.commands.gaps" in loaded
    assert not {"mdstore.cli.commands.series", *SLOW} & loaded


@pytest.mark.parametrize(
    "arguments", [["series"], ["stats"], ["show", "A", "1m"], ["export", "-", "-t", "1m", "A"], ["gaps", "A"]]
)
def test_texts_and_paths_do_not_load_pydantic(python, tmp_path, arguments):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", walk(30))
    loaded = loaded_by(python, "-f", tmp_path / "s.sqlite3", *arguments)
    assert f"mdstore.cli.output.{arguments[0]}" in loaded
    assert not {"pydantic", "duckdb"} & loaded


def test_a_number_is_converted(cli, store_of):
    with store_of() as store:
        store.write("A", "1m", walk(30))
    assert len(json.loads(cli("show", "A", "-n", "3", "--json").stdout)) == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_store_that_may_not_be_read_is_wrong_usage(cli, store_of):
    store_of().close()
    Path("market_data.sqlite3").chmod(0)
    assert "not readable" in cli("-f", "market_data.sqlite3", "series", code=2).output


def test_version(cli):
    assert re.fullmatch(r"mdstore \d+\.\d+\.\d+\n", cli("--version").stdout)


# ---- the store that is meant


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "x.csv"], ["show", "A"], ["sql", "SELECT 1"], ["series"], ["delete", "A", "--yes"],
        ["backup", "y.sqlite3"], ["check"], ["gaps"], ["verify"], ["calendar", "A", "24/7"], ["revisions"],
        ["top", "--once"], ["metrics"], ["report"],
    ],
)  # fmt: skip
def test_only_import_and_demo_create_a_store(cli, tmp_path, arguments):
    done = cli(*arguments, code=1)
    assert done.stderr.startswith("error: ")
    assert not list(tmp_path.iterdir())


def test_the_store_is_named_before_or_after_the_command_or_by_the_environment(cli, tmp_path, monkeypatch):
    candles_file(tmp_path)
    cli("-f", "a.sqlite3", "import", "KRW-BTC-1m.csv")
    cli("import", "KRW-BTC-1m.csv", "--store", "b.sqlite3")
    monkeypatch.setenv("MDSTORE_FILE", "c.sqlite3")
    cli("import", "KRW-BTC-1m.csv")
    assert sorted(path.name for path in tmp_path.glob("*.sqlite3")) == ["a.sqlite3", "b.sqlite3", "c.sqlite3"]


def test_symbols_complete(filled):
    from mdstore.cli.shared.options import complete_symbol

    class Context:
        params = {}  # noqa: RUF012 - stands in for typer's

        def find_root(self):
            return self

    assert complete_symbol(Context(), "KRW-B") == ["KRW-BTC"]
    Context.params = {"file": Path("nowhere.sqlite3")}
    assert complete_symbol(Context(), "K") == []


def test_a_store_without_candles(cli, store_of):
    with store_of():
        pass
    words = {"calendar": "no calendar is set", "revisions": "no bar has changed"}
    for arguments in OF_WHAT_IS_STORED:
        done = cli(*arguments)
        assert words.get(arguments[0], "nothing is stored in market_data.sqlite3") in done.output
        assert cli(*arguments, "--json").stdout == "[]\n"


def test_a_store_of_a_newer_schema_is_left_alone(holes, tmp_path):
    with sqlite3.connect(tmp_path / "market_data.sqlite3") as con:
        con.execute("INSERT INTO schema_version VALUES (99, 0, 'from the future')")
    con.close()
    for arguments in OF_WHAT_IS_STORED:
        done = holes(*arguments, code=1)
        assert done.stderr.startswith("error: ")
        assert "schema version 99" in done.stderr


@pytest.mark.slow
def test_wait_bounds_how_long_another_writer_is_waited_for(filled, tmp_path):
    candles_file(tmp_path)
    writer = f"""
        import sqlite3, sys
        con = sqlite3.connect({str(tmp_path / "market_data.sqlite3")!r}, isolation_level=None)
        con.execute("BEGIN IMMEDIATE"); print("in", flush=True); sys.stdin.read()
    """
    code = "\n".join(line.strip() for line in writer.strip().splitlines())
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        taken = []
        for wait in ("2", "0"):
            began = time.monotonic()
            done = filled("import", "KRW-BTC-1m.csv", "--wait", wait, code=1)
            taken.append(time.monotonic() - began)
        process.stdin.close()
    assert taken[0] > 2
    assert taken[1] < taken[0]
    assert "or give a longer --wait" in done.stderr
    filled("import", "KRW-BTC-1m.csv", "--wait", "0.2")


# ---- mistakes


def test_errors_speak_of_commands(filled):
    assert "`mdstore series` lists them" in filled("show", "NOTHING-LIKE", "1m", code=1).stderr
    filled("delete", "KRW-ETH", "--yes")
    assert "1 symbol is stored" in filled("show", "NOTHING-LIKE", "1m", code=1).stderr
    filled("delete", "KRW-BTC", "--yes")
    assert "Hint: mdstore import FILES" in filled("show", "NOTHING-LIKE", "1m", code=1).stderr


def test_what_is_not_stored_is_an_error_with_a_hint(holes):
    for arguments in (
        ["gaps", "KRW-ETX"], ["gaps", "X", "-t", "1m"], ["gaps", "-t", "1d"], ["verify", "X"],
        ["verify", "-t", "1d"], ["revisions", "KRW-ETX"], ["revisions", "KRW-ETH", "1d"],
        ["gaps", "X", "-t", "1m", "--missing"],
    ):  # fmt: skip
        done = holes(*arguments, code=1)
        assert done.stdout == ""
        hint = r"error: no candles (for|of) .*(`mdstore series` lists|[Dd]id you mean|Stored)"
        assert re.match(hint, done.stderr), done.stderr


def test_mistakes_in_times_and_timeframes(holes):
    assert "start: 'when'" in holes("gaps", "--start", "when", code=1).stderr
    assert "end: 'when'" in holes("gaps", "KRW-ETH", "--end", "when", code=1).stderr
    assert "is no timeframe" in holes("gaps", "-t", "1x", code=1).stderr
    assert "is no timeframe" in holes("verify", "-t", "1x", code=1).stderr
    assert "is no timeframe" in holes("revisions", "KRW-ETH", "1x", code=1).stderr
    assert "several timeframes of KRW-SOL" in holes("gaps", "KRW-SOL", "--json", code=1).stderr
    assert "several timeframes of KRW-SOL" in holes("gaps", "KRW-SOL", "--missing", code=1).stderr


@pytest.mark.variants(2)
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["series"], 1, "error: "),
        (["import", "nowhere.csv"], 1, "error: nowhere.csv: no such file or folder"),
        (["show"], 2, "Missing argument"),
        (["sow"], 2, "No such command"),
        (["show", "A", "-n", "0"], 2, "Invalid value"),
    ],
)
def test_mistakes_end_without_a_traceback(tmp_path, arguments, code, message):
    returned, out, err = finished(mdstore_process(tmp_path, *arguments))
    assert (returned, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(tmp_path):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.write("A", "1m", walk(20_000))
    process = mdstore_process(tmp_path, "show", "A", "-n", "20000", "--json")
    process.stdout.readline()
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)


@pytest.mark.parametrize("module", ["typer", "mdstore.cli.app", "mdstore.cli.commands.series"])
def test_ctrl_c_while_its_modules_are_read_ends_it_as_elsewhere(python, module):
    done = python(
        """
        import os, runpy, signal, sys

        class Interrupting:
            def find_spec(self, name, *others):
                if name == module:
                    os.kill(os.getpid(), signal.SIGINT)

        module = sys.argv.pop(1)
        sys.meta_path.insert(0, Interrupting())
        runpy.run_module("mdstore", run_name="__main__")
        """,
        module,
        "series",
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
