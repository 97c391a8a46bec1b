"""What failed, and when it is worth trying again: a delay that grows for each series, and for the source.

A source is left alone where its host fails, not where it has no such symbol: a list with a few unknown ones
had shut it off for all others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from mdstore.errors import SourceError
from mdstore.service.policies import ServicePolicies

__all__ = ["Trouble", "Troubles", "is_of_host"]

KEPT = 10_000
"""Of so many series it is remembered that they failed; of more, those that failed first are tried at once."""
CLIENT_ERRORS, SERVER_ERRORS = 400, 500
OF_HOST = frozenset({401, 403, 407, 408, 418, 425, 429})
"""Status codes below 500 that say nothing of what was asked: who asks is refused, or is to wait."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something is not asked for just now: what failed, how often, and until when (of the timer)."""

    error: str
    failures: int
    until: float


class Troubles:
    """What failed of one source. Threads may share it."""

    def __init__(self, policies: ServicePolicies, timer: Callable[[], float]) -> None:
        self._policies = policies
        self._timer = timer
        self._by_key: dict[Hashable, Trouble] = {}
        self._source = Trouble("", 0, 0.0)
        self._lock = threading.Lock()

    def of(self, key: Hashable) -> Trouble | None:
        """Return why a series is not asked for just now; None where it may be."""
        now = self._timer()
        with self._lock:
            if self._is_open and now < self._source.until:
                return self._source
            found = self._by_key.get(key)
            return found if found is not None and now < found.until else None

    def failed(self, key: Hashable, error: str, *, is_host: bool = True) -> Trouble:
        """Take note of a failure; return until when the series is left alone.

        `is_host` tells that the source as a whole has failed, rather than what was asked of it.
        """
        now, most = self._timer(), self._policies.most_seconds
        with self._lock:
            before = self._by_key.pop(key, None)
            count = 1 + (before.failures if before else 0)
            trouble = Trouble(error, count, now + self._delay(count, most))
            self._by_key[key] = trouble
            while len(self._by_key) > KEPT:
                del self._by_key[next(iter(self._by_key))]
            if not is_host:
                return trouble
            total = self._source.failures + 1
            beyond = total - self._policies.breaker
            until = now + self._delay(beyond + 1, most) if beyond >= 0 else 0.0
            self._source = Trouble(
                f"{total} requests in a row have failed, the last with: {error}", total, until
            )
            return trouble

    def went_well(self, key: Hashable) -> int:
        """Take note that a series came, so that the source is there; return how many failures that ends.

        They are its own, or those for which nothing at all was asked of the source.
        """
        with self._lock:
            before, of_source = self._by_key.pop(key, None), self._source.failures if self._is_open else 0
            self._source = Trouble("", 0, 0.0)
            return max(of_source, before.failures if before else 0)

    def left_alone(self) -> Trouble | None:
        """Return why nothing at all is asked for just now; None where it may be."""
        with self._lock:
            return self._source if self._is_open and self._timer() < self._source.until else None

    def seconds_left(self, trouble: Trouble) -> float:
        """Return how long it is until the next try."""
        return max(0.0, trouble.until - self._timer())

    def said(self, trouble: Trouble) -> str:
        """Say what failed, and when it is tried again."""
        return f"{trouble.error}; tried again in {self.seconds_left(trouble):.0f} s"

    @property
    def _is_open(self) -> bool:
        return 0 < self._policies.breaker <= self._source.failures

    def _delay(self, failures: int, most: float) -> float:
        return float(min(most, self._policies.retry_seconds * 2 ** min(failures - 1, 30)))

    def stats(self) -> dict[str, int | str]:
        """Return how many series failed the last time, whether the source is left alone, and why."""
        alone = self.left_alone()
        return {"failing": len(self._by_key), "breaker": alone.error if alone else ""}


def is_of_host(error: BaseException) -> bool:
    """Tell whether an error is of the source as a whole: it cannot be reached, is late, or refuses all.

    A `SourceError` says so itself. Else it is an `OSError` (`ConnectionError`, `TimeoutError`), or comes from
    one, or an answer has a status that is no matter of what was asked. Any other error is of the series that
    was asked for; so is a `LookupError`, whatever else it is.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, SourceError):
            return found.of_host
        status = _status(found)
        if status is not None:
            return status >= SERVER_ERRORS or status in OF_HOST
        if isinstance(found, OSError | LookupError):
            return not isinstance(found, LookupError)
        found = found.__cause__
    return False


def _status(error: BaseException) -> int | None:
    """Return the status of an HTTP answer that an error is of, as HTTP clients name it."""
    of = (error, getattr(error, "response", None))
    for value in (getattr(one, name, None) for one in of for name in ("status_code", "status", "code")):
        if isinstance(value, int) and not isinstance(value, bool) and value >= CLIENT_ERRORS:
            return value
    return None
