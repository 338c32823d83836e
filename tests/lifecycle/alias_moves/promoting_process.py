"""A process that promotes flights/2, and is killed at one mark.

``python -m tests.lifecycle.alias_moves.promoting_process ROOT MARK``
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

MARKS: dict[str, tuple[Any, str]] = {
    "proposed": (revise, "_await_outcome"),
    "active": (revise, "_await_workers"),
    "journal written": (aliases, "apply"),
}


def die(*arguments: Any, **options: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    root, mark = Path(sys.argv[1]), sys.argv[2]
    module, name = MARKS[mark]
    setattr(module, name, die)
    Workspace.open(root).promote("flights/2", reason="better in April")


if __name__ == "__main__":
    main()
