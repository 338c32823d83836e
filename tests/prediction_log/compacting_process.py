"""A process that compacts a log again and again and is killed in it; a test starts it.

``python -m tests.prediction_log.compacting_process FOLDER`` reads lines: ``step N`` kills a compaction at its Nth step
from 0, ``after MS`` after that many milliseconds. It answers each line with ``killed`` or ``done``. What compacting
needs is loaded once, and each compaction is a fork.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tests.prediction_log.compacting import open_site
from tests.prediction_log.watched_files import kill_at


def main(root: Path) -> None:
    """Compact for each line of standard input."""
    for line in sys.stdin:
        word, number = line.split()
        child = os.fork()
        if child == 0:
            _compact(root, int(number) if word == "step" else None)
        if word == "after":
            time.sleep(int(number) / 1000)
            os.kill(child, signal.SIGKILL)  # where it is done already, it is a zombie still
        _, status = os.waitpid(child, 0)
        os.write(1, b"killed\n" if os.WIFSIGNALED(status) else b"done\n" if status == 0 else b"failed\n")


def _compact(root: Path, dies_at: int | None) -> None:
    try:
        open_site(root).compact(None if dies_at is None else kill_at(dies_at), batch_bytes=300_000, least_files=3)
    except BaseException as error:  # noqa: BLE001 (the parent says that it failed)
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
