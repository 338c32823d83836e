"""Where endpoints run.

A target starts, finds and stops the gateway of a workspace. Guarantee: starting twice, also at once, leaves one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mlprod_nb.errors import NotFound
from mlprod_nb.store.gateways import GatewayRecord


class Target(Protocol):
    """Somewhere that endpoints can run.

    A target is a module with these functions, listed in :data:`BUILT_IN`.
    """

    def start(self, root: Path) -> GatewayRecord:
        """Start the gateway of a workspace and return when it answers; one that runs already is returned.

        Raises:
            Unavailable: It does not start; the message says why.
        """

    def running(self, root: Path) -> GatewayRecord | None:
        """Return the gateway that answers now, or ``None``."""

    def stop(self, root: Path) -> bool:
        """Stop the gateway after its last request; return whether there was one."""


def _local() -> Target:
    from mlprod_nb.targets import local

    return local


BUILT_IN: dict[str, Callable[[], Target]] = {"local": _local}


def get(name: str) -> Target:
    """Return a target by name.

    Raises:
        NotFound: There is no such target.
    """
    if name not in BUILT_IN:
        raise NotFound("target", name, BUILT_IN)
    return BUILT_IN[name]()
