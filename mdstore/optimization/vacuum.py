"""When free pages are given back, the file is written anew or a table is put in order; and doing so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mdstore.optimization.decision import Condition, Decision
from mdstore.optimization.fragmentation import FragmentationMonitor
from mdstore.optimization.ownership import Owner, upkeep_of
from mdstore.optimization.quiet_window import QuietWindow
from mdstore.optimization.threads import Stop, in_thread, never

if TYPE_CHECKING:
    from mdstore.candles.upkeep.layout import Pages

__all__ = ["REBUILT", "VACUUMED", "Limits", "SmartVacuumScheduler"]

VACUUMED, REBUILT, GIVEN_BACK = "vacuum", "rebuild", "incremental"
"""The kinds of records that are kept."""
ASKED: Final = "no matter, since asked for now"
DAY: Final = 86_400_000
TABLE: Final = "candles"
UNKNOWN = Condition("leaves of candles in order", "not looked at", "outside of the quiet hours", met=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """Where the conditions of the scheduler begin.

    `fragmentation` is in percent, `in_order` the share of leaves below which a table is in disorder,
    `table_pages` the pages below which it does not matter, and `stop_seconds` for how long others that write
    may be kept waiting. Pages are given back until `left` percent are free: new candles take these.
    """

    fragmentation: float = 15.0
    free_pages: int = 1_000
    days: float = 7.0
    in_order: float = 0.5
    table_pages: int = 1_000
    stop_seconds: float = 5.0
    left: float = 5.0


NIGHT: Final = QuietWindow()
USUAL: Final = Limits()


class SmartVacuumScheduler:
    """Decides what the pages of a store's file need, says why, and does it.

    `window` is the quiet hours; None takes the quietest that were observed.
    """

    def __init__(
        self,
        owner: Owner,
        *,
        window: QuietWindow | None = NIGHT,
        limits: Limits = USUAL,
    ) -> None:
        self._upkeep = upkeep_of(owner)
        self._monitor = FragmentationMonitor(owner)
        self._window = window
        self._observed: tuple[QuietWindow, float] | None = None
        self.limits = limits
        self.decision: Decision | None = None
        """What was decided last, with every condition."""

    async def evaluate_vacuum_need(self) -> bool:
        """Tell whether the file is to be written anew, or a table put in order; `decision` says why."""
        return (await in_thread(lambda stop: self.evaluate(stop=stop))).needed

    def evaluate(self, *, look: bool = True, at_once: bool = False, stop: Stop = never) -> Decision:
        """Return what is to be done, and keep it as `decision`.

        The order of the leaves is measured (which reads the table) only where that could decide, without
        `look`. With `at_once` it is as if the time were right: quiet hours, and long since the last VACUUM.
        """
        quiet, pages = self._quiet(at_once=at_once), self._upkeep.pages()
        space = (*self._space(pages), self._since("last VACUUM", VACUUMED, at_once=at_once), quiet)
        rested = self._since("last VACUUM or rebuild", VACUUMED, REBUILT, at_once=at_once)
        order = self._order(rested, quiet, look=look, stop=stop)
        self.decision = self._decided(pages, space, order)
        return self.decision

    async def incremental_vacuum(self, pages: int = 100) -> int:
        """Give so many free pages back to the system, or all there are, in small steps; return how many.

        Exactly so many; others write in between. Raises `InvalidInputError`, `StoreBusyError`.
        """
        return await in_thread(lambda stop: self.give_back(pages, stop=stop))

    def give_back(self, pages: int, *, stop: Stop = never) -> int:
        """Do as `incremental_vacuum` does, where there is no event loop."""
        given = self._upkeep.give_back(pages, stop=stop)
        if given:
            self._upkeep.record(GIVEN_BACK, {"pages": given})
        return given

    async def vacuum(self) -> float:
        """Write the file anew, small and in order; return for how many seconds nobody else could write.

        No guard is asked. Cancelled or killed, it leaves the file as it was.
        """
        return await in_thread(lambda stop: self.vacuum_now(stop=stop))

    def vacuum_now(self, *, stop: Stop = never) -> float:
        """Do as `vacuum` does, where there is no event loop."""
        seconds = self._upkeep.vacuum(stop=stop)
        self._upkeep.record(VACUUMED, {"seconds": seconds, "pages": self._upkeep.pages().count})
        return seconds

    async def rebuild(self, table: str = TABLE) -> int:
        """Put a table in the order of its key while others read and write; return its rows.

        Afterwards the file has as many pages free as the table took: new candles go there, and a VACUUM gives
        them back. Cancelled or killed, it leaves the table as it was or as it will be.
        """
        return await in_thread(lambda stop: self.rebuild_now(table, stop=stop))

    def rebuild_now(self, table: str = TABLE, *, stop: Stop = never) -> int:
        """Do as `rebuild` does, where there is no event loop."""
        rows = self._upkeep.rebuild(table, stop=stop)
        self._upkeep.record(REBUILT, {"table": table, "rows": rows, "left": self._upkeep.pages().free})
        return rows

    def act(self, decision: Decision, *, stop: Stop = never) -> str:
        """Do what was decided, and say what that was; empty where it was nothing."""
        if decision.action == "vacuum":
            return f"VACUUM, in which nobody else wrote for {self.vacuum_now(stop=stop):.2f} s"
        if decision.action == "rebuild":
            return f"{TABLE} put in order, {self.rebuild_now(stop=stop):,} rows"
        if decision.action == "incremental":
            return f"{self.give_back(self._spare(self._upkeep.pages()), stop=stop):,} free pages given back"
        return ""

    def _quiet(self, *, at_once: bool) -> Condition:
        now = self._upkeep.now()
        window = self._window or self._quietest(now)
        met = at_once or window.holds(now)
        return Condition("quiet hours", f"{window.clock(now)}", ASKED if at_once else str(window), met=met)

    def _quietest(self, now: float) -> QuietWindow:
        """Return the quietest hours that were observed; looked for once a day, since that counts rows."""
        if self._observed is None or not 0 <= now - self._observed[1] < DAY / 1000:
            self._observed = QuietWindow.quietest(self._monitor.rows_by_hour()), now
        return self._observed[0]

    def _space(self, pages: Pages) -> tuple[Condition, Condition]:
        ratio, limits = _percent(pages.free, pages), self.limits
        return (
            Condition(
                "fragmentation",
                f"{ratio:.1f} %",
                f"> {limits.fragmentation:g} %",
                ratio > limits.fragmentation,
            ),
            Condition(
                "free pages", f"{pages.free:,}", f"> {limits.free_pages:,}", pages.free > limits.free_pages
            ),
        )

    def _since(self, what: str, *kinds: str, at_once: bool) -> Condition:
        """Say how long ago something of some kinds was done last."""
        times = [record["at"] for record in map(self._upkeep.last, kinds) if record]
        days = (self._upkeep.now() * 1000 - max(times)) / DAY if times else None
        value = "never" if days is None else f"{days:.1f} days ago"
        least = self.limits.days
        threshold = ASKED if at_once else f">= {least:g} days ago"
        return Condition(what, value, threshold, met=at_once or days is None or days >= least)

    def _order(self, rested: Condition, quiet: Condition, *, look: bool, stop: Stop) -> tuple[Condition, ...]:
        if not look and not (rested.met and quiet.met):
            return UNKNOWN, rested, quiet
        found = self._upkeep.tables((TABLE,), stop=stop)
        limits, pages = self.limits, found[0].pages if found else 0
        in_order = found[0].in_order if found else 1.0
        return (
            Condition(
                "leaves of candles in order",
                f"{in_order:.1%}",
                f"< {limits.in_order:.0%}",
                in_order < limits.in_order,
            ),
            Condition(
                "pages of candles", f"{pages:,}", f">= {limits.table_pages:,}", pages >= limits.table_pages
            ),
            rested,
            quiet,
        )

    def _decided(self, pages: Pages, space: tuple[Condition, ...], order: tuple[Condition, ...]) -> Decision:
        looked = tuple(dict.fromkeys((*space, *order)))
        needs_space, needs_order = (all(one.met for one in rule) for rule in (space, order))
        if needs_space or needs_order:
            guards = self._guards()
            looked = (*looked, *guards)
            reason = "there are many free pages" if needs_space else "candles are out of order"
            if all(guard.met for guard in guards):
                return Decision("vacuum", f"{reason}, and it takes not long", looked)
            if needs_order and guards[0].met:
                return Decision("rebuild", "candles are out of order, and VACUUM would be in the way", looked)
        if self._spare(pages) and space[0].met:
            return Decision("incremental", "there are more free pages than new candles need soon", looked)
        return Decision("nothing", "the rules do not ask for more", looked)

    def _guards(self) -> tuple[Condition, ...]:
        """Look whether there is room, nobody in the way, and how long others would wait."""
        room, limits = self._upkeep.room(), self.limits
        free, seconds = self._upkeep.log_is_free(), self._upkeep.vacuum_seconds()
        return (
            Condition(
                "room on the disk", _size(room.free), f">= {_size(room.needed)}", room.free >= room.needed
            ),
            Condition("long reads", "none" if free else "one goes on", "none", met=free),
            Condition(
                "others would wait",
                f"{seconds:.1f} s",
                f"<= {limits.stop_seconds:g} s",
                seconds <= limits.stop_seconds,
            ),
        )

    def _spare(self, pages: Pages) -> int:
        """Return the free pages that are worth giving back by themselves.

        Not those that a rebuild has left: giving them back would put the table out of order again.
        """
        rebuilt, vacuumed = self._upkeep.last(REBUILT), self._upkeep.last(VACUUMED)
        left = 0 if rebuilt is None or _at(vacuumed) > _at(rebuilt) else int(rebuilt["left"])
        spare = pages.free - min(left, pages.free)
        if _percent(spare, pages) <= self.limits.fragmentation:
            return 0
        return max(0, spare - int(pages.count * self.limits.left / 100))


def _at(record: dict[str, Any] | None) -> int:
    return 0 if record is None else int(record["at"])


def _percent(part: int, pages: Pages) -> float:
    return 100.0 * part / pages.count if pages.count else 0.0


def _size(number: int) -> str:
    return f"{number / (1 << 20):,.0f} MB"
