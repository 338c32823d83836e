"""What a notebook's execution tells the processes that it starts, by variables of their environment.

Not MLPROD_…, which would be settings, save for the workspace.
"""

from __future__ import annotations

import os
from pathlib import Path

#: The mark of the notebook's execution that started this process.
EXECUTION = "_MLPROD_EXECUTION"
#: The folder of that execution: the notebook as it was given, and its parameters.
EXECUTION_FOLDER = "_MLPROD_EXECUTION_FOLDER"
#: Where a reproduction's execution writes candidates instead of versions; it changes nothing else.
CANDIDATES = "_MLPROD_CANDIDATES"


def execution() -> str:
    """Return the mark of the notebook's execution that this process belongs to; empty where there is none."""
    return os.environ.get(EXECUTION, "")


def execution_folder() -> Path | None:
    """Return the folder of that execution, or ``None``."""
    return _folder(EXECUTION_FOLDER)


def candidates_folder() -> Path | None:
    """Return where the candidates of this reproduction go, or ``None`` where this process belongs to none."""
    return _folder(CANDIDATES)


def for_execution(root: Path, *, candidates: Path | None = None, sources: Path | None = None) -> dict[str, str]:
    """Return the variables of an execution that works on one workspace.

    Args:
        root: The workspace.
        candidates: Where candidates go, for a reproduction.
        sources: Where an interpreter of another environment finds this package.
    """
    found = {"MLPROD_WORKSPACE": str(root.resolve())}
    if candidates is not None:
        found[CANDIDATES] = str(candidates)
    if sources is not None:
        found["PYTHONPATH"] = os.pathsep.join(filter(None, (str(sources), os.environ.get("PYTHONPATH", ""))))
    return found


def _folder(variable: str) -> Path | None:
    folder = os.environ.get(variable, "")
    return Path(folder) if folder else None
