"""`mdstore warm | compact | stats | backup | check`."""

import json
import shutil

import pytest


def test_backup_and_check(filled, tmp_path):
    assert "copy.sqlite3 written" in filled("backup", "copy.sqlite3").stdout
    before = (tmp_path / "copy.sqlite3").read_bytes()
    assert "--force replaces it" in filled("backup", "copy.sqlite3", code=1).stderr
    assert (tmp_path / "copy.sqlite3").read_bytes() == before
    filled("backup", "copy.sqlite3", "--force")
    assert "is a folder" in filled("backup", tmp_path, code=1).stderr
    assert "is sound" in filled("-f", "copy.sqlite3", "check").stdout
    assert json.loads(filled("check", "--json").stdout) == []
    (tmp_path / "broken.sqlite3").write_bytes(b"no database at all" * 300)
    assert "error:" in filled("-f", "broken.sqlite3", "check", code=1).stderr


def test_warm_compact_and_stats_look_after_the_packs(filled, tmp_path):
    stats = json.loads(filled("stats", "--json").stdout)
    assert (stats["rows"], stats["packs"], stats["loose_rows"]) == (524, 0, 524)
    assert filled("warm").stdout == "524 rows put into packs\n"
    assert json.loads(filled("warm", "--json").stdout) == {"rows": 0}
    assert filled("compact").stdout == "1 pack, 0 B saved\n"
    assert json.loads(filled("compact", "--json").stdout) == {"bytes_saved": 0, "packs": 1}
    assert "524 in 3 cells and 1 pack, 0 loose" in filled("stats").stdout
    assert filled("warm", "--rebuild").stdout == "524 rows put into packs\n"
    shutil.rmtree(tmp_path / "market_data.sqlite3-packs")
    (tmp_path / "market_data.sqlite3-packs").write_text("in the way")
    assert "cannot be written" in filled("warm", "--rebuild", code=1).stderr


@pytest.mark.slow
def test_ctrl_c_ends_a_warming_and_the_next_goes_on(filled, tmp_path, monkeypatch):
    from mdstore.candles.packs import seal_policy as upkeep
    from mdstore.cli.shared.progress import WorkProgress

    def interrupt(self, done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(upkeep, "BUILD_ROWS", 1)
    with monkeypatch.context() as patched:
        patched.setattr(WorkProgress, "__call__", interrupt)
        assert "interrupted" in filled("warm", code=130).stderr
    assert 0 < json.loads(filled("stats", "--json").stdout)["sealed_rows"] < 524
    filled("warm")
    assert json.loads(filled("stats", "--json").stdout)["loose_rows"] == 0
