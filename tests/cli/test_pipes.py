"""`export -` and `import -`: candles through pipes, in real processes."""

import json
import subprocess
import sys

import pytest

import mdstore
from tests.support.candles import bits
from tests.support.command_line import HEADER, ROW, finished, mdstore_process

FORMATS = ("csv", "tsv", "json", "ndjson", "parquet", "feather", "arrow")


@pytest.mark.variants(1)
@pytest.mark.parametrize(
    "form",
    [pytest.param(form, marks=() if form in ("csv", "parquet") else pytest.mark.long) for form in FORMATS],
)
def test_a_store_goes_through_a_pipe_into_another(filled, store_of, tmp_path, form):
    out = subprocess.Popen(
        [sys.executable, "-m", "mdstore", "export", "-", "-t", "1m", "--format", form],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    into = mdstore_process(
        tmp_path, "-f", "other.sqlite3", "import", "-", "--format", form, "--json", stdin=out.stdout
    )
    out.stdout.close()
    code, said, trouble = finished(into)
    assert code == 0, trouble
    assert json.loads(said)["totals"]["inserted"] == 500
    assert out.stderr.read() == b"500 rows written\n"
    out.stderr.close()
    assert out.wait() == 0
    with store_of() as store, mdstore.open(tmp_path / "other.sqlite3") as other:
        for symbol in ("KRW-BTC", "KRW-ETH"):
            assert bits(other.candles(symbol, "1m")) == bits(store.candles(symbol, "1m"))
        assert other.provenance()["source"].unique().to_list() == ["standard input"]


def test_csv_is_the_format_if_none_is_named(cli, store_of):
    text = HEADER + "".join(ROW.format(i) for i in range(5))
    said = cli("import", "-", "-s", "A", "-t", "1m", given=text)
    assert "5 rows" in said.stdout
    assert (
        cli("export", "-", "A").stdout.splitlines()[0]
        == "symbol,timeframe,timestamp,open,high,low,close,volume"
    )
    with store_of() as store:
        assert len(store.candles("A", "1m")) == 5


def test_a_pipe_tells_no_symbol_by_its_name(cli, tmp_path):
    error = cli("import", "-", given=HEADER + ROW.format(0), code=1).stderr
    assert "which symbol" in error
    assert not (tmp_path / "market_data.sqlite3").exists()


def test_mistakes_with_pipes(cli, filled):
    assert "stands by itself" in cli("import", "-", "x.csv", code=2, given="").output
    assert "--format is for - only" in cli("import", "x.csv", "--format", "csv", code=2).output
    assert "--format is for - only" in filled("export", "x.csv", "-t", "1m", "--format", "csv", code=2).output
    assert "Invalid value" in filled("export", "-", "-t", "1m", "--format", "xlsx", code=2).output
    assert "standard input is empty" in cli("import", "-", "-s", "A", "-t", "1m", given="", code=1).stderr


def test_a_file_of_a_header_alone_is_no_error(cli, tmp_path):
    (tmp_path / "A-1m.csv").write_text(HEADER)
    (tmp_path / "B.csv").write_text(HEADER)  # nor does anybody ask for its timeframe
    done = cli("import", "A-1m.csv", "B.csv")
    assert "A-1m.csv: a header and no rows" in done.stderr
    assert not (tmp_path / "market_data.sqlite3").exists()  # nothing was stored
    (tmp_path / "C-1m.csv").write_text(HEADER + ROW.format(0))
    found = json.loads(cli("import", "A-1m.csv", "C-1m.csv", "--json", "--complete").stdout)
    assert found["totals"]["inserted"] == 1
    assert found["failures"] == []
    assert cli("import", "-", given=HEADER).exit_code == 0
