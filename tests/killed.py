"""Work that is killed in the middle, again and again: a process that begins it when a test says so, and dies in it.

The process reads lines. ``step N`` kills the work at its step N, counted from 0; ``after MS`` after that many
milliseconds. It answers each line with ``killed``, ``done`` or ``failed``. What the work needs is loaded once, and each
beginning is a fork.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextmanager
def begun_by_lines(module: str, root: Path) -> Iterator[Callable[[str], str]]:
    """Run a module that calls :func:`obey`; yield what takes a line and returns how the work ended.

    Args:
        module: The module's name.
        root: The folder that it works in.
    """
    command = [sys.executable, "-m", module, str(root)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT)

    def tell(line: str) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{line}\n")
        return process.stdout.readline().strip()

    try:
        yield tell
    finally:
        process.kill()
        process.communicate(timeout=30)


def obey(work: Callable[[int | None], None]) -> None:
    """Begin the work for each line of standard input.

    Args:
        work: Does it; takes the step at which it is to kill its own process, or ``None``.
    """
    for line in sys.stdin:
        word, number = line.split()
        child = os.fork()
        if child == 0:
            _work(work, int(number) if word == "step" else None)
        if word == "after":
            time.sleep(int(number) / 1000)
            os.kill(child, signal.SIGKILL)  # where it is done already, it is a zombie still
        _, status = os.waitpid(child, 0)
        os.write(1, b"killed\n" if os.WIFSIGNALED(status) else b"done\n" if status == 0 else b"failed\n")


def _work(work: Callable[[int | None], None], dies_at: int | None) -> None:
    try:
        work(dies_at)
    except BaseException as error:  # noqa: BLE001 (the parent says that it failed)
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)
    os._exit(0)
