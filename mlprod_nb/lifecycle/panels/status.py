"""The status panel: the workspace at a glance, as ``mlprod status`` shows it."""

from __future__ import annotations

from mlprod_nb.lifecycle import status
from mlprod_nb.lifecycle.context import Context


def look(context: Context) -> status.StatusResult:
    """Return the status."""
    return status.status(context)
