"""A kernel's standard output that never runs ahead of what is read: imported in kernels only, after ipykernel."""

from __future__ import annotations

import threading

from ipykernel.iostream import OutStream

from mlprod_nb.notebooks.execution import LARGEST_NOTEBOOK

#: Characters after which a write waits until all before it is sent.
_AHEAD = 2**20


class BoundedOutStream(OutStream):
    """ipykernel's stream, which waits for what was written to be sent, and says no more than a notebook may hold.

    ipykernel's own keeps all that a loop writes faster than it is sent, and dies of it within a limit of memory. Here
    who writes beyond the largest notebook waits for the runner, which has read as much by then and ends the kernel.
    """

    _written = 0
    _waiting = 0

    def write(self, string: str) -> int | None:
        """Write a text."""
        self._written += len(string)
        beyond = self._written - LARGEST_NOTEBOOK - _AHEAD
        written: int | None = super().write(string[: max(len(string) - beyond, 0)] if beyond > 0 else string)
        self._waiting += len(string)
        if self._waiting > _AHEAD:
            self.flush()
            self._waiting = 0
        if beyond > 0:
            threading.Event().wait()
        return written
