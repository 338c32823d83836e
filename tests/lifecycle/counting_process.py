"""A process that counts files ahead again and again and is killed in it; a test starts it.

``python -m tests.lifecycle.counting_process ROOT`` reads lines: ``step N`` kills it before, in or after a statement of
the state database, counted from 0; ``after MS`` after that many milliseconds. It answers each line with ``killed`` or
``done``. What counting needs is loaded once, and each counting is a fork.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import sqlalchemy as sa

from tests.lifecycle.counted_site import open_counted_site
from tests.prediction_log.watched_files import kill_at


def main(root: Path) -> None:
    """Count for each line of standard input."""
    for line in sys.stdin:
        word, number = line.split()
        child = os.fork()
        if child == 0:
            _count(root, int(number) if word == "step" else None)
        if word == "after":
            time.sleep(int(number) / 1000)
            os.kill(child, signal.SIGKILL)  # where it is done already, it is a zombie still
        _, status = os.waitpid(child, 0)
        os.write(1, b"killed\n" if os.WIFSIGNALED(status) else b"done\n" if status == 0 else b"failed\n")


def _count(root: Path, dies_at: int | None) -> None:
    try:
        site = open_counted_site(root)
        if dies_at is not None:
            point = kill_at(dies_at)
            for event in ("before_cursor_execute", "after_cursor_execute", "commit"):
                sa.event.listen(site.site.store.engine, event, lambda *_, event=event: point(event))
        assert site.count().problems == {}
    except BaseException as error:  # noqa: BLE001 (the parent says that it failed)
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
