"""Python in a process of its own, to be killed."""

import os
import subprocess
import sys
import textwrap

from tests.support.paths import ROOT


def start(script, *args, cwd):
    root = str(ROOT)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *args],
        stdout=subprocess.PIPE, text=True, cwd=cwd, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
