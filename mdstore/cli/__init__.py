"""The command line: `mdstore demo | import | export | show | screen | sql | series | delete | ...`."""

import os
import sys

from mdstore.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; the process ends with 0, 1 (an error), 2 (wrong usage) or 130 (Ctrl-C)."""
    try:
        app(prog_name="mdstore")
    except SystemExit as ended:
        _leave(ended.code)
        raise


def _leave(code: object) -> None:
    """End at once where a query goes on that was given up: Python would wait for its end, for minutes."""
    running = sys.modules.get("mdstore.candles.reads.sql_running")
    if running is not None and running.left_behind():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
