"""A kernel made ready beside the runner's imports: ``python -m mlprod_nb.notebooks.ready``.

It imports what any kernel imports, then as much of what this package's notebooks need as there is time for, and begins
once it hears where to connect. Nothing of a notebook has run in it before, and it serves one execution only.
"""

from __future__ import annotations

import importlib
import os
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from mlprod_nb.notebooks import nursery

#: What a kernel cannot begin without, and what the cells of most reports import first.
_NEEDED = ("ipykernel.kernelapp", "ipykernel.ipkernel", "numpy")
_LIKELY = ("mlprod_nb.workspace", "pandas", "sqlalchemy.dialects.sqlite", "matplotlib.figure", "mlprod_nb.lifecycle.watch")


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
    for name in (*_NEEDED, *_LIKELY):
        if name in _LIKELY and select.select([0], [], [], 0)[0]:
            break
        with suppress(ImportError):
            importlib.import_module(name)
    nursery.skip_debugger()
    nursery.become_kernel(os.dup(0))


if __name__ == "__main__":
    main()
