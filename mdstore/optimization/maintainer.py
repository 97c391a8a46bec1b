"""Upkeep by itself: a thread that looks now and then, and does what the rules ask for."""

from __future__ import annotations

import threading
from typing import Final

from mdstore.core.logs import logger
from mdstore.errors import MaintenanceStoppedError, MarketDataError, StoreBusyError, StoreClosedError
from mdstore.optimization.fragmentation import MEASURED, FragmentationMonitor
from mdstore.optimization.freezing import Freezer
from mdstore.optimization.ownership import Owner, upkeep_of
from mdstore.optimization.statistics import StatisticsKeeper
from mdstore.optimization.vacuum import SmartVacuumScheduler

__all__ = ["LOOK_SECONDS", "Maintainer"]

LOOK_SECONDS: Final = 60.0
"""How often it is looked whether anything is to be done: microseconds each, but in the quiet hours."""
MEASURE_MS: Final = 20 * 3_600_000
"""Size and order are measured once a day."""
log = logger("maintenance")


class Maintainer:
    """Looks after a store's file in a thread of this process, until `stop`.

    Among all that have the file open one at a time does so: it holds a lease in the file while it works,
    which a crash does not leave behind.
    """

    def __init__(
        self,
        owner: Owner,
        scheduler: SmartVacuumScheduler | None = None,
        *,
        every: float = LOOK_SECONDS,
        freezer: Freezer | None = None,
    ) -> None:
        self._upkeep = upkeep_of(owner)
        self._scheduler = scheduler or SmartVacuumScheduler(owner)
        self._keeper = StatisticsKeeper(owner)
        self._monitor = FragmentationMonitor(owner)
        self._freezer = freezer
        self._every = every
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.rounds = 0
        """How often it has looked."""
        self.trouble = ""
        """Why the last round came to nothing, in words; empty where it did not."""

    @property
    def is_running(self) -> bool:
        """Whether it looks after the file."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin; does nothing where it has begun. Raises `ReadOnlyError`."""
        if self.is_running:
            return
        self._upkeep.refuse_to_write()
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="mdstore-maintenance", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, in the middle of a step of upkeep, too; the file is whole. Returns when it has ended."""
        self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
                self.trouble = ""
            except (MaintenanceStoppedError, StoreClosedError):
                pass
            except StoreBusyError as error:  # another is at it, or writes for long: the next round is soon
                self.trouble = error.message
            except MarketDataError as error:
                self.trouble = error.message
                log.warning("%s", error.message)
            self.rounds += 1
            self._stopped.wait(self._every)

    @property
    def _freezes(self) -> bool:
        return self._freezer is not None and self._freezer.is_due

    def look(self) -> tuple[str, ...]:
        """Do one round, in the caller's thread; return what was done. Raises what `optimize` does."""
        stop = self._stopped.is_set
        decision = self._scheduler.evaluate(look=False, stop=stop)
        measured = self._upkeep.last(MEASURED)
        due = measured is None or self._upkeep.now() * 1000 - measured["at"] >= MEASURE_MS
        analyzes = self._keeper.evaluate().needed
        if decision.action == "nothing" and not due and not analyzes and not self._freezes:
            return ()
        with self._upkeep.holding():
            # Decided again, since another process may have done it just now.
            done = [self._freezer.run(stop=stop)] if self._freezer is not None and self._freezes else []
            done += [self._scheduler.act(self._scheduler.evaluate(look=False, stop=stop), stop=stop)]
            if self._keeper.evaluate().needed:
                done.append(self._keeper.run())
            if due:
                self._monitor.measure(stop=stop)
        done = [text for text in done if text]
        for text in done:
            log.info("%s: %s", self._upkeep.path, text)
        return tuple(done)
