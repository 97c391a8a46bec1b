"""What the classes here are made with: a store, or its repository."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa

    from mdstore.candles.file.leases import Leases
    from mdstore.candles.file.table_reads import Request
    from mdstore.candles.reads.answer import Answer
    from mdstore.candles.reads.explanation import Explanation
    from mdstore.candles.reads.sql import Queries
    from mdstore.candles.reads.sql_given import Params
    from mdstore.candles.upkeep.file_upkeep import FileUpkeep
    from mdstore.core.latencies import LatencyTable

__all__ = ["HasRepository", "HasUpkeep", "Owner", "repository_of", "upkeep_of"]


class HasUpkeep(Protocol):
    """A repository, whose file can be looked after."""

    latencies: LatencyTable
    leases: Leases

    @property
    def upkeep(self) -> FileUpkeep:
        """The pages of the file, and what puts them in order."""

    def stats(self) -> dict[str, int | float | str]:
        """Return figures of the file, the packs and the memory tier."""

    def memory(self) -> dict[str, int]:
        """Return what this process's memory is taken by."""

    @property
    def queries(self) -> Queries:
        """DuckDB over the candles."""

    def read(self, request: Request) -> Answer:
        """Return candles."""

    def sql(
        self,
        query: str,
        others: Mapping[str, Callable[[], pa.Table]] | None = None,
        timeout: float | None = None,
        params: Params | None = None,
        own: Mapping[str, object] | None = None,
    ) -> tuple[pa.Table, Explanation]:
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
