"""Pieces of data worked on one after the other, the next of them in a thread while the last is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from threading import Lock, Thread
from typing import Generic, TypeVar

__all__ = ["ahead"]

P = TypeVar("P")
T = TypeVar("T")
LOOK_SECONDS = 0.05  # how often it is looked whether a thread has ended of which nobody was told


class _Made(Thread, Generic[P, T]):
    """A thread that works on one piece, and what came of it."""

    def __init__(self, work: Callable[[P], Sequence[T]], piece: P) -> None:
        super().__init__(name="mdstore-ahead")
        self._work, self._piece = work, piece
        self._made: Sequence[T] | None = None
        self._error: BaseException | None = None
        self._is_over = False
        self._at_work = Lock()
        self._at_work.acquire()

    def run(self) -> None:
        """Work."""
        try:
            self._made = self._work(self._piece)
        except BaseException as error:
            self._error = error
        finally:
            self._is_over = True
            self._at_work.release()

    def begin(self) -> None:
        """Start it; where no more threads may be, work at once."""
        try:
            self.start()
        except RuntimeError:
            self.run()

    def end(self) -> None:
        """Wait until it has ended, also where Ctrl-C comes meanwhile.

        Not by `join` alone: interrupted, that of Python 3.11 takes a thread for ended which still works.
        """
        try:
            while self.is_alive() and not self._is_over:
                self._at_work.acquire(timeout=LOOK_SECONDS)
            if self.is_alive():
                self.join()
        except BaseException:
            self.end()
            raise

    def result(self) -> Sequence[T]:
        """Return what was made; it has ended."""
        if self._error is not None:
            raise self._error
        # A thread that was ended before it began has made nothing, and its rows would be missing.
        return self._work(self._piece) if self._made is None else self._made


def ahead(
    pieces: Iterable[P], work: Callable[[P], Sequence[T]], is_worth: Callable[[P], bool], *, at_hand: bool
) -> Generator[T]:
    """Yield what `work` makes of pieces, those that are worth a thread while what was yielded last is used.

    SQLite writes without the interpreter's lock, so another core can work meanwhile. A thread lives for one
    piece, and has ended when more is asked for or the iterator is closed. The pieces are taken in the
    caller's thread, who may have opened there what they come from, and worked on in their order. Unless all
    are `at_hand`, the second is not taken before it is asked for: a user's code gives it, which may not be
    run before the transaction that it is in.
    """
    made: Sequence[T] = ()
    waits, taken, number = False, iter(pieces), 0
    while True:
        if not waits:
            yield from made
            made = ()
        try:
            piece = next(taken)
        except StopIteration:
            break
        except Exception:
            yield from made  # which came before what failed
            raise
        number += 1
        is_large = is_worth(piece) and _cores() > 1
        if made and is_large:
            made = yield from _meanwhile(made, _Made(work, piece))
        else:
            yield from made
            made = work(piece)
        waits = is_large and (at_hand or number > 1)
    yield from made


def _meanwhile(made: Sequence[T], thread: _Made[P, T]) -> Generator[T, None, Sequence[T]]:
    """Yield what was made while a thread works on more; return that."""
    try:
        thread.begin()
        yield from made
    finally:
        thread.end()
    return thread.result()


def _cores() -> int:
    """Return on how many cores the process may run."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
