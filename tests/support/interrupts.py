"""Ctrl-C in this process, while something is under way and at no other time."""

import signal
import threading


def interrupted(seconds, work):
    """Do some work, and press Ctrl-C after so long, as a user in a terminal; return when both are over."""
    main = threading.main_thread().ident
    timer = threading.Timer(seconds, lambda: signal.pthread_kill(main, signal.SIGINT))
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & has it ignored
    try:
        timer.start()
        work()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is over cannot be interrupted
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGINT, previous)
