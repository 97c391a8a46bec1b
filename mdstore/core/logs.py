"""Loggers: one line for what an operator wants to know; silent where a program sets up nothing."""

from __future__ import annotations

import logging

__all__ = ["logger"]

# Python prints warnings of a library to stderr where nobody has said what is to become of them.
logging.getLogger("mdstore").addHandler(logging.NullHandler())


def logger(part: str) -> logging.Logger:
    """Return the logger of a part, e.g. `mdstore.service`."""
    return logging.getLogger(f"mdstore.{part}")
