"""What a long story tells while it works, and the short ends of it that an interrupt waits for.

A story calls :meth:`Progress.step` before each of its steps and, where it can count, :meth:`Progress.at` within one. It
knows nothing of who listens: a notebook, a terminal, a log, or nobody.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


class Progress(Protocol):
    """Who listens to a story."""

    def step(self, name: str) -> None:
        """Say that a step begins; the one before is done.

        Args:
            name: What is done now, as ``converting to ONNX``.
        """

    def at(self, done: int, total: int) -> None:
        """Say how far the present step is.

        Args:
            done: How many of its parts are done.
            total: How many there are.
        """


class Silence:
    """Nobody listens."""

    def step(self, name: str) -> None:
        """Say nothing."""

    def at(self, done: int, total: int) -> None:
        """Say nothing."""


SILENCE = Silence()


#: The file of the frames in which Python imports a module.
_IMPORT = "<frozen importlib._bootstrap>"
_AGAIN_SECONDS = 0.05


@contextmanager
def uninterrupted(*, second_breaks: bool = False) -> Iterator[Callable[[], bool]]:
    """Let interrupts wait until the block is over: for the part of a story that must not be half done.

    The block gets a function that tells whether an interrupt waits. Where the block comes to its end, the interrupt is
    raised after it. Outside of the main thread no interrupt comes, and nothing is done.

    Args:
        second_breaks: Whether a second interrupt is let through, where the block may take long and cleans up.

    Raises:
        KeyboardInterrupt: The user interrupted; its text says that the block was finished first.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.getsignal(signal.SIGINT)

    def wait(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if second_breaks and len(asked) > 1 and callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, wait)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt("what was under way was finished first")


@contextmanager
def whole_imports() -> Iterator[None]:
    """Let an interrupt wait while a module is being imported, and come as soon as it is there.

    A package that was interrupted on its way in stays broken while the process lives: those of its modules that were
    there are kept, and are then no attributes of the package that is made anew. Outside of the main thread, and where
    interrupts raise nothing, nothing is done.

    Raises:
        KeyboardInterrupt: The user interrupted.
    """
    before, waiting = signal.getsignal(signal.SIGINT), list[threading.Timer]()
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    main, outside = threading.get_ident(), _imports_under_way(sys._getframe())

    def interrupt(number: int, frame: FrameType | None) -> None:
        waiting.clear()
        if _imports_under_way(frame) <= outside:
            signal.default_int_handler(number, frame)
        again = threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, (main, number))
        again.daemon = True
        waiting.append(again)
        again.start()

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        for again in waiting:
            again.cancel()
            again.join()
    if waiting:
        raise KeyboardInterrupt


def _imports_under_way(frame: FrameType | None) -> int:
    """Return how many frames of Python's own import a frame was called by."""
    count = 0
    while frame is not None:
        count += frame.f_code.co_filename == _IMPORT
        frame = frame.f_back
    return count
