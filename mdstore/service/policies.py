"""What a service does by itself, as values."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mdstore.core.arguments import positive_seconds
from mdstore.errors import InvalidInputError

__all__ = ["ServicePolicies"]


@dataclass(frozen=True, slots=True)
class ServicePolicies:
    """What a service does by itself.

    >>> ServicePolicies(derive=False).offline
    False
    """

    offline: bool = False
    """Whether no upstream is asked for anything: neither the coordinator nor the router, which is memory, but
    not the store's. Answers are of what the store has, its rings included, and say so."""
    derive: bool = True
    """Whether a timeframe that is not stored is made of a shorter one that is."""
    settle_seconds: float = 2.0
    """So long after its end a bar is not asked for yet: sources publish late, and no answer is an answer."""
    late_seconds: float = 60.0
    """A bar that is absent is believed to be so when it has ended that long ago: some come late."""
    wait_seconds: float = 10.0
    """How long a call waits for what is missing; what has come by then stays, and the answer says so."""
    retry_seconds: float = 1.0
    """How long a series is left alone after a request for it failed; doubled each time."""
    most_seconds: float = 300.0
    """The longest that a series, or a source that fails altogether, is left alone."""
    breaker: int = 5
    """After so many failures of the host in a row nothing is asked of it for a while; 0 for never.

    A symbol that it does not know is no failure of the host, see `FunctionCoordinator`.
    """
    reach: int = 32
    """How many times as far back as `count` bars reach it is looked for them where bars are sparse."""
    preload: bool = False
    """Whether what is asked for most is made ready in the background: now, and before its market opens."""
    preload_before_seconds: float = 300.0
    """How long before its market opens."""
    preload_bytes: int = 64 * 1024 * 1024
    """How much of what is asked for most is made ready."""
    preload_seconds: float = 5.0
    """How long that may take."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_seconds"):
                positive_seconds(value, field.name, or_none=False)
            elif field.type == "bool" and not isinstance(value, bool):
                raise InvalidInputError(f"{field.name}={value!r} is neither True nor False")
            elif field.type == "int" and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise InvalidInputError(f"{field.name}={value!r} is no whole number from 0 on")
