"""Executions of notebooks by tests: what was printed, and whether their processes live."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mlprod_nb import notebooks
from mlprod_nb.processes import identity


def printed(folder: Path) -> list[str]:
    cells = notebooks.read(folder / "out.ipynb")["cells"]
    return ["".join("".join(o.get("text", "")) for o in c.get("outputs", ())) for c in cells]


def alive(pid: int) -> bool:
    return bool(identity(pid))


def until(true: Any) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def nbval(notebook: Path, mode: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", mode, "-q", "-p", "no:cacheprovider", "-c", "/dev/null"]
    limits = ["--nbval-cell-timeout=300", "-W", "ignore", f"--rootdir={cwd}", str(notebook)]
    return subprocess.run([*command, *limits], cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
