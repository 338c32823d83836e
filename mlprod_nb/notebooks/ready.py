"""A kernel made ready beside the runner's imports: ``python -m mlprod_nb.notebooks.ready``.

It imports what any kernel imports, then as much of what this package's notebooks need as there is time for, and begins
once it hears where to connect. Nothing of a notebook has run in it before, and it serves one execution only.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from mlprod_nb.notebooks import nursery

#: What a kernel cannot begin without, and what the cells of our reports import, in the order in which they need it.
#: pandas is what Arrow imports for any single value, where it is installed; own reports mostly draw by matplotlib.
_NEEDED = ("ipykernel.kernelapp", "ipykernel.ipkernel", "numpy")
_LIKELY = (
    "mlprod_nb.workspace",
    "sqlalchemy.dialects.sqlite",
    "mlprod_nb.lifecycle.watching.watch",
    "mlprod_nb.reports.show",
    "mlprod_nb.monitoring.monitor",
    "mlprod_nb.prediction_log.reader",
    "pandas",
    "sklearn.ensemble",
    "onnxruntime",
    "matplotlib.figure",
)


class ReadyKernel(subprocess.Popen[bytes]):
    """A kernel that is told by its standard input where to connect; without being told it ends with its starter."""

    def __init__(self) -> None:
        super().__init__(
            [sys.executable, "-m", "mlprod_nb.notebooks.ready"], stdin=subprocess.PIPE, start_new_session=True
        )

    def launch(self, connection_file: str, cwd: str, environment: dict[str, str]) -> None:
        """Let it begin."""
        assert self.stdin is not None
        with suppress(BrokenPipeError), self.stdin as pipe:
            pipe.write(nursery.told(connection_file, cwd, environment))


def main() -> None:
    """Import until told where to connect, then be a kernel."""
    if sys.path and sys.path[0] == str(Path.cwd()):
        del sys.path[0]  # -m puts it there; a kernel's own is where its notebook runs
    gc.disable()  # nothing is garbage yet, and looking for it is a sixth of the time
    for name in (*_NEEDED, *_LIKELY):
        if name in _LIKELY and select.select([0], [], [], 0)[0]:
            break
        with suppress(ImportError):
            importlib.import_module(name)
    nursery.skip_debugger()
    gc.freeze()
    gc.enable()
    nursery.become_kernel(os.dup(0))


if __name__ == "__main__":
    main()
