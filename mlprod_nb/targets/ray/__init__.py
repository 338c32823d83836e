"""The gateway on a node of a Ray cluster, in a detached actor: Ray places it and starts it again.

Requests do not go through Ray: its own HTTP proxy would take a hop between processes and pickling for each. Only
``start`` and ``stop`` speak to the cluster; all else asks the gateway, at the address that it announced.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlprod_nb.errors import MissingExtra, MlprodError, Refused, Unavailable, UsageError
from mlprod_nb.settings import Layout
from mlprod_nb.store.gateways import GatewayRecord
from mlprod_nb.targets import asking, local
from mlprod_nb.targets.protocol import Condition
from mlprod_nb.targets.ray import note

_ASK_SECONDS = 240.0


def start(root: Path, *, after_compaction: str = "") -> GatewayRecord:
    """Start the workspace's gateway on the cluster and return when it answers; one that runs already is returned.

    Args:
        root: The workspace's directory.
        after_compaction: A module that is run with ``--root`` after each compaction of the prediction log; empty: none.

    Raises:
        MissingExtra: Ray is not installed.
        Refused: No node can take it.
        Unavailable: It does not start; nothing of it is left.
    """
    layout = Layout(root)
    with local.starting_and_stopping(layout):
        # One that is being started again is waited for by the cluster's side.
        found = asking.answering(layout, lambda _: False) if note.read(root) else local.running(root)
        if found is None:
            _ask_cluster("start", root, "--after-compaction", after_compaction)
            found = running(root)
        if found is None:
            record = asking.announced(layout)
            _ask_cluster("stop", root)
            note.remove(root)
            where = f" at {record.url}" if record else ""
            raise Unavailable(f"the gateway on the Ray cluster cannot be reached from here{where}, so it was stopped.")
        return found


def running(root: Path) -> GatewayRecord | None:
    """Return the gateway that answers now, or ``None``; one that Ray starts again is waited for a while."""
    if note.read(root) is None:
        return local.running(root)
    return asking.answering(Layout(root), lambda _: note.read(root) is not None)


def condition(root: Path) -> Condition:
    """Return how the running gateway is; of none, nothing."""
    found = asking.condition(running(root), Layout(root))
    placed = note.read(root)
    return replace(found, place=f"on Ray node {placed.node}") if placed and found.workers else found


def stop(root: Path) -> bool:
    """Stop the gateway after its last request, and its actor, so that Ray does not start it again.

    Raises:
        Unavailable: The cluster cannot be reached, or the gateway does not end.
    """
    if note.read(root) is None:
        return local.stop(root)
    with local.starting_and_stopping(Layout(root)):
        stopped = bool(_ask_cluster("stop", root)["stopped"])
        note.remove(root)
        return stopped


def _ask_cluster(verb: str, root: Path, *more: str) -> dict[str, Any]:
    """Let a process of its own speak to the cluster.

    Raises:
        MlprodError: What it raised.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtra("ray", "ray")
    command = [sys.executable, "-m", __name__, verb, "--root", str(root.resolve()), *more]
    try:
        done = subprocess.run(  # noqa: S603 (our own module, arguments as a list)
            command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"the Ray cluster did not answer within {_ASK_SECONDS:.0f} s.") from None
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise Unavailable(f"Ray did not do what it was asked: {said[-1] if said else 'it said nothing'}.") from None
    if "error" in found:
        kinds: dict[str, type[MlprodError]] = {kind.__name__: kind for kind in (Refused, UsageError)}
        raise kinds.get(found["error"], Unavailable)(found["message"], hint=found["hint"])
    return found
