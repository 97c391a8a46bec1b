"""A store in an event loop, and a program that is told to end."""

import asyncio
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import mdstore
from tests.support.paths import ROOT


def test_a_store_may_be_opened_and_closed_in_a_task(tmp_path):
    async def run():
        async with mdstore.open(tmp_path / "a.sqlite3") as store:
            store.write("A", "1m", [("2025-09-01", 1, 2, 1, 2, 5)])
        other = mdstore.open(tmp_path / "a.sqlite3")
        assert len(other.candles("A", "1m")) == 1
        await other.aclose()
        return store, other

    for store in asyncio.run(run()):
        with pytest.raises(mdstore.StoreClosedError):
            store.candles("A", "1m")


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_of_the_readme_as_cleanly_as_a_return(tmp_path, by):
    """What is whole is stored, the forming bar is not, and nothing is left that would be waited for."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (main,) = [block for block in blocks if "async def main(" in block]
    feed = """
        import asyncio, contextlib, signal, mdstore
        from mdstore import Trade

        async def feed(store, fetch):
            store.live.build("1m", persist=True)
            now = store.live.clock() // 10**6 // 60_000 * 60_000
            async with store.live.session("made up", "A", backfill=fetch) as session:
                session.subscribed(at=now - 300_000)
                session.push([Trade("A", now - 60_000, 1.0, 1.0), Trade("A", now + 2_000, 2.0, 1.0)])
                print("ready", flush=True)
                await asyncio.sleep(60)

        fetch = lambda *_: []
    """
    program = textwrap.dedent(feed) + main
    file = Path(tmp_path / "bot.py")
    file.write_text(program.replace("market_data.sqlite3", str(tmp_path / "a.sqlite3")))
    with subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as bot:
        assert bot.stdout.readline() == b"ready\n"
        bot.send_signal(by)
        _, said = bot.communicate(timeout=60)
    if by == signal.SIGTERM:
        assert (bot.returncode, said) == (0, b"")
    with mdstore.open(tmp_path / "a.sqlite3") as store:
        assert store.candles("A", "1m")["close"].to_list()[-1:] == [1.0]
