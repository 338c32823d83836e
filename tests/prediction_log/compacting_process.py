"""``python -m tests.prediction_log.compacting_process FOLDER``: compact and be killed in it; see :mod:`tests.killed`.

A step is one of :class:`~tests.prediction_log.watched_files.WatchedFiles`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests import killed
from tests.prediction_log.compacting import open_site
from tests.prediction_log.watched_files import kill_at


def main(root: Path) -> None:
    """Compact for each line of standard input."""

    def compact(dies_at: int | None) -> None:
        open_site(root).compact(None if dies_at is None else kill_at(dies_at), batch_bytes=300_000, least_files=3)

    killed.obey(compact)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
