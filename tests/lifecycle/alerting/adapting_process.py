"""A process that looks at an endpoint, finds an alarm, acts on it, and is killed at one step.

``python -m tests.lifecycle.alerting.adapting_process ROOT STEP``
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from mlprod_nb import Workspace, notebooks
from mlprod_nb.lifecycle import retraining
from mlprod_nb.lifecycle.alerting import adapting, alerts, notifying
from mlprod_nb.lifecycle.alias_moves import aliases
from mlprod_nb.lifecycle.deploying import revise
from mlprod_nb.store import actions
from tests.lifecycle.alerting.looks import look

STEPS: dict[str, tuple[Any, str]] = {
    "planned": (adapting, "carry_out"),
    "begun": (adapting, "_do"),
    "proposed": (revise, "_await_outcome"),
    "active": (revise, "_await_workers"),
    "moved": (actions, "end"),
    "executing": (notebooks, "execute"),
    "registered": (retraining, "_name_it"),
    "journal written": (aliases, "apply"),
}


def die(*arguments: Any, **options: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    root, endpoint, step = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    if step == "told":
        told = notifying.deliver
        calls: list[int] = []

        def second(context: Any) -> None:
            calls.append(1)
            told(context) if len(calls) == 1 else die()

        notifying.deliver = second
    else:
        module, name = STEPS[step]
        setattr(module, name, die)
    alerts.settle(Workspace.open(root).context, look("drift=alarm", endpoint=endpoint))


if __name__ == "__main__":
    main()
