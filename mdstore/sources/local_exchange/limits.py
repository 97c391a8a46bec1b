"""The limits of the exchanges, kept: requests a second by group, weight a minute, bans that grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Allowance", "Verdict"]

FREE = 999  # what is left where there is no limit


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is answered (200), refused (429) or its sender banned (418).

    `left` is what the window still allows, `used` what it has seen, `wait` the seconds until it may be worth
    asking again.
    """

    status: int
    left: int
    used: int
    wait: float


class Allowance:
    """So much a window, whoever asks; who goes on asking when refused is banned, each time twice as long.

    Windows are those of the clock (from one full second or minute to the next), as the exchanges' are.

    >>> now = [0.0]
    >>> allowance = Allowance(2, window=1, patience=1, ban=10, clock=lambda: now[0])
    >>> [allowance.ask().status for _ in range(4)]
    [200, 200, 429, 418]
    >>> now[0] = 10.5
    >>> allowance.ask().status
    200
    """

    def __init__(
        self,
        most: int | None,
        *,
        window: float,
        patience: int = 10,
        ban: float = 1.0,
        clock: Callable[[], float],
    ) -> None:
        self._most, self._window, self._patience, self._clock = most, window, patience, clock
        self._ban = ban
        self._used: Counter[int] = Counter()
        self._refused = 0
        self._banned_until = float("-inf")

    def ask(self, weight: int = 1) -> Verdict:
        """Count a request, and say what becomes of it."""
        now = self._clock()
        number = int(now // self._window)
        used = self._used[number]
        if self._most is None:
            return Verdict(200, FREE, used, 0)
        if now < self._banned_until:
            return Verdict(418, 0, used, self._banned_until - now)
        if used + weight <= self._most:
            return self._answered(number, used + weight)
        return self._refuse(now, number)

    def _answered(self, number: int, used: int) -> Verdict:
        if used and not self._used[number]:
            self._used.clear()
            # A window without a refusal forgives those before it.
            self._refused //= 2
        self._used[number] = used
        return Verdict(200, (self._most or 0) - used, used, 0)

    def _refuse(self, now: float, number: int) -> Verdict:
        self._refused += 1
        used, wait = self._used[number], (number + 1) * self._window - now
        if self._refused <= self._patience:
            return Verdict(429, 0, used, wait)
        self._refused = 0
        self._banned_until = now + self._ban
        self._ban *= 2
        return Verdict(418, 0, used, self._banned_until - now)
