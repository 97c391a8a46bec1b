"""Python as a user who may do no more than the permissions say, in a process of its own."""

import os
import subprocess
import sys
import textwrap

from tests.support.paths import ROOT


def as_nobody(folder, script, before=""):
    """Run a script as a user who may do no more than the permissions say; all that it needs is imported.

    `before` is run with all rights, to have more imported: Python itself may lie where others may not look.
    """
    first = """
        import os, mdstore
        from mdstore import MarketDataError
        from tests.support.candles import bits, walk

        def exercise(store):
            store.candles("A", "1m"); store.candles(None, "1m"); store.sql("SELECT count(*) FROM candles")
            store.scan("A", "1m").collect(); store.screen("1m", "close > 0"); store.maintenance.warm()
            store.maintenance.compact(); store.maintenance.stats(); store.maintenance.check()
            store.write("B", "1m", walk(3_000, seed=2)); store.write("C", "1m", walk(3, seed=2))

        with mdstore.open("other.sqlite3") as store:
            store.write("A", "1m", walk(3_000))
            exercise(store)
            store.maintenance.backup("copy.sqlite3")
        for name in ("other.sqlite3", "copy.sqlite3"):
            os.remove(name)
        import shutil; shutil.rmtree("other.sqlite3-packs")
        {before}
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)

        def refused(call):
            try:
                call()
            except MarketDataError as error:
                return str(error)
            raise AssertionError("it was not refused")
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(first).replace("{before}", before) + textwrap.dedent(script)],
        cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
