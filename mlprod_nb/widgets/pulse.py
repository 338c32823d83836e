"""Doing something once a second at most, beside the kernel, while somebody watches: a panel moves while a cell runs."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable


class Pulse:
    """Calls a function again and again in a thread of its own, until nobody watches any more.

    A front end says now and then that it watches. While a long cell runs the kernel hears nothing of that, so the
    thread is patient.

    Args:
        beat: What is called; what it raises ends the thread.
        every_seconds: The least time between two calls, however often it is stopped and begun again.
        patience_seconds: How long it goes on without a word of a front end.
        monotonic: A clock that never goes back, seconds.
    """

    def __init__(
        self,
        beat: Callable[[], None],
        *,
        every_seconds: float = 1.0,
        patience_seconds: float = 3600.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._beat = beat
        self._every = every_seconds
        self._patience = patience_seconds
        self._monotonic = monotonic
        self._seen = 0.0
        self._begun = -math.inf
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def beats(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def seen(self) -> None:
        """Note that somebody watches; begin where nothing runs."""
        self._seen = self._monotonic()
        if not self.beats or self._stop.is_set():
            self._stop = threading.Event()
            told = (self._stop, self._thread)
            self._thread = threading.Thread(target=self._run, args=told, name="mlprod-panel", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread after the call that is under way."""
        self._stop.set()

    def _run(self, stop: threading.Event, before: threading.Thread | None) -> None:
        # A call of the thread before may be under way still, and no two may be at once.
        if before is not None:
            before.join()
        stop.wait(max(0.0, self._begun + self._every - self._monotonic()))
        while not stop.is_set() and self._monotonic() - self._seen < self._patience:
            self._begun = self._monotonic()
            self._beat()
            stop.wait(self._every)
