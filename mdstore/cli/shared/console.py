"""Where output goes: results to stdout, everything else to stderr, in letters that the terminal can write."""

from __future__ import annotations

import codecs
import io
import os
import sys

from rich.console import Console

__all__ = ["WIDTH_OF_NO_TERMINAL", "to_stderr", "to_stdout"]

# A file or a pipe has no width, so that tables stay whole there.
WIDTH_OF_NO_TERMINAL = 1_000_000
# Letters that the encoding of a terminal may lack, and what is written for them.
STAND_IN = "mdstore.stand_in"
STAND_INS = dict(zip("│┃╵╷╹╻╽╿┤└┬─…▁▂▃▄▅▆▇█░·", "|#',####+++-~..::||##=-", strict=True))


def to_stdout() -> Console:
    """Return the console for results."""
    return _console(sys.stdout.isatty(), stderr=False)


def to_stderr() -> Console:
    """Return the console for everything that is no result: progress, remarks, errors."""
    return _console(sys.stderr.isatty(), stderr=True)


def _console(terminal: bool, *, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=STAND_IN)
    width = None if terminal or "COLUMNS" in os.environ else WIDTH_OF_NO_TERMINAL
    return Console(stderr=stderr, width=width, soft_wrap=stderr)


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    """Replace letters that a terminal's encoding lacks: a chart drawn with | and # can still be read."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(STAND_INS.get(letter, "?") for letter in missing), error.end


codecs.register_error(STAND_IN, _stand_in)
