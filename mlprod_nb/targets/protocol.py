"""What a target is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlprod_nb.store.gateways import GatewayRecord


@dataclass(frozen=True)
class Condition:
    """How the running gateway is.

    Attributes:
        problem: Why it is not ready; empty where it is.
        workers: How many worker processes run.
        restarts: How many were replaced since it started.
        log: Whether the prediction log can be written: ``ok``; ``on_reserve`` or ``failed``, and why.
        version: The version of mlprod_nb that it runs by; empty for one too old to say so; ``None``: it did not say.
        place: Where it runs; empty: on this machine.
    """

    problem: str = ""
    workers: int = 0
    restarts: int = 0
    log: str = "ok"
    version: str | None = None
    place: str = ""


class Target(Protocol):
    """Somewhere that endpoints can run: a module with these functions, or an object with these methods.

    Each is given the workspace's directory. What a target must know later, also in another process, it keeps in the
    workspace.
    """

    def start(self, root: Path, *, after_compaction: str = "") -> GatewayRecord:
        """Start the workspace's gateway and return when it answers; one that runs already is returned.

        Of several calls at once one starts the gateway and the others wait for it.

        Args:
            root: The workspace's directory.
            after_compaction: A module to run with ``--root`` after each compaction of the prediction log; empty: none.

        Raises:
            Unavailable: It does not start; the message says why, and nothing of it is left.
        """

    def running(self, root: Path) -> GatewayRecord | None:
        """Return the gateway that answers now, or ``None``. Every verb asks this, so it must be quick."""

    def condition(self, root: Path) -> Condition:
        """Return how the running gateway is; of none, nothing."""

    def stop(self, root: Path) -> bool:
        """Stop the gateway after its last request, for good; return whether there was one.

        Raises:
            Unavailable: It does not end, or cannot be reached from here.
        """
