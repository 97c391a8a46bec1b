"""One process at a time asks a source for a series: the others wait, and find that nothing is missing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mdstore.candles.file.leases import Lease

__all__ = ["LOOK_SECONDS", "TakesLeases", "held", "lease_name", "leased", "taken"]

LOOK_SECONDS = 0.05
"""How often it is looked whether another process has given a series back."""


class TakesLeases(Protocol):
    """The leases of a file."""

    def take(self, name: str) -> Lease | None:
        """Return the lease of a name, or None while somebody else has it."""


def lease_name(key: tuple[str, str]) -> str:
    """Return what the lease is called of whoever asks a source for a series."""
    return f"fetch {key[0]} {key[1]}"


@asynccontextmanager
async def leased(leases: TakesLeases, key: tuple[str, str]) -> AsyncIterator[None]:
    """Wait for the lease of a series, and hold it."""
    while (lease := await taken(leases, key)) is None:
        await asyncio.sleep(LOOK_SECONDS)
    async with held(lease):
        yield


@asynccontextmanager
async def held(lease: Lease) -> AsyncIterator[None]:
    """Say all the while that the holder of a lease is at work, then give it back."""
    beating = asyncio.create_task(_beat(lease))
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.shield(asyncio.to_thread(lease.give_back))


async def taken(leases: TakesLeases, key: tuple[str, str]) -> Lease | None:
    """Take a lease, in a thread; one that comes when nobody waits for it any more is given back."""
    taking = asyncio.ensure_future(asyncio.to_thread(leases.take, lease_name(key)))
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        taking.add_done_callback(_given_back)
        raise


def _given_back(taking: asyncio.Future[Lease | None]) -> None:
    if not taking.cancelled() and taking.exception() is None:
        lease = taking.result()
        if lease is not None:
            threading.Thread(target=lease.give_back, name="mdstore-lease", daemon=True).start()


async def _beat(lease: Lease) -> None:
    while True:
        await asyncio.sleep(lease.beat_seconds)
        await asyncio.to_thread(lease.beat)
