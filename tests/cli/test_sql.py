"""`mdstore sql`: tables, JSON, and what is wrong with a query."""

import json
import re

import pytest

from tests.support.command_line import candles_file


def test_sql_prints_a_table_or_json_or_reads_stdin(filled):
    query = "SELECT symbol, timeframe, count(*) AS bars FROM candles GROUP BY ALL ORDER BY ALL"
    assert re.search(r"KRW-BTC +1h +24", filled("sql", query).stdout)
    assert json.loads(filled("sql", "--json", "-", given=query).stdout)[0] == {
        "symbol": "KRW-BTC", "timeframe": "1h", "bars": 24,
    }  # fmt: skip
    many = filled("sql", "FROM candles", "-n", "3")
    assert "3 of 524 rows" in many.stderr
    odd = json.loads(
        filled(
            "sql", "--json", "SELECT 'nan'::DOUBLE AS a, [1, 2] AS b, DATE '2025-09-01' AS c, NULL AS d"
        ).stdout
    )
    assert odd == [{"a": None, "b": [1, 2], "c": "2025-09-01", "d": None}]


def test_sql_does_not_group_digits_and_writes_huge_floats_shortly(filled):
    out = filled("sql", "SELECT 20250903 AS day, 2025 AS year, 1e300::DOUBLE AS huge, 1234.5 AS price").stdout
    assert re.search(r"20250903 +2025 +1e\+300 +1234\.5", out)


def test_numbers_are_not_rounded(filled):
    given = [475365534131.7573, 0.1, 1.2345678901234568e-05]
    rows = ", ".join(f"({number!r}::DOUBLE)" for number in given)
    out = filled("sql", f"SELECT number FROM (VALUES {rows}) AS t (number)").stdout
    assert [float(line) for line in out.splitlines()[1:]] == given
    assert "475365534131.7573" in filled("sql", "SELECT 475365534131.7573::DOUBLE AS turnover").stdout
    assert re.search(r"0\.1 +1e-300", filled("sql", "SELECT 0.1::DOUBLE AS a, 1e-300::DOUBLE AS b").stdout)


def test_parameters(filled):
    query = "SELECT symbol, count(*) AS bars FROM candles WHERE symbol = {} AND close > {} GROUP BY ALL"
    by_place = filled("sql", query.format("?", "?"), "--param", "KRW-ETH", "--param", "0.5").stdout
    by_name = filled("sql", query.format("$it", "$low"), "--param", "low=0.5", "--param", "it=KRW-ETH").stdout
    assert by_place == by_name
    assert re.search(r"KRW-ETH +200", by_place)
    texts = filled("sql", "SELECT ? || 'x' AS a, ? || 'x' AS b", "--param", "005930", "--param", "'7'").stdout
    assert re.search("005930x +7x", texts)
    assert "error:" in filled("sql", query.format("?", "?"), "--param", "KRW-ETH", code=1).stderr


def test_a_pragma_is_said_to_be_no_select(filled):
    said = filled("sql", "pragma version", code=1).stderr
    assert "this is no SELECT" in said
    assert "json" not in said


def test_long_texts_are_cut_with_a_mark(cli, tmp_path, monkeypatch):
    candles_file(tmp_path, "A-1m.csv")
    with (tmp_path / "A-1m.csv").open("a") as file:
        file.write("2025-09-01T00:07:00,1,2,173223000.12345678,1,1\n")
    cli("import", "A-1m.csv", "--on-invalid", "quarantine")
    whole = cli("sql", "FROM quarantine").stdout
    assert "…" not in whole
    assert '"volume": "1"}' in whole
    monkeypatch.setenv("COLUMNS", "80")
    cut = cli("sql", "FROM quarantine").stdout
    assert "…" in cut
    assert len(cut.splitlines()) == 2
    assert "173223000.12345678" in cut  # a number, though in a column of texts


def test_wide_tables_stay_whole_in_a_pipe(filled):
    long = "x" * 400
    assert long in filled("sql", f"SELECT 1 AS a, '{long}' AS b").stdout


@pytest.mark.parametrize("query", ["SELEC", "DELETE FROM candles", "SELECT nothing FROM candles"])
def test_bad_sql_is_an_error_and_changes_nothing(filled, query):
    done = filled("sql", query, code=1)
    assert done.stderr.startswith("error: ")
    assert done.stdout == ""
    assert len(json.loads(filled("series", "--json").stdout)) == 3


def test_errors_of_sql_hint_at_what_is_wrong(filled):
    assert "the tables are candles" in filled("sql", "FROM nowhere", code=1).stderr
    assert "the tables are candles" in filled("sql", "SELECT nothing FROM candles", code=1).stderr
    assert "the tables are" not in filled("sql", "SELECT 1 +", code=1).stderr
    assert "`mdstore import` and `mdstore delete`" in filled("sql", "DELETE FROM candles", code=1).stderr


def test_rows_bound_json_too_where_they_are_given(filled):
    whole = json.loads(filled("sql", "FROM candles ORDER BY ALL", "--json").stdout)
    assert len(whole) == 524
    assert json.loads(filled("sql", "FROM candles ORDER BY ALL", "--json", "-n", "3").stdout) == whole[:3]


def test_a_plan_is_printed_as_it_is_drawn(filled):
    plan = filled("sql", "EXPLAIN SELECT max(close) FROM candles").stdout
    assert "AGGREGATE" in plan
    assert "explain_key" not in plan
    assert "candles" in filled("sql", "SHOW TABLES").stdout
    assert "close" in filled("sql", "DESCRIBE candles").stdout
