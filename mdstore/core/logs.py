"""Loggers: one line for what an operator wants to know; silent where a program sets up nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable

__all__ = ["logger", "tell"]

# Python prints warnings of a library to stderr where nobody has said what is to become of them.
logging.getLogger("mdstore").addHandler(logging.NullHandler())


def logger(part: str) -> logging.Logger:
    """Return the logger of a part, e.g. `mdstore.service`."""
    return logging.getLogger(f"mdstore.{part}")


def tell(listener: Callable[[Exception], object] | None, error: Exception, log: logging.Logger) -> None:
    """Tell a user's function of an error; one that fails is logged, and ends nothing of what called it."""
    if listener is None:
        return
    try:
        listener(error)
    except Exception:
        log.exception("the one who is told of errors failed")
