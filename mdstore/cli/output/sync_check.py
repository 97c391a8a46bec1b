"""What `mdstore sync --check` says of an exchange: what differs from its documentation, a line a request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from mdstore.cli.shared.errors import ERROR
from mdstore.cli.shared.texts import count
from mdstore.sources.exchanges.candle_sources import closed, open_source

if TYPE_CHECKING:
    from mdstore.sources.exchanges.source_check import Finding

__all__ = ["print_check"]


def print_check(source: str, base_url: str | None, out: Console) -> int:
    """Ask an exchange for a little of each kind, and print what differs; return the exit code."""
    findings = asyncio.run(_found(source, base_url))
    for one in findings:
        said = "; ".join(one.differs) or "as documented"
        out.print(escape(f"{one.what}: {said}"), highlight=False, soft_wrap=True)
    right = sum(not one.differs for one in findings)
    kinds = count(len(findings), "kind")
    out.print(f"{right} of {kinds} of requests answered as documented", highlight=False)
    return 0 if right == len(findings) else ERROR


async def _found(source: str, base_url: str | None) -> list[Finding]:
    exchange = open_source(source, base_url=base_url)
    from mdstore.sources.exchanges.source_check import check_source  # noqa: PLC0415 - its extra is there by now

    try:
        return await check_source(exchange)
    finally:
        await closed(exchange)
