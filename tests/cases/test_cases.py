"""Runs the tables of cases in this folder."""

import importlib
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mdstore
from mdstore.cli import app
from tests.cases.case import VALUES, Import, Write

TABLES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if not path.stem.startswith(("test", "case", "_"))
)
CASES = {table: importlib.import_module(f"tests.cases.{table}").CASES for table in TABLES}


def of(kind):
    return [
        pytest.param(case, id=f"{table}: {case.name}")
        for table, cases in CASES.items()
        for case in cases
        if isinstance(case, kind)
    ]


def stored(store, shape):
    """Return what is stored as a case writes it: as many values a row as `shape` gives for that series."""
    found = {}
    for symbol, timeframe in store.series().select("symbol", "timeframe").rows():
        rows = shape.get((symbol, timeframe)) or [("", 0)]
        frame = store.candles(symbol, timeframe).with_columns(
            timestamp=store.candles(symbol, timeframe)["timestamp"].dt.to_string("%Y-%m-%dT%H:%M:%SZ")
        )
        found[symbol, timeframe] = frame.select("timestamp", *VALUES[: len(rows[0]) - 1]).rows()
    return found


def wanted(bars):
    return {key: sorted((moment(row[0]), *map(float, row[1:])) for row in rows) for key, rows in bars.items()}


def moment(text):
    return {10: f"{text}T00:00:00Z", 16: f"{text}:00Z", 19: f"{text}Z"}.get(len(text), text)


@pytest.mark.parametrize("case", of(Write))
def test_write(store, case):
    if case.refused is None:
        result = write(store, case)
        assert stored(store, case.bars) == wanted(case.bars)
        assert {name: getattr(result, name) for name in case.result} == case.result
        return
    with pytest.raises(mdstore.MarketDataError, match=case.refused) as caught:
        write(store, case)
    assert store.series().is_empty()
    assert caught.value.hint is not None or "Hint: " in str(caught.value)
    assert re.search(case.hint, str(caught.value).split("Hint: ", 1)[1]), str(caught.value)
    if case.then is not None:
        write(store, case, **case.then)
        assert stored(store, case.bars) == wanted(case.bars)


def write(store, case, **changes):
    arguments = {
        "symbol": case.symbol,
        "timeframe": case.timeframe,
        "data": case.data,
        **case.options,
        **changes,
    }
    symbol, timeframe, data = (arguments.pop(name) for name in ("symbol", "timeframe", "data"))
    data = data() if callable(data) else data
    if symbol is None:
        return store.write_many(data, timeframe=timeframe, **arguments)
    return store.write(symbol, timeframe, data, **arguments)


@pytest.mark.parametrize("case", of(Import))
def test_import(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, case.files)
    out = run(*case.arguments, code=0 if case.refused is None else 1)
    for pattern in case.said:
        assert re.search(pattern, out), out
    for pattern in case.not_said:
        assert not re.search(pattern, out), out
    if case.refused is not None:
        assert re.search(case.refused, out), out
        assert case.hint is None or re.search(f"Hint: .*{case.hint}", out), out
    first = case.bars if case.then_bars is not None or case.refused is None else {}
    assert now_stored(tmp_path, first) == wanted(first)
    if case.then is not None:
        put(tmp_path, case.then_files or {})
        run(*case.then, code=0)
        bars = case.bars if case.then_bars is None else case.then_bars
        assert now_stored(tmp_path, bars) == wanted(bars)


def put(folder, files):
    for path, content in files.items():
        target = folder / "in" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)


def run(*arguments, code):
    done = CliRunner().invoke(app, ["import", "in", *arguments], prog_name="mdstore")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    assert len(done.stderr) < 10_000
    return done.output


def now_stored(folder, bars):
    if not (folder / "market_data.sqlite3").exists():
        return {}
    with mdstore.open(folder / "market_data.sqlite3") as store:
        return stored(store, bars)


def test_there_are_cases_enough():
    cases = [case for table in CASES.values() for case in table]
    assert len(cases) >= 700
    names = [f"{table}: {case.name}" for table, cases in CASES.items() for case in cases]
    assert len(names) == len(set(names))
    json.dumps(names)
