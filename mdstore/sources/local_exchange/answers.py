"""What an API of the local exchange is asked, and what it answers: no I/O, so that it is quick to test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mdstore.sources.local_exchange.limits import Verdict

__all__ = ["JSON", "Answer", "Api"]

JSON = "application/json; charset=utf-8"


@dataclass(slots=True)
class Answer:
    """An answer: `rows` of candles, each a JSON text, in the order they are sent; or a `body` as it is."""

    rows: list[bytes] | None = None
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON

    def bytes(self) -> bytes:
        """Return the body that is sent."""
        return self.body if self.rows is None else b"[" + b",".join(self.rows) + b"]"


class Api(Protocol):
    """One exchange's requests."""

    def group(self, path: str) -> str:
        """Return the group of requests that share an allowance."""

    def weight(self, path: str, query: Mapping[str, str]) -> int:
        """Return how much of it a request takes."""

    def answer(self, path: str, query: Mapping[str, str]) -> Answer:
        """Answer a request that may be answered."""

    def refusal(self, verdict: Verdict) -> Answer:
        """Say that there were too many requests."""

    def error(self, status: int) -> Answer:
        """Say that something is wrong with the server."""

    def headers(self, group: str, verdict: Verdict) -> dict[str, str]:
        """Return what an answer says of the allowance."""
