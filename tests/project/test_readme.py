"""The README's tables name every command and every public name, and no other."""

import inspect
import re

import typer.main

import mdstore
from mdstore.cli import app
from mdstore.store.maintenance import Maintenance
from tests.support.paths import ROOT

LINES = (ROOT / "README.md").read_text().splitlines()
CELLS = [line.split("|")[1] for line in LINES if line.startswith("| `")]
CODE = [code for cell in CELLS for code in re.findall(r"`([^`]+)`", cell)]
NAMES = {match[0] for code in CODE if (match := re.match(r"(store|mdstore)\.[\w.]+", code))}
COMMANDS = {match[1] for code in CODE if (match := re.match(r"mdstore ([\w-]+)", code))}


def public(of):
    return {name for name, _ in inspect.getmembers(of) if not name.startswith("_")}


def test_every_command_is_in_the_table():
    assert set(typer.main.get_command(app).commands) == COMMANDS


def test_every_public_name_is_in_a_table():
    kept = {f"mdstore.{name}" for name in (*mdstore.__all__, "__version__")}
    kept |= {f"store.{name}" for name in public(mdstore.MarketDataStore)}
    kept |= {f"store.maintenance.{name}" for name in public(Maintenance)}
    assert sorted(kept - NAMES) == []
    assert sorted(NAMES - kept) == []
