"""One process at a time asks a source for a series: the others wait, and find that nothing is missing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from mdstore.errors import MarketDataError

if TYPE_CHECKING:
    from mdstore.candles.file.leases import Lease

__all__ = ["LOOK_SECONDS", "TakenOverError", "TakesLeases", "held", "lease_name", "leased", "taken"]

LOOK_SECONDS = 0.05
"""How often it is looked whether another process has given a series back."""


class TakenOverError(MarketDataError):
    """Somebody else has taken over what was asked for, as nothing was heard of this process for a while."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"another process has taken over '{name}', since nothing was heard of this one for a while",
            hint="what has come is stored: ask again",
        )


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
    """Say all the while that the holder of a lease is at work, then give it back.

    The work is cancelled where somebody else has taken over. Raises `TakenOverError` then.
    """
    work = asyncio.current_task()
    assert work is not None  # noqa: S101 - a coroutine runs in one; for mypy
    beating = asyncio.create_task(_beat(lease, work))
    try:
        yield
    except asyncio.CancelledError:
        is_lost = beating.done() and not beating.cancelled() and beating.exception() is None
        if not is_lost or work.uncancel():
            raise  # by somebody else, too
        raise TakenOverError(lease.name) from None
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


async def _beat(lease: Lease, work: asyncio.Task[Any]) -> None:
    """Say that the work goes on; end by cancelling it once the lease is somebody else's."""
    while True:
        await asyncio.sleep(lease.beat_seconds)
        if not await asyncio.to_thread(lease.beat):
            work.cancel()
            return
