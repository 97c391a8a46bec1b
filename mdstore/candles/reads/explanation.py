"""How reads were answered, for those who ask."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Protocol

from mdstore.candles.file.table_reads import Request
from mdstore.candles.ledger.ledger import Ledger
from mdstore.candles.reads.answer import Answer

__all__ = ["Explanation", "Reader", "Traced"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a read was answered: by which tiers, the rows it gave, the time it took, and the SQL it ran.

    `tiers` are among "memory" (assembled before, and current), "packs" (mapped columns), "sqlite" (rows of
    the table, by index, or frozen ones), "scanner" (DuckDB's sqlite scanner put rows of the table into packs
    first) and "duckdb".
    """

    tiers: tuple[str, ...]
    rows: int
    milliseconds: float
    reason: str
    sql: str
    given: int = 0
    """Candles that DuckDB was given to answer a query from."""

    def __str__(self) -> str:
        head = f"{self.rows:,} rows in {self.milliseconds:.2f} ms by {' + '.join(self.tiers)}: {self.reason}"
        return f"{head}\n{self.sql.strip()}".strip()

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the text, as it is."""
        return f"<pre>{escape(str(self))}</pre>"


class Reader(Protocol):
    """What candles are read by: the repository, or one that notes what is read."""

    @property
    def ledger(self) -> Ledger:
        """What is known besides the candles."""

    def read(self, request: Request, *, verify: bool = True) -> Answer:
        """Return candles, as `CandleRepository.read` does."""


class Traced:
    """Reads by another, and notes the answers."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._answers: list[Answer] = []

    @property
    def ledger(self) -> Ledger:
        """The ledger of the other."""
        return self._reader.ledger

    def read(self, request: Request, *, verify: bool = True) -> Answer:
        """Read by the other."""
        answer = self._reader.read(request, verify=verify)
        self._answers.append(answer)
        return answer

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers of all answers, each once."""
        return tuple(dict.fromkeys(tier for answer in self._answers for tier in answer.tiers))

    def why(self, made: str) -> str:
        """Say what the answers are made of, and what was made of them."""
        reasons = dict.fromkeys(answer.why() for answer in self._answers)
        return "; ".join([*reasons, *([made] if made else [])])

    def sql(self) -> str:
        """Return the SQL that was run."""
        return "\n".join(dict.fromkeys(answer.sql.strip() for answer in self._answers if answer.sql))
