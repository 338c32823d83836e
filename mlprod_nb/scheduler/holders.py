"""Who holds a run, and whether it still gives signs of life.

Guarantee: no two clocks are compared. A run's holder counts its beats up; whoever has seen the same count for
``LEASE_SECONDS`` of its own steady clock takes the run for lost. So a step of the clock ends no run, and a machine that
is cut off loses its runs to another. (As Kubernetes elects leaders, client-go's ``leaderelection``; the term lease is
Gray and Cheriton's, SOSP 1989.)
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from mlprod_nb.processes import died_here, identity, this_process

#: How often a holder counts its beat up, and how long the count may stand still.
BEAT_SECONDS, LEASE_SECONDS = 2.0, 30.0
_TERM_SECONDS = 5.0
_STEP_SECONDS = 0.05


class Leases:
    """What one scheduler has seen of the runs of all.

    Args:
        holder: The name under which it claims runs itself.
        steady: Gives seconds that no step of the clock changes.

    Attributes:
        executing: The runs that it executes now; one of its own that is not among them ended without its end being
            recorded. ``None`` where it does not keep them.
    """

    def __init__(self, holder: str = "", steady: Callable[[], float] = time.monotonic) -> None:
        self.holder = holder or this_process()
        self.executing: set[int] | None = None
        self._steady = steady
        self._seen: dict[int, tuple[int, float]] = {}

    def lost(self, run: Any) -> bool:
        """Return whether an unfinished run has no holder any more, and no process on this machine."""
        return self.abandoned(run) and not lives_here(run)

    def abandoned(self, run: Any) -> bool:
        """Return whether an unfinished run's holder has died, or has been silent for too long."""
        if run.holder == self.holder:
            return self.executing is not None and run.id not in self.executing
        if died_here(run.holder):
            return True
        now = self._steady()
        beat, since = self._seen.get(run.id, (-1, now))
        if beat != run.beat:
            self._seen[run.id] = (run.beat, now)
            return False
        return now - since > LEASE_SECONDS


def lives_here(run: Any) -> bool:
    """Return whether a run's process is on this machine and has not ended."""
    host, _, _ = run.holder.partition("/")
    pid, _, _ = run.process.partition("/")
    return host == socket.gethostname() and bool(pid) and identity(int(pid)) == run.process


def end_group(group: int, reap: Callable[[], object] = lambda: None) -> None:
    """End a whole process group, politely and then not; nothing happens where all have gone.

    Args:
        group: The group's number.
        reap: Takes note of the end of a child, so that it does not count as alive.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            return
        until = time.monotonic() + _TERM_SECONDS
        while time.monotonic() < until and _group_lives(group, reap):
            time.sleep(_STEP_SECONDS)


def _group_lives(group: int, reap: Callable[[], object]) -> bool:
    reap()
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
