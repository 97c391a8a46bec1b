"""What has to be installed besides, to ask exchanges."""

from __future__ import annotations

from typing import Final

__all__ = ["INSTALL"]

INSTALL: Final = "pip install 'mdstore[exchanges]'"
