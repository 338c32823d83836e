"""When the store must be looked into: a look at a file tells mostly that it need not be."""

from __future__ import annotations

import math
from collections.abc import Callable

SETTLE_SECONDS = 0.2
"""How long after a change every look is taken: a file system's clock stands still for some milliseconds."""

POLL_SECONDS = 0.05
"""How often a worker asks whether the store has changed, and looks into it where it has: 0.3 ms a look."""

UNMARKED_POLL_SECONDS = 0.2
"""How often where every look must go into the store, which is a server's then: a look takes some round trips."""

LONGEST_SECONDS = 1.0
"""How long a look is left out at most, whatever the file says."""


class Watch:
    """Remembers what the store's files looked like when it was last looked into.

    Args:
        mark: Gives what differs once another process has written; ``None``: that cannot be told.
    """

    def __init__(self, mark: Callable[[], object | None]) -> None:
        self._mark = mark
        self._known: object | None = None
        self._changed_at = 0.0
        self._looked_at = -math.inf
        self._calm = False

    @property
    def pause(self) -> float:
        """How long to wait before the next look, seconds."""
        return UNMARKED_POLL_SECONDS if self._calm and self._known is None else POLL_SECONDS

    def still(self, now: float) -> bool:
        """Return whether nothing was written since the last look; to be asked before each.

        Args:
            now: Seconds that only grow.
        """
        mark = self._mark()
        if mark is None or mark != self._known:
            self._known, self._changed_at = mark, now
            return False
        return now - self._changed_at > SETTLE_SECONDS and now - self._looked_at < LONGEST_SECONDS

    def looked(self, now: float, *, calm: bool) -> None:
        """Note that the store was looked into, and whether nothing is under way that the next look goes on with."""
        self._looked_at = now if calm else -math.inf
        self._calm = calm
