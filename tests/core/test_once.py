"""A property that is worked out once, and of which no thread holds a lock."""

import threading

import pytest

from mdstore.core.once import once


class Slow:
    def __init__(self):
        self.times, self.begun, self.go_on = 0, threading.Event(), threading.Event()

    @once
    def answer(self):
        """What it is."""
        self.times += 1
        self.begun.set()
        self.go_on.wait()
        return 42

    @once
    def broken(self):
        raise ValueError("not today")


def test_it_is_worked_out_once():
    slow = Slow()
    slow.go_on.set()
    assert (slow.answer, slow.answer, slow.times) == (42, 42, 1)
    assert Slow.answer.__doc__ == "What it is."


def test_what_fails_is_tried_again():
    slow = Slow()
    for _ in range(2):
        with pytest.raises(ValueError, match="not today"):
            slow.broken  # noqa: B018


def test_one_object_does_not_wait_for_another():
    slow, quick = Slow(), Slow()
    thread = threading.Thread(target=lambda: slow.answer)
    thread.start()
    slow.begun.wait()
    quick.go_on.set()
    assert quick.answer == 42
    slow.go_on.set()
    thread.join()


def test_threads_that_ask_at_once_are_given_the_same():
    class Both:
        barrier = threading.Barrier(2)

        @once
        def answer(self):
            self.barrier.wait()
            return object()

    both, found = Both(), []
    thread = threading.Thread(target=lambda: found.append(both.answer))
    thread.start()
    found.append(both.answer)
    thread.join()
    assert found[0] is found[1] is both.answer
