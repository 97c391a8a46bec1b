"""The limits of the exchanges, kept: requests a second by group, weight a minute, bans that grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from mdstore.core.did_you_mean import did_you_mean
from mdstore.errors import InvalidInputError

__all__ = ["Allowance", "Rules", "Verdict", "rules_of"]

LIMITS: Final = ("upbit_per_second", "spot_weight", "futures_weight")

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


@dataclass(frozen=True, slots=True)
class Rules:
    """How strict the exchange is.

    `upbit_per_second` requests of each group, `spot_weight` and `futures_weight` a minute; None: no limit.
    `patience` refusals are forgiven, then comes a ban of `ban` seconds, the next twice as long. `slow` is how
    late a slow answer is, `maintenance` how long one lasts, `compress` whether answers are gzipped for those
    who take it, `upbit_idle` how long a client of Upbit's websocket may say nothing.
    """

    upbit_per_second: int | None = 10
    spot_weight: int | None = 6000
    futures_weight: int | None = 2400
    weight_window: float = 60
    patience: int = 10
    ban: float = 1.0
    slow: float = 0.5
    maintenance: float = 0.5
    compress: bool = True
    upbit_idle: float = 120.0


def rules_of(limits: Mapping[str, Any] | None) -> Rules:
    """Return the rules that are the exchanges' own but for what `limits` names; None lifts all limits.

    Raises `InvalidInputError` for one that there is not, or that is no number.
    """
    if limits is None:
        return Rules(upbit_per_second=None, spot_weight=None, futures_weight=None)
    names = [one.name for one in fields(Rules)]
    for name, value in limits.items():
        if name not in names:
            raise InvalidInputError(
                f"limits: {name!r} is none of {', '.join(names)}", hint=did_you_mean(name, names, shown=repr)
            )
        if not (isinstance(value, int | float) or (value is None and name in LIMITS)) or (value or 0) < 0:
            none = ", or None for no limit" if name in LIMITS else ""
            raise InvalidInputError(f"limits: {name}={value!r} is no number from 0 on{none}")
    return Rules(**limits)


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
