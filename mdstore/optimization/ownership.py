"""What the classes here are made with: a store, or its repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from mdstore.candles.upkeep.file_upkeep import FileUpkeep

__all__ = ["HasRepository", "HasUpkeep", "Owner", "upkeep_of"]


class HasUpkeep(Protocol):
    """A repository, whose file can be looked after."""

    upkeep: FileUpkeep


@runtime_checkable
class HasRepository(Protocol):
    """A store, which has a repository."""

    @property
    def repository(self) -> HasUpkeep:
        """The repository of the store."""


Owner = HasUpkeep | HasRepository
"""A store or its repository."""


def upkeep_of(owner: Owner) -> FileUpkeep:
    """Return the upkeep of the file that a store or repository has."""
    return owner.repository.upkeep if isinstance(owner, HasRepository) else owner.upkeep
