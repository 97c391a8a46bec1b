"""`mdstore report`: writes one file, and replaces no other."""


def test_a_report_is_written_and_written_again(filled, tmp_path):
    assert filled("report").stdout == "report.html has the report\n"
    text = (tmp_path / "report.html").read_text()
    assert "KRW-BTC" in text
    assert "candles, memory (6)" in text  # two more reads of each series
    filled("report", "report.html")
    (tmp_path / "mine.html").write_text("mine")
    assert "--force" in filled("report", "mine.html", code=1).stderr
    filled("report", "mine.html", "--force")
    assert "KRW-BTC" in (tmp_path / "mine.html").read_text()
    assert filled("--read-only", "report").stdout == "report.html has the report\n"


def test_a_report_goes_through_a_pipe(filled, tmp_path):
    before = sorted(tmp_path.iterdir())
    text = filled("report", "-").stdout
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")
    assert "KRW-BTC" in text
    assert [path for path in sorted(tmp_path.iterdir()) if not path.name.endswith("-packs")] == before
