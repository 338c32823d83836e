"""A runner that is started before it is known what it will run: ``python -m mlprod_nb.notebooks``, without a folder.

It imports, and its kernel beside it, while its caller still reads settings and pins rows. It hears of one execution by
a line on its standard input, and ends when that closes, whether it was told of one or not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from mlprod_nb.settings import EXECUTION

_END_SECONDS = 5.0


class EarlyRunner:
    """A runner that waits for its one execution; to :func:`execute` what a nursery is. On Linux only.

    Attributes:
        mark: What the execution is known by; all that the runner starts carries it.
    """

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if sys.platform != "linux":
            return self
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlprod_nb.notebooks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, EXECUTION: self.mark},
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start(self, folder: Path, mark: str) -> subprocess.Popen[bytes] | None:
        """Tell it the execution in a folder; return ``None`` where it was told one already, or has ended."""
        process = self._process
        if process is None or process.stdin is None or mark != self.mark:
            return None
        try:
            os.write(process.stdin.fileno(), os.fsencode(folder) + b"\n")
        except BrokenPipeError:
            self.__exit__(None, None, None)
            return None
        self._process = None
        return process
