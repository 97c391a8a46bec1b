"""`mdstore warm | compact | stats | backup | check`."""

import json
import shutil

import pytest

import mdstore


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


def test_of_a_store_without_candles_no_bytes_a_candle_are_told(cli, tmp_path):
    mdstore.open(tmp_path / "market_data.sqlite3").close()
    assert "a candle" not in cli("stats").stdout


def test_a_backup_goes_through_a_pipe(filled, tmp_path):
    done = filled("backup", "-")
    assert "written" in done.stderr
    assert not (tmp_path / "-").exists()
    (tmp_path / "copy.sqlite3").write_bytes(done.stdout_bytes)
    assert "is sound" in filled("-f", "copy.sqlite3", "check").stdout
    assert "KRW-BTC" in filled("-f", "copy.sqlite3", "series").stdout
    assert "- has none" in filled("backup", "-", "--packs", code=2).output


def test_a_backup_takes_the_packs_along_when_it_is_told_to(filled, tmp_path):
    filled("warm")
    filled("backup", "plain.sqlite3")
    assert not (tmp_path / "plain.sqlite3-packs").exists()
    assert "copy.sqlite3 written" in filled("backup", "copy.sqlite3", "--packs").stdout
    assert json.loads(filled("-f", "copy.sqlite3", "stats", "--json").stdout)["packs"] == 1
    assert "is sound" in filled("-f", "copy.sqlite3", "check").stdout


def test_stats_tell_since_when_a_read_pins_the_log(filled, monkeypatch):
    from mdstore.candles.file.log import Log

    assert "kept it from being shortened" not in filled("stats").stdout
    monkeypatch.setattr(Log, "pinned_since", "2026-01-02T03:04:05+00:00")
    assert "kept it from being shortened since 2026-01-02T03:04:05+00:00" in filled("stats").stdout


def test_a_backup_shows_its_progress(filled, monkeypatch):
    from mdstore.cli.shared.progress import WorkProgress

    seen = []
    monkeypatch.setattr(WorkProgress, "__call__", lambda _, done, total: seen.append((done, total)))
    filled("backup", "copy.sqlite3")
    assert seen[-1][0] == seen[-1][1] > 0


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

    with monkeypatch.context() as patched:
        patched.setattr(upkeep, "BUILD_ROWS", 1)
        patched.setattr(WorkProgress, "__call__", interrupt)
        assert "interrupted" in filled("warm", code=130).stderr
    assert 0 < json.loads(filled("stats", "--json").stdout)["sealed_rows"] < 524
    filled("warm")
    assert json.loads(filled("stats", "--json").stdout)["loose_rows"] == 0
