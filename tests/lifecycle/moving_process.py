"""A process that imports an archive, and is killed at one mark.

``python -m tests.lifecycle.moving_process ROOT ARCHIVE NAME MARK``
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from mlprod_nb import Workspace
from mlprod_nb.lifecycle import moving

#: Each step that writes, in order; the process dies as the step begins.
MARKS = (
    "create_run",
    "log_batch",
    "log_artifact",
    "log_artifacts",
    "create_logged_model",
    "log_model_artifacts",
    "finalize_logged_model",
    "set_terminated",
    "create_registered_model",
    "create_model_version",
    "delete_registered_model_tag",
    "_write_down",
)


def die(*arguments: Any, **options: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    root, archive, name, mark = sys.argv[1:]
    setattr(moving if mark == "_write_down" else MlflowClient, mark, die)
    Workspace.open(Path(root)).import_(archive, as_=name)


if __name__ == "__main__":
    main()
