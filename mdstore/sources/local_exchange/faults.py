"""What goes wrong with answers, and when: an order that a seed decides."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, get_args

from mdstore.errors import InvalidInputError

__all__ = ["FAULTS", "SOCKET_FAULTS", "Fault", "Faults", "SocketFault", "SocketFaults"]

Fault = Literal[
    "429", "418", "500", "502", "503", "slow", "stalled", "dropped", "truncated", "duplicated", "reordered",
    "html", "empty_html", "short_page", "maintenance",
]  # fmt: skip
"""A fault of an answer.

`slow` comes late, `stalled` never (the connection stays open), `dropped` breaks off, `truncated` is whole
by its length but half its text, `html` is a page with status 200, `short_page` is fewer rows than were asked
for, without a word: the oldest are missing at Upbit, the latest at Binance. `maintenance` is 503 for a while.
"""

SocketFault = Literal["dropped", "closed", "silent"]
"""A fault of a websocket: broken without a word, closed with a code, or open and silent."""

FAULTS: tuple[Fault, ...] = get_args(Fault)
SOCKET_FAULTS: tuple[SocketFault, ...] = get_args(SocketFault)
OF_ROWS = ("truncated", "duplicated", "reordered", "short_page")


class Faults:
    """A plan: each kind so many times, in an order and at requests that the seed decides; then all is well.

    One of about `every` requests meets a fault. `list(plan.left)` is what is still to come.

    >>> Faults(["429", "html"], seed=1, times=2).left
    ['html', '429', 'html', '429']
    """

    def __init__(
        self, kinds: Sequence[Fault] = FAULTS, *, seed: int = 0, times: int = 1, every: float = 4.0
    ) -> None:
        unknown = sorted(set(kinds) - set(FAULTS))
        if unknown:
            raise InvalidInputError(f"faults: {unknown[0]!r} is none of {', '.join(FAULTS)}")
        self.random = random.Random(seed)  # noqa: S311  # it is a plan, no secret
        self.left: list[Fault] = [kind for kind in kinds for _ in range(times)]
        self.random.shuffle(self.left)
        self._share = 1 / max(1.0, every)

    def next(self, *, rows: bool) -> Fault | None:
        """Return the fault of this request, if it meets one; `rows` is whether the answer has candles."""
        if not self.left or self.random.random() > self._share:
            return None
        if not rows and self.left[0] in OF_ROWS:
            return None
        return self.left.pop(0)

    @staticmethod
    def exactly(kinds: Sequence[Fault]) -> Faults:
        """Return a plan whose faults meet the next requests, one after the other, in this order."""
        plan = Faults(kinds, every=1.0)
        plan.left = list(kinds)
        return plan


class SocketFaults:
    """A plan for websockets: each kind so many times, each at another connection, after some seconds.

    Connections meet the faults in the order in which they are made, `after` seconds on average; the seed
    decides the order and the times.
    """

    def __init__(
        self,
        kinds: Sequence[SocketFault] = SOCKET_FAULTS,
        *,
        seed: int = 0,
        times: int = 1,
        after: float = 1.0,
    ) -> None:
        unknown = sorted(set(kinds) - set(SOCKET_FAULTS))
        if unknown:
            raise InvalidInputError(f"socket faults: {unknown[0]!r} is none of {', '.join(SOCKET_FAULTS)}")
        self._random = random.Random(seed)  # noqa: S311  # it is a plan, no secret
        self.left: list[SocketFault] = [kind for kind in kinds for _ in range(times)]
        self._random.shuffle(self.left)
        self._after = after

    def next(self) -> tuple[SocketFault, float] | None:
        """Return what happens to a new connection, and after how many seconds; None for nothing."""
        return (self.left.pop(0), self._random.uniform(0, 2 * self._after)) if self.left else None
