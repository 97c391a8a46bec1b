"""Run the command line, as `mdstore` or as `python -m mdstore`."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run it; Ctrl-C while its modules are still being read ends it as it does later."""
    try:
        from mdstore.cli import main as run  # noqa: PLC0415 - 0.1 s in which Ctrl-C may come

        run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
