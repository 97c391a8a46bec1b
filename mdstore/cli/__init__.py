"""The command line: `mdstore demo | import | export | show | screen | sql | series | delete | ...`."""

from mdstore.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; the process ends with 0, 1 (an error), 2 (wrong usage) or 130 (Ctrl-C)."""
    app(prog_name="mdstore")
