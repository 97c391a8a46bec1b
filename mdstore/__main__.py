"""Run the command line as `python -m mdstore`."""

from mdstore.cli import main

if __name__ == "__main__":
    main()
