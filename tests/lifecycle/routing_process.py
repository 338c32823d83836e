"""A process that asks a gateway for a new state; the gateway ends before it has heard, then the process is killed.

``python -m tests.lifecycle.routing_process ROOT ENDPOINT SHARE…``
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from mlprod_nb import Workspace
from mlprod_nb.lifecycle.deploying import revise
from mlprod_nb.targets import local


def die(*arguments: Any, **options: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    root, endpoint = Path(sys.argv[1]), sys.argv[2]
    record = local.running(root)
    local.stop(root)
    for module, name, instead in ((local, "running", lambda _: record), (revise, "_await_outcome", die)):
        setattr(module, name, instead)
    Workspace.open(root).route(endpoint, *sys.argv[3:])


if __name__ == "__main__":
    main()
