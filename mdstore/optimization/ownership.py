"""What the classes here are made with: a store, or its repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa

    from mdstore.candles.file.leases import Leases
    from mdstore.candles.reads.explanation import Explanation
    from mdstore.candles.upkeep.file_upkeep import FileUpkeep
    from mdstore.core.latencies import LatencyTable

__all__ = ["HasRepository", "HasUpkeep", "Owner", "repository_of", "upkeep_of"]


class HasUpkeep(Protocol):
    """A repository, whose file can be looked after."""

    upkeep: FileUpkeep
    latencies: LatencyTable
    leases: Leases

    def stats(self) -> dict[str, int | float | str]:
        """Return figures of the file, the packs and the memory tier."""

    def memory(self) -> dict[str, int]:
        """Return what this process's memory is taken by."""

    def sql(self, query: str) -> tuple[pa.Table, Explanation]:
        """Return what a query gives, and how it was answered."""


@runtime_checkable
class HasRepository(Protocol):
    """A store, which has a repository."""

    @property
    def repository(self) -> HasUpkeep:
        """The repository of the store."""


Owner = HasUpkeep | HasRepository
"""A store or its repository."""


def repository_of(owner: Owner) -> HasUpkeep:
    """Return the repository that a store has, or that is given."""
    return owner.repository if isinstance(owner, HasRepository) else owner


def upkeep_of(owner: Owner) -> FileUpkeep:
    """Return the upkeep of the file that a store or repository has."""
    return repository_of(owner).upkeep
