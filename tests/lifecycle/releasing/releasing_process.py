"""A process that carries an endpoint's release on, and is killed at one mark.

``python -m tests.lifecycle.releasing.releasing_process ROOT ENDPOINT MARK``
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from mlprod_nb import Workspace
from mlprod_nb.lifecycle.alias_moves import aliases
from mlprod_nb.lifecycle.deploying import revise
from mlprod_nb.lifecycle.releasing import acting, checking, counters

MARKS: dict[str, tuple[Any, str]] = {
    "checking": (checking, "verdict"),
    "begun": (acting, "_do"),
    "proposed": (revise, "_await_outcome"),
    "active": (revise, "_await_workers"),
    "made": (counters, "now"),
    "journal written": (aliases, "apply"),
    "reverting": (acting, "_back"),
}


def die(*arguments: Any, **options: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    root, endpoint, mark = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    if mark in MARKS:
        module, name = MARKS[mark]
        setattr(module, name, die)
    else:  # before an event of that kind is written
        noted = acting.note

        def note(context: Any, release: Any, kind: Any, *rest: Any, **more: Any) -> None:
            die() if kind == mark else noted(context, release, kind, *rest, **more)

        acting.note = note
    Workspace.open(root).release_advance(endpoint)


if __name__ == "__main__":
    main()
