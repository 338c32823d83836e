"""A process that looks for new versions, and is killed at one mark.

``python -m tests.lifecycle.releasing.watching_process ROOT MARK``
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from mlprod_nb import Workspace
from mlprod_nb.lifecycle.registering import bundling
from mlprod_nb.lifecycle.releasing import checking, story

MARKS: dict[str, tuple[Any, str]] = {
    "begun": (bundling, "ensure"),
    "checking": (checking, "verdict"),
    "release begun": (story, "look"),
}


def die(*arguments: Any, **options: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    module, name = MARKS[sys.argv[2]]
    setattr(module, name, die)
    Workspace.open(Path(sys.argv[1])).release_watch()
